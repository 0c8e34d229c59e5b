"""Parquet, TFRecord, NumPy archives and functions of the user's: read, and refused with reasons."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.datasets import open_dataset, open_segmentation
from models.datasets.packed import pack
from models.datasets.tfrecord import masked_crc, parse_example
from models.errors import UnknownDataset, UnreadableDataset
from models.preprocessing import Preprocessing

SMALL = Preprocessing(resize=4, crop=4, mean=(0.5,) * 3, std=(1,) * 3)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def png(value: int, size: int = 6) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (size, size), value).save(stream, "PNG")
    return stream.getvalue()


def packed_values(expression: str, root: Path) -> list[tuple[int, int]]:
    """Of each packed image its grey and its label."""
    packed = pack(open_dataset(expression), SMALL, root, chunk_bytes=3 * 48)
    greys = [int(image[0, 0, 0]) for chunk in packed.chunks for image in packed.images(chunk)]
    return sorted(zip(greys, packed.labels.tolist(), strict=True))


# Parquet


def hugging_face(path: Path, values: range, names: list[str] | None = None, rows: int = 4) -> None:
    table = pa.table(
        {
            "image": [{"bytes": png(value), "path": None} for value in values],
            "label": pa.array([value % 3 for value in values], pa.int64()),
        }
    )
    if names:
        said = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(said)})
    pq.write_table(table, path, row_group_size=rows)


def test_parquet_of_hugging_face(tmp_path: Path) -> None:
    hugging_face(tmp_path / "test-0.parquet", range(10), ["a", "b", "c"])
    hugging_face(tmp_path / "test-1.parquet", range(10, 17), ["a", "b", "c"])
    hugging_face(tmp_path / "train-0.parquet", range(50, 60), ["a", "b", "c"])
    found = open_dataset(f"{tmp_path}:test")
    assert (len(found), found.classes, found.split) == (17, ("a", "b", "c"), "test")
    assert found.image(12)[0, 0, 0] == 12
    expected = [(value, value % 3) for value in range(17)]
    assert packed_values(f"{tmp_path}:test", tmp_path / "packed") == expected
    assert packed_values(f"{tmp_path}/test-*.parquet", tmp_path / "packed2") == expected


def test_parquet_of_plain_bytes_and_words(tmp_path: Path) -> None:
    table = pa.table({"photo": [png(1), png(2)], "kind": ["dog", "cat"], "id": [1, 2]})
    pq.write_table(table, tmp_path / "d.parquet")
    with pytest.raises(UnreadableDataset, match=r"no one column image or img or x \(only photo, kind, id\)"):
        open_dataset(str(tmp_path / "d.parquet"))
    (tmp_path / "d.toml").write_text('path = "d.parquet"\nimage = "photo"\nlabel = "kind"\n')
    found = open_dataset(str(tmp_path / "d.toml"))
    assert (found.classes, found.labels.tolist()) == (("cat", "dog"), [1, 0])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"image": [png(1), b"text"], "label": [0, 1]}, r"row 1 of row group 0: no picture that can be read"),
        ({"image": [png(1), None], "label": [0, 1]}, r"row 1 of row group 0: no picture in the column image"),
        ({"image": [png(1), png(2)], "label": [0, None]}, r"row 1 of row group 0: no label"),
        ({"image": [png(1), png(2)], "label": [0.5, 1.0]}, "labels must be integers or words"),
        ({"image": [png(1), png(2)], "label": [0, -1]}, "image 1 has the label -1"),
        ({"image": [png(1), png(2)], "label": [0, 10**6]}, "a label is below 100000"),
        ({"image": [{"bytes": None, "path": "a.png"}], "label": [0]}, r"only a path: a\.png"),
        ({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}, "0 images"),
    ],
)
def test_broken_parquet(columns: dict, words: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    with pytest.raises(UnreadableDataset, match=words):
        packed_values(str(tmp_path / "d.parquet"), tmp_path)


def test_parquet_that_is_none(tmp_path: Path) -> None:
    hugging_face(tmp_path / "d.parquet", range(4))
    content = (tmp_path / "d.parquet").read_bytes()
    (tmp_path / "d.parquet").write_bytes(content[:-40])
    with pytest.raises(UnreadableDataset, match="not a Parquet file that can be read"):
        open_dataset(str(tmp_path / "d.parquet"))


def test_parquet_of_masks(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [png(9), png(8)], "mask": [png(1), png(0)]}), tmp_path / "d.parquet")
    (tmp_path / "d.toml").write_text('path = "d.parquet"\nmask = "mask"\nclasses = ["sky", "road"]\n')
    packed = pack(open_segmentation(str(tmp_path / "d.toml")), SMALL, tmp_path)
    (chunk,) = packed.chunks
    both = zip(packed.images(chunk)[:, 0, 0, 0], packed.masks(chunk)[:, 0, 0], strict=True)
    assert sorted(both) == [(8, 0), (9, 1)]


# TFRecord, written here by hand


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def example(**features: bytes | int | list[float]) -> bytes:
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            feature = field(1, field(1, value))
        elif isinstance(value, int):
            feature = field(3, field(1, varint(value)))
        else:
            feature = field(2, field(1, struct.pack(f"<{len(value)}f", *value)))
        entries += field(1, field(1, name.replace("__", "/").encode()) + field(2, feature))
    return field(1, entries)


def slow_masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", slow_masked_crc(length)) + data + struct.pack("<I", slow_masked_crc(data))


def records(labels: list[int], first: int = 0) -> bytes:
    return b"".join(
        record(
            example(image__format=b"png", image__encoded=png(first + place), image__class__label=label, box=[0.5, 1])
        )
        for place, label in enumerate(labels)
    )


@given(st.binary(min_size=4, max_size=3000))
def test_checksums(data: bytes) -> None:
    assert masked_crc(data) == slow_masked_crc(data)


def test_the_checksum_of_rfc_3720() -> None:
    crc = 0x8A9136AA  # of 32 zeros, appendix B.4
    assert masked_crc(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_tfrecords(tmp_path: Path) -> None:
    (tmp_path / "validation-00000-of-00002").write_bytes(records([1, 2, 1]))
    (tmp_path / "validation-00001-of-00002").write_bytes(records([3, 3], first=3))
    expected = [(0, 1), (1, 2), (2, 1), (3, 3), (4, 3)]
    assert packed_values(f"{tmp_path}/validation-*", tmp_path / "packed") == expected
    found = open_dataset(f"{tmp_path}:validation")
    assert found.notes == ("1 of 4 classes have no image: 0",)
    (tmp_path / "d.toml").write_text('path = "validation-*"\nlabel_offset = 1\nclasses = ["a", "b", "c"]\n')
    assert open_dataset(str(tmp_path / "d.toml")).labels.tolist() == [0, 1, 0, 2, 2]


WHOLE = records([0, 1])
ONE = len(records([0]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (WHOLE[:-1], "ends within the record at byte"),
        (WHOLE[: ONE + 5], "a length's checksum is wrong"),
        (WHOLE[: ONE + 20], "ends within the record"),
        (WHOLE[:ONE] + b"\1" + WHOLE[ONE + 1 :], "a length's checksum is wrong"),
        (WHOLE[:-2] + b"\0\0", "damaged .its checksum is wrong"),
        (record(b"\x0a\xff\xff\xff\xff\x7f"), "not a tf.train.Example"),
        (record(example(image__encoded=png(1))), "no feature image/class/label or label, only image/encoded"),
        (record(example(image__class__label=1, y=b"")), "no feature image/encoded or image"),
        (record(example(image__class__label=b"x")), "the label is not one integer"),
        (record(example(image__class__label=0, image__encoded=b"text")), "no picture that can be read"),
        (record(example(image__class__label=-3, image__encoded=png(1))), "label -3"),
        (record(example(image__class__label=0, image__encoded=7)), "not one encoded picture"),
    ],
)
def test_broken_tfrecords(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "d.tfrecord").write_bytes(content)
    with pytest.raises(UnreadableDataset, match=words):
        packed_values(str(tmp_path / "d.tfrecord"), tmp_path)


def test_a_record_without_end(tmp_path: Path) -> None:
    length = struct.pack("<Q", 2**62)
    (tmp_path / "d.tfrecord").write_bytes(length + struct.pack("<I", masked_crc(length)))
    with pytest.raises(UnreadableDataset, match="larger than 256 MiB"):
        open_dataset(str(tmp_path / "d.tfrecord"))


@given(st.binary(max_size=200) | st.integers(0, 40).map(lambda cut: example(a=1, b=b"xy", c=[1.0])[:cut]))
def test_any_bytes_are_an_example_or_refused(data: bytes) -> None:
    try:
        found = parse_example(data, "it")
    except UnreadableDataset:
        return
    assert all(isinstance(name, str) and isinstance(values, list) for name, values in found.items())


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=50), st.lists(st.floats(width=32, allow_nan=False)))
def test_what_an_example_holds(number: int, content: bytes, floats: list[float]) -> None:
    found = parse_example(example(number=number, content=content, floats=floats), "it")
    assert found == {"number": [number], "content": [content], "floats": floats}


# NumPy archives

X = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
Y = np.array([0, 1, 1, 0])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_numpy_archives(save, tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    save(path, x=X, y=Y[:, None], classes=np.array(["cat", "dog"]))
    found = open_dataset(str(path))
    assert (found.classes, found.labels.tolist(), len(found)) == (("cat", "dog"), [0, 1, 1, 0], 4)
    assert (found.image(3)[:, :, 1] == X[3]).all()
    save(path, x_train=X[:1], y_train=Y[:1], x_test=X, y_test=Y)
    assert len(open_dataset(f"{path}:train")) == 1
    first = np.stack([X] * 3, axis=1)  # channels first
    save(path, images=first, labels=Y)
    assert (open_dataset(str(path)).image(2) == first[2].transpose(1, 2, 0)).all()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X}, "no array .*y.*, only x"),
        ({"x": X.astype(np.float32), "y": Y}, "the images are float32"),
        ({"x": X[0], "y": Y}, r"of shape \(5, 6\)"),
        ({"x": X, "y": Y[:3]}, "one integer an image"),
        ({"x": X, "y": Y / 2}, "one integer an image"),
        ({"x": X, "y": np.array([0, 1, 1, {}], object)}, "no archive of plain arrays"),
        ({"x": X[:0], "y": Y[:0]}, "empty"),
    ],
)
def test_broken_archives(arrays: dict, words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(UnreadableDataset, match=words):
        open_dataset(str(tmp_path / "d.npz"))
    np.savez_compressed(tmp_path / "d.npz", **arrays)
    with pytest.raises(UnreadableDataset):
        open_dataset(str(tmp_path / "d.npz"))


def test_archives_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.npz").write_bytes(b"PK\3\4 no")
    with pytest.raises(UnreadableDataset, match="no archive of plain arrays"):
        open_dataset(str(tmp_path / "d.npz"))
    np.savez_compressed(tmp_path / "d.npz", x=X, y=Y)
    monkeypatch.setattr("models.datasets.numpy_archive.MAX_UNPACKED_BYTES", 100)
    with pytest.raises(UnreadableDataset, match=r"save it with numpy\.savez"):
        open_dataset(str(tmp_path / "d.npz"))


# The user's own

MODULE = """
import numpy as np
class Dots:
    classes = ["left", "right"]
    def __len__(self): return 6
    def label(self, index): return index % 2
    def image(self, index): return np.full((5, 7, 3), index, np.uint8)
