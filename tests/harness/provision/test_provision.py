"""Setting devices up, with real wheels and interpreters on this machine, cut off from the network."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest

from harness import provision
from harness.agent import PROTOCOL
from harness.errors import ProvisionError
from harness.fleet.devices import Device
from harness.jobs.setup import Described
from harness.link import bundle, setup_record
from harness.link.setup_record import Setup
from harness.provision import cleaning, interpreter, wheels
from harness.provision.device import Outcome, Provisioner
from harness.transports.simulated import SimulatedTransport
from harness.workspace import Workspace
from models.store import ArtifactStore
from tests.rigs.bench import MEASURED, ROOT, Bench
from tests.rigs.provisioning import CACHE, OfflineTransport, restart_tiny

pytestmark = pytest.mark.usefixtures("fetching_packages")

SMALL = ("onnxruntime", "tflite")
HELLO = json.dumps(
    {
        "event": "hello",
        "protocol": PROTOCOL,
        "agent_version": "2",
        "agent_sha256": bundle.build().sha256,
        "python": "3.11.2",
        "machine": "riscv64",
    }
).encode()


def python_of(version: str) -> str:
    """Return an interpreter without runtimes, or skip."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    found = str(installed[-1]) if installed else shutil.which(f"python{version}")
    if found is None:
        pytest.skip(f"no python{version} here")
    return found


def setup(
    folder: Path, pythons: tuple[str, ...], names: tuple[str, ...] = SMALL
) -> tuple[OfflineTransport, Outcome, Setup]:
    transport = OfflineTransport()
    outcome, record = Provisioner(transport, PurePosixPath(folder), CACHE).setup(names, pythons=pythons)
    return transport, outcome, record


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.12", "3.13"])
def test_the_device_s_own_python_runs_models_after_it(tmp_path: Path, store: ArtifactStore, version: str) -> None:
    transport, outcome, record = setup(tmp_path / "device", (python_of(version),))
    assert (outcome.python, outcome.own_python, outcome.problems) == (version, True, [])
    assert outcome.versions["tflite"].startswith("tflite-runtime" if version == "3.8" else "ai-edge-litert")
    for backend, kind in (("onnxruntime", "onnx"), ("tflite", "tflite")):
        restart = restart_tiny(transport, record, store, backend, kind)
        assert restart.outcome == "ok", restart.reason
        assert restart.verified
        assert restart.agent["python"].startswith(version + ".")
        assert restart.agent["backend_version"] == outcome.versions[backend]


