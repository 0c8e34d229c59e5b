"""Folders of pictures: one folder a class (as ImageNet's), or a file that says the class of every picture."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from models.datasets.base import (
    MAX_IMAGES,
    Dataset,
    Labels,
    Sample,
    checked_classes,
    checked_labels,
)
from models.datasets.hashes import identity_of
from models.datasets.pictures import SUFFIXES, decoded
from models.errors import UnreadableDataset

CLASS_FILES = ("classes.txt", "synset_words.txt", "LOC_synset_mapping.txt")
LABEL_FILES = ("labels.csv", "labels.txt", "val.txt", "LOC_val_solution.csv")
SPLITS = ("test", "val", "validation", "train", "training")
_MAX_TEXT_BYTES = 512 * 2**20
_MOST_NAMED = 5


class FolderDataset(Dataset):
    """Pictures below a folder, decoded one by one."""

    def __init__(
        self,
        root: Path,
        name: str,
        split: str,
        classes: Sequence[str] | None = None,
        labels: Path | None = None,
        offset: int = 0,
    ) -> None:
        """Raises UnreadableDataset. `offset` is the number that labels give to the first class."""
        self._root, self.name, self.split = root, name, split
        named = class_names(root) if classes is None else {key: key for key in classes}
        labels = labels or next((root / file for file in LABEL_FILES if (root / file).is_file()), None)
        if labels is None:
            found, keys = _by_folder(root, named, offset)
        else:
            found, keys = _by_file(root, labels, named, offset)
        self._files = sorted(found)
        self.classes = checked_classes([*named.values()] if named else keys, str(labels or root))
        self._labels = checked_labels([found[file] for file in self._files], len(self.classes), str(labels or root))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Pictures that lie in no folder of a class as well."""
        stray = sorted({path.name for path in self._root.iterdir() if path.suffix.lower() in SUFFIXES} - {*self._files})
        left_out = (f"{len(stray)} pictures lie in no folder of a class and were left out: {_some(stray)}",)
        return (*super().notes, *(left_out if stray else ()))

    @property
    def labels(self) -> Labels:
        """Those of their folders, or of the file of labels."""
        return self._labels

    @cached_property
    def identity(self) -> str:
        """Of all pictures and their paths in the folder."""
        return identity_of((file, self._root / file) for file in self._files)

    def sample(self, index: int) -> Sample:
        """Decoded, upright, in 8 bits."""
        path = self._root / self._files[index]
        return Sample(decoded(path, str(path)))


def class_names(root: Path) -> dict[str, str]:
    """The classes that a file in the folder lists, each line a key (the name of a folder, a synset) and perhaps words.

    A name is given twice in ImageNet (crane, maillot): such names get their keys behind them.
    """
    path = next((root / file for file in CLASS_FILES if (root / file).is_file()), None)
    if path is None:
        return {}
    lines = [line.strip() for line in _text(path).splitlines() if line.strip()]
    pairs = [(line, line) for line in lines]
    if path.name != CLASS_FILES[0] or all(re.match(r"n\d{8}\b", line) for line in lines):
        parts = [re.split(r"[\s,]+", line, maxsplit=1) for line in lines]
        pairs = [(part[0], part[-1]) for part in parts]
    words = [name for _, name in pairs]
    found = {key: name if words.count(name) == 1 else f"{name} ({key})" for key, name in pairs}
    if len(found) != len(pairs):
        raise UnreadableDataset(f"{path}: lists a class twice; every line is another class, in the order of the labels")
    return found


def pictures_below(folder: Path, root: Path) -> list[str]:
    """The pictures in a folder, relative to `root`, in the order of their names. Raises UnreadableDataset."""
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            found.append(path.relative_to(root).as_posix())
            if len(found) > MAX_IMAGES:
                raise UnreadableDataset(f"{root}: more than {MAX_IMAGES} pictures")
    return found


