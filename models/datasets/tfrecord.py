"""TFRecord files of tf.train.Example with encoded pictures, read without TensorFlow.

A record is its length (8 bytes, little-endian), the masked CRC-32C of these 8 bytes, the data, and the masked CRC-32C
of the data (tensorflow/core/lib/io/record_writer.h). The data are a protocol buffer `Example` (example.proto): field 1
`features`, in it field 1 a map from names to a `Feature`, which is a list of bytes (1), floats (2) or integers (3).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from models.datasets.base import (
    MAX_IMAGES,
    Dataset,
    Labels,
    Sample,
    checked_classes,
    checked_labels,
    numbered_classes,
)
from models.datasets.hashes import identity_of
from models.datasets.pictures import decoded
from models.errors import UnreadableDataset

IMAGES, LABELS = ("image/encoded", "image"), ("image/class/label", "label")
MAX_RECORD_BYTES = 256 * 2**20

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, reversed
_BLOCK = 1024
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5  # wire types of protocol buffers


class TfrecordDataset(Dataset):
    """Examples of one or several files, each with a picture and an integer as its label."""

    def __init__(
        self,
        files: Sequence[Path],
        name: str,
        split: str,
        classes: Sequence[str] | None = None,
        offset: int = 0,
        features: Mapping[str, str] | None = None,
    ) -> None:
        """Raises UnreadableDataset. `offset` is 1 where labels begin at 1, as TensorFlow's of ImageNet do."""
        self.name, self.split = name, split
        self._files = sorted(files)
        self._image = [features["image"]] if features and "image" in features else list(IMAGES)
        label = [features["label"]] if features and "label" in features else list(LABELS)
        self._places: list[tuple[int, int, int]] = []  # file, begin and length of a record
        values: list[int] = []
        for number, path in enumerate(self._files):
            for begin, data in _records(path):
                place = f"{path}: record at byte {begin}"
                found = _chosen(parse_example(data, place), label, "label", place)
                if len(found) != 1 or not isinstance(found[0], int) or not abs(found[0]) < 2**31:
                    raise UnreadableDataset(f"{place}: the label is not one integer")
                values.append(found[0])
                self._places.append((number, begin, len(data)))
                if len(values) > MAX_IMAGES:
                    raise UnreadableDataset(f"{path}: more than {MAX_IMAGES} records")
        numbers = np.array(values, np.int64) - offset
        where = str(self._files[0])
        self.classes = checked_classes(classes or numbered_classes(numbers, where), where)
        self._labels = checked_labels(numbers, len(self.classes), where)

    @property
    def labels(self) -> Labels:
        """One an example."""
        return self._labels

    @cached_property
    def identity(self) -> str:
        """Of all files in their order."""
        return identity_of((f"{number:06}", path) for number, path in enumerate(self._files))

    def sample(self, index: int) -> Sample:
        """Checked against its checksum, then decoded."""
        number, begin, length = self._places[index]
        path = self._files[number]
        place = f"{path}: record at byte {begin}"
        try:
            with path.open("rb") as file:
                file.seek(begin)
                data, checksum = file.read(length), file.read(4)
        except OSError as exc:
            raise UnreadableDataset(f"{place}: cannot be read ({exc.strerror or exc})") from exc
        if len(checksum) < 4 or masked_crc(data) != struct.unpack("<I", checksum)[0]:
            raise UnreadableDataset(f"{place}: damaged (its checksum is wrong); fetch the file again")
        values = _chosen(parse_example(data, place), self._image, "image", place)
        if len(values) != 1 or not isinstance(values[0], bytes):
            raise UnreadableDataset(f"{place}: the image is not one encoded picture")
        return Sample(decoded(values[0], place))


