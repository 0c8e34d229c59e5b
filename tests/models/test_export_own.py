"""The worker's side of the user's own files: real ONNX files into the store, and every reason why not."""

import contextlib
import os

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from models.errors import MissingShape, UnreadableModel, UnsupportedModel, UnusableModel, WrongInput
from models.export.orders import FileOrder, FileTarget
from models.export.own.files import FileImport
from models.export.own.reference import shortened
from models.given import Given, InputGiven
from models.settings import Settings, read_settings
from models.store import ArtifactStore
from results.files import sha256_of
from tests.models import onnx_files as files

KEY = "a" * 64


@pytest.fixture
def take(tmp_path):
    """Take one file into a store in this process; return (artifact, path in the store, arrays)."""
    store = ArtifactStore(tmp_path / "store")

    def _take(path, shapes=None, toml=None):
        settings = Settings()
        if toml is not None:
            path.with_suffix(".toml").write_text(toml)
            settings = read_settings(path.with_suffix(".toml"))
        target = FileTarget(format=path.suffix[1:], path=str(path), key=KEY)
        job = FileOrder(
            store=str(store.root),
            model="m",
            settings=settings,
            given=Given(inputs={name: InputGiven(shape=shape) for name, shape in (shapes or {}).items()}),
            only_file=True,
            targets=(target,),
        )
        for _ in FileImport(job, store).make(target):
            pass
        artifact = store.find(KEY)
        with np.load(store.io_path(artifact), allow_pickle=False) as io:
            return artifact, store.model_path(artifact), dict(io)

    return _take


