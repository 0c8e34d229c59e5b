"""From what was typed after `--models` to where it comes from: zoo variants, networks of libraries, own files.

Reads and hashes nothing but what a name needs, and imports no framework.
"""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from models import checkpoints
from models.errors import ModelError, NoSuchWeights, UnreadableModel, WrongInput
from models.given import NOTHING, Given
from models.optimize import table
from models.sources import checkpoint, library, optimized, own
from models.sources.base import Source, Weights
from models.sources.own import OwnModel
from models.sources.zoo import ZooModel
from models.zoo import catalog

log = logging.getLogger(__name__)


def resolve(
    expressions: Sequence[str],
    given: Given = NOTHING,
    weights: Weights = "random",
    optimize: str = "none",
) -> list[Source]:
    """The models meant by `expressions`, in order: zoo names, globs, groups, `NAME@RES`, `timm:NAME`, paths.

    They may be repeated or joined by commas. A set of trained weights is the group of its checkpoints; these, like an
    own file, keep their weights. `imagenet` and the sets are for the zoo, `pretrained` for libraries and variants that
    compute what one of their networks does, and `given` is for own files alone. `optimize` says in which ways each is
    taken (`models.sources.optimized.axis`). Raises UnknownModel for a name that is not in the zoo, UnreadableModel for
    a path that is no model file or when every model is a file that cannot be read, WrongInput when something is given
    and there is no own file, and ModelError for a name that does not have such weights, a library that cannot be asked
    what matches a glob or what is no transformation. A variant that a group or glob brought along has random weights
    instead, which is logged.
    """
    found: dict[object, Source] = {}
    twins: dict[Path, OwnModel] = {}
    named = set()  # what was asked for by its name
    for expression in _split(expressions):
        prefix, colon, network = expression.partition(":")
        if colon and prefix in library.LIBRARIES:
            matching = library.matching(library.LIBRARIES[prefix], network)
            found |= {model.name: model for model in matching}
            named |= {model.name for model in matching}
        elif expression in checkpoints.sets():
            for trained in checkpoint.of_set(expression):
                found.setdefault(trained.name, trained)
        elif not _is_path(expression):
            variants = catalog.select(expression)
            if variants[0].name.partition("@")[0] == expression.partition("@")[0]:
                named.add(variants[0].name)
            for variant in variants:
                found.setdefault(variant.name, ZooModel(variant))
        else:
            paths = _expand(expression)
            found |= {path: checkpoint.from_file(path) for path in paths if checkpoint.is_checkpoint(path)}
            for model in (own.from_file(path, given) for path in paths if not checkpoint.is_checkpoint(path)):
                twin = twins.get(model.stem)
                found[model.stem] = twins[model.stem] = twin.beside(model) if twin else model
    if given and not twins:
        raise WrongInput(
            "--input, --input-shape, --signature, --tolerance and --nonfinite are for your own files, and none is "
            "among the models; a network of the zoo or of a library has one input, which is fed a synthetic image"
        )
    if given.signature is not None and not any("tflite" in twin.files for twin in twins.values()):
        raise WrongInput(
            f"--signature {given.signature}: only TFLite files have signatures, and none is among the models"
        )
    sources = _told_apart(list(found.values()))
    faults = [source.fault for source in sources if source.fault is not None]
    if faults and len(faults) == len(sources):
        raise faults[0]
    return optimized.axis(_once_each(_weighted(sources, weights, named)), table.parse_several(optimize))


def _weighted(sources: list[Source], weights: Weights, named: set[str]) -> list[Source]:
    """The models with the weights that were asked for, where they have them."""
    if weights == "random":
        return sources
    weighted: list[Source] = []
    without: dict[str, str] = {}
    for source in sources:
        try:
            weighted.append(source.weighted(weights))
        except NoSuchWeights as exc:
            if source.name in named:
                raise ModelError(f"{source.name}: {exc}") from exc
            without[source.name] = str(exc)
            weighted.append(source)
    if without:
        log.warning("random weights for %s: %s", ", ".join(without), "; ".join(sorted(set(without.values()))))
    return weighted


def _once_each(sources: list[Source]) -> list[Source]:
    """A checkpoint may be asked for with its resolution and without."""
    return list({(source.name, source.weights): source for source in sources}.values())


def _told_apart(sources: list[Source]) -> list[Source]:
    """With as many parent folders before the names of files as tell equal ones apart."""
    names = [source.name for source in sources]
    for depth in range(1, max((len(source.folders) for source in sources), default=0) + 1):
        counts = Counter(names)
        for index, source in enumerate(sources):
            if counts[names[index]] > 1 and source.folders:
                names[index] = "/".join((*source.folders[-depth:], source.name)).replace("//", "/")
    # Still equal: one folder holds two files to which their TOML gives the same name.
    seen: Counter[str] = Counter()
    for index, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            names[index] = f"{name}#{seen[name]}"
    return [source.renamed(name) for source, name in zip(sources, names, strict=True)]


def _split(expressions: Sequence[str]) -> list[str]:
    parts: list[str] = []
    for expression in expressions:
        # A comma may be part of a file's name
        whole = _is_path(expression) and _path(expression).exists()
        parts += [expression] if whole else [part.strip() for part in expression.split(",")]
    return [part for part in parts if part]


def _is_path(expression: str) -> bool:
    if expression.partition(":")[0] in library.LIBRARIES:
        return False
    return expression.lower().endswith((*own.SUFFIXES, checkpoints.SUFFIX)) or "/" in expression or os.sep in expression


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
