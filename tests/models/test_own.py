"""The TOML beside a model, and shapes for dynamic dimensions."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import MissingShape, UnreadableModel
from models.export.own.shapes import Declared, resolve, symbol
from models.given import InputGiven
from models.settings import read_settings

FULL = """
name = "détecteur"
precision = "int8"
tolerance = 0.05
parameters = 1000
multiply_adds = 2000
feed = "feed.npz"
[accuracy]
value = 71
source = "own validation, 2000 images"
[inputs.x]
shape = [1, 3, 8, 8]
[inputs."serving:0"]
"""


def read(tmp_path, text):
    path = tmp_path / "my.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_settings(path)


def test_a_full_description(tmp_path):
    (tmp_path / "feed.npz").write_bytes(b"")
    found = read(tmp_path, FULL)
    assert (found.name, found.precision, found.tolerance) == ("détecteur", "int8", 0.05)
    assert (found.parameters, found.multiply_adds) == (1000, 2000)
    assert found.inputs == {"x": InputGiven(shape=(1, 3, 8, 8)), "serving:0": InputGiven()}
    assert found.feed_path() == tmp_path / "feed.npz"
    assert found.accuracies[0].model_dump() == {
        "value": 71.0,
        "metric": "top-1 %",
        "dataset": "ImageNet-1k val",
        "kind": "measured",
        "source": "own validation, 2000 images",
        "recalled": False,
        "ci95": None,
        "samples": None,
    }


def test_a_byte_order_mark_is_passed_over(tmp_path):
    assert read(tmp_path, "\ufeffname = 'a'").name == "a"


def test_an_empty_description_says_nothing(tmp_path):
    assert read(tmp_path, "").model_dump(exclude={"toml", "inputs", "outputs"}, exclude_none=True) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", ["not valid TOML", "line 1"]),
        ("name = 'a'\n[accuracy\nvalue = 1", ["line 2"]),
        (b"name = '\xff'", ["line 1", "UTF-8"]),
        ("precison = 'int8'", ["precison", "unknown key", "did you mean precision?"]),
        ("toml = 'x'", ["toml", "unknown key"]),
        ("zzz = 1", ["zzz", "known keys", "multiply_adds"]),
        ("precision = 'int5'", ["precision", "'fp32', 'fp16', 'bf16', 'int8', 'int16x8' or 'int4'", "'int5'"]),
        ("tolerance = '0.1'", ["tolerance", "number", "'0.1'"]),
        ("tolerance = 0", ["tolerance", "greater than 0"]),
        ("tolerance = nan", ["tolerance", "nan"]),
        ("tolerance = inf", ["tolerance", "finite"]),
        ("parameters = 1.5", ["parameters", "integer"]),
        ("parameters = true", ["parameters", "integer"]),
        ("multiply_adds = -1", ["multiply_adds", "-1"]),
        ("name = ''", ["name", "at least 1 character"]),
        ("[preprocessing]\ncrop = 8", ["preprocessing.mean: missing", "[0.485, 0.456, 0.406]"]),
        ("[preprocessing]\ncorp = 8\ncrop = 8\nmean = [0]\nstd = [1]", ["preprocessing.corp", "did you mean crop?"]),
        (
            "[preprocessing]\nresize = 7\ncrop = 8\nmean = [0.5, 0.5, 0.5]\nstd = [1, 1, 1]",
            ["preprocessing: resize (7) is less than crop (8)"],
        ),
        ("name = 7", ["name", "string", "7"]),
        ('name = "a\\nb"', ["name"]),
        ("feed = 'missing.npz'", ["feed", "missing.npz", "numpy.savez"]),
        ("[accuracy]\nvalue = 1", ["accuracy.source", "missing", "where the figure comes from"]),
        ("[accuracy]\nsource = 's'", ["accuracy.value", "missing"]),
        ("[accuracy]\nvalue = 1\nsource = 's'\nkind = 'guessed'", ["accuracy.kind", "'guessed'"]),
        ("[accuracy]\nvalue = 1\nsource = 's'\nmetrics = 'mAP'", ["accuracy.metrics", "did you mean metric?"]),
        ("accuracy = 71", ["accuracy", "71"]),
        ("[inputs.x]\nshap = [1]", ["inputs.x.shap", "did you mean shape?"]),
        ("[inputs.x]\nshape = [1, -1]", ["inputs.x.shape.1", "-1"]),
        ("[inputs.x]\nshape = 'a'", ["inputs.x.shape", "'a'"]),
        ("[inputs.x]\nshape = [1, '2']", ["inputs.x.shape.1", "'2'"]),
        ("inputs = 3", ["inputs", "3"]),
    ],
)
def test_mistakes_are_named(tmp_path, text, words):
    with pytest.raises(UnreadableModel) as caught:
        read(tmp_path, text)
    for word in [str(tmp_path / "my.toml"), *words]:
        assert word in str(caught.value)


def test_a_toml_that_cannot_be_read(tmp_path):
    with pytest.raises(UnreadableModel, match="cannot be read"):
        read_settings(tmp_path)
    with pytest.raises(UnreadableModel, match="larger than"):
        read(tmp_path, "#" * (2**20 + 1))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
keys = st.sampled_from(["name", "precision", "tolerance", "parameters", "accuracy", "inputs", "feed", "shape", "x"])
documents = st.dictionaries(
    keys, st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))
)


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
    return str(value)  # None stays None, which is no TOML


@given(documents)
def test_any_document_is_read_or_an_error_in_words(tmp_path_factory, document):
    text = "\n".join(f"{key} = {toml(value)}" for key, value in document.items())
    try:
        read(tmp_path_factory.mktemp("toml"), text.encode("utf-8", "surrogatepass"))
    except UnreadableModel as exc:
        said = str(exc)
    else:
        tomllib.loads(text)
        return
    assert "my.toml: " in said


X, Y = Declared("x", "float32", ("n", 3, "h", "w")), Declared("y", "int64", ("n", "s"))


def test_given_shapes_bind_symbols_in_every_input():
    found = resolve("m", [X, Y], {0: (2, 3, 8, 9), 1: (2, 5)})
    assert found.shapes == [(2, 3, 8, 9), (2, 5)]
    assert found.symbols == {"n": 2, "h": 8, "w": 9, "s": 5}
    mask = Declared("mask", "int64", ("n", "s"))
    assert resolve("m", [mask, Y], {1: (2, 5)}).shapes == [(2, 5), (2, 5)]
    assert found.made_up == set()


def test_one_symbol_at_two_sizes_is_told():
    """Exporters that call every dynamic dimension alike: the runtime decides whether that is a mistake."""
    found = resolve("m", [X, Y], {0: (1, 3, 8, 8), 1: (2, 5)})
    assert found.shapes == [(1, 3, 8, 8), (2, 5)]
    assert found.symbols == {"h": 8, "w": 8, "s": 5}
    assert found.contradictions == ["'n' is 1 in x and 2 in y"]


@pytest.mark.parametrize("name", ["", "?", "-1", " "])
def test_a_dimension_of_which_nothing_is_known_is_equal_to_no_other(name):
    dim = symbol(name)
    found = resolve("m", [Declared("x", "float32", (dim, 3, dim, dim))], {0: (1, 3, 48, 192)})
    assert (found.shapes, found.contradictions) == ([(1, 3, 48, 192)], [])


def test_zero_is_a_size():
    fixed, open_ = Declared("x", "float32", (1, 0, 4)), Declared("past", "float32", ("n", 2, "p", 8))
    found = resolve("m", [fixed, open_], {1: (1, 2, 0, 8)})
    assert found.shapes == [(1, 0, 4), (1, 2, 0, 8)]
    assert not fixed.is_dynamic


def test_only_a_first_dimension_is_taken_as_one():
    inputs = [Declared("a", "float32", (None, 4)), Declared("b", "float32", ("n", 2)), Declared("c", "bool", ())]
    found = resolve("m", inputs, {})
    assert found.shapes == [(1, 4), (1, 2), ()]
    assert found.made_up == {0, 1}
    shared = [Declared("a", "float32", ("n", 4)), Declared("b", "float32", ("n", 2)), Declared("c", "float32", (1,))]
    assert resolve("m", shared, {}).made_up == {0, 1}
    assert resolve("m", shared, {0: (1, 4)}).made_up == set()


@pytest.mark.parametrize(
    ("inputs", "given_shapes", "words"),
    [
        ([X], {}, ["x[n, 3, h, w]", "--input-shape x=1,3,224,224"]),
        ([Y], {}, ["y[n, s]", "--input-shape y=1,128"]),
        ([X, Y], {}, ["--input-shape x=1,3,224,224 --input-shape y=1,128"]),
        ([X, Y], {0: (2, 3, 8, 8)}, ["--input-shape y=2,128"]),
        ([Declared("r", "float32", None)], {}, ["r[unknown rank]", "--input-shape r="]),
        ([Declared("a b", "float32", ("n", "m"))], {}, ["--input-shape 'a b'=1,128"]),
        ([Declared("m", "float32", ("n", "n"))], {}, ["--input-shape m=1,128"]),
        ([X], {0: (1, 3)}, ["2 dimensions", "give 4"]),
        ([X], {0: (1, 4, 8, 8)}, ["contradicts"]),
        ([Declared("", "float32", ("n", "m"))], {}, ["--input-shape 0=1,128"]),
        ([Y, Y], {}, ["--input-shape 0=1,128 --input-shape 1=1,128"]),
    ],
)
def test_unresolved_and_contradicting_shapes(inputs, given_shapes, words):
    with pytest.raises(MissingShape) as caught:
        resolve("m.onnx", inputs, given_shapes)
    for word in ["m.onnx", *words]:
        assert word in str(caught.value)


def test_the_stated_accuracy_is_the_reference(tmp_path):
    first = "[[accuracy]]\nvalue = 71.5\nsource = 'us'\nsamples = 2000\n"
    reference, threshold = read(tmp_path, first).reference
    assert (reference.value, reference.samples, threshold) == (71.5, 2000, None)
    settings = read(tmp_path, first + "[[accuracy]]\nvalue = 91\ndataset = 'photos'\nsource = 'us'\nthreshold = 1\n")
    reference, threshold = settings.reference
    assert (reference.dataset, reference.value, threshold) == ("photos", 91, 1.0)
    assert settings.accuracies[1] == reference
    assert read(tmp_path, "tolerance = 0.1").reference == (None, None)
    with pytest.raises(UnreadableModel, match=r"accuracy\.threshold"):
        read(tmp_path, "[accuracy]\nvalue = 1\nsource = 's'\nthreshold = -1")


def test_several_accuracies_stand_side_by_side(tmp_path):
    text = "[[accuracy]]\nvalue = 71.5\nsource = 'us'\n[[accuracy]]\nvalue = 72\nkind = 'published'\nsource = 'paper'"
    found = [(one.value, one.kind) for one in read(tmp_path, text).accuracies]
    assert found == [(71.5, "measured"), (72.0, "published")]
    with pytest.raises(UnreadableModel, match=r"accuracy\.1\.source: missing"):
        read(tmp_path, "[[accuracy]]\nvalue = 1\nsource = 's'\n[[accuracy]]\nvalue = 1")
