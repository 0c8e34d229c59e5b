"""What options say about inputs, and every way to mistype it."""

import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import MissingShape, WrongInput
from models.given import Given, InputGiven, parse_input_shapes, typed


def test_input_shapes():
    assert parse_input_shapes(["ids=1,128", "serving:0=1, 3, 2", "a=b=4", "n=1x2"]) == {
        "ids": (1, 128),
        "serving:0": (1, 3, 2),
        "a=b": (4,),
        "n": (1, 2),
    }
    assert parse_input_shapes(["a=1", "a=1"]) == {"a": (1,)}


@pytest.mark.parametrize("text", ["", "x", "x=", "=1", "x=1,", "x=-1", "x=1.5", "x=99999999999", "x=1;2", "x=²"])
def test_wrong_input_shapes(text):
    with pytest.raises(MissingShape, match="--input-shape"):
        parse_input_shapes([text])


def test_two_shapes_for_one_input():
    with pytest.raises(MissingShape, match="twice"):
        parse_input_shapes(["x=1", "x=2"])


@given(st.text(), st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=6))
def test_any_shape_is_read_back(name, sizes):
    text = f"{name}={','.join(map(str, sizes))}"
    if name:
        assert parse_input_shapes([text]) == {name: tuple(sizes)}
    else:
        with pytest.raises(MissingShape):
            parse_input_shapes([text])


@given(st.text(max_size=30))
def test_any_text_is_a_shape_or_an_error_in_words(text):
    try:
        (shape,) = parse_input_shapes([text]).values()
    except MissingShape:
        return
    assert all(size >= 0 for size in shape)


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("sr=16000", "sr", {"value": (16000,)}),
        ("serving:0=0.5", "serving:0", {"value": (0.5,)}),
        ("a=b=1, 2,-3", "a=b", {"value": (1, 2, -3)}),
        ("flag=True", "flag", {"value": (True,)}),
        ("ids=0..999", "ids", {"range": (0, 999)}),
        ("x=-1.5..1e2", "x", {"range": (-1.5, 100.0)}),
        ("0=+7", "0", {"value": (7,)}),
    ],
)
def test_values(text, name, said):
    assert typed((), [text]).inputs == {name: InputGiven(**said)}


def test_files_are_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("x.npy", "b=c.npy", "CAT.PNG"):
        (tmp_path / name).write_bytes(b"")
    assert typed((), ["x=x.npy"]).inputs == {"x": InputGiven(file=str(tmp_path / "x.npy"))}
    assert typed((), ["a=b=x.npy"]).inputs == {"a=b": InputGiven(file=str(tmp_path / "x.npy"))}
    assert typed((), ["a=b=c.npy"]).inputs == {"a": InputGiven(file=str(tmp_path / "b=c.npy"))}
    assert typed((), ["x=~/CAT.PNG"]).inputs == {"x": InputGiven(file=str(tmp_path / "CAT.PNG"))}


def test_the_working_folder_may_be_gone(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(WrongInput, match="no such file"):
        typed((), ["x=x.npy"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected NAME=VALUE"),
        ("x", "expected NAME=VALUE"),
        ("x=", "expected NAME=VALUE"),
        ("=1", "expected NAME=VALUE"),
        ("x=1,", "expected NAME=VALUE"),
        ("x=1..", "expected NAME=VALUE"),
        ("x=nan", "expected NAME=VALUE"),
        ("x=word", "expected NAME=VALUE"),
        ("x=model.onnx", "expected NAME=VALUE"),
        ("x=gone.npy", "gone.npy: no such file"),
        ("x=/tmp/\udcff.npy", "not UTF-8"),
        ("x=2..1", "range 2..1; give the lower end first"),
        ("x=1e400", "must be finite"),
        ("x=18446744073709551616", "fit into 64 bits"),
        ("x=" + ",".join("1" * 70_000), "at most 65536"),
    ],
)
def test_wrong_values(text, words):
    with pytest.raises(WrongInput, match=words):
        typed((), [text])


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(WrongInput, match=r"pipe\.npy: not a file"):
        typed((), [f"x={tmp_path}/pipe.npy"])


def test_what_is_typed_twice():
    assert typed(["x=4"], ["x=1", "x=1"]).inputs == {"x": InputGiven(shape=(4,), value=(1,))}
    for other in ("x=2", "x=0..1"):
        with pytest.raises(WrongInput, match="--input x is given twice"):
            typed((), ["x=1", other])


def test_what_is_typed_goes_before_what_is_written():
    written = Given(
        inputs={"x": InputGiven(shape=(1,), file="a.png", mean=0.5), "y": InputGiven(value=1)}, signature="first"
    )
    both = typed(["x=2"], ["x=3"], "second").over(written)
    assert both.inputs == {"x": InputGiven(shape=(2,), value=3, mean=0.5), "y": InputGiven(value=1)}
    assert both.signature == "second"
    assert typed().over(written) == written
    assert not typed()


numbers = st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.text(min_size=1), st.lists(numbers, min_size=1, max_size=6))
def test_any_numbers_are_read_back_by_the_worker(name, said):
    given = typed((), [f"{name}={','.join(map(str, said))}"])
    again = Given.model_validate_json(given.model_dump_json())
    assert again.inputs[name].value == tuple(said)
    assert [type(number) for number in again.inputs[name].value] == [type(number) for number in said]


@given(st.text(max_size=30) | st.from_regex(r"[a-z=.0-9,]{0,20}", fullmatch=True))
def test_any_text_is_a_value_or_an_error_in_words(text):
    with suppress(WrongInput):
        ((name, entry),) = typed((), [text]).inputs.items()
        assert name
        assert entry != InputGiven()
