"""From a wanted precision to an artifact in the store, by a real worker, and every way in which there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.artifacts import Form
from models.derived import Wanted
from models.errors import UnsupportedModel, UnusableModel
from models.export import process
from models.export.precision import calibration
from models.export.precision.calibration import CalibrationSource
from models.export.precision.methods import METHODS
from models.prepare import Prepared, Progress, look_up, prepare
from models.sources.selection import resolve
from models.store import ArtifactStore
from tests.models import onnx_files as files
from tests.rigs.bench import DATA, add_tiny
from tests.rigs.idx import write_idx

FP16, QDQ, NNCF = Form("onnx", "fp16", "cast"), Form("onnx", "int8", "qdq"), Form("onnx", "int8", "nncf")
STATIC = Form("tflite", "int8", "static")
NATURAL = CalibrationSource(samples=4)


def made(store: ArtifactStore, wanted: Wanted, *paths: Path, **more: Any) -> Prepared:
    (found,) = prepare(resolve([str(path) for path in paths]), store, wanted=wanted, **more)
    return found


def test_every_method_makes_an_artifact_once(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Progress] = []
    wanted = Wanted(tuple(METHODS), NATURAL)
    paths = DATA / "tiny.onnx", DATA / "tiny.tflite"
    found = made(store, wanted, *paths, on_event=seen.append)
    assert found.failures == {}
    assert set(found.artifacts) == {Form("onnx", "fp32"), Form("tflite", "fp32"), *METHODS}
    assert (seen[-1].done, seen[-1].total) == (7, 7)
    assert {"onnx int8 qdq ready", "onnx int8 nncf ready", "tflite int8 static ready"} <= {one.stage for one in seen}
    fp32, qdq = found.artifacts[Form("onnx", "fp32")], found.artifacts[QDQ]
    assert (qdq.facts.weights, qdq.facts.activations.split(" + ")[0]) == ("int8", "int8")
    assert qdq.calibration is not None
    assert (qdq.calibration.name, qdq.calibration.samples) == ("synthetic natural images", 4)
    assert found.artifacts[NNCF].calibration == qdq.calibration  # the very same arrays
    assert found.artifacts[FP16].calibration is None
    for form in METHODS:
        artifact = found.artifacts[form]
        assert artifact.quality is not None
        assert artifact.quality.samples == 32
        assert artifact.quality.snr_db > 15
        assert artifact.outputs[0].least_snr_db is not None
        assert artifact.size_bytes != fp32.size_bytes
    with np.load(store.io_path(fp32)) as exact, np.load(store.io_path(qdq)) as pair:
        assert np.array_equal(exact["out0"], pair["out0"])  # the reference stays that of fp32
    monkeypatch.setattr(process.Workers, "run", lambda *_: pytest.fail("a worker was started"))
    assert made(store, wanted, *paths).artifacts == found.artifacts


def test_other_calibration_data_make_another_file(store: ArtifactStore) -> None:
    keys = set()
    for samples in (4, 5):
        wanted = Wanted((QDQ, FP16), CalibrationSource(samples=samples))
        (found,) = look_up(resolve([str(DATA / "tiny.onnx")]), store, wanted)
        keys |= {target.key for target in found.targets if target.form in (QDQ, FP16)}
    assert len(keys) == 3  # fp16 needs none


def test_a_model_of_ones_own_is_not_quantized_with_made_up_images(store: ArtifactStore) -> None:
    found = made(store, Wanted((FP16, QDQ)), DATA / "tiny.onnx")
    assert set(found.artifacts) == {Form("onnx", "fp32"), FP16}
    assert isinstance(found.errors[QDQ], UnsupportedModel)
    assert "say with which images: --calibration" in found.failures[QDQ]


def test_what_is_no_image_or_no_fp32_is_refused_and_the_file_itself_runs(store: ArtifactStore, tmp_path: Path) -> None:
    for path, words in (
        (files.static(tmp_path / "vector.onnx"), "this one takes float32[1, 4]"),
        (files.quantized(tmp_path / "quantized.onnx"), "other precisions are made of fp32 files"),
    ):
        found = made(store, Wanted((QDQ,), NATURAL), path)
        assert isinstance(found.errors[QDQ], UnsupportedModel)
        assert words in found.failures[QDQ]
        assert len(found.artifacts) == 1


def test_where_the_file_itself_cannot_be_had_its_precisions_have_its_reason(
    store: ArtifactStore, tmp_path: Path
) -> None:
    bad = files.custom(tmp_path / "bad.onnx")
    bad.write_bytes(bad.read_bytes()[:60])
    found = made(store, Wanted((QDQ,), NATURAL), bad, alone_is_fatal=False)
    assert found.artifacts == {}
    assert len({str(error) for error in found.errors.values()}) == 1


def test_without_the_quantizers_what_another_machine_made_will_do(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Wanted((STATIC,), NATURAL)
    found = made(store, wanted, DATA / "tiny.tflite")
    monkeypatch.setattr("models.export.precision.methods.Method.versions", lambda _: None)
    (again,) = look_up(resolve([str(DATA / "tiny.tflite")]), store, wanted)
    assert again.artifacts == found.artifacts
    (other,) = look_up(resolve([str(DATA / "tiny.tflite")]), store, Wanted((STATIC,), CalibrationSource(samples=9)))
    assert "needs ai-edge-quantizer" in other.failures[STATIC]


def test_images_of_a_data_set_are_fed_as_the_network_was_trained_to_see_them(
    store: ArtifactStore, tmp_path: Path
) -> None:
    for split, count in (("train", 60), ("t10k", 20)):
        write_idx(tmp_path, split, count)
    source = calibration.of_dataset(str(tmp_path))
    assert (source.name, source.samples) == (f"{tmp_path.name}, train", 28)  # the rest is compared on
    assert calibration.of_dataset(f"{tmp_path}:test").contents != source.contents
    said = {"resize": 72, "crop": 64, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.25] * 3}
    for kind, shape in (("onnx", (1, 3, 64, 64)), ("tflite", (1, 64, 64, 3))):
        base = add_tiny(store, kind).model_copy(update={"preprocessing": said})
        seen, probes = calibration.gather(base, source)
        assert ({array.shape for array in seen + probes}, len(seen), len(probes)) == ({shape}, 28, 32)
        assert max(float(np.abs(array).max()) for array in seen) == pytest.approx(2.0, abs=0.2)
        assert calibration.sha256(seen) == calibration.sha256(calibration.gather(base, source)[0])
    with pytest.raises(UnusableModel, match="nothing says how an image becomes its input"):
        calibration.gather(add_tiny(store, "onnx"), source)
