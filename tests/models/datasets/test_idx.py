"""Files of the MNIST family: real ones, and every way in which one can be broken."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.datasets import open_dataset
from models.datasets.idx import FASHION_MNIST_CLASSES, FASHION_MNIST_FOLDER, IdxDataset, read_idx
from models.errors import UnknownDataset, UnreadableDataset

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
fashion = pytest.mark.skipif(not DEBIAN.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed")


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.tobytes()


def written(
    folder: Path, images: np.ndarray, labels: np.ndarray, beginning: str = "t10k", pack=lambda raw: raw
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    end = ".gz" if pack is gzip.compress else ""
    (folder / f"{beginning}-images-idx3-ubyte{end}").write_bytes(pack(idx(images)))
    (folder / f"{beginning}-labels-idx1-ubyte{end}").write_bytes(pack(idx(labels)))
    return folder


def some(count: int = 6, side: int = 4) -> tuple[np.ndarray, np.ndarray]:
    images = np.random.default_rng(0).integers(0, 256, (count, side, side), dtype=np.uint8)
    return images, (np.arange(count) % 3).astype(np.uint8)


@fashion
def test_fashion_mnist_of_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FASHION_MNIST_FOLDER, raising=False)
    found = open_dataset("fashion-mnist")
    assert (found.name, found.split, len(found), found.classes) == (
        "fashion-mnist",
        "test",
        10_000,
        FASHION_MNIST_CLASSES,
    )
    assert np.bincount(found.labels).tolist() == [1000] * 10
    assert found.label(0) == 9  # the first image is the ankle boot that opens the paper's figure
    assert (found.image(0) == found.arrays()[0][:, :, None]).all()
    assert open_dataset(str(DEBIAN)).identity == found.identity


def test_a_folder_of_idx_files_compressed_or_not(tmp_path: Path) -> None:
    images, labels = some()
    plain = open_dataset(str(written(tmp_path / "plain", images, labels)))
    packed = open_dataset(str(written(tmp_path / "packed", images, labels, pack=gzip.compress)))
    for found in (plain, packed):
        assert (found.split, found.classes, found.labels.tolist()) == ("test", ("0", "1", "2"), labels.tolist())
        assert (found.image(2) == images[2][:, :, None]).all()
        assert found.image(2).shape == (4, 4, 3)
    assert plain.identity == packed.identity
    written(tmp_path / "plain", images[:3], labels[:3], "train")
    train = open_dataset(f"{tmp_path / 'plain'}:train")
    assert (len(train), train.split) == (3, "train")
    assert train.identity != plain.identity


def test_one_file_of_images_finds_its_labels(tmp_path: Path) -> None:
    images, labels = some()
    folder = written(tmp_path, images, labels, "emnist-letters-test")
    found = open_dataset(str(folder / "emnist-letters-test-images-idx3-ubyte"))
    assert (found.name, len(found)) == ("emnist-letters-test", 6)


def test_labels_that_begin_at_one(tmp_path: Path) -> None:
    images, labels = some()
    written(tmp_path, images, labels + 1)
    images_file, labels_file = tmp_path / "t10k-images-idx3-ubyte", tmp_path / "t10k-labels-idx1-ubyte"
    assert IdxDataset(images_file, labels_file, "x", "test").notes == ("1 of 4 classes have no image: 0",)
    moved = IdxDataset(images_file, labels_file, "x", "test", ["a", "b", "c"], offset=1)
    assert moved.labels.tolist() == labels.tolist()
    with pytest.raises(UnreadableDataset, match=r"image 2 has the label 3, and there are 3 classes, 0 to 2 \(2 such"):
        IdxDataset(images_file, labels_file, "x", "test", ["a", "b", "c"])
    with pytest.raises(UnreadableDataset, match="label -1"):
        IdxDataset(images_file, labels_file, "x", "test", ["a", "b", "c"], offset=2)


def test_color_images(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    written(tmp_path, images, np.array([0, 1], np.uint8))
    assert (open_dataset(str(tmp_path)).image(1) == images[1]).all()


def test_missing_files_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FASHION_MNIST_FOLDER, str(tmp_path))
    with pytest.raises(UnknownDataset, match=rf"apt install dataset-fashion-mnist.*{FASHION_MNIST_FOLDER}"):
        open_dataset("fashion-mnist")
    images, labels = some()
    written(tmp_path, images, labels)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UnknownDataset, match="t10k-labels-idx1-ubyte"):
        open_dataset(str(tmp_path))
    with pytest.raises(UnknownDataset, match="no such data set"):
        open_dataset("no-such-thing")


IMAGES, LABELS = some()
BROKEN = {
    "empty": (b"", "begins with nothing"),
    "text": (b"hello there", "not an idx file"),
    "labels in place of images": (idx(LABELS), "mixed up"),
    "floats": (idx(IMAGES.astype(np.float32), kind=0x0D), "unsigned bytes"),
    "header cut": (idx(IMAGES)[:10], "ends within its header"),
    "cut": (idx(IMAGES)[:-1], "says that it holds 96 bytes"),
    "too long": (idx(IMAGES) + b"\0", "fetch it again"),
    "no images": (idx(IMAGES[:0]), "expected 1 to"),
    "huge": (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "expected 1 to"),
    "gzip cut": (gzip.compress(idx(IMAGES))[:-9], "damaged"),
    "gzip flipped": (gzip.compress(idx(IMAGES))[:-8] + b"\1" * 8, "cannot be read|damaged"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(name: str, tmp_path: Path) -> None:
    content, message = BROKEN[name]
    folder = written(tmp_path, IMAGES, LABELS)
    (folder / "t10k-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(UnreadableDataset, match=message) as caught:
        open_dataset(str(folder))
    assert "t10k-images-idx3-ubyte" in str(caught.value)


def test_as_many_labels_as_images(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDataset, match=r"has 6 images, .* has 5 labels"):
        open_dataset(str(written(tmp_path, IMAGES, LABELS[:5])))


def test_a_compressed_file_that_grows_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.datasets.idx.MAX_UNPACKED_BYTES", 50)
    with pytest.raises(UnreadableDataset, match="gunzip it"):
        open_dataset(str(written(tmp_path, IMAGES, LABELS, pack=gzip.compress)))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("idx") / "images"


@given(arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3)), st.booleans())
def test_what_is_written_is_read(file: Path, images: np.ndarray, compressed: bool) -> None:
    file.write_bytes(gzip.compress(idx(images)) if compressed else idx(images))
    assert (read_idx(file, (3,)) == images).all()


@given(st.binary(max_size=64) | st.binary(max_size=24).map(lambda tail: b"\0\0\x08\x03" + tail))
def test_any_bytes_are_read_or_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try:
        found = read_idx(file, (3, 4))
    except UnreadableDataset:
        return
    assert found.tobytes() == content[4 + 4 * content[3] :]
