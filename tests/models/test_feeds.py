"""What the user's own models are fed: values from the command line, the TOML and files, in every type and shape."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from onnx import TensorProto
from PIL import Image

from models.artifacts import Artifact
from models.errors import MissingShape, ModelError, UnreadableModel, WrongInput
from models.export.orders import FileOrder, FileTarget
from models.export.own import arrays
from models.export.own.files import FileImport
from models.given import typed
from models.preprocessing import preprocessing_of
from models.settings import Settings, read_settings
from models.store import ArtifactStore
from tests.models import onnx_files as files

Take = Callable[..., tuple[Artifact, list[Any]]]
KEYS = (f"{number:064x}" for number in itertools.count())
PICTURE = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3) * 3


@pytest.fixture
def take(store: ArtifactStore) -> Take:
    """Take a file into the store in this process, with what is typed; return the artifact and what it is fed."""

    def _take(path: Path, *values: str, shapes: tuple[str, ...] = (), toml: str | None = None) -> Any:
        settings = Settings()
        if toml is not None:
            path.with_suffix(".toml").write_text(toml)
            settings = read_settings(path.with_suffix(".toml"))
        target = FileTarget(format="onnx", path=str(path), key=next(KEYS))
        order = FileOrder(
            store=str(store.root),
            model="m",
            settings=settings,
            given=typed(shapes, values),
            only_file=True,
            targets=(target,),
        )
        order = FileOrder.model_validate_json(order.model_dump_json())  # as the worker gets it
        for _ in FileImport(order, store).make(target):
            pass
        artifact = store.find(target.key)
        assert artifact is not None
        with np.load(store.io_path(artifact), allow_pickle=False) as io:
            return artifact, [io[f"in{index}"] for index in range(len(artifact.inputs))]

    return _take


def test_how_an_image_becomes_the_input_is_in_the_artifact(tmp_path: Path, take: Take) -> None:
    table = "[preprocessing]\nresize = 9\ncrop = 8\nmean = [0.5, 0.5, 0.5]\nstd = [1, 1, 1]\nchannel_order = 'BGR'"
    artifact, _ = take(files.static(tmp_path / "m.onnx"), toml=table)
    found = preprocessing_of(artifact.preprocessing, "m")
    assert (found.resize, found.crop, found.std, found.channel_order) == (9, 8, (1.0, 1.0, 1.0), "BGR")
    assert take(files.static(tmp_path / "n.onnx"))[0].preprocessing == {}


def one(path: Path, kind: int = files.FLOAT, shape: tuple[Any, ...] = (1, 4)) -> Path:
    """One input, passed through."""
    nodes = [files.helper.make_node("Identity", ["x"], ["y"])]
    return files.write(path, nodes, [files.value("x", kind, shape)], [files.value("y", kind, shape)])


@pytest.mark.parametrize(
    ("kind", "text", "expected", "words"),
    [
        ("FLOAT", "0.5", [0.5] * 4, "given: 0.5"),
        ("FLOAT", "3", [3.0] * 4, "given: 3"),
        ("FLOAT", "1,2,-3,4e2", [1, 2, -3, 400], "given: 1, 2, -3, 400.0"),
        ("INT64", "16000", [16000] * 4, "given: 16000"),
        ("INT64", "1, 2,3,4", [1, 2, 3, 4], "given: 1, 2, 3, 4"),
        ("INT64", "2.0", [2] * 4, "given: 2.0"),
        ("INT64", "-9223372036854775808", [-(2**63)] * 4, "given: -9223372036854775808"),
        ("UINT64", "18446744073709551615", [2**64 - 1] * 4, "given: 18446744073709551615"),
        ("UINT8", "255", [255] * 4, "given: 255"),
        ("BOOL", "false", [False] * 4, "given: false"),
        ("BOOL", "true,0,1,false", [True, False, True, False], "given: true, 0, 1, false"),
    ],
)
def test_numbers(tmp_path: Path, take: Take, kind: str, text: str, expected: list[Any], words: str) -> None:
    artifact, (fed,) = take(one(tmp_path / "m.onnx", getattr(TensorProto, kind)), f"x={text}")
    assert fed.tolist() == [expected]
    assert (artifact.inputs[0].values, artifact.inputs[0].made_up) == (words, ())


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("INT64", "0.5", "the value of input x holds float64, the input takes int64, and 0.5 cannot be one"),
        ("INT32", "2147483648", "holds int64, the input takes int32, and 2147483648"),
        ("UINT8", "-1", "holds int64, the input takes uint8, and -1"),
        ("FLOAT", "16777217", "holds int64, the input takes float32, and 16777217"),
        ("FLOAT", "1e40", "holds float64, the input takes float32"),
        ("BOOL", "2", "holds int64, the input takes bool, and 2"),
        ("FLOAT", "1,2,3", r"is 3 numbers, the input takes \[1, 4\]"),
        ("UINT64", "-1,18446744073709551615,0,0", "no type holds both"),
        ("INT8", "0..128", "the range of input x holds int64, the input takes int8, and 128"),
        ("INT64", "0..0.5", "the range of input x holds float64, the input takes int64"),
    ],
)
def test_numbers_that_do_not_fit(tmp_path: Path, take: Take, kind: str, text: str, words: str) -> None:
    with pytest.raises(WrongInput, match=words):
        take(one(tmp_path / "m.onnx", getattr(TensorProto, kind)), f"x={text}")


def test_several_inputs_and_a_scalar(tmp_path: Path, take: Take) -> None:
    artifact, (x, flag) = take(files.branching(tmp_path / "m.onnx"), "flag=false", "x=2")
    assert (x.tolist(), flag.tolist()) == ([[2.0] * 4], False)
    assert [spec.values for spec in artifact.inputs] == ["given: 2", "given: false"]
    assert [spec.made_up for spec in artifact.inputs] == [("sizes",), ()]
    assert artifact.inputs[0].dims == ("N", 4)
    assert artifact.inputs[1].dims is None


def test_numbers_decide_an_open_size(tmp_path: Path, take: Take) -> None:
    artifact, (ids, mask) = take(files.text(tmp_path / "m.onnx"), "input_ids=3,5,7", "attention_mask=1")
    assert (ids.tolist(), mask.tolist()) == ([[3, 5, 7]], [[1, 1, 1]])
    assert artifact.inputs[0].made_up == artifact.inputs[1].made_up == ()


def test_an_array_decides_open_sizes(tmp_path: Path, take: Take) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 3, 8, 6), np.float32))
    artifact, (fed,) = take(files.image(tmp_path / "m.onnx"), f"x={tmp_path}/x.npy")
    assert fed.shape == artifact.inputs[0].shape == (2, 3, 8, 6)
    assert artifact.inputs[0].values == "given: x.npy"
    with pytest.raises(WrongInput, match=r"float32\[2, 3, 8, 6\], the input takes \[1, 3, 8, 8\]"):
        take(files.image(tmp_path / "n.onnx"), f"x={tmp_path}/x.npy", shapes=("x=1,3,8,8",))


def test_archives(tmp_path: Path, take: Take) -> None:
    np.savez(tmp_path / "a.npz", x=np.full((1, 4), 2, np.float32), other=np.zeros(1))
    assert take(one(tmp_path / "m.onnx"), f"x={tmp_path}/a.npz")[1][0].tolist() == [[2.0] * 4]
    np.savez(tmp_path / "b.npz", whatever=np.full((1, 4), 3, np.float32))
    assert take(one(tmp_path / "n.onnx"), f"x={tmp_path}/b.npz")[1][0].tolist() == [[3.0] * 4]
    np.savez(tmp_path / "c.npz", one=np.zeros(1), other=np.zeros(1))
    with pytest.raises(WrongInput, match="holds 'one', 'other'; call the array for this input 'x'"):
        take(one(tmp_path / "o.onnx"), f"x={tmp_path}/c.npz")


def test_an_array_for_an_input_of_another_shape(tmp_path: Path, take: Take) -> None:
    np.save(tmp_path / "x.npy", np.ones((3, 5)))
    with pytest.raises(WrongInput, match=r"x.npy: the array is float64\[3, 5\], the input is x\[N, 4\]"):
        take(files.batch(tmp_path / "m.onnx"), f"x={tmp_path}/x.npy")


def test_a_feed_decides_open_sizes(tmp_path: Path, take: Take) -> None:
    np.savez(tmp_path / "feed.npz", x=np.ones((3, 4), np.float32))
    artifact, _ = take(files.batch(tmp_path / "m.onnx"), toml="feed = 'feed.npz'")
    assert (artifact.inputs[0].shape, artifact.inputs[0].values) == ((3, 4), "given: feed.npz")


def test_types_are_cast_where_nothing_is_lost_and_floats_are_rounded(tmp_path: Path, take: Take) -> None:
    for name, array in (
        ("exact", np.full((1, 4), 0.5)),
        ("rounded", np.full((1, 4), 0.1)),
        ("nan", np.full((1, 4), np.nan)),
        ("small", np.ones((1, 4), np.int8)),
    ):
        np.save(tmp_path / f"{name}.npy", array)
    path = one(tmp_path / "m.onnx")
    words = {}
    for name in ("exact", "rounded", "nan", "small"):
        words[name] = take(one(tmp_path / f"{name}.onnx"), f"x={tmp_path}/{name}.npy")[0].inputs[0].values
    assert words["exact"] == "given: exact.npy"
    assert words["rounded"] == "given: rounded.npy (float64, rounded to float32)"
    assert words["nan"] == "given: nan.npy"
    assert words["small"] == "given: small.npy"
    np.save(tmp_path / "text.npy", np.array(["a"] * 4))
    with pytest.raises(WrongInput, match="holds <U1, the input takes float32; give numbers"):
        take(path, f"x={tmp_path}/text.npy")


numbers = stn.arrays(
    st.sampled_from([np.bool_, np.int8, np.uint8, np.int32, np.int64, np.uint64, np.float16, np.float32, np.float64]),
    st.integers(1, 3),
)


@given(numbers, st.sampled_from(["bool", "int8", "uint8", "int64", "uint64", "float16", "float32", "float64"]))
def test_a_cast_loses_nothing_or_is_refused(array: Any, name: str) -> None:
    try:
        became, lost = arrays.cast(array, np.dtype(name), "it")
    except WrongInput:
        return
    assert became.dtype == name
    if lost:
        assert array.dtype.kind == became.dtype.kind == "f"
    else:
        exact = [int(value) if float(value).is_integer() else value for value in array.tolist() if value == value]
        assert exact == [value for value in became.tolist() if value == value]


def test_a_range(tmp_path: Path, take: Take) -> None:
    path = one(tmp_path / "m.onnx", files.INT64, (1, 500))
    artifact, (fed,) = take(path, "x=3..5")
    assert set(fed.reshape(-1).tolist()) == {3, 4, 5}
    assert (artifact.inputs[0].values, artifact.inputs[0].made_up) == ("made up: integers 3..5", ())
    artifact, (fed,) = take(one(tmp_path / "f.onnx", files.FLOAT, (1, 500)), "x=-1..0.5")
    assert -1 <= fed.min() < -0.9
    assert 0.4 < fed.max() <= 0.5
    assert artifact.inputs[0].values == "made up: floats -1..0.5"
    assert take(one(tmp_path / "g.onnx", files.FLOAT, (1, 500)), "x=-1..0.5")[1][0].tolist() == fed.tolist()
    assert set(take(one(tmp_path / "b.onnx", files.BOOL, (1, 50)), "x=0..1")[1][0].reshape(-1)) == {True, False}
    wide = one(tmp_path / "w.onnx", TensorProto.UINT64, (1, 50))
    assert take(wide, "x=0..18446744073709551615")[1][0].max() > 2**63


def save(folder: Path, name: str, pixels: Any = PICTURE) -> Path:
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def test_a_picture_in_every_layout(tmp_path: Path, take: Take) -> None:
    picture = save(tmp_path, "cat.png")
    scaled = (PICTURE / 255).astype(np.float32)
    for shape, expected in (
        ((1, 3, 6, 4), scaled.transpose(2, 0, 1)[None]),
        ((1, 6, 4, 3), scaled[None]),
        ((2, 3, 6, 4), np.stack([scaled.transpose(2, 0, 1)] * 2)),
        ((3, 6, 4), scaled.transpose(2, 0, 1)),
        ((6, 4, 3), scaled),
    ):
        name = "x".join(map(str, shape))
        artifact, (fed,) = take(one(tmp_path / f"{name}.onnx", files.FLOAT, shape), f"x={picture}")
        np.testing.assert_array_equal(fed, expected)
        assert artifact.inputs[0].values == "given: cat.png"
    _, (gray,) = take(one(tmp_path / "gray.onnx", files.FLOAT, (6, 4)), f"x={picture}")
    assert gray.shape == (6, 4)
    artifact, (fed,) = take(one(tmp_path / "half.onnx", files.FLOAT, (1, 3, 3, 2)), f"x={picture}")
    assert artifact.inputs[0].values == "given: cat.png (resized from 4x6)"


def test_a_picture_for_bytes_and_with_a_scale_of_its_own(tmp_path: Path, take: Take) -> None:
    save(tmp_path, "cat.png")
    path = one(tmp_path / "u.onnx", TensorProto.UINT8, (1, 6, 4, 3))
    np.testing.assert_array_equal(take(path, f"x={tmp_path}/cat.png")[1][0][0], PICTURE)
    path = one(tmp_path / "i.onnx", TensorProto.INT8, (1, 6, 4, 3))
    np.testing.assert_array_equal(take(path, f"x={tmp_path}/cat.png")[1][0][0], PICTURE.astype(int) - 128)
    toml = "[inputs.x]\nfile = 'cat.png'\nscale = 1\nmean = [1, 2, 3.5]\nstd = 2"
    _, (fed,) = take(one(tmp_path / "f.onnx", files.FLOAT, (1, 6, 4, 3)), toml=toml)
    np.testing.assert_array_equal(fed[0], (PICTURE - np.array([1, 2, 3.5])) / 2)
    with pytest.raises(WrongInput, match="3 channels"):
        take(one(tmp_path / "g.onnx", files.FLOAT, (1, 6, 4, 3)), toml=toml.replace("2, 3.5", "2"))
    with pytest.raises(WrongInput, match="for an input of floats, and this one is uint8"):
        take(one(tmp_path / "h.onnx", TensorProto.UINT8, (1, 6, 4, 3)), toml=toml)


def test_a_picture_decides_open_sizes(tmp_path: Path, take: Take) -> None:
    artifact, _ = take(files.image(tmp_path / "m.onnx"), f"x={save(tmp_path, 'cat.png')}")
    assert artifact.inputs[0].shape == (1, 3, 6, 4)


def test_pictures_that_cannot_be_fed(tmp_path: Path, take: Take) -> None:
    picture = save(tmp_path, "cat.png")
    with pytest.raises(WrongInput, match=r"an input of the shape \[1, 5, 7, 9\]"):
        take(one(tmp_path / "m.onnx", files.FLOAT, (1, 5, 7, 9)), f"x={picture}")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(WrongInput, match="not a picture that can be read"):
        take(one(tmp_path / "n.onnx", files.FLOAT, (1, 3, 6, 4)), f"x={tmp_path}/text.png")
    large = save(tmp_path, "large.png", np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8))
    large.write_bytes(large.read_bytes()[:5000])
    with pytest.raises(WrongInput, match="a damaged picture"):
        take(one(tmp_path / "o.onnx", files.FLOAT, (1, 3, 6, 4)), f"x={large}")


def test_without_pillow_there_are_words(tmp_path: Path, take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = save(tmp_path, "cat.png")
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(WrongInput, match="pip install pillow, or save the array"):
        take(one(tmp_path / "m.onnx", files.FLOAT, (1, 3, 6, 4)), f"x={picture}")


def test_the_toml_says_the_same_and_what_is_typed_wins(tmp_path: Path, take: Take) -> None:
    np.save(tmp_path / "x.npy", np.full((1, 4), 7, np.float32))
    assert take(one(tmp_path / "a.onnx"), toml="[inputs.x]\nvalue = 2")[1][0].tolist() == [[2.0] * 4]
    assert take(one(tmp_path / "b.onnx"), toml="[inputs.x]\nvalue = [1, 2, 3, 4]")[1][0].tolist() == [[1, 2, 3, 4]]
    assert take(one(tmp_path / "c.onnx"), toml="[inputs.x]\nfile = 'x.npy'")[1][0].tolist() == [[7.0] * 4]
    artifact, _ = take(one(tmp_path / "d.onnx"), toml="[inputs.x]\nrange = [0, 0.5]")
    assert artifact.inputs[0].values == "made up: floats 0..0.5"
    assert take(one(tmp_path / "e.onnx"), "x=3", toml="[inputs.x]\nvalue = 2")[1][0].tolist() == [[3.0] * 4]
    assert take(one(tmp_path / "f.onnx"), "x=3", toml="[inputs.0]\nfile = 'x.npy'")[1][0].tolist() == [[3.0] * 4]


def test_an_input_by_its_position(tmp_path: Path, take: Take) -> None:
    _, (ids, mask) = take(files.text(tmp_path / "m.onnx"), "0=3,5,7", "1=0")
    assert (ids.tolist(), mask.tolist()) == ([[3, 5, 7]], [[0, 0, 0]])
    _, (ids, _) = take(files.text(tmp_path / "n.onnx"), shapes=("0=1,2",))
    assert ids.shape == (1, 2)
    nodes = [files.helper.make_node("Sub", ["1", "0"], ["y"])]
    inputs = [files.value("1"), files.value("0")]  # old exporters name inputs so
    _, (first, second) = take(files.write(tmp_path / "o.onnx", nodes, inputs, [files.value("y")]), "0=5", "1=7")
    assert (first[0, 0], second[0, 0]) == (7, 5)


@pytest.mark.parametrize(
    ("kind", "shape", "words"),
    [
        (files.FLOAT, (1, 3, 8, 8), "made up: picture-like noise"),
        (TensorProto.UINT8, (1, 8, 8, 1), "made up: picture-like noise"),
        (files.FLOAT, (1, 64), "made up: normal noise"),
        (files.INT64, (1, 4), "made up: ones"),
        (files.BOOL, (1, 4), "made up: true"),
    ],
)
def test_made_up_values_are_told(tmp_path: Path, take: Take, kind: int, shape: tuple[int, ...], words: str) -> None:
    artifact, _ = take(one(tmp_path / "m.onnx", kind, shape))
    assert (artifact.inputs[0].values, artifact.inputs[0].made_up) == (words, ("values",))


def test_an_input_without_elements(tmp_path: Path, take: Take) -> None:
    artifact, (fed,) = take(one(tmp_path / "m.onnx", files.FLOAT, (1, 0, 4)))
    assert (fed.shape, artifact.inputs[0].values, artifact.inputs[0].made_up) == ((1, 0, 4), "empty", ())
    _, (fed,) = take(one(tmp_path / "n.onnx", files.FLOAT, ("n", "past", 4)), shapes=("x=1,0,4",))
    assert fed.shape == (1, 0, 4)


def test_a_shape_that_nothing_fills(tmp_path: Path, take: Take) -> None:
    with pytest.raises(UnreadableModel, match="too large"):
        take(one(tmp_path / "m.onnx", files.FLOAT, ("n", "m")), shapes=("x=2147483647,2147483647",))
    with pytest.raises(MissingShape, match="contradicts"):
        take(one(tmp_path / "n.onnx", files.FLOAT, (1, 0, 4)), shapes=("x=1,5,4",))


@given(st.binary(max_size=200), st.sampled_from([".npy", ".npz", ".png", ".jpg"]))
def test_any_file_is_fed_or_an_error_in_words(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("fed")
    (folder / f"x{suffix}").write_bytes(content)
    model = one(folder / "m.onnx", files.FLOAT, (1, 3, 4, 4))
    order = FileOrder(
        store=str(folder / "store"),
        model="m",
        settings=Settings(),
        given=typed((), [f"x={folder}/x{suffix}"]),
        only_file=True,
        targets=(FileTarget(format="onnx", path=str(model), key=next(KEYS)),),
    )
    with pytest.raises(ModelError, match=f"x{suffix}"):
        for _ in FileImport(order, ArtifactStore(folder / "store")).make(order.targets[0]):
            pass
