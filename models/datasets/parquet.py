"""Parquet files of encoded pictures: a column of bytes, or of structs with `bytes` as Hugging Face's datasets have."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from models.datasets.base import (
    Dataset,
    Labels,
    Load,
    Sample,
    SegmentationDataset,
    checked_classes,
    checked_labels,
    numbered_classes,
)
from models.datasets.hashes import identity_of
from models.datasets.pictures import decoded, decoded_mask
from models.errors import UnreadableDataset

IMAGES, LABELS = ("image", "img", "x"), ("label", "labels", "class", "y")
MASKS = ("mask", "annotation", "segmentation_mask", "label")
_AT_ONCE = 16  # rows


class ParquetFiles:
    """The rows of several files after one another, some columns of which are read as they are needed."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Raises UnreadableDataset."""
        import pyarrow.parquet as pq

        self.files = sorted(files)
        self.metadata: list[Any] = []
        self.schema: Any = None
        for path in self.files:
            try:
                self.metadata.append(pq.read_metadata(path))
                schema = pq.read_schema(path)
            except (OSError, ValueError) as exc:
                raise UnreadableDataset(f"{path}: not a Parquet file that can be read ({_short(exc)})") from exc
            if self.schema is not None and schema.names != self.schema.names:
                raise UnreadableDataset(f"{path}: has other columns than {self.files[0]}; choose files of one data set")
            self.schema = self.schema or schema
        groups = [
            (file, group, metadata.row_group(group).num_rows)
            for file, metadata in enumerate(self.metadata)
            for group in range(metadata.num_row_groups)
        ]
        self._groups = [(file, group) for file, group, _ in groups]
        self._starts = [int(start) for start in np.cumsum([0, *(rows for _, _, rows in groups)])]

    def __len__(self) -> int:
        return self._starts[-1]

    def column(self, what: str, candidates: Sequence[str], columns: Mapping[str, str]) -> str:
        """The column for `what`: the one that was named, or the one candidate there is. Raises UnreadableDataset."""
        wanted = [columns[what]] if what in columns else list(candidates)
        found = [name for name in wanted if name in self.schema.names]
        if len(found) != 1:
            has = f"several of them: {', '.join(found)}" if found else f"only {', '.join(self.schema.names[:20])}"
            raise UnreadableDataset(
                f'{self.files[0]}: no one column {" or ".join(wanted)} ({has}); say `{what} = "COLUMN"` in a TOML'
            )
        return found[0]

    def values(self, column: str) -> list[Any]:
        """A whole column of numbers or words. Raises UnreadableDataset."""
        import pyarrow.parquet as pq

        found: list[Any] = []
        for path in self.files:
            try:
                found += pq.read_table(path, columns=[column], memory_map=True).column(column).to_pylist()
            except (OSError, ValueError) as exc:
                raise UnreadableDataset(f"{path}: column {column} cannot be read ({_short(exc)})") from exc
        return found

    def rows(self, indices: Iterable[int], columns: Sequence[str]) -> Iterator[tuple[int, list[Any]]]:
        """These rows in the order of the files, each row group read at most once, some rows at a time."""
        import pyarrow.parquet as pq

        by_group: dict[int, list[int]] = {}
        for index in sorted(indices):
            by_group.setdefault(bisect_right(self._starts, index) - 1, []).append(index)
        for number, wanted in by_group.items():
            file, group = self._groups[number]
            first, waiting = self._starts[number], set(wanted)
            try:
                with pq.ParquetFile(self.files[file], buffer_size=2**20, pre_buffer=False) as opened:
                    for batch in opened.iter_batches(_AT_ONCE, row_groups=[group], columns=list(columns)):
                        for place in range(batch.num_rows):
                            if first + place in waiting:
                                yield first + place, [batch.column(name)[place].as_py() for name in columns]
                        first += batch.num_rows
                        if first > wanted[-1]:
                            break
            except (OSError, ValueError) as exc:
                raise UnreadableDataset(f"{self.files[file]}: row group {group} is damaged ({_short(exc)})") from exc

    def place(self, index: int) -> str:
        """A row, in words."""
        number = bisect_right(self._starts, index) - 1
        file, group = self._groups[number]
        return f"{self.files[file]}: row {index - self._starts[number]} of row group {group}"

    def encoded(self, index: int, value: Any, column: str) -> bytes:
        """The bytes of a picture, in itself or in a struct. Raises UnreadableDataset."""
        found = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(found, bytes):
            hint = f" (only a path: {str(value.get('path'))[:80]})" if isinstance(value, dict) else ""
            raise UnreadableDataset(f"{self.place(index)}: no picture in the column {column}{hint}")
        return found

    def class_names(self, column: str) -> list[str] | None:
        """The names of the classes as Hugging Face's datasets keep them in the schema."""
        try:
            said = json.loads((self.schema.metadata or {}).get(b"huggingface", b"{}"))
            feature = said["info"]["features"][column]
            names = (feature.get("feature") or feature)["names"]
            return [str(name) for name in names]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def identity(self) -> str:
        """Of all files in their order."""
        return identity_of((f"{number:06}", path) for number, path in enumerate(self.files))


