"""What options say about inputs, and every way to mistype it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import MissingShape
from models.given import parse_input_shapes


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