class Wrong(Dots):
    def image(self, index): return np.zeros((5, 7))
class Fails(Dots):
    def label(self, index): raise RuntimeError("no labels today")
class Outside(Dots):
    def label(self, index): return 2
def number(): return 3
def breaks(): return 1 / 0
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return name


def test_a_function_of_the_users(module: str, tmp_path: Path) -> None:
    found = open_dataset(f"{module}:Dots")
    assert (found.classes, found.image(3).shape, found.name) == (("left", "right"), (5, 7, 3), f"{module}:Dots")
    assert packed_values(f"{module}:Dots", tmp_path) == [(index, index % 2) for index in range(6)]


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("Wrong", UnreadableDataset, r"image\(0\) is float64 of shape \(5, 7\)"),
        ("Fails", UnreadableDataset, r"label\(\) failed \(RuntimeError: no labels today\)"),
        ("Outside", UnreadableDataset, "has the label 2, and there are 2 classes"),
        ("number", UnreadableDataset, "returned int without classes; it has classes"),
        ("breaks", UnreadableDataset, r"breaks\(\) failed \(ZeroDivisionError"),
        ("Nothing", UnknownDataset, "has no function Nothing"),
    ],
)
def test_functions_that_are_wrong(name: str, error: type[Exception], words: str, module: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words):
        packed_values(f"{module}:{name}", tmp_path)


def test_what_is_no_data_set(tmp_path: Path) -> None:
    for expression in (
        "no_such_module_here:factory",
        "nothing",
        "a/b",
        "",
        ":",
        "\0",
        "x" * 5000,
        "[",
        str(tmp_path / "*"),
    ):
        with pytest.raises(UnknownDataset):
            open_dataset(expression)
    for expression in ("nowhere", "nowhere:train"):
        with pytest.raises(UnknownDataset, match=r"file or folder.* a data set is fashion-mnist or"):
            open_dataset(expression)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(UnknownDataset, match="no data set that can be read; a data set is fashion-mnist"):
        open_dataset(str(tmp_path / "a.txt"))