class ParquetDataset(Dataset):
    """A column of pictures and one of labels: integers, or words that are the names of the classes."""

    reads_in_order = True

    def __init__(
        self,
        files: Sequence[Path],
        name: str,
        split: str,
        classes: Sequence[str] | None = None,
        offset: int = 0,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        """Raises UnreadableDataset."""
        self.name, self.split = name, split
        self._files = ParquetFiles(files)
        self._column = self._files.column("image", IMAGES, columns or {})
        label = self._files.column("label", LABELS, columns or {})
        place = f"{self._files.files[0]}: column {label}"
        values = self._files.values(label)
        without = next((index for index, value in enumerate(values) if value is None), None)
        if without is not None:
            raise UnreadableDataset(f"{self._files.place(without)}: no label in the column {label}; add it")
        classes = classes or self._files.class_names(label)
        if values and all(isinstance(value, str) for value in values):
            classes = list(classes or sorted(set(values)))
            index = {key: number for number, key in enumerate(classes)}
            unknown = next((value for value in values if value not in index), None)
            if unknown is not None:
                raise UnreadableDataset(f"{place}: the label {unknown[:100]!r} is no class; add it to the classes")
            values = [index[value] for value in values]
            offset = 0
        if not all(type(value) is int and abs(value) < 2**31 for value in values):
            raise UnreadableDataset(f"{place}: labels must be integers or words")
        numbers = np.array(values, np.int64) - offset
        self.classes = checked_classes(classes or numbered_classes(numbers, place), place)
        self._labels = checked_labels(numbers, len(self.classes), place)

    @property
    def labels(self) -> Labels:
        """One a row."""
        return self._labels

    @cached_property
    def identity(self) -> str:
        """Of all files."""
        return self._files.identity()

    def sample(self, index: int) -> Sample:
        """Reads everything before it in its row group, too."""
        return next(load for _, load in self.samples([index]))()

    def samples(self, indices: Iterable[int]) -> Iterator[tuple[int, Load]]:
        """In the order of the files."""
        for index, (value,) in self._files.rows(indices, [self._column]):
            yield index, partial(self._decoded, index, value)

    def _decoded(self, index: int, value: Any) -> Sample:
        return Sample(decoded(self._files.encoded(index, value, self._column), self._files.place(index)))


class ParquetSegmentation(SegmentationDataset):
    """A column of pictures and one of masks."""

    reads_in_order = True

    def __init__(
        self, files: Sequence[Path], name: str, split: str, classes: Sequence[str], columns: Mapping[str, str]
    ) -> None:
        """Raises UnreadableDataset."""
        self.name, self.split = name, split
        self._files = ParquetFiles(files)
        self._columns = [
            self._files.column("image", IMAGES, columns),
            self._files.column("mask", MASKS, columns),
        ]
        self.classes = checked_classes(classes, str(self._files.files[0]))

    def __len__(self) -> int:
        return len(self._files)

    @cached_property
    def identity(self) -> str:
        """Of all files."""
        return self._files.identity()

    def sample(self, index: int) -> Sample:
        """Reads everything before it in its row group, too."""
        return next(load for _, load in self.samples([index]))()

    def samples(self, indices: Iterable[int]) -> Iterator[tuple[int, Load]]:
        """In the order of the files."""
        for index, values in self._files.rows(indices, self._columns):
            yield index, partial(self._decoded, index, values)

    def _decoded(self, index: int, values: Sequence[Any]) -> Sample:
        place = self._files.place(index)
        image, mask = (
            self._files.encoded(index, value, column) for value, column in zip(values, self._columns, strict=True)
        )
        return self.checked(decoded(image, place), decoded_mask(mask, f"{place}, mask"), place)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