def test_a_device_without_python_gets_one_with_its_c_library(tmp_path: Path, store: ArtifactStore) -> None:
    transport, outcome, record = setup(tmp_path / "device", ())
    assert not outcome.own_python
    assert outcome.pushed[0].startswith("Python 3.")
    assert record.command[0].startswith(str(tmp_path / "device" / "runtime"))
    finder = Provisioner(transport, PurePosixPath(tmp_path / "device"), CACHE)
    assert finder.find_pythons(["no-such-python"]) == [tuple(record.command)]
    restart = restart_tiny(transport, record, store, "onnxruntime", "onnx")
    assert restart.outcome == "ok", restart.reason
    # Its own C library and nothing of this machine's: what is mapped lies below the root.
    code = "import ctypes, ssl, zlib, sqlite3; print(open('/proc/self/maps').read())"
    maps = subprocess.run([*record.command, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
    libraries = {line.split()[5] for line in maps.splitlines() if ".so" in line}
    assert len(libraries) > 5
    assert all(name.startswith(record.folder) for name in libraries), libraries
    again, outcome, _ = setup(tmp_path / "device", ())
    assert (outcome.pushed, again.pushed) == ([], [])
    # A damaged library of the interpreter: it is brought again.
    victim = next(Path(record.folder).glob("runtime/*/lib/libz.so.1"))
    victim.write_bytes(b"\0" * 100)
    _, outcome, _ = setup(tmp_path / "device", ())
    assert [what.split()[0] for what in outcome.pushed] == ["Python"]


def test_a_second_setup_pushes_nothing_and_a_damaged_file_is_pushed_again(tmp_path: Path) -> None:
    python = (python_of("3.12"),)
    _, first, record = setup(tmp_path / "device", python)
    assert {what.split()[0] for what in first.pushed} >= {"numpy", "onnxruntime", "ai-edge-litert"}
    assert not Path(record.folder, "packs").exists() or not any(Path(record.folder, "packs").iterdir())
    again, second, same = setup(tmp_path / "device", python)
    assert (second.pushed, second.pushed_bytes, again.pushed) == ([], 0, [])
    assert same == record
    assert second.versions == first.versions
    (victim,) = Path(record.folder).glob("wheels/*/onnxruntime/capi/_pybind_state.py")
    victim.write_bytes(victim.read_bytes() + b"\n# changed\n")
    _, third, _ = setup(tmp_path / "device", python)
    assert [what.split()[0] for what in third.pushed] == ["onnxruntime"]
    _, fourth, _ = setup(tmp_path / "device", python, ("tflite",))
    assert fourth.pushed == []
    assert not list(Path(record.folder).glob("wheels/*/onnxruntime")), "what no environment needs is removed"


def test_clean_leaves_nothing_and_touches_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "neighbor").write_text("kept")
    folder = tmp_path / "device" / "artifacts" / ("a" * 64)
    worker = Provisioner(OfflineTransport(), PurePosixPath(tmp_path / "device"), CACHE)
    worker.find_pythons(())  # which makes the device's folder
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "neighbor")
    assert cleaning.clean(worker.transport, worker.folder) == []
    assert cleaning.clean(worker.transport, worker.folder) == []
    assert [path.name for path in tmp_path.iterdir()] == ["neighbor"]


@pytest.mark.parametrize("root", ["/", "/data", ".", "a/../.."])
def test_a_root_that_is_too_high_is_refused(root: str) -> None:
    with pytest.raises(ProvisionError, match="cannot be a device's folder"):
        Provisioner(OfflineTransport(), PurePosixPath(root), CACHE)


def test_an_unusable_python_is_passed_over_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.provision.device._QUICK_S", 10.0)
    broken, hanging = tmp_path / "python-broken", tmp_path / "python-hanging"
    broken.write_text("#!/bin/sh\necho nonsense; exit 3\n")
    hanging.write_text("#!/bin/sh\nexec sleep 1234\n")
    for path in (broken, hanging):
        path.chmod(0o755)
    pythons = (str(broken), str(hanging), "no-such-python", python_of("3.12"))
    _, outcome, _ = setup(tmp_path / "device", pythons, ("tflite",))
    assert outcome.python == "3.12"
    said, silent = outcome.problems
    assert said.startswith(f"{broken} does not work there: the agent's answer is malformed (it said 'nonsense'")
    assert silent == f"{hanging} does not work there: no answer for 10 s while starting"


def test_too_little_space_is_told_before_anything_is_pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.provision.device._SPARE_BYTES", 1 << 60)
    with pytest.raises(ProvisionError, match=r"has \d+ MB left, \d+ MB are needed"):
        setup(tmp_path / "device", (python_of("3.12"),))
    assert not list((tmp_path / "device").glob("packs/*"))


def test_wheels_that_cannot_be_kept_here_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = wheels.Interpreter("x86_64", "3.12", 39)
    with pytest.raises(ProvisionError, match="file on this machine cannot be written: File exists"):
        wheels.WheelCache(tmp_path / "file").fetch(target, "numpy")


def test_what_has_no_wheel_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    class Registry(wheels.WheelCache):
        def fetch(self, target: wheels.Interpreter, requirement: str) -> wheels.Wheel | None:
            return (
                None if requirement.startswith("onnxruntime") else wheels.WheelCache(CACHE).fetch(target, requirement)
            )

    target = wheels.Interpreter("x86_64", "3.8", 31)
    chosen = Registry(tmp_path).choose(target, SMALL)
    assert chosen.runtimes == {"tflite": "tflite-runtime"}
    told = "no wheel of onnxruntime or onnxruntime-gpu for Python 3.8 on x86_64 with glibc 2.31"
    assert chosen.problems == (f"onnxruntime: {told}",)
    assert sorted(wheel.name for wheel in chosen.wheels) == ["numpy", "tflite-runtime"]
    assert Registry(tmp_path).choose(target, SMALL) == chosen, "the second time it comes from the notes"
    chosen.wheels[0].path.write_bytes(b"damaged")
    assert Registry(tmp_path).choose(target, SMALL).runtimes == chosen.runtimes