def run(path, io):
    """Run a stored file with ONNX Runtime's defaults, as a device would."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {value.name: io[f"in{i}"] for i, value in enumerate(session.get_inputs())})


def shapes_of(artifact):
    return {spec.name: spec.shape for spec in artifact.inputs}


@pytest.mark.parametrize(("opset", "ir"), [(7, 3), (8, 4), (11, 6), (13, 7), (17, 8), (18, 8), (21, 10), (23, 11)])
def test_a_static_file_is_stored_byte_for_byte(tmp_path, take, opset, ir):
    path = files.static(tmp_path / "m.onnx", opset, ir)
    artifact, stored, io = take(path)
    assert stored.read_bytes() == path.read_bytes()
    assert artifact.sha256 == sha256_of(path)
    assert (artifact.opset, artifact.parameters, artifact.precision) == (opset, 12, "fp32")
    assert (artifact.reference, artifact.weights, artifact.max_abs_diff) == ("onnxruntime", "own", None)
    assert [source.path for source in artifact.sources] == ["m.onnx"]
    assert [(spec.name, spec.dtype, spec.shape) for spec in artifact.outputs] == [("y", "float32", (1, 3))]
    np.testing.assert_allclose(run(stored, io)[0], io["out0"], rtol=1e-5)


def test_weights_among_the_inputs_are_not_fed(tmp_path, take):
    artifact, stored, io = take(files.old(tmp_path / "m.onnx"))
    assert shapes_of(artifact) == {"x": (1, 4)}
    assert sorted(io) == ["in0", "out0"]
    assert stored.read_bytes() == (tmp_path / "m.onnx").read_bytes()


def test_a_dynamic_batch_becomes_one_and_is_told(tmp_path, take):
    artifact, stored, io = take(files.batch(tmp_path / "m.onnx"))
    assert shapes_of(artifact) == {"x": (1, 4)}
    assert "sizes" in artifact.inputs[0].made_up
    assert stored.read_bytes() == (tmp_path / "m.onnx").read_bytes()
    assert (artifact.shapes_fixed, artifact.inputs[0].dims) == ("by the runtime", ("N", 4))
    np.testing.assert_array_equal(run(stored, io)[0], io["out0"])


def test_dynamic_sides_are_set_and_a_wrong_output_shape_is_corrected(tmp_path, take):
    path = files.image(tmp_path / "m.onnx")
    artifact, stored, io = take(path, {"x": (1, 3, 16, 12)})
    assert io["in0"].shape == (1, 3, 16, 12)
    assert io["out0"].shape == (1, 2, 16, 12)
    assert artifact.outputs[0].shape == (1, 2, 16, 12)
    assert stored.read_bytes() == path.read_bytes()


def test_shared_symbols_and_integers(tmp_path, take):
    artifact, stored, io = take(files.text(tmp_path / "m.onnx"), {"input_ids": (2, 7)})
    assert shapes_of(artifact) == {"input_ids": (2, 7), "attention_mask": (2, 7)}
    assert io["in0"].dtype == np.int64
    assert (io["in0"] == 1).all()
    assert [spec.dims for spec in artifact.inputs] == [("batch", "seq"), ("batch", "seq")]
    np.testing.assert_allclose(run(stored, io)[0], io["out0"])


def test_a_missing_shape_names_the_option(tmp_path, take):
    with pytest.raises(MissingShape) as caught:
        take(files.text(tmp_path / "m.onnx"))
    assert "input_ids[batch, seq]" in str(caught.value)
    assert "--input-shape input_ids=1,128" in str(caught.value)
    with pytest.raises(MissingShape, match=r"--input-shape x=1,3,224,224"):
        take(files.image(tmp_path / "i.onnx"))
    with pytest.raises(MissingShape, match="unknown rank"):
        take(files.rankless(tmp_path / "r.onnx"))


def test_an_unknown_rank_can_be_given(tmp_path, take):
    artifact, _, _ = take(files.rankless(tmp_path / "r.onnx"), {"x": (2, 3)})
    assert shapes_of(artifact) == {"x": (2, 3)}


def test_an_unnamed_dimension_can_be_given(tmp_path, take):
    artifact, _, _ = take(files.image(tmp_path / "i.onnx", None, None), {"x": (1, 3, 8, 8)})
    assert shapes_of(artifact) == {"x": (1, 3, 8, 8)}


@pytest.mark.parametrize(("shape", "words"), [((1, 5), "contradicts"), ((1, 4, 1), "3 dimensions")])
def test_a_shape_that_does_not_fit(tmp_path, take, shape, words):
    with pytest.raises(MissingShape, match=words):
        take(files.static(tmp_path / "m.onnx"), {"x": shape})


def test_shapes_from_toml_and_what_is_typed_wins(tmp_path, take):
    path = files.image(tmp_path / "m.onnx")
    artifact, _, _ = take(path, toml="[inputs.x]\nshape = [1, 3, 10, 10]\n")
    assert shapes_of(artifact) == {"x": (1, 3, 10, 10)}
    path = files.image(tmp_path / "n.onnx")
    (tmp_path / "store" / "keys" / f"{KEY}.json").unlink()
    artifact, _, _ = take(path, {"x": (1, 3, 6, 6)}, toml="[inputs.x]\nshape = [1, 3, 10, 10]\n")
    assert shapes_of(artifact) == {"x": (1, 3, 6, 6)}


def test_toml_facts_are_in_the_record(tmp_path, take):
    toml = "multiply_adds = 12\nparameters = 13\nprecision = 'int8'\ntolerance = 0.5"
    artifact, _, _ = take(files.static(tmp_path / "m.onnx"), toml=toml)
    assert (artifact.multiply_adds, artifact.parameters) == (12, 13)
    assert (artifact.precision, artifact.tolerance) == ("int8", 0.5)


def test_a_toml_input_that_is_none(tmp_path, take):
    with pytest.raises(UnreadableModel, match=r"inputs\.z.*it has x"):
        take(files.static(tmp_path / "m.onnx"), toml="[inputs.z]\nshape = [1]")


@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT16", "DOUBLE", "INT8", "UINT8", "INT32", "INT64", "UINT64", "BOOL"])
def test_element_types(tmp_path, take, kind):
    artifact, _, io = take(files.typed(tmp_path / "m.onnx", getattr(TensorProto, kind)))
    assert artifact.inputs[0].dtype == io["in0"].dtype.name
    np.testing.assert_array_equal(io["out0"], io["in0"])


@pytest.mark.parametrize("kind", ["STRING", "BFLOAT16", "COMPLEX64"])
def test_element_types_that_cannot_be_fed(tmp_path, take, kind):
    with pytest.raises(UnsupportedModel, match=f"input x holds {kind.lower()}"):
        take(files.typed(tmp_path / "m.onnx", getattr(TensorProto, kind)))


def test_a_name_beyond_all_measure(tmp_path, take):
    nodes = [onnx.helper.make_node("Relu", ["x" * 5000], ["y" * 5000])]
    with pytest.raises(UnreadableModel, match="name of an input has 5000 characters; 4096 are allowed"):
        take(files.write(tmp_path / "m.onnx", nodes, [files.value("x" * 5000)], [files.value("y" * 5000)]))
    nodes[0].input[0] = "x"
    artifact, _, _ = take(files.write(tmp_path / "m.onnx", nodes, [files.value("x")], [files.value("y" * 5000)]))
    assert len(artifact.outputs[0].name) == 4096


def test_an_output_named_twice(tmp_path, take):
    _, _, io = take(files.output_twice(tmp_path / "m.onnx"))
    assert sorted(io) == ["in0", "out0", "out1"]


def test_precisions(tmp_path, take):
    assert take(files.half(tmp_path / "m.onnx"))[0].precision == "fp16"


def test_int8_weights_are_counted_without_their_scales(tmp_path, take):
    artifact, _, _ = take(files.quantized(tmp_path / "m.onnx"))
    assert (artifact.precision, artifact.parameters) == ("int8", 12)


def test_sizes_are_written_into_a_copy_where_the_file_does_not_run(tmp_path, take):
    path = files.two_sizes(tmp_path / "m.onnx")
    artifact, stored, io = take(path, {"a": (2, 4), "b": (3, 4)})
    assert (artifact.shapes_fixed, artifact.reference) == ("in a copy", "onnxruntime")
    assert stored.read_bytes() != path.read_bytes()
    assert [spec.dims for spec in artifact.inputs] == [("N", 4), ("N", 4)]
    np.testing.assert_allclose(run(stored, io)[0], io["out0"])


def test_external_data_stays_beside_a_copy(tmp_path, take):
    model = onnx.load(files.two_sizes(tmp_path / "m.onnx"))
    model.graph.initializer.append(files.weight("w", (1024, 4)))
    model.graph.node.insert(0, onnx.helper.make_node("ReduceMean", ["w"], ["w_mean"], keepdims=0))
    model.graph.node.append(onnx.helper.make_node("Add", ["y", "w_mean"], ["z"]))
    model.graph.output[0].name = "z"
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.onnx.data")
    artifact, stored, io = take(tmp_path / "m.onnx", {"a": (2, 4), "b": (3, 4)})
    assert (artifact.shapes_fixed, artifact.parameters) == ("in a copy", 4096)
    assert [file.path for file in artifact.files] == ["m.onnx.data"]
    assert artifact.file_sha256 not in (artifact.sha256, sha256_of(tmp_path / "m.onnx"))
    assert (stored.parent / "m.onnx.data").read_bytes() == (tmp_path / "m.onnx.data").read_bytes()
    np.testing.assert_allclose(run(stored, io)[0], io["out0"])


def test_a_branch_that_the_size_contradicts_needs_no_copy(tmp_path, take):
    np.savez(tmp_path / "feed.npz", x=np.ones((1, 512), np.float32), rate=np.array(16000))
    path = files.branch_by_value(tmp_path / "m.onnx")
    artifact, stored, _ = take(path, toml="feed = 'feed.npz'")
    assert (artifact.shapes_fixed, artifact.reference) == ("by the runtime", "onnxruntime")
    assert stored.read_bytes() == path.read_bytes()


def test_external_data_is_kept_beside_the_model(tmp_path, take):
    path = files.external(tmp_path / "m.onnx", "sub/weights.bin")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/weights.bin").write_bytes(os.urandom(16) + np.arange(12, dtype=np.float32).tobytes())
    artifact, stored, io = take(path)
    assert [source.path for source in artifact.sources] == ["m.onnx", "sub/weights.bin"]
    assert [file.path for file in artifact.files] == ["sub/weights.bin"]
    assert artifact.file_sha256 == sha256_of(path) != artifact.sha256
    assert artifact.size_bytes == path.stat().st_size + 64
    assert (artifact.parameters, artifact.weights_precision) == (12, "fp32")
    beside = stored.parent / "sub/weights.bin"
    assert beside.stat().st_nlink == 1
    (tmp_path / "sub/weights.bin").unlink()
    np.testing.assert_allclose(run(stored, io)[0], io["out0"])
    beside.write_bytes(b"damaged")
    assert ArtifactStore(tmp_path / "store").find(KEY) is None


def test_external_data_that_is_missing_or_short(tmp_path, take):
    path = files.external(tmp_path / "m.onnx")
    (tmp_path / "weights.bin").write_bytes(b"\0" * 20)
    with pytest.raises(UnreadableModel, match=r"weights\.bin is too short \(20 bytes\)"):
        take(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(UnreadableModel, match=r"external data weights\.bin is missing"):
        take(path)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "", "inside/../../secret", "link"])
def test_external_data_never_leaves_the_folder(tmp_path, take, location):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(os.urandom(100))
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(UnreadableModel, match="outside the model's folder"):
        take(files.external(folder / "m.onnx", location))


@pytest.mark.parametrize("location", [".netrc", ".ssh/weights.bin", "inside/.hidden/weights.bin", "hidden.bin"])
def test_external_data_is_never_what_is_hidden(tmp_path, take, location):
    secret = tmp_path / (".secret.bin" if location == "hidden.bin" else location)
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_bytes(os.urandom(100))
    if not (tmp_path / location).exists():
        (tmp_path / location).symlink_to(secret)
    with pytest.raises(UnreadableModel, match="hidden"):
        take(files.external(tmp_path / "m.onnx", location))


@pytest.mark.parametrize("location", ["notes.txt", "Documents/taxes.pdf", "passwords", "database.sqlite"])
def test_external_data_is_named_as_data(tmp_path, take, location):
    (tmp_path / "Documents").mkdir()
    (tmp_path / location).write_bytes(os.urandom(100))
    with pytest.raises(UnreadableModel, match=r"not named as data are; .* as m\.onnx\.data"):
        take(files.external(tmp_path / "m.onnx", location))


@pytest.mark.parametrize(
    "location", ["m.onnx_data", "m.onnx.data", "m.onnx_data_1", "sub/weights", "layers.0.weight", "onnx__MatMul_497"]
)
def test_external_data_as_exporters_name_it(tmp_path, take, location):
    (tmp_path / "sub").mkdir()
    (tmp_path / location).write_bytes(bytes(100))
    artifact, _, _ = take(files.external(tmp_path / "m.onnx", location))
    assert [source.path for source in artifact.sources] == ["m.onnx", location]


def test_external_data_in_the_cache_of_a_model_hub(tmp_path, take):
    """Model and weights are links into one folder of blobs; a link elsewhere is not followed even so."""
    blobs, snapshot = tmp_path / ".cache" / "blobs", tmp_path / ".cache" / "snapshots" / "1"
    for folder in (blobs, snapshot):
        folder.mkdir(parents=True)
    files.external(blobs / "4f2a", "m.onnx_data")
    (blobs / "9c1b").write_bytes(bytes(100))
    (snapshot / "m.onnx").symlink_to("../../blobs/4f2a")
    (snapshot / "m.onnx_data").symlink_to("../../blobs/9c1b")
    artifact, _, _ = take(snapshot / "m.onnx")
    assert [source.path for source in artifact.sources] == ["m.onnx", "m.onnx_data"]
    (tmp_path / "secret").write_bytes(os.urandom(100))
    (snapshot / "m.onnx_data").unlink()
    (snapshot / "m.onnx_data").symlink_to("../../../secret")
    with pytest.raises(UnreadableModel, match="outside the model's folder"):
        take(snapshot / "m.onnx")


def test_branches_are_resolved_too(tmp_path, take):
    artifact, stored, io = take(files.branching(tmp_path / "m.onnx"))
    assert shapes_of(artifact) == {"x": (1, 4), "flag": ()}
    assert io["in1"].dtype == bool
    np.testing.assert_allclose(run(stored, io)[0], io["out0"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (files.outputless, "no outputs"),
        (lambda path: path.write_bytes(b"\x08garbage" * 50), "not an ONNX"),
        (lambda path: path.write_bytes(b"\x08\x0a"), "not an ONNX"),
    ],
)
def test_models_that_cannot_be_measured(tmp_path, take, make, words):
    path = tmp_path / "m.onnx"
    make(path)
    with pytest.raises(UnreadableModel, match=words) as caught:
        take(path)
    assert str(path) in str(caught.value)
    assert "/onnxruntime_src" not in str(caught.value)


def test_a_model_that_contradicts_itself_is_read_and_cannot_be_run(tmp_path, take):
    path = files.contradictory(tmp_path / "m.onnx")
    with pytest.raises(UnusableModel, match="cannot be run") as caught:
        take(path)
    assert str(path) in str(caught.value)
    assert "/onnxruntime_src" not in str(caught.value)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_truncated_files(tmp_path, take, share):
    path = files.image(tmp_path / "m.onnx")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UnreadableModel):
        take(path, {"x": (1, 3, 8, 8)})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (files.random, "differs from run to run"),
        (files.custom, "cannot run it"),
        (files.sequence_out, "not a tensor"),
        (lambda path: files.cast_out(path, files.STRING), "not a tensor of numbers"),
        (lambda path: files.cast_out(path, TensorProto.BFLOAT16), "bfloat16"),
        (lambda path: files.static(path, ir=99), "cannot run it"),
    ],
)
def test_models_without_a_reference_are_stored_with_the_reason(tmp_path, take, make, words):
    artifact, _, io = take(make(tmp_path / "m.onnx"))
    assert artifact.reference == "none"
    assert words in artifact.reference_reason
    assert artifact.outputs == ()
    assert sorted(io) == ["in0"]


def feed(tmp_path, **arrays):
    np.savez(tmp_path / "feed.npz", **arrays)
    return "feed = 'feed.npz'"


def test_a_feed_is_used(tmp_path, take):
    x = np.array([[1, 2, 3, 4]], np.float32)
    _, _, io = take(files.static(tmp_path / "m.onnx"), toml=feed(tmp_path, x=x))
    np.testing.assert_array_equal(io["in0"], x)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.full((1, 4), 1e300)}, r"holds float64, the input takes float32, and 1e\+300 cannot be one"),
        ({"x": np.zeros((4,), np.float32)}, r"float32\[4\]"),
        ({"z": np.zeros(1)}, "array 'z' is no input of the model; its inputs are x"),
        ({"x": np.array([None])}, "not a readable .npz"),
    ],
)
def test_a_feed_that_does_not_fit(tmp_path, take, arrays, words):
    with pytest.raises((UnreadableModel, WrongInput), match=words) as caught:
        take(files.static(tmp_path / "m.onnx"), toml=feed(tmp_path, **arrays))
    assert "feed.npz" in str(caught.value)


def test_a_feed_of_a_single_array(tmp_path, take):
    np.save(tmp_path / "feed.npy", np.zeros(3))
    with pytest.raises(UnreadableModel, match=r"not an \.npz file"):
        take(files.static(tmp_path / "m.onnx"), toml="feed = 'feed.npy'")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"\x93NUMPY", b"text"])
def test_a_feed_that_is_no_npz(tmp_path, take, content):
    (tmp_path / "feed.npz").write_bytes(content)
    with pytest.raises(UnreadableModel, match=r"feed\.npz: not"):
        take(files.static(tmp_path / "m.onnx"), toml="feed = 'feed.npz'")


def test_a_file_beyond_two_gibibytes(tmp_path, take):
    path = tmp_path / "m.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(UnreadableModel, match=r"2\.0 GiB"):
        take(path)


@pytest.mark.huge
def test_external_data_beyond_two_gibibytes(tmp_path, take):
    """A file of holes, so that neither the disk nor the copies take what it says."""
    artifact, stored, io = take(files.huge(tmp_path / "m.onnx"))
    assert artifact.size_bytes > 2**31
    assert (stored.parent / "m.onnx_data").stat().st_blocks * 512 < 2**24
    assert artifact.parameters == 2**29 + 2**18
    np.testing.assert_array_equal(io["out0"], run(stored, io)[0])


def test_a_second_take_makes_nothing_unless_external_data_changed(tmp_path, take):
    path = files.external(tmp_path / "m.onnx")
    first, _, _ = take(path)
    assert take(path)[0] == first
    data = bytearray((tmp_path / "weights.bin").read_bytes())
    data[20] ^= 1
    (tmp_path / "weights.bin").write_bytes(data)
    second, _, _ = take(path)
    assert second.sha256 != first.sha256


def test_messages_of_runtimes_are_shortened():
    place = "/onnxruntime_src/onnxruntime/core/graph/model.cc:1 onnxruntime::Model::Model(int, const char*)"
    raw = f"[ONNXRuntimeError] : 1 : FAIL : Load model from /a/b.onnx failed:{place} Unknown format version.\nmore"
    assert shortened(raw) == "Unknown format version. more"
    place = "/a/b/graph.h:46 void ort::check(const std::map<std::basic_string<char>, f(int)>&, bool) const "
    assert shortened(f"[ONNXRuntimeError] : 1 : FAIL : {place}Opset 99 is new") == "Opset 99 is new"
    assert shortened("external/tflite/conv.cc:343 input->size != 4 (3 != 4)") == "input->size != 4 (3 != 4)"
    assert shortened("x" * 1000) == "x" * 1000
    assert len(shortened("/" * 20_000)) == 3000  # a name may be anything, and long
    assert shortened(f"{'x' * 20_000} the cause").endswith("x the cause")


def test_no_stray_file_is_left(tmp_path, take):
    with contextlib.suppress(UnusableModel):
        take(files.contradictory(tmp_path / "m.onnx"))
    assert list((tmp_path / "store" / "partial").iterdir()) == []


def test_a_tflite_file_is_stored_byte_for_byte(tmp_path, take):
    path = files.tflite(tmp_path / "m.tflite")
    artifact, stored, io = take(path)
    assert stored.read_bytes() == path.read_bytes()
    assert (artifact.reference, artifact.parameters, artifact.precision) == ("litert", 4, "fp32")
    assert (artifact.opset, artifact.notes) == (None, ())
    assert shapes_of(artifact) == {"x": (1, 4)}
    np.testing.assert_allclose(io["out0"], io["in0"] + np.arange(4))


def test_dynamic_dimensions_of_tflite(tmp_path, take):
    artifact, _, io = take(files.tflite(tmp_path / "m.tflite", (-1, 4)))
    assert shapes_of(artifact) == {"x": (1, 4)}
    assert "sizes" in artifact.inputs[0].made_up
    np.testing.assert_allclose(io["out0"], io["in0"] + np.arange(4))


def test_a_dynamic_dimension_of_tflite_without_a_size(tmp_path, take):
    with pytest.raises(MissingShape, match=r"x\[1, \?, 4\].*--input-shape x=1,128,4"):
        take(files.tflite(tmp_path / "n.tflite", (1, -1, 4)))


def test_a_given_shape_of_tflite(tmp_path, take):
    artifact, stored, io = take(files.tflite(tmp_path / "n.tflite", (1, -1, 4)), {"x": (1, 5, 4)})
    assert shapes_of(artifact) == {"x": (1, 5, 4)}
    assert artifact.outputs[0].shape == io["out0"].shape == (1, 5, 4)
    assert stored.read_bytes() == (tmp_path / "n.tflite").read_bytes()


def test_tflite_inputs_that_cannot_be_fed(tmp_path, take):
    with pytest.raises(UnsupportedModel, match="input x holds string"):
        take(files.tflite(tmp_path / "m.tflite", kind="STRING"))


def test_a_tflite_operator_that_is_not_there(tmp_path, take):
    artifact, _, io = take(files.tflite(tmp_path / "m.tflite", custom=b"Magic"))
    assert artifact.reference == "none"
    assert "Magic" in artifact.reference_reason
    assert sorted(io) == ["in0"]


@pytest.mark.parametrize("share", [0.03, 0.2, 0.5, 0.9])
def test_truncated_tflite_files(tmp_path, take, share):
    path = files.tflite(tmp_path / "m.tflite")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UnreadableModel):
        take(path)
