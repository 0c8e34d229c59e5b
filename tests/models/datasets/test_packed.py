"""Data sets as they are kept prepared: lazily, resumably, by several processes, intact or made again."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.datasets.base import Dataset, Sample
from models.datasets.packed import Packed, pack
from models.errors import ModelError, UnreadableDataset
from models.preprocessing import Preprocessing

EIGHT = Preprocessing(resize=8, crop=8, mean=(0.5,) * 3, std=(0.25,) * 3)
CHUNK_BYTES = 10 * 8 * 8 * 3  # ten images


class Numbered(Dataset):
    """Each image is grey as its index; `broken` cannot be read."""

    def __init__(self, count: int = 34, identity: str = "1" * 64, broken: int = -1) -> None:
        self.name, self.split, self.classes = "numbered", "test", ("a", "b", "c")
        self._labels = (np.arange(count) % 3).astype(np.int32)
        self._identity, self.broken, self.read = identity, broken, 0

    @property
    def labels(self) -> np.ndarray:
        return self._labels

    @property
    def identity(self) -> str:
        return self._identity

    def sample(self, index: int) -> Sample:
        self.read += 1
        if index == self.broken:
            raise UnreadableDataset(f"image {index} is damaged")
        return Sample(Image.new("L", (16, 16), index))


class Streamed(Numbered):
    """Is read from the beginning to the end."""

    reads_in_order = True

    def samples(self, indices):
        return super().samples(sorted(indices))


def shown(packed: Packed) -> list[int]:
    """The index of each image in the packed order, as its pixels tell."""
    images = np.concatenate([packed.images(chunk) for chunk in packed.chunks])
    assert images.shape[1:] == (8, 8, 3)
    assert images.dtype == np.uint8
    assert (images == images[:, :1, :1, :1]).all()
    return images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("kind", [Numbered, Streamed])
def test_packed_images_belong_to_their_labels(kind: type[Numbered], tmp_path: Path) -> None:
    dataset = kind()
    packed = pack(dataset, EIGHT, tmp_path, chunk_bytes=CHUNK_BYTES)
    assert [chunk.images for chunk in packed.chunks] == [10, 10, 10, 4]
    assert [chunk.first for chunk in packed.chunks] == [0, 10, 20, 30]
    indices = shown(packed)
    assert sorted(indices) == list(range(34))
    assert packed.labels.tolist() == dataset.labels[indices].tolist()


@pytest.mark.parametrize("kind", [Numbered, Streamed])
def test_only_as_many_chunks_as_needed(kind: type[Numbered], tmp_path: Path) -> None:
    dataset = kind()
    few = pack(dataset, EIGHT, tmp_path, samples=12, chunk_bytes=CHUNK_BYTES)
    assert (len(few.chunks), len(shown(few)), dataset.read) == (2, 12, 20)
    every = pack(dataset, EIGHT, tmp_path, chunk_bytes=CHUNK_BYTES)
    assert dataset.read == 34
    assert shown(every)[:12] == shown(few)
    assert every.chunks[:2] == few.chunks
    again = pack(dataset, EIGHT, tmp_path, samples=10**9, chunk_bytes=CHUNK_BYTES)
    assert (again.chunks, again.samples, dataset.read) == (every.chunks, 34, 34)


def test_what_was_interrupted_is_gone_on_with(tmp_path: Path) -> None:
    whole = shown(pack(Numbered(), EIGHT, tmp_path / "other", chunk_bytes=CHUNK_BYTES))
    dataset = Numbered(broken=whole[25])
    with pytest.raises(UnreadableDataset, match=f"image {whole[25]} is damaged"):
        pack(dataset, EIGHT, tmp_path, chunk_bytes=CHUNK_BYTES)
    folder = next(path for path in tmp_path.iterdir() if len(path.name) == 64)
    assert not list(folder.glob("partial*"))
    dataset.broken, dataset.read = -1, 0
    assert shown(pack(dataset, EIGHT, tmp_path, chunk_bytes=CHUNK_BYTES)) == whole
    assert dataset.read == 14


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "record"])
def test_what_was_damaged_is_made_again(damage: str, tmp_path: Path) -> None:
    dataset = Numbered()
    packed = pack(dataset, EIGHT, tmp_path, chunk_bytes=CHUNK_BYTES)
    expected, file = shown(packed), packed.path(packed.chunks[1].sha256)
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    elif damage == "record":
        (packed.folder / "dataset.json").write_text("{")
    else:
        file.write_bytes(content[:-1] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    assert shown(pack(dataset, EIGHT, tmp_path, chunk_bytes=CHUNK_BYTES)) == expected
    assert file.read_bytes() == content


def test_what_it_is_called_does_not_matter_and_what_it_holds_does(tmp_path: Path) -> None:
    def key(dataset: Dataset, how: Preprocessing = EIGHT) -> str:
        return pack(dataset, how, tmp_path, samples=1, chunk_bytes=CHUNK_BYTES).key

    first = key(Numbered())
    renamed = Numbered()
    renamed.name = "other"
    assert key(renamed) == first
    assert key(Numbered(), Preprocessing(resize=8, crop=8, mean=(0,) * 3, std=(1,) * 3)) == first
    reordered = Numbered()
    reordered.classes = ("b", "a", "c")
    relabeled = Numbered()
    relabeled._labels = relabeled._labels[::-1].copy()
    others = [
        key(Numbered(identity="2" * 64)),
        key(Numbered(), Preprocessing(resize=9, crop=8, mean=(0,) * 3, std=(1,) * 3)),
        key(reordered),
        key(relabeled),
    ]
    assert len({first, *others}) == 5


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    pack(Numbered(), EIGHT, tmp_path, 15, CHUNK_BYTES, lambda done, total: told.append((done, total)))
    assert told == [(done, 20) for done in range(1, 21)]


def test_no_samples_and_no_place(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="0 samples are none; give 1 to 34"):
        pack(Numbered(), EIGHT, tmp_path, samples=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="numbered cannot be packed in"):
        pack(Numbered(), EIGHT, tmp_path / "file")


def test_too_small_an_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDataset, match=r"numbered: image \d+: 16x16 pixels, less than the crop of 20"):
        pack(Numbered(), Preprocessing(rule="none", crop=20, mean=(0,) * 3, std=(1,) * 3), tmp_path)


def _pack(root: Path) -> None:
    pack(Numbered(100), EIGHT, root, chunk_bytes=CHUNK_BYTES)


def test_several_processes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    running = [context.Process(target=_pack, args=(tmp_path,)) for _ in range(3)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0, 0, 0]
    dataset = Numbered(100)
    assert sorted(shown(pack(dataset, EIGHT, tmp_path, chunk_bytes=CHUNK_BYTES))) == list(range(100))
    assert dataset.read == 0
