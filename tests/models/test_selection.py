"""From expressions to requests, and every way to mistype one."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ModelError, UnknownModel, UnreadableModel
from models.given import typed
from models.sources.own import OwnModel
from models.sources.selection import resolve
from models.sources.zoo import ZooModel
from models.zoo import catalog
from tests.models.onnx_files import static

TFLITE = b"\x1c\0\0\0TFL3 and more"


def names(*expressions):
    return [request.name for request in resolve(expressions)]


def test_zoo_expressions_keep_their_order_without_duplicates():
    found = resolve(["squeezenet_1.1,mobilenet_v1_1.0@192", "squeezenet_*", "squeezenet_1.1"])
    assert [request.name for request in found] == ["squeezenet_1.1", "mobilenet_v1_1.0@192", "squeezenet_1.0"]
    assert all(isinstance(request, ZooModel) for request in found)
    assert found[1].variant.resolution == 192


def test_groups():
    assert names("quick") == list(catalog.QUICK)
    assert set(names("all,quick")) >= set(names("quick"))
    with pytest.raises(UnknownModel):
        names("mobilnet_v2")


def test_a_file_and_its_twin_in_the_other_format_are_one_model(tmp_path):
    onnx, tflite = static(tmp_path / "my.onnx"), tmp_path / "my.tflite"
    tflite.write_bytes(TFLITE)
    (request,) = resolve([f"{onnx},{tflite}", str(onnx)], typed(["x=1,4"]))
    assert request == OwnModel("my", {"onnx": onnx, "tflite": tflite}, given=typed(["x=1,4"]))


def test_equal_names_are_told_apart(tmp_path):
    for folder in ("a/x", "b/x"):
        (tmp_path / folder).mkdir(parents=True)
        static(tmp_path / folder / "net.onnx")
    static(tmp_path / "squeezenet_1.1.onnx")
    assert names(str(tmp_path / "a/x/net.onnx"), str(tmp_path / "b/x/net.onnx")) == ["a/x/net", "b/x/net"]
    found = names("squeezenet_1.1", str(tmp_path / "squeezenet_1.1.onnx"))
    assert found == ["squeezenet_1.1", f"{tmp_path.name}/squeezenet_1.1"]


def test_equal_names_from_toml_are_told_apart(tmp_path):
    for stem in ("a", "b"):
        static(tmp_path / f"{stem}.onnx")
        (tmp_path / f"{stem}.toml").write_text('name = "same"')
    found = names(str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx"))
    assert len(set(found)) == 2
    assert all("same" in name for name in found)


def test_paths_relative_with_commas_and_patterns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    static(tmp_path / "a,b.onnx")
    assert names("a,b.onnx") == ["a,b"]
    static(tmp_path / "c.onnx")
    assert names("./*.onnx") == ["a,b", "c"]
    assert names("c.onnx", str(tmp_path / "c.onnx"), "../" + tmp_path.name + "/c.onnx") == ["c"]
    with pytest.raises(UnreadableModel, match="no file matches"):
        names("*.tflite")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.onnx", b"", "empty"),
        ("page.onnx", b"<html>not found", "not an ONNX file"),
        ("swapped.onnx", TFLITE, "not an ONNX file"),
        ("short.tflite", b"TFL3", "not a TFLite file"),
        ("swapped.tflite", b"\x08\x0a\x12\x03abcdef", "not a TFLite file"),
        ("model.pt", b"PK", "only .onnx and .tflite"),
    ],
)
def test_files_of_another_kind(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableModel, match=message) as caught:
        names(str(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)


def test_what_is_not_there(tmp_path):
    static(tmp_path / "model.onnx")
    with pytest.raises(UnreadableModel, match=r"no such file; in .* there is model\.onnx"):
        names(str(tmp_path / "modle.onnx"))
    with pytest.raises(UnreadableModel, match="there is no folder"):
        names(str(tmp_path / "nowhere" / "model.onnx"))
    with pytest.raises(UnreadableModel, match=r"this is a folder.*model\.onnx"):
        names(str(tmp_path))


@pytest.mark.parametrize("name", ["pipe.onnx", "model.toml"])
def test_what_nobody_writes_into_is_not_waited_for(tmp_path, name):
    static(tmp_path / "model.onnx")
    os.mkfifo(tmp_path / name)
    with pytest.raises(UnreadableModel, match=r"pipe.onnx: a pipe|model.toml: cannot be read \(not a file\)"):
        names(str((tmp_path / name).with_suffix(".onnx")))


def test_a_link_to_nowhere(tmp_path):
    (tmp_path / "model.onnx").symlink_to("gone.onnx")
    with pytest.raises(UnreadableModel, match=r"no such file; .* holds no \.onnx"):
        names(str(tmp_path / "model.onnx"))


@given(st.text(alphabet="ab./*@[,]\0~ñ", max_size=12))
def test_any_expression_is_resolved_or_an_error_in_words(text):
    with suppress(ModelError):
        resolve([text])


def test_no_framework_is_imported(tmp_path):
    file = static(tmp_path / "m.onnx")
    code = (
        "import sys; from models.sources.selection import resolve; resolve(['quick', sys.argv[1]])\n"
        "print([name for name in ('torch', 'onnx', 'onnxruntime', 'ai_edge_litert') if name in sys.modules])"
    )
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", code, file], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
