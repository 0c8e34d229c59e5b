"""The zoo's variants by name. Reading them needs no PyTorch; building a network does (`models.create`).

A name may carry a resolution: "mobilenet_v1_1.0@192" is the network of "mobilenet_v1_1.0" for 192 x 192 images.
"""

import ast
import difflib
import hashlib
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from models.errors import UnknownModel
from models.zoo.variant import Preprocessing, Variant
from models.zoo.variants import (
    baselines,
    cells,
    edgenets,
    efficientnet,
    fbnet,
    ghostnet,
    igc,
    micronet,
    mixnet,
    mnasnet,
    mobilenet,
    residual,
    shufflenet,
    squeezenet,
    tinynet,
    transformers,
)

__all__ = ["QUICK", "RESOLUTIONS", "VARIANTS", "Preprocessing", "Variant", "get", "names", "select", "zoo_digest"]

RESOLUTIONS = range(32, 1025)
QUICK = ("mobilenet_v2_1.0", "mobilenet_v3_small_1.0", "shufflenet_v2_1.0", "squeezenet_1.1", "efficientnet_lite0")
VARIANTS: tuple[Variant, ...] = (
    *mobilenet.VARIANTS,
    *shufflenet.VARIANTS,
    *igc.VARIANTS,
    *squeezenet.VARIANTS,
    *residual.VARIANTS,
    *mnasnet.VARIANTS,
    *efficientnet.VARIANTS,
    *tinynet.VARIANTS,
    *mixnet.VARIANTS,
    *fbnet.VARIANTS,
    *cells.VARIANTS,
    *ghostnet.VARIANTS,
    *edgenets.VARIANTS,
    *micronet.VARIANTS,
    *transformers.VARIANTS,
    *baselines.VARIANTS,
)
_MODELS = Path(__file__).parent.parent
_BY_NAME = {variant.name: variant for variant in VARIANTS}


def names(pattern: str = "*") -> list[str]:
    """Names that match the wildcard pattern (`*`, `?`, `[...]`), in catalog order."""
    return [name for name in _BY_NAME if fnmatchcase(name, pattern)]


def get(name: str) -> Variant:
    """The variant of that name, at another resolution where the name carries one ("mobilenet_v1_1.0@192")."""
    base, resolution = _split(name)
    if base not in _BY_NAME:
        raise _unknown(base)
    return _at(_BY_NAME[base], resolution)


def select(expression: str) -> list[Variant]:
    """Variants meant by a name, a wildcard pattern, "quick" or "all", each with an optional @RESOLUTION.

    "all" is the default variant of every family, "quick" five of them that cover the common operators.
    """
    base, resolution = _split(expression)
    if base == "quick":
        chosen = [_BY_NAME[name] for name in QUICK]
    elif base == "all":
        chosen = [variant for variant in VARIANTS if variant.default]
    elif base in _BY_NAME:
        chosen = [_BY_NAME[base]]
    else:
        chosen = [_BY_NAME[name] for name in names(base)]
    if not chosen:
        raise _unknown(base)
    return [_at(variant, resolution) for variant in chosen]


def zoo_digest(variant: Variant) -> str:
    """SHA-256 over the sources that decide what an export of `variant` contains: part of its cache key."""
    module = variant.factory.partition(":")[0].rpartition(".")[2]
    digest = hashlib.sha256()
    # The inputs decide the calibrated running statistics.
    for name in (*_zoo_files(module), "weights.py", "inputs.py"):
        digest.update(hashlib.sha256((_MODELS / name).read_bytes()).digest())
    return digest.hexdigest()


@cache
def _zoo_files(module: str) -> tuple[str, ...]:
    """The file of `module` and those it imports from the zoo, directly or not, each once."""
    found = {f"zoo/{module}.py": None}
    for node in ast.walk(ast.parse((_MODELS / "zoo" / f"{module}.py").read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("models.zoo."):
            found.update(dict.fromkeys(_zoo_files(node.module.rpartition(".")[2])))
    return tuple(found)


def _split(name: str) -> tuple[str, int | None]:
    base, at, text = name.partition("@")
    if not at:
        return base, None
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) in RESOLUTIONS):
        raise UnknownModel(
            f"{name!r}: the resolution after '@' must be a whole number from {RESOLUTIONS[0]} to {RESOLUTIONS[-1]}, "
            f"not {text!r}"
        )
    return base, int(text)


def _at(variant: Variant, resolution: int | None) -> Variant:
    """`variant` at `resolution`: the same network, the same ratio of crop to resize."""
    if resolution is None or resolution == variant.resolution:
        return variant
    preprocessing = variant.preprocessing
    resize = round(preprocessing.resize * resolution / preprocessing.crop)
    return replace(
        variant,
        name=f"{variant.name}@{resolution}",
        resolution=resolution,
        default=False,
        preprocessing=replace(preprocessing, resize=resize, crop=resolution),
    )


def _unknown(name: str) -> UnknownModel:
    nearest = difflib.get_close_matches(name, _BY_NAME, n=4, cutoff=0.4)
    if any(character in name for character in "*?["):
        found = f"no model of the zoo matches {name!r}"
    else:
        found = f"no model of the zoo is named {name!r}"
    hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
    return UnknownModel(f"{found}{hint}. `bench models` lists them all, models.list() does in Python.")
