"""Folders of pictures: ImageNet's layout, files of labels, masks, and how each can be wrong."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.datasets import open_dataset, open_segmentation
from models.datasets.packed import pack
from models.errors import UnreadableDataset
from models.preprocessing import Preprocessing


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgebench" / "datasets"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


def put(path: Path, value: int, size: tuple[int, int] = (10, 8), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def shown(root: Path | str) -> list[tuple[int, str]]:
    """Of each picture its grey and the name of its class."""
    found = open_dataset(str(root))
    return sorted((int(found.image(index)[0, 0, 0]), found.classes[found.label(index)]) for index in range(len(found)))


def test_a_folder_for_each_class(root: Path) -> None:
    for value, place in enumerate(["n02/b.png", "n01/a.png", "n01/deeper/c.png", "n10/d.jpg"]):
        put(root / place, value)
    (root / "n01" / "notes.txt").write_text("no picture")
    put(root / "n01" / ".hidden.png", 9)
    found = open_dataset(str(root))
    assert found.classes == ("n01", "n02", "n10")
    assert (found.name, found.split, found.notes) == ("pictures", "", ())
    assert shown(root) == [(0, "n02"), (1, "n01"), (2, "n01"), (3, "n10")]


def test_numbered_folders_are_numbers(root: Path) -> None:
    for number in (0, 2, 10):
        put(root / str(number) / "a.png", number)
    found = open_dataset(str(root))
    assert found.classes == tuple(str(number) for number in range(11))
    assert found.labels.tolist() == [0, 10, 2]
    assert found.notes == ("8 of 11 classes have no image: 1, 3, 4, 5, 6 and 3 more",)


@pytest.mark.parametrize("file", ["classes.txt", "synset_words.txt", "LOC_synset_mapping.txt"])
def test_a_list_of_classes_says_their_order(root: Path, file: str) -> None:
    put(root / "n02012849" / "a.png", 5)
    put(root / "n01440764" / "b.png", 6)
    (root / file).write_text("n03126707 crane\nn02012849 crane\nn01440764 tench, Tinca tinca\n")
    found = open_dataset(str(root))
    assert found.classes == ("crane (n03126707)", "crane (n02012849)", "tench, Tinca tinca")
    assert shown(root) == [(5, "crane (n02012849)"), (6, "tench, Tinca tinca")]
    assert found.notes == ("1 of 3 classes have no image: crane (n03126707)",)
    put(root / "n99999999" / "c.png", 7)
    with pytest.raises(UnreadableDataset, match="n99999999 in no list of classes"):
        open_dataset(str(root))


def test_classes_of_several_words(root: Path) -> None:
    put(root / "polar bear" / "a.png", 1)
    (root / "classes.txt").write_text("zebra\npolar bear\n")
    assert open_dataset(str(root)).labels.tolist() == [1]
    (root / "classes.txt").write_text("zebra\nzebra\n")
    with pytest.raises(UnreadableDataset, match="lists a class twice"):
        open_dataset(str(root))


@pytest.mark.parametrize(
    ("file", "text", "classes"),
    [
        ("labels.txt", "a.png 1\nb.png 0\nsub/c.png 2\n", ("0", "1", "2")),
        ("labels.csv", "file,label\na.png,cat\nb.png,ant\nsub/c.png,dog\n", ("ant", "cat", "dog")),
        ("LOC_val_solution.csv", "ImageId,PredictionString\na,n2 1 2 3 4\nb,n1 1 2 3 4 n1 5 6 7 8\nc,n3 1 1 1 1\n",
         ("n1", "n2", "n3")),
        ("val.txt", "a.png 1\nb.png 0\nc.png 2\n", ("0", "1", "2")),
    ],
)  # fmt: skip
def test_a_file_of_labels(root: Path, file: str, text: str, classes: tuple[str, ...]) -> None:
    for value, place in enumerate(["a.png", "b.png", "sub/c.png"]):
        put(root / place, value)
    (root / file).write_text(text)
    assert open_dataset(str(root)).classes == classes
    assert shown(root) == [(0, classes[1]), (1, classes[0]), (2, classes[2])]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.png 0\n", r"no label for b\.png, c\.png"),
        ("a.png 0\nb.png 1\nc.png 0\nd.png 1\n", r"names d\.png, not there"),
        ("a.png 0\nb.png\nc.png 1\n", r"entry 2 has no label"),
        ("a.png 0\na.png 1\nb.png 0\nc.png 0\n", r"a\.png has two labels, 0 and 1"),
        ("a.png -1\nb.png 1\nc.png 0\n", "label -1"),
        ("", "no label for a"),
    ],
)
def test_wrong_files_of_labels(root: Path, text: str, words: str) -> None:
    for name in "abc":
        put(root / f"{name}.png", 1)
    (root / "labels.txt").write_text(text)
    with pytest.raises(UnreadableDataset, match=words):
        open_dataset(str(root))


def test_no_labels_at_all(root: Path) -> None:
    put(root / "a.png", 1)
    with pytest.raises(UnreadableDataset, match=r"no folder for each class, and no file of labels \(labels.csv"):
        open_dataset(str(root))
    (root / "empty").mkdir()
    with pytest.raises(UnreadableDataset, match="0 images"):
        open_dataset(str(root))


def test_what_is_left_out_is_said(root: Path) -> None:
    put(root / "cat" / "a.png", 1)
    put(root / "b.png", 2)
    (root / "dog").mkdir()
    assert open_dataset(str(root)).notes == (
        "1 of 2 classes have no image: dog",
        "1 pictures lie in no folder of a class and were left out: b.png",
    )


def test_splits_are_folders(root: Path) -> None:
    put(root / "train" / "cat" / "a.png", 1)
    put(root / "val" / "cat" / "b.png", 2)
    assert shown(f"{root}:val") == [(2, "cat")]
    assert open_dataset(f"{root}:val").split == "val"
    with pytest.raises(UnreadableDataset, match=f"choose one of its splits: {root}:train, {root}:val"):
        open_dataset(str(root))


def test_a_toml_says_more(root: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        put(root / str(number) / "a.png", number)
    (tmp_path / "d.toml").write_text(
        'path = "pictures"\nname = "mine"\nsplit = "test"\nlabel_offset = 1\nclasses = ["one", "two"]\n'
    )
    assert shown(tmp_path / "d.toml") == [(1, "one"), (2, "two")]
    found = open_dataset(str(tmp_path / "d.toml"))
    assert (found.name, found.split) == ("mine", "test")
    for text, words in [
        ('path = "pictures"\noffset = 1', r"offset: .*known keys: path, name"),
        ("path = 3", "path: "),
        ("path = ", "not valid TOML"),
        ('path = "pictures"\nclasses = ["one"]', "has the label 1, and there are 1 classes"),
    ]:
        (tmp_path / "d.toml").write_text(text)
        with pytest.raises(UnreadableDataset, match=words):
            open_dataset(str(tmp_path / "d.toml"))


def test_a_damaged_picture_is_named_when_it_is_packed(root: Path, tmp_path: Path) -> None:
    put(root / "cat" / "a.png", 1)
    (root / "cat" / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    how = Preprocessing(resize=8, crop=8, mean=(0,) * 3, std=(1,) * 3)
    with pytest.raises(UnreadableDataset, match=r"cat/b\.jpg: (no picture|a damaged)"):
        pack(open_dataset(str(root)), how, tmp_path / "packed")


def test_contents_are_what_counts(root: Path, cache: Path) -> None:
    put(root / "cat" / "a.png", 1)
    put(root / "cat" / "b.png", 2)
    old = 10**9
    for path in root.glob("*/*"):
        os.utime(path, (old, old))
    first = open_dataset(str(root)).identity
    assert len(list(cache.iterdir())) == 1
    assert open_dataset(str(root)).identity == first
    moved = root.rename(root.with_name("moved"))
    assert open_dataset(str(moved)).identity == first
    put(moved / "cat" / "b.png", 3)
    assert open_dataset(str(moved)).identity != first
    kept = len(list(cache.iterdir()))
    assert open_dataset(str(moved)).identity != first
    assert len(list(cache.iterdir())) == kept  # a file that has just been written is not trusted to stay


def pair(root: Path, name: str, mask: np.ndarray) -> None:
    put(root / "images" / f"{name}.jpg", 100, mask.shape[::-1], "RGB")
    (root / "masks").mkdir(exist_ok=True)
    Image.fromarray(mask).save(root / "masks" / f"{name}.png")


def test_images_and_masks(root: Path, tmp_path: Path) -> None:
    halves = np.zeros((20, 40), np.uint8)
    halves[:, 20:], halves[0, 0] = 2, 255
    pair(root, "a", halves)
    pair(root, "b", np.ones((30, 30), np.uint8))
    found = open_segmentation(str(root))
    assert (len(found), found.classes) == (2, ("0", "1", "2"))
    how = Preprocessing(rule="longer side", resize=16, crop=16, mean=(0.5,) * 3, std=(1,) * 3)
    packed = pack(found, how, tmp_path / "packed")
    (chunk,) = packed.chunks
    images, masks = packed.images(chunk), packed.masks(chunk)
    assert (images.shape, masks.shape) == ((2, 16, 16, 3), (2, 16, 16))
    wide = next(mask for mask in masks if (mask == 255).any())
    assert (wide[1:8, :8] == 0).all()
    assert (wide[:8, 8:] == 2).all()
    assert (wide[8:] == 255).all()
    (root / "classes.txt").write_text("sky\nroad\n")
    with pytest.raises(UnreadableDataset, match=r"the mask has the class 2, and there are 2, 0 to 1"):
        pack(open_segmentation(str(root)), how, tmp_path / "packed")
    with pytest.raises(UnreadableDataset, match="it is for segmentation"):
        open_dataset(str(root))


def test_pairs_that_are_none(root: Path) -> None:
    pair(root, "a", np.ones((4, 4), np.uint8))
    put(root / "images" / "b.jpg", 1)
    with pytest.raises(UnreadableDataset, match=r"b has no masks \(2 in images, 1 in masks\)"):
        open_segmentation(str(root))
    Image.fromarray(np.ones((5, 4), np.uint8)).save(root / "masks" / "b.png")
    with pytest.raises(UnreadableDataset, match=r"the picture has \(10, 8\) pixels, its mask \(4, 5\)"):
        open_segmentation(str(root)).sample(1)
