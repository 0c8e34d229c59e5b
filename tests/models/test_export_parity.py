"""The comparison with PyTorch, inputs made up for unknown models, and the clean-up of exported files."""

import numpy as np
import onnx
import pytest

from models.errors import ExportFailed, UnreadableModel
from models.export import onnx as exporter
from models.export.own.feeds import Source
from models.export.parity import check
from models.given import InputGiven
from tests.models import onnx_files as files


def test_a_close_output_passes_and_its_difference_is_returned():
    reference = np.array([[1.0, -10.0]], np.float32)
    assert check(reference + np.float32(1e-4), reference) == pytest.approx(1e-4, rel=0.01)


@pytest.mark.parametrize("off", [2e-3, np.nan, np.inf])
def test_an_output_that_is_off_fails(off):
    reference = np.array([[1.0, -10.0]], np.float32)
    with pytest.raises(ExportFailed, match="off by"):
        check(reference + np.float32(off), reference)


def test_an_output_of_another_shape_fails():
    with pytest.raises(ExportFailed, match="shape"):
        check(np.zeros((1, 3)), np.zeros((1, 4)))


def made_up(dtype, shape):
    return Source(InputGiven()).feed("x", shape, np.dtype(dtype)).array


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 32, 32, 3), (2, 1, 16, 16)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
def test_pictures_are_made_up_for_pictures(shape, dtype):
    image = made_up(dtype, shape)
    assert (image.shape, image.dtype.name) == (shape, dtype)
    assert len(np.unique(image)) > 50
    np.testing.assert_array_equal(image, made_up(dtype, shape))


@pytest.mark.parametrize(("dtype", "shape"), [("int64", (1, 8)), ("bool", (3,)), ("int32", ()), ("uint8", (4,))])
def test_integers_are_ones(dtype, shape):
    array = made_up(dtype, shape)
    assert (array.shape, array.dtype.name) == (shape, dtype)
    assert (array == 1).all()


@pytest.mark.parametrize("shape", [(), (5,), (1, 8, 16), (1, 0, 4, 3)])
def test_other_floats_are_noise(shape):
    array = made_up("float64", shape)
    assert (array.shape, array.dtype.name) == (shape, "float64")
    assert np.isfinite(array).all()


def test_a_shape_beyond_any_memory_is_refused():
    with pytest.raises(UnreadableModel, match="too large"):
        made_up("int8", (2**31, 2**31))


def test_traces_are_stripped_from_every_part(tmp_path):
    model = onnx.load(files.static(tmp_path / "m.onnx"))
    for item in (model, model.graph, model.graph.node[0], model.graph.input[0], model.graph.initializer[0]):
        item.metadata_props.add(key="trace", value="/home/me/secret.py")
        item.doc_string = "/home/me/secret.py"
    exporter._strip(model)
    assert b"secret" not in model.SerializeToString()


def test_another_opset_or_another_name_is_refused(tmp_path):
    with pytest.raises(ExportFailed, match="opset 17"):
        exporter._check(onnx.load(files.static(tmp_path / "m.onnx", opset=17)))
    with pytest.raises(ExportFailed, match=r"\['x', 'y'\]"):
        exporter._check(onnx.load(files.static(tmp_path / "m.onnx")))
