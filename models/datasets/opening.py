"""Which data set an expression means."""

from __future__ import annotations

import glob
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, StrictInt, StrictStr, ValidationError

from models.datasets import folder, idx
from models.datasets.base import Dataset, Images, SegmentationDataset
from models.errors import UnknownDataset, UnreadableDataset
from results.records import Record

_MAX_TOML_BYTES = 2**20
_EXPECTED = (
    f"a data set is {idx.FASHION_MNIST} or {idx.FASHION_MNIST}:train, a folder of pictures, a .parquet, .tfrecord or "
    ".npz file, files of the MNIST family, a .toml that describes one of them, or your own package.module:factory"
)

Filled = Annotated[StrictStr, Field(min_length=1, max_length=4096)]


class Description(Record):
    """What is said of a data set, in a TOML of its own or by an expression.

    `path` is relative to the TOML. `classes` are all names in the order of the network's outputs, `label_offset` is the
    number that labels give to the first. `labels` is a file with the class of every picture of a folder; `image`,
    `label` and `mask` are columns, features or arrays. A data set with masks is for segmentation.
    """

    path: Filled
    name: Annotated[StrictStr, Field(min_length=1, max_length=200)] | None = None
    split: Annotated[StrictStr, Field(max_length=64)] = ""
    classes: tuple[Filled, ...] | None = None
    label_offset: Annotated[StrictInt, Field(ge=-(2**20), le=2**20)] = 0
    labels: Filled | None = None
    image: Filled | None = None
    label: Filled | None = None
    mask: Filled | None = None

    @property
    def columns(self) -> dict[str, str]:
        """Those that are named."""
        return {key: value for key in ("image", "label", "mask") if (value := getattr(self, key)) is not None}


def open_images(expression: str) -> Images:
    """The data set of a name, a path or a function, with `:SPLIT` behind a name or path where there are several.

    Raises UnknownDataset where there is none, UnreadableDataset for what is wrong with it.
    """
    name, colon, split = expression.partition(":")
    if name == idx.FASHION_MNIST:
        return idx.fashion_mnist(split or None)
    if _is_there(expression):
        path, split = expression, ""
    else:
        path, colon, split = expression.rpartition(":")
        if not (colon and _is_there(path)):
            path = ""
    if path.endswith(".toml"):
        file = Path(path).expanduser()
        return _open(_described(file, split), file.parent)
    if path and len(split) <= 64:
        return _open(Description(path=path, split=split), Path())
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", expression):
        from models.datasets import own

        try:
            return own.from_factory(expression)
        except UnknownDataset as exc:
            raise UnknownDataset(f"{exc}; nor is there a file or folder {name}; {_EXPECTED}") from exc
    raise UnknownDataset(f"{expression[:200]!r}: no such data set, file or folder; {_EXPECTED}")


def open_dataset(expression: str) -> Dataset:
    """As `open_images`, for images with labels. Raises UnknownDataset, UnreadableDataset."""
    found = open_images(expression)
    if not isinstance(found, Dataset):
        raise UnreadableDataset(f"{expression}: has a mask for each image, not a label; it is for segmentation")
    return found


def open_segmentation(expression: str) -> SegmentationDataset:
    """As `open_images`, for images with masks. Raises UnknownDataset, UnreadableDataset."""
    found = open_images(expression)
    if not isinstance(found, SegmentationDataset):
        raise UnreadableDataset(f"{expression}: has a label for each image, not a mask; it is for classification")
    return found


def _is_there(path: str) -> bool:
    try:
        return bool(path) and (Path(path).expanduser().exists() or bool(glob.has_magic(path) and _matches(path)))
    except (OSError, ValueError, RuntimeError):  # no file system takes it as a path
        return False


def _matches(pattern: str) -> list[Path]:
    return sorted(Path(found) for found in glob.glob(str(Path(pattern).expanduser())))  # noqa: PTH207 - absolute, too


def _described(path: Path, split: str) -> Description:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_TOML_BYTES + 1)
        if len(text) > _MAX_TOML_BYTES:
            raise UnreadableDataset(f"{path}: larger than 1 MiB; put the names of classes into a classes.txt")
        said = tomllib.loads(text.decode())
        return Description.model_validate({**said, "split": split} if split else said)
    except OSError as exc:
        raise UnreadableDataset(f"{path}: cannot be read ({exc.strerror or exc})") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        known = f" (known keys: {', '.join(Description.model_fields)})" if first["type"] == "extra_forbidden" else ""
        raise UnreadableDataset(f"{path}: {key}: {first['msg']}{known}") from exc
    except (ValueError, RecursionError) as exc:
        raise UnreadableDataset(f"{path}: not valid TOML ({exc}); correct it") from exc


def _open(said: Description, base: Path) -> Images:
    path = base / Path(said.path).expanduser()
    if not path.exists():
        files = _matches(str(path)) if glob.has_magic(said.path) else []
        if not files:
            raise UnknownDataset(f"{path}: there is no such data set; correct the path")
        return _of_files(files, said, said.name or path.name)
    name = said.name or path.absolute().name.partition(".")[0]
    if not path.is_dir():
        return _of_files([path], said, name)
    if said.split and (path / said.split).is_dir():
        path = path / said.split
    if (path / "images").is_dir() and (path / "masks").is_dir():
        from models.datasets.masks import MaskFolder

        return MaskFolder(path, name, said.split, said.classes)
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    chosen = [file for file in files if said.split in file.name and _kind(file) in ("parquet", "tfrecord")]
    if chosen:
        return _of_files(chosen, said, name)
    if any(idx.is_idx_images(file) for file in files):
        return idx.idx_folder(path, name, said.split or None, said.classes, said.label_offset)
    labels = None if said.labels is None else base / said.labels
    return folder.FolderDataset(path, name, said.split, said.classes, labels, said.label_offset)


def _kind(path: Path) -> str:
    """What a file is, by its name or, of a TFRecord, which often has none, its beginning."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix in ("parquet", "npz", "tfrecord", "tfrecords"):
        return suffix.removesuffix("s")
    if idx.is_idx_images(path):
        return "idx"
    from models.datasets.tfrecord import is_tfrecord

    return "tfrecord" if is_tfrecord(path) else ""


def _of_files(files: Sequence[Path], said: Description, name: str) -> Images:
    kinds = {_kind(path) for path in files}
    kind = kinds.pop() if len(kinds) == 1 else ""
    if kind == "parquet":
        from models.datasets import parquet

        if said.mask is not None:
            if said.classes is None:
                raise UnreadableDataset(f"{files[0]}: say in the TOML which `classes` the masks have, all in order")
            return parquet.ParquetSegmentation(files, name, said.split, said.classes, said.columns)
        return parquet.ParquetDataset(files, name, said.split, said.classes, said.label_offset, said.columns)
    if kind == "tfrecord":
        from models.datasets.tfrecord import TfrecordDataset

        return TfrecordDataset(files, name, said.split, said.classes, said.label_offset, said.columns)
    if kind == "npz" and len(files) == 1:
        from models.datasets.numpy_archive import NumpyDataset

        return NumpyDataset(files[0], name, said.split, said.classes, said.label_offset, said.columns)
    if kind == "idx" and len(files) == 1:
        split, path = said.split or "test", files[0]
        name = said.name or path.name.partition("-images")[0]
        return idx.IdxDataset(path, idx.labels_beside(path), name, split, said.classes, said.label_offset)
    raise UnknownDataset(f"{files[0]}: no data set that can be read; {_EXPECTED}")