def is_tfrecord(path: Path) -> bool:
    """Whether a file begins with a length and its checksum."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return len(head) == 12 and masked_crc(head[:8]) == struct.unpack("<I", head[8:])[0]


def masked_crc(data: bytes) -> int:
    """CRC-32C of at least 4 bytes, rotated and added to as TFRecord has it.

    Blocks are looked up at once (crc is linear: each byte at each distance from the end of a block has its own part),
    and then moved past one another, so that Python steps once per block and not once per byte.
    """
    padded = np.zeros(-(-len(data) // _BLOCK) * _BLOCK, np.uint8)
    padded[-len(data) :] = np.frombuffer(data, np.uint8)
    padded[len(padded) - len(data) :][:4] ^= 0xFF  # a register that begins with ones
    by_distance, past_block = _tables()
    blocks = padded.reshape(-1, _BLOCK)
    parts = np.bitwise_xor.reduce(by_distance[np.arange(_BLOCK), blocks], axis=1)
    register = 0
    for part in parts.tolist():
        moved = 0
        for byte in range(4):
            moved ^= past_block[byte][register >> 8 * byte & 0xFF]
        register = moved ^ part
    crc = register ^ 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _tables() -> tuple[NDArray[np.uint32], list[list[int]]]:
    """What each byte at each place of a block adds to its CRC; what each byte of a register becomes past a block."""
    first = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        first = np.where(first & 1, first >> 1 ^ np.uint32(_POLYNOMIAL), first >> 1)
    by_distance = np.empty((_BLOCK, 256), np.uint32)
    by_distance[-1] = first
    for place in range(_BLOCK - 2, -1, -1):
        later = by_distance[place + 1]
        by_distance[place] = later >> 8 ^ first[later & 0xFF]
    # A register is what its four bytes would be at the beginning of the next block.
    return by_distance, [by_distance[byte].tolist() for byte in range(4)]


def parse_example(data: bytes, place: str) -> dict[str, list[Any]]:
    """The features of an Example: bytes, floats or integers by their names. Raises UnreadableDataset."""
    view = memoryview(data)
    try:
        found: dict[str, list[Any]] = {}
        for field, features in _fields(view):
            for inner, entry in _fields(features) if field == 1 else ():
                if inner != 1:
                    continue
                name, feature = "", memoryview(b"")
                for number, value in _fields(entry):
                    if number == 1:
                        name = bytes(value).decode()
                    elif number == 2:
                        feature = value
                found[name] = _values(feature)
        return found
    except (ValueError, IndexError, TypeError, struct.error) as exc:
        raise UnreadableDataset(f"{place}: not a tf.train.Example ({exc}); write it with tf.io.TFRecordWriter") from exc


def _values(feature: memoryview) -> list[Any]:
    found: list[Any] = []
    for kind, entries in _fields(feature):
        for number, value in _fields(entries):
            if number != 1:
                continue
            if kind == 1:
                found.append(bytes(value))
            elif kind == 2:
                found += struct.unpack(f"<{len(value) // 4}f", value)
            elif kind == 3:
                found += [value] if isinstance(value, int) else _varints(value)
    return found


def _fields(view: memoryview) -> Iterator[tuple[int, Any]]:
    """The number and the value of each field: an integer, or bytes that are not copied."""
    at = 0
    while at < len(view):
        tag, at = _varint(view, at)
        wire = tag & 7
        if wire == _VARINT:
            value, at = _varint(view, at)
            yield tag >> 3, value
            continue
        size = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(wire, -1)
        if wire == _LENGTH:
            size, at = _varint(view, at)
        if not 0 <= size <= len(view) - at:
            raise ValueError("a field is longer than its message")
        yield tag >> 3, view[at : at + size]
        at += size


def _varints(view: memoryview) -> list[int]:
    at, found = 0, []
    while at < len(view):
        value, at = _varint(view, at)
        found.append(value)
    return found


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """A signed number of 64 bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            value &= 2**64 - 1
            return value - 2**64 if value >= 2**63 else value, at
    raise ValueError("a number has more than 64 bits")


def _records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Where the data of each record begin, and the data, whose checksum is left for when they are used."""
    try:
        with path.open("rb") as file:
            while head := file.read(12):
                yield file.tell(), _data(file, head, path)
    except OSError as exc:
        raise UnreadableDataset(f"{path}: cannot be read ({exc.strerror or exc})") from exc


def _data(file: BinaryIO, head: bytes, path: Path) -> bytes:
    begin = file.tell() - len(head)
    if len(head) < 12 or masked_crc(head[:8]) != struct.unpack("<I", head[8:])[0]:
        raise UnreadableDataset(f"{path}: no TFRecord from byte {begin} on (a length's checksum is wrong)")
    length = struct.unpack("<Q", head[:8])[0]
    if length > MAX_RECORD_BYTES:
        raise UnreadableDataset(f"{path}: the record at byte {begin} is larger than {MAX_RECORD_BYTES >> 20} MiB")
    data = file.read(length)
    if len(data) < length or len(file.read(4)) < 4:
        raise UnreadableDataset(f"{path}: ends within the record at byte {begin}; fetch it again")
    return data


def _chosen(example: Mapping[str, list[Any]], names: Sequence[str], what: str, place: str) -> list[Any]:
    found = next((example[name] for name in names if name in example), None)
    if found is None:
        has = ", ".join(name[:60] for name in [*example][:20]) or "nothing"
        raise UnreadableDataset(
            f'{place}: no feature {" or ".join(names)}, only {has}; say `{what} = "FEATURE"` in a TOML'
        )
    return found
