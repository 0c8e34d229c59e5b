"""Every recipe on small real files: what it writes runs, is what it says, and is the same every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.artifacts import Form
from models.errors import ExportFailed
from models.export.own.onnx import OwnOnnx
from models.export.own.tflite import OwnTflite
from models.export.precision import quality, race, tflite_int8
from models.export.precision.methods import METHODS
from models.export.precision.work import Work, failing
from models.inputs import natural_image
from results.judge.accuracy import snr_db
from tests.rigs.bench import DATA

FILES = {"onnx": ("tiny.onnx", (1, 3, 64, 64)), "tflite": ("swish.tflite", (1, 3, 32, 32))}
# Types of the weights, and what the ratio of signal to noise is at least.
EXPECTED: dict[Form, tuple[str, float]] = {
    form: ("fp16", 45.0) if form.precision == "fp16" else ("int8", 15.0) for form in METHODS
}


def images(kind: str, count: int, seed: int) -> list[Any]:
    made = [natural_image(FILES[kind][1], seed + number) for number in range(count)]
    return made if kind == "onnx" else [np.ascontiguousarray(image.transpose(0, 2, 3, 1)) for image in made]


def work(form: Form, target: Path) -> Work:
    return Work(DATA / FILES[form.format][0], target, "input", images(form.format, 8, 100))


@pytest.mark.parametrize("form", METHODS, ids=["-".join(form) for form in METHODS])
def test_a_file_of_every_method_runs_and_is_the_same_every_time(form: Form, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    made = [work(form, folder / f"model.{form.format}") for folder in (tmp_path, tmp_path / "again")]
    for one in made:
        assert list(METHODS[form].make(one))
    assert made[0].target.read_bytes() == made[1].target.read_bytes()
    kind, least = EXPECTED[form]
    numbers = (OwnOnnx if form.format == "onnx" else OwnTflite)(made[0].target).numbers()
    assert numbers.weights_precision.split(" + ")[0] == kind
    probes = images(form.format, 8, 900)
    runtime = METHODS[form].runtime
    exact, found = (
        quality.outputs(quality.runner(path, runtime), probes)[0] for path in (made[0].source, made[0].target)
    )
    assert found.shape == exact.shape == (8, 10)
    assert snr_db(exact, found) > least


def test_kinds_without_an_int8_kernel_stay_in_float_because_the_runtime_says_so(tmp_path: Path) -> None:
    form = Form("tflite", "int8", "static")
    one = work(form, tmp_path / "model.tflite")
    stages = list(METHODS[form].make(one))
    assert "leaving HARD_SWISH in float" in stages
    assert any(words.startswith(("mixed recipe", "full int8")) and "HARD_SWISH" in words for words in one.notes)
    with failing("the quantizer"):
        maker = tflite_int8._Maker(one)
        full, mixed = maker.quantized(frozenset()), maker.quantized(frozenset({"HARD_SWISH"}))
    assert tflite_int8.left_to_builtin_kernels(full, one) == {"HARD_SWISH"}
    assert tflite_int8.left_to_builtin_kernels(mixed, one) == set()
    assert one.target.read_bytes() in (full, mixed)


def test_files_are_raced_in_turns_in_a_process_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "SECONDS", 0.05)
    file = (DATA / "swish.tflite").read_bytes()
    medians = race.medians_ms(tmp_path, {"a": file, "b": file})
    assert list(medians) == ["a", "b"]
    assert all(value > 0 for value in medians.values())
    with pytest.raises(ExportFailed, match="cannot be timed against each other"):
        race.medians_ms(tmp_path, {"a": file, "b": b"no model"})


def test_a_quantizer_that_gives_up_is_told_in_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x01 no model")
    for form, method in METHODS.items():
        one = Work(broken, tmp_path / "made", "input", images(form.format, 1, 0))
        with pytest.raises(ExportFailed):
            list(method.make(one))
