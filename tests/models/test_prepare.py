"""Preparing models: real worker processes on the user's own files, failures, caching, two runs at once."""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from models.artifacts import Form
from models.errors import ExportFailed, MissingShape, ModelError, UnreadableModel
from models.export import process, recipe
from models.export.limits import Limits
from models.export.orders import FileOrder
from models.given import typed
from models.prepare import prepare
from models.settings import Settings
from models.sources.selection import resolve
from models.store import ArtifactStore
from tests.models import onnx_files as files
from tests.rigs.waiting import LIMIT_S, wait_until, wait_until_ended

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def no_worker(monkeypatch):
    """Fail where a worker would be started."""
    monkeypatch.setattr(process.Workers, "run", lambda *_: pytest.fail("a worker was started"))


def worker_is(monkeypatch, code):
    """Replace the worker by a program of our own."""
    monkeypatch.setattr(process, "_COMMAND", (sys.executable, "-c", code))


def own(*paths, shapes=()):
    return resolve([str(path) for path in paths], typed(shapes))


def test_an_own_file_is_made_once(tmp_path, store, monkeypatch):
    (tmp_path / "m.toml").write_text("[accuracy]\nvalue = 71.5\nsource = 'own validation'")
    requests = own(files.static(tmp_path / "m.onnx"), files.tflite(tmp_path / "m.tflite"))
    seen = []
    (made,) = prepare(requests, store, on_event=seen.append)
    assert list(made.artifacts) == [Form("onnx", "fp32"), Form("tflite", "fp32")]
    facts = made.facts
    assert (made.name, facts.family, facts.weights, facts.parameters, made.failures) == (
        "m",
        None,
        "own",
        12,
        {},
    )
    assert [accuracy.value for accuracy in made.facts.accuracies] == [71.5]
    assert [seen[-1].done, seen[-1].total] == [2, 2]
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)
    assert any("reading onnx" in progress.stage for progress in seen)
    monkeypatch.setattr(process.Workers, "run", lambda *_: pytest.fail("a worker was started"))
    assert prepare(requests, store) == [made]


@pytest.mark.parametrize("change", ["file", "shape", "toml", "data"])
def test_what_changes_an_artifact_makes_it_again(tmp_path, store, change):
    path = files.external(tmp_path / "m.onnx")
    (first,) = prepare(own(path), store)
    shapes = []
    if change == "file":
        files.external(tmp_path / "m.onnx")
        path.write_bytes(path.read_bytes() + b"\x12\x01a")  # a producer's name
    elif change == "shape":
        shapes = ["x=1,4"]
    elif change == "toml":
        (tmp_path / "m.toml").write_text("multiply_adds = 12")
    else:
        (tmp_path / "weights.bin").write_bytes(b"\1" * 64)
    (second,) = prepare(own(path, shapes=shapes), store)
    assert second.artifacts[Form("onnx", "fp32")].created_at > first.artifacts[Form("onnx", "fp32")].created_at


def test_a_damaged_artifact_is_made_again(tmp_path, store, caplog):
    requests = own(files.static(tmp_path / "m.onnx"))
    (first,) = prepare(requests, store)
    store.model_path(first.artifacts[Form("onnx", "fp32")]).write_bytes(b"damage")
    with caplog.at_level(logging.WARNING):
        (second,) = prepare(requests, store)
    assert "is damaged" in caplog.text
    assert store.model_path(second.artifacts[Form("onnx", "fp32")]).read_bytes() == (tmp_path / "m.onnx").read_bytes()


def test_mistakes_of_the_user_are_raised_in_the_workers_words(tmp_path, store):
    with pytest.raises(MissingShape, match="--input-shape input_ids=1,128"):
        prepare(own(files.text(tmp_path / "text.onnx")), store)
    (tmp_path / "g.onnx").write_bytes(b"\x08 garbage")
    with pytest.raises(UnreadableModel, match="not an ONNX"):
        prepare(own(tmp_path / "g.onnx"), store)


def test_a_shape_for_an_input_that_no_model_has(tmp_path, store):
    one, two = files.static(tmp_path / "a.onnx"), files.batch(tmp_path / "b.onnx")
    with pytest.raises(MissingShape, match=r"--input-shape z: none .* x \(b\)"):
        prepare(own(one, two, shapes=["z=1"]), store)


