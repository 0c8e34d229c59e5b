"""Data sets prepared for a network: resized and cropped once, as unsigned bytes, in files named by their SHA-256.

    <root>/<key>/dataset.json       `PackedRecord`: what was packed, the chunks that are there
    <root>/<key>/<sha256>.npy       a chunk: images (n, height, width, channels) or masks (n, height, width), uint8
    <root>/locks/<key>              held while something is added

Images stand in the order of `stratified_order`: the first n are a stratified sample for every n, and only the chunks
that hold them are made. What is there is never changed; more is added at the end.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from models.datasets.base import Images, Labels, Load, Pixels, SegmentationDataset
from models.datasets.order import SEED, stratified_order
from models.datasets.pictures import one_large_at_a_time
from models.errors import ModelError, UnreadableDataset
from models.export.recipe import digest
from models.preprocessing import Preprocessing
from results.files import sha256_of, write_file
from results.records import Record, Sha256, Text, Word

VERSION = 1
"""Of what packing does: another version packs everything anew."""

CHUNK_BYTES = 8 * 2**20
_MAX_RECORD_BYTES = 64 * 2**20

Count = Annotated[int, Field(ge=1, le=2**31)]
Progress = Callable[[int, int], None]
"""Told how many images are packed, of how many."""


class Chunk(Record):
    """Images after one another in the packed order: `first` is the place of the first, `masks` the file of masks."""

    sha256: Sha256
    first: Annotated[int, Field(ge=0, le=2**31)]
    images: Count
    masks: Sha256 | None = None


class PackedRecord(Record):
    """What was packed. `geometry` is that of a `Preprocessing`, `total` the number of images in the whole data set."""

    version: Count
    name: Text
    split: Word
    identity: Sha256
    classes: tuple[Text, ...]
    total: Count
    geometry: dict[str, Any]
    seed: int
    chunk_images: Count
    notes: tuple[Text, ...] = ()
    chunks: tuple[Chunk, ...] = ()


@dataclass(frozen=True)
class Packed:
    """The first `samples` images of a data set, prepared.

    `key` names data, labels, classes and geometry together; `labels` are the classes of all images in the packed order.
    """

    folder: Path
    key: str
    record: PackedRecord
    labels: Labels
    samples: int

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """Those that hold the samples; the last may hold more."""
        return tuple(chunk for chunk in self.record.chunks if chunk.first < self.samples)

    def path(self, sha256: str) -> Path:
        """The file of a chunk, or of its masks."""
        return self.folder / f"{sha256}.npy"

    def images(self, chunk: Chunk) -> Pixels:
        """The images of a chunk that are among the samples, (n, height, width, channels)."""
        return self._read(chunk.sha256)[: self.samples - chunk.first]

    def masks(self, chunk: Chunk) -> Pixels:
        """The masks of a chunk that are among the samples, (n, height, width)."""
        if chunk.masks is None:
            raise ValueError("a data set for classification has no masks")
        return self._read(chunk.masks)[: self.samples - chunk.first]

    def _read(self, sha256: str) -> Pixels:
        pixels: Pixels = np.load(self.path(sha256), mmap_mode="r", allow_pickle=False)
        return pixels


def pack(
    dataset: Images,
    preprocessing: Preprocessing,
    root: Path,
    samples: int | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    on_progress: Progress | None = None,
) -> Packed:
    """Prepare the first `samples` images (all, where None) below `root`, as far as they are not there yet.

    What was interrupted is gone on with, chunk by chunk; several processes wait for one another. Raises
    UnreadableDataset that names the image that cannot be read, ModelError when nothing can be written.
    """
    wanted = len(dataset) if samples is None else min(samples, len(dataset))
    if wanted < 1:
        raise ModelError(f"{dataset.name}: {samples} samples are none; give 1 to {len(dataset)}")
    order = stratified_order(dataset.labels)
    labels = dataset.labels[order]
    record = PackedRecord(
        version=VERSION,
        name=dataset.name,
        split=dataset.split,
        identity=dataset.identity,
        classes=dataset.classes,
        total=len(dataset),
        geometry=preprocessing.geometry(),
        seed=SEED,
        chunk_images=max(1, chunk_bytes // int(np.prod(preprocessing.shape))),
        notes=dataset.notes,
    )
    key = digest(
        {
            **record.model_dump(mode="json", exclude={"name", "split", "chunks", "notes"}),
            "labels": hashlib.sha256(dataset.labels.astype("<i4").tobytes()).hexdigest(),
        }
    )
    folder = root / key
    try:
        with _locked(root, key):
            record = record.model_copy(update={"chunks": _intact(folder, wanted)})
            packer = _Packer(dataset, preprocessing, folder, record, on_progress or (lambda done, total: None))
            packer.add(order, wanted)
            return Packed(folder, key, packer.record, labels, wanted)
    except OSError as exc:
        raise ModelError(f"{dataset.name} cannot be packed in {folder}: {exc.strerror or exc}") from exc


class _Packer:
    """Adds chunks to a folder."""

    def __init__(
        self,
        dataset: Images,
        preprocessing: Preprocessing,
        folder: Path,
        record: PackedRecord,
        on_progress: Progress,
    ) -> None:
        self.record = record
        self._dataset = dataset
        self._preprocessing = preprocessing
        self._folder = folder
        self._on_progress = on_progress
        self._with_masks = isinstance(dataset, SegmentationDataset)

    def add(self, order: NDArray[np.int64], wanted: int) -> None:
        """Add what is missing of the chunks that hold the first `wanted` images."""
        size = self.record.chunk_images
        first, total = sum(chunk.images for chunk in self.record.chunks), self.record.total
        end = min(-(-wanted // size) * size, total)
        # Data that are read from the beginning to the end are read once for all chunks, others chunk by chunk.
        step = end - first if self._dataset.reads_in_order else size
        while first < end:
            many = min(step, end - first)
            drafts = [_Draft(self._folder, place, min(size, end - place)) for place in range(first, first + many, size)]
            try:
                self._fill(drafts, order[first : first + many], end)
                chunks = tuple(draft.finished() for draft in drafts)
            finally:
                for draft in drafts:
                    draft.forget()
            self.record = self.record.model_copy(update={"chunks": (*self.record.chunks, *chunks)})
            write_file(self._folder / "dataset.json", self.record.model_dump_json().encode())
            first += many

    def _fill(self, drafts: Sequence[_Draft], indices: NDArray[np.int64], end: int) -> None:
        """Each image to its place, whatever the order they are read in; a bounded number is in memory."""
        places = {int(index): place for place, index in enumerate(indices)}
        size, first = self.record.chunk_images, drafts[0].first
        workers = os.cpu_count() or 1
        done = 0
        with ThreadPoolExecutor(workers) as pool:
            for index, prepared in _in_parallel(pool, workers, self._dataset.samples(places), self._prepared):
                draft, place = divmod(places[index], size)
                drafts[draft].write(place, *prepared)
                done += 1
                self._on_progress(first + done, end)

    def _prepared(self, index: int, load: Load) -> tuple[Pixels, Pixels | None]:
        with one_large_at_a_time():
            sample = load()
            try:
                pixels = self._preprocessing.apply(sample.picture)
                masks = None if sample.mask is None else self._preprocessing.apply_to_mask(sample.mask)
            except ValueError as exc:
                raise UnreadableDataset(f"{self._dataset.name}: image {index}: {exc}") from exc
            return pixels, masks


class _Draft:
    """The files of one chunk while they are written, image by image in any order."""

    def __init__(self, folder: Path, first: int, images: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.first = first
        self._folder, self._images = folder, images
        self._files: list[tuple[Path, int]] = []

    def write(self, place: int, *parts: Pixels | None) -> None:
        """Put an image, and its mask, at a place of the chunk."""
        for number, part in enumerate(part for part in parts if part is not None):
            if number == len(self._files):
                self._files.append(self._begun(number, part.shape))
            path, begin = self._files[number]
            with path.open("r+b") as file:
                file.seek(begin + place * part.nbytes)
                file.write(part.tobytes())

    def finished(self) -> Chunk:
        """With both files under their names."""
        names = []
        for path, _ in self._files:
            with path.open("r+b") as file:
                os.fsync(file.fileno())
            names.append(sha256_of(path))
            path.replace(self._folder / f"{names[-1]}.npy")
        return Chunk(sha256=names[0], first=self.first, images=self._images, masks=(*names, None)[1])

    def forget(self) -> None:
        """Remove what was not finished."""
        for path, _ in self._files:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _begun(self, number: int, shape: tuple[int, ...]) -> tuple[Path, int]:
        path = self._folder / f"partial-{self.first}-{number}"  # a leftover of a killed process is written over
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "|u1", "fortran_order": False, "shape": (self._images, *shape)}
            )
            begin = file.tell()
            file.truncate(begin + self._images * int(np.prod(shape)))
        return path, begin


def _in_parallel(
    pool: ThreadPoolExecutor, workers: int, work: Iterator[tuple[int, Load]], function: Callable[[int, Load], Any]
) -> Iterator[tuple[int, Any]]:
    """The results in the order of the work, of which at most two a worker are begun before the first is taken."""
    begun: list[tuple[int, Future[Any]]] = []
    try:
        for index, load in work:
            begun.append((index, pool.submit(function, index, load)))
            if len(begun) >= 2 * workers:
                index, future = begun.pop(0)
                yield index, future.result()
        while begun:
            index, future = begun.pop(0)
            yield index, future.result()
    finally:
        for _, future in begun:
            future.cancel()


def _intact(folder: Path, wanted: int) -> tuple[Chunk, ...]:
    """The chunks that are there; of those that hold the first `wanted` images only up to the first damaged one."""
    path = folder / "dataset.json"
    try:
        if path.stat().st_size > _MAX_RECORD_BYTES:
            return ()
        chunks = PackedRecord.model_validate_json(path.read_bytes()).chunks
    except (OSError, ValidationError):
        return ()
    place = 0
    for number, chunk in enumerate(chunks):
        files = [folder / f"{name}.npy" for name in (chunk.sha256, chunk.masks) if name]
        try:
            whole = chunk.first == place and all(
                chunk.first >= wanted or sha256_of(file) == file.stem for file in files
            )
        except OSError:
            whole = False
        if not whole:
            return chunks[:number]
        place += chunk.images
    return chunks


@contextmanager
def _locked(root: Path, key: str) -> Iterator[None]:
    folder = root / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / key).open("wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