def test_a_machine_with_no_wheels_at_all_is_told_in_words() -> None:
    with pytest.raises(
        ProvisionError, match=r"tflite: no wheel of ai-edge-litert or tflite-runtime for Python 3\.13 on armv7l"
    ):
        wheels.WheelCache(CACHE).choose(wheels.Interpreter("armv7l", "3.13", 36), ("tflite",))


def test_platforms_are_no_newer_than_the_device_s_c_library() -> None:
    old = wheels.Interpreter("aarch64", "3.9", 31).platforms
    assert "manylinux_2_31_aarch64" in old
    assert "manylinux2014_aarch64" in old
    assert "manylinux_2_32_aarch64" not in old
    assert "manylinux2010_x86_64" in wheels.Interpreter("x86_64", "3.9", 12).platforms


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"python": "3.7.3"}, "Python 3.7, runtimes need 3.8 to 3.13"),
        ({"implementation": "PyPy"}, "PyPy instead of CPython"),
        ({"libc": ""}, "its C library is not glibc"),
        ({"machine": "riscv64"}, "no runtime has wheels for riscv64"),
        ({"machine": "x86_64", "bits": 32}, "no runtime has wheels for i686"),
    ],
)
def test_a_python_that_no_wheel_fits_is_told_why(told: dict[str, object], reason: str) -> None:
    from harness.provision.device import _fits

    good = {"python": "3.11.2", "implementation": "CPython", "machine": "aarch64", "bits": 64, "free_bytes": 1}
    described = Described.model_validate({"event": "described", **good, "libc": "glibc 2.36", **told})
    fits, why = _fits(described)
    assert fits is None
    assert reason in why


def test_a_32_bit_system_under_a_64_bit_kernel_takes_32_bit_wheels() -> None:
    from harness.provision.device import _fits

    told = {"python": "3.9.2", "implementation": "CPython", "machine": "aarch64", "bits": 32, "free_bytes": 1}
    described = Described.model_validate({"event": "described", **told, "libc": "glibc 2.31"})
    assert _fits(described)[0] == wheels.Interpreter("armv7l", "3.9", 31)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b'{"ok": 3}',
        b"\xff",
        b'{"event": "error", "message": ["x"]}',
        HELLO,
        HELLO + b'\n{"event": "described"}',
        HELLO + b'\n{"event": "described", "python": 3, "machine": "x86_64"}',
        HELLO + b'\n{"event": "verified", "whole": [], "versions": {}}',
    ],
)
def test_what_a_device_answers_is_not_believed(tmp_path: Path, answer: bytes) -> None:
    def device(command: Sequence[str], stdin: bytes):
        looked = b"/there\n/\nmissing\ndrwxr-xr-x 2 0 0 1 d t /\ndr-xr-xr-x 2 0 0 1 d t /proc/self/"
        said = looked if "ls -ldn" in command[2] else b"machine=riscv64\npython=/usr/bin/python3"
        yield from answer.splitlines() if stdin else [said]

    with pytest.raises(ProvisionError, match="riscv64"):
        Provisioner(SimulatedTransport(device), PurePosixPath(tmp_path / "device"), CACHE).setup(SMALL)


def test_an_archive_that_is_none_is_told(tmp_path: Path) -> None:
    archive = tmp_path / "cpython.tar.gz"
    with pytest.raises(ProvisionError, match="cannot be read: No such file"):
        interpreter.build(tmp_path, "x86_64", archive=archive)
    archive.write_bytes(b"no archive")
    with pytest.raises(ProvisionError, match=r"is no \.tar\.gz archive"):
        interpreter.build(tmp_path, "x86_64", archive=archive)