def test_noise_on_stdout_does_not_disturb(tmp_path, store, monkeypatch):
    noisy = (
        "import os, models.export.worker as w, models.export.own.files as o; make = o.FileImport.make\n"
        "def loud(self, target):\n"
        "    print('noise'); os.write(1, b'{\"event\": 1}\\n'); os.system('echo more')\n"
        "    yield from make(self, target)\n"
        "o.FileImport.make = loud; w.main()"
    )
    worker_is(monkeypatch, noisy)
    (made,) = prepare(own(files.static(tmp_path / "m.onnx")), store)
    assert list(made.artifacts) == [Form("onnx", "fp32")]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.kill(os.getpid(), 11)", r"crashed \(SIGSEGV\)"),
        ("import os; os.kill(os.getpid(), 9)", "memory ran out"),
        ("import sys; print('tensor shapes differ', file=sys.stderr); sys.exit(3)", "status 3: tensor shapes differ"),
        ("print('not json'); print('{}')", "told nothing"),
        ("import sys; sys.stdin.close()", "told nothing"),
        ("", "told nothing"),
    ],
)
def test_a_worker_that_ends_early(tmp_path, store, monkeypatch, code, words):
    worker_is(monkeypatch, code)
    (model,) = prepare(own(files.static(tmp_path / "m.onnx")), store)
    assert re.search(words, model.failures[Form("onnx", "unknown")])


def test_a_zoo_model_that_crashes_does_not_stop_the_others(store, monkeypatch):
    code = (
        "import sys, json, os; job = json.loads(input())\n"
        "if '1.0' in job['variant']: os.kill(os.getpid(), 11)\n"
        "event = {'event': 'error', 'format': 'onnx', 'error': 'ExportFailed', 'message': 'no such operator'}\n"
        "event['key'] = job['targets'][0]['key']\n"
        "print(json.dumps(event))"
    )
    worker_is(monkeypatch, code)
    seen = []
    one, two = prepare(resolve(["squeezenet_1.0,squeezenet_1.1"]), store, on_event=seen.append)
    assert "crashed" in one.failures[Form("onnx", "fp32")]
    assert "crashed" in one.failures[Form("tflite", "fp32")]
    assert two.failures[Form("onnx", "fp32")] == "no such operator"
    assert "told nothing" in two.failures[Form("tflite", "fp32")]
    assert (one.artifacts, one.facts.parameters) == ({}, None)
    assert (seen[-1].done, seen[-1].total) == (4, 4)


def test_a_full_disk_reported_by_a_worker_is_raised(store, monkeypatch):
    code = (
        "import json; key = json.loads(input())['targets'][0]['key']\n"
        "event = {'event': 'error', 'format': 'onnx', 'error': 'ModelError', 'message': 'no space left'}\n"
        "print(json.dumps({**event, 'key': key}))"
    )
    worker_is(monkeypatch, code)
    with pytest.raises(ModelError, match="no space left"):
        prepare(resolve(["squeezenet_1.1"]), store)


def test_a_worker_that_takes_too_long_is_ended_with_its_children(tmp_path, store, monkeypatch):
    pid = tmp_path / "pid"
    monkeypatch.setattr(process, "_COMMAND", ("sh", "-c", f"sleep 60 & echo $! >{pid}; wait"))
    started = time.monotonic()
    (model,) = prepare(own(files.static(tmp_path / "m.onnx")), store, limits=Limits(seconds=2))
    assert "longer than 2 s" in model.failures[Form("onnx", "unknown")]
    assert time.monotonic() - started < 45
    wait_until_ended(int(pid.read_text()))


def test_an_interrupt_ends_the_workers(tmp_path):
    path, pid = files.static(tmp_path / "m.onnx"), tmp_path / "pid"
    code = (
        "import sys; from pathlib import Path; from models.store import ArtifactStore\n"
        "from models.export import process; from models.prepare import prepare\n"
        "from models.sources.selection import resolve\n"
        'worker = \'import os, time; open(os.environ["PID_FILE"], "w").write(str(os.getpid())); time.sleep(60)\'\n'
        "process._COMMAND = (sys.executable, '-c', worker)\n"
        "prepare(resolve([sys.argv[1]]), ArtifactStore(Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "store")]
    environment = {**os.environ, "PID_FILE": str(pid)}
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment) as run:
        wait_until(lambda: pid.exists() and pid.read_text())
        os.kill(run.pid, signal.SIGINT)
        _, stderr = run.communicate(timeout=LIMIT_S)
    assert "KeyboardInterrupt" in stderr
    wait_until_ended(int(pid.read_text()))