def _by_folder(root: Path, named: Mapping[str, str], offset: int) -> tuple[dict[str, int], list[str]]:
    """Each picture's class as the name of its folder says."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    names = [path.name for path in folders]
    if not folders or set(names) <= {*SPLITS}:
        splits = f"; choose one of its splits: {', '.join(f'{root}:{name}' for name in names)}" if names else ""
        raise UnreadableDataset(
            f"{root}: no folder for each class, and no file of labels ({', '.join(LABEL_FILES)}) that says the "
            f"class of every picture{splits}"
        )
    index, keys = _class_of_folder(root, names, named, offset)
    return {file: index[path.name] for path in folders for file in pictures_below(path, root)}, keys


def _class_of_folder(
    root: Path, names: Sequence[str], named: Mapping[str, str], offset: int
) -> tuple[dict[str, int], list[str]]:
    numbers = {name: int(name) - offset for name in names if re.fullmatch(r"[0-9]{1,6}", name)}
    if named and set(names) <= named.keys():
        order = {key: index for index, key in enumerate(named)}
        return {name: order[name] for name in names}, [*named]
    if len(numbers) == len(names):
        if min(numbers.values()) < 0 or len({*numbers.values()}) < len(names):
            raise UnreadableDataset(
                f"{root}: folders are numbered below label_offset ({offset}), or two have one number"
            )
        return numbers, [str(number) for number in range(max(numbers.values()) + 1)]
    if named:
        unknown = sorted({*names} - named.keys())
        raise UnreadableDataset(
            f"{root}: {_some(unknown)} in no list of classes; add them to it, in the order of the network's outputs"
        )
    return {name: index for index, name in enumerate(sorted(names))}, sorted(names)


def _by_file(root: Path, labels: Path, named: Mapping[str, str], offset: int) -> tuple[dict[str, int], list[str]]:
    """Each picture's class as the file of labels says."""
    files = [file for file in pictures_below(root, root) if file != labels.name]
    said = _read_labels(labels)
    by_name = {**{Path(file).stem: file for file in files}, **{Path(file).name: file for file in files}}
    by_name |= {file: file for file in files}
    missing = [name for name in said if name not in by_name]
    if missing:
        raise UnreadableDataset(f"{labels}: names {_some(missing)}, not there below {root}; correct it")
    found = {by_name[name]: label for name, label in said.items()}
    without = [file for file in files if file not in found]
    if without:
        raise UnreadableDataset(f"{labels}: no label for {_some(without)}; add a line for each, or take them out")
    if not found:
        raise UnreadableDataset(f"{labels}: no labels, and {root} has no pictures")
    values = {*found.values()}
    if values <= named.keys():
        order = {key: index for index, key in enumerate(named)}
        return {file: order[label] for file, label in found.items()}, [*named]
    if all(re.fullmatch(r"-?[0-9]{1,6}", value) for value in values):
        numbers = {file: int(label) - offset for file, label in found.items()}
        return numbers, [str(number) for number in range(max(0, *numbers.values()) + 1)]
    if named:
        unknown = sorted(values - named.keys())
        raise UnreadableDataset(f"{labels}: labels {_some(unknown)}, in no list of classes; add them to it")
    order = {key: index for index, key in enumerate(sorted(values))}
    return {file: order[label] for file, label in found.items()}, [*order]


def _read_labels(path: Path) -> dict[str, str]:
    """File -> label of lines `file,label` or `file label`; of more columns the first word of the second.

    A first line of ImageId, file or the like is a header. Raises UnreadableDataset.
    """
    text = _text(path)
    if path.suffix.lower() == ".csv":
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    else:
        rows = [line.rsplit(None, 1) for line in text.splitlines() if line.strip()]
    if rows and rows[0][0].lower() in ("imageid", "image", "file", "filename", "path", "name"):
        rows = rows[1:]
    found: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        if len(row) < 2 or not row[0] or not row[1]:
            raise UnreadableDataset(f"{path}: entry {number} has no label ({' '.join(row)[:60]!r}); add it")
        name, label = row[0], row[1].split()[0]
        if found.setdefault(name, label) != label:
            raise UnreadableDataset(f"{path}: {name[:100]} has two labels, {found[name][:40]} and {label[:40]}")
    return found


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise UnreadableDataset(f"{path}: larger than {_MAX_TEXT_BYTES >> 20} MiB, too large for a list")
        return path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise UnreadableDataset(f"{path}: cannot be read ({exc.strerror or exc})") from exc
    except UnicodeDecodeError as exc:
        raise UnreadableDataset(f"{path}: not UTF-8; save it as UTF-8") from exc


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(name[:100] for name in names[:_MOST_NAMED]) + more