def test_the_agent_tells_when_its_runtimes_are_gone(tmp_path: Path) -> None:
    agent = tmp_path / "agent.pyz"
    agent.write_bytes(bundle.build().content)
    command = [sys.executable, "-I", str(agent), "--site", str(tmp_path / "gone.json")]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=120)
    assert done.returncode == 1
    assert b"run `bench devices setup`" in done.stderr


@pytest.mark.parametrize("file", ["jobs/setup.py", "files.py"])
def test_the_device_s_side_parses_on_python_3_8_and_imports_the_standard_library_alone(file: str) -> None:
    tree = ast.parse((ROOT / "harness" / "agent" / file).read_text(), feature_version=(3, 8))
    imported = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert all(name.split(".")[0] in sys.stdlib_module_names for name in imported - {"harness.agent.files"})


def test_a_set_up_that_others_have_overtaken_is_told(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    board = Device(name="board", transport="ssh", root="there")
    assert provision.status(workspace, board) is None
    record = Setup(
        "there", ["python3"], "site", "2026-01-02 03:04", "3.11.2", True, {"tflite": "x 1"}, {"numpy": "a"}, "n.json"
    )
    setup_record.write(workspace, board, record)
    assert provision.status(workspace, board) == {
        "at": "2026-01-02 03:04", "python": "3.11.2", "own_python": True, "backends": {"tflite": "x 1"}, "newer": [],
        "python_changed": False,
    }  # fmt: skip
    (tmp_path / "setup" / "chosen").mkdir()
    wheel = {"name": "numpy", "version": "2.9", "sha256": "b", "file": "f"}
    (tmp_path / "setup" / "chosen" / "n.json").write_text(json.dumps({"wheels": [wheel]}))
    assert (provision.status(workspace, board) or {})["newer"] == ["numpy 2.9"]


def test_how_long_to_wait_is_a_number(bench: Bench) -> None:
    for command in ("setup", "clean"):
        assert "nan is not a number" in bench("devices", command, "local", "--wait", "nan", expect=2).stderr


def test_setup_run_and_clean_as_a_user_does(bench: Bench) -> None:
    python = python_of("3.12")
    (bench.folder / "devices.toml").write_text(f'[devices.board]\ntransport = "local"\npython = "{python}"\n')
    (bench.workspace / "setup").mkdir(parents=True)
    for part in ("chosen", "wheels"):  # what was fetched for other tests
        (CACHE / part).mkdir(parents=True, exist_ok=True)
        (bench.workspace / "setup" / part).symlink_to(CACHE / part)
    (device,) = bench.json("devices", "setup", "board", "--backends", "onnxruntime,tflite")["devices"]
    assert device["done"]
    assert device["own_python"]
    assert device["pushed_bytes"] > 10e6
    assert "pushed: nothing" in bench("devices", "setup", "board", "--backends", "onnxruntime,tflite").stdout
    bench.copy_model("onnx")
    (row,) = bench.rows("run", "--device", "board", "--models", "tiny.onnx", "--backends", "onnxruntime")
    assert row["verdict"] in MEASURED, row
    assert f"onnxruntime {row['backend_version'].split()[-1]}" == device["backends"]["onnxruntime"]
    checked = bench.json("devices", "check", "board")["devices"][0]
    assert checked["usable"]
    assert (checked["setup"]["backends"], checked["setup"]["newer"]) == (device["backends"], [])
    assert "bring openvino: bench devices setup board" in checked["advice"]
    fleet = (bench.folder / "devices.toml").read_text()
    (bench.folder / "devices.toml").write_text('[devices.board]\ntransport = "local"\n')
    said = "set up for another python than devices.toml names now"
    assert said in bench("devices", "check", "board").stdout
    (bench.folder / "devices.toml").write_text(fleet)
    assert said not in bench("devices", "check", "board").stdout
    assert "removed" in bench("devices", "clean", "board").stdout
    assert not (bench.workspace / "devices" / "board").exists()
    assert not bench.json("devices", "check", "board", expect=1)["devices"][0]["usable"]