def test_a_worker_ends_with_the_program_that_started_it(tmp_path):
    """However that ends: here a reference output is being computed that would take years."""
    code = (
        "import sys; from pathlib import Path; from models.store import ArtifactStore\n"
        "from models.prepare import prepare; from models.sources.selection import resolve\n"
        "prepare(resolve([sys.argv[1]]), ArtifactStore(Path(sys.argv[2])), on_event=lambda event: print(event))"
    )
    command = [sys.executable, "-u", "-c", code, str(files.endless(tmp_path / "m.onnx")), str(tmp_path / "store")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        while "reading onnx" not in run.stdout.readline():
            assert run.poll() is None
        (worker,) = [int(pid) for pid in Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()] or [0]
        run.kill()
    wait_until_ended(worker)


def test_nothing_starts_after_a_stop(tmp_path):
    workers = process.Workers(Limits())
    workers.stop()
    job = FileOrder(store=str(tmp_path), model="m", settings=Settings(), only_file=True, targets=())
    assert workers.run(job, print) == "interrupted"


def test_two_runs_at_once_make_an_artifact_once(tmp_path):
    path = files.static(tmp_path / "m.onnx")
    code = (
        "import sys; from pathlib import Path; from models.store import ArtifactStore\n"
        "from models.prepare import prepare; from models.sources.selection import resolve\n"
        "seen = []\n"
        "store = ArtifactStore(Path(sys.argv[2]))\n"
        "made = prepare(resolve([sys.argv[1]]), store, on_event=lambda progress: seen.append(progress.stage))\n"
        "print(next(iter(made[0].artifacts.values())).created_at, 'storing onnx' in seen)"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "store")]
    runs = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [run.communicate(timeout=LIMIT_S)[0].split() for run in runs]
    assert len({created for created, _ in answers}) == 1
    assert sorted(stored for _, stored in answers) == ["False", "False", "True"]


def test_a_second_run_imports_no_framework(tmp_path, store):
    path = files.static(tmp_path / "m.onnx")
    prepare(own(path), store)
    code = (
        "import sys; from pathlib import Path; from models.store import ArtifactStore\n"
        "from models.prepare import prepare; from models.sources.selection import resolve\n"
        "prepare(resolve([sys.argv[1]]), ArtifactStore(Path(sys.argv[2])))\n"
        "print([name for name in ('torch', 'onnx', 'onnxruntime', 'ai_edge_litert', 'jax') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(path), str(store.root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_named_models_where_the_user_stands_is_not_imported(tmp_path, store, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("raise SystemExit('wrong package')")
    (tmp_path / "onnx.py").write_text("raise SystemExit('wrong module')")
    monkeypatch.chdir(tmp_path)
    (made,) = prepare(own(files.static(tmp_path / "m.onnx")), store)
    assert list(made.artifacts) == [Form("onnx", "fp32")]


def test_events_never_come_from_two_threads_at_once(tmp_path, store):
    paths = [files.static(tmp_path / f"m{number}.onnx") for number in range(4)]
    busy = threading.Lock()

    def on_event(_):
        assert busy.acquire(blocking=False)
        time.sleep(0.002)
        busy.release()

    made = prepare(own(*paths), store, workers=4, on_event=on_event)
    assert [item.name for item in made] == ["m0", "m1", "m2", "m3"]


def test_without_exporters_what_another_machine_made_will_do(tmp_path, store, monkeypatch, no_worker):
    monkeypatch.setattr(recipe, "exporter_versions", lambda kind: None)
    requests = resolve(["squeezenet_1.1"])
    with pytest.raises(ExportFailed, match=r"pip install 'edgebench\[export\]'"):
        prepare(requests, store)
    file = tmp_path / "file"
    file.write_bytes(b"exported elsewhere")
    store.add(
        file,
        [],
        [],
        format="onnx",
        model="squeezenet_1.1",
        precision="fp32",
        inputs=(),
        outputs=(),
        weights="random",
        tolerance=1e-3,
        reference="pytorch",
        key="c" * 64,
        recipe=recipe.zoo_recipe(Form("onnx", "fp32"), requests[0].variant),
    )
    (made,) = prepare(requests, store)
    assert list(made.artifacts) == [Form("onnx", "fp32")]
    assert "not installed" in made.failures[Form("tflite", "fp32")]
