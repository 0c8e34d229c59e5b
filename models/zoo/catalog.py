"""The zoo's variants by name. Reading them needs no PyTorch; building a network does (`models.create`).

A name may carry a resolution: "mobilenet_v1_1.0@192" is the network of "mobilenet_v1_1.0" for 192 x 192 images. Where
a paper has a rule for every width multiplier, a name may carry one that is not listed: "mobilenet_v1_0.6".
"""

import ast
import difflib
import hashlib
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from models.errors import UnknownModel
from models.zoo.variant import Variant as Variant
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
    segmentation,
    shufflenet,
    squeezenet,
    tinynet,
    transformers,
)

RESOLUTIONS = range(32, 1025)
# Networks whose layers without padding leave nothing of smaller images.
_LEAST = {"alexnet": 63, "alexnet_2012": 67, "inception_v3": 75}
MULTIPLIERS = (0.1, 10.0)  # the least and the greatest of width and depth
# Architectures of every width, by their names without it; the rest is defined for the widths of a table.
_SCALABLE = (
    *("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"),
    *(f"shufflenet_v1_g{groups}" for groups in (1, 2, 3, 4, 8)),
    *("igcv2", "igcv3_d", "squeezenext_23", "squeezenext_23v5"),
    *("mnasnet_a1", "mnasnet_b1", "ghostnet", "espnetv2"),
)
QUICK = ("mobilenet_v2_1.0", "mobilenet_v3_small_1.0", "shufflenet_v2_1.0", "squeezenet_1.1", "efficientnet_lite0")
_TABLES = (
    *(mobilenet, shufflenet, igc, squeezenet, residual, mnasnet, efficientnet, tinynet, mixnet),
    *(fbnet, cells, ghostnet, edgenets, micronet, transformers, baselines, segmentation),
)
VARIANTS: tuple[Variant, ...] = tuple(variant for table in _TABLES for variant in table.VARIANTS)
_MODELS = Path(__file__).parent.parent
_BY_NAME = {variant.name: variant for variant in VARIANTS}


def names(pattern: str = "*") -> list[str]:
    """Names that match the wildcard pattern (`*`, `?`, `[...]`), in catalog order."""
    return [name for name in _BY_NAME if fnmatchcase(name, pattern)]


def get(name: str) -> Variant:
    """The variant of that name, of the width and at the resolution that it carries ("mobilenet_v1_0.6@192")."""
    base, resolution = split(name)
    found = _named(base)
    if found is None:
        raise _unknown(base)
    return _at(found, resolution)


def select(expression: str) -> list[Variant]:
    """Variants meant by a name, a wildcard pattern, "quick" or "all", each with an optional @RESOLUTION.

    "all" is every default variant, "quick" five of them that cover the common operators.
    """
    base, resolution = split(expression)
    if base == "quick":
        chosen = [_BY_NAME[name] for name in QUICK]
    elif base == "all":
        chosen = [variant for variant in VARIANTS if variant.default]
    elif (named := _named(base)) is not None:
        chosen = [named]
    else:
        chosen = [_BY_NAME[name] for name in names(base)]
    if not chosen:
        raise _unknown(base)
    return [_at(variant, resolution) for variant in chosen]


def split(name: str) -> tuple[str, int | None]:
    """What stands before and after the @ of a name. Raises UnknownModel for anything but a resolution there."""
    base, at, text = name.partition("@")
    if not at:
        return base, None
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) in RESOLUTIONS):
        raise UnknownModel(
            f"{name!r}: the resolution after '@' must be a whole number from {RESOLUTIONS[0]} to {RESOLUTIONS[-1]}, "
            f"not {text!r}"
        )
    return base, int(text)


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


def _named(base: str) -> Variant | None:
    """The variant of a name without resolution: a listed one, or a listed architecture of another width."""
    if base in _BY_NAME:
        return _BY_NAME[base]
    architecture, _, text = base.rpartition("_")
    if architecture not in _SCALABLE or not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,4})?", text):
        return None
    width = float(text)
    if not MULTIPLIERS[0] <= width <= MULTIPLIERS[1]:
        raise UnknownModel(f"{base!r}: the width must be from {MULTIPLIERS[0]} to {MULTIPLIERS[1]}, not {text}")
    name = f"{architecture}_{width}"
    full = _BY_NAME[f"{architecture}_1.0"]
    scaled = replace(full, name=name, default=False, arguments={**full.arguments, "width": width})
    return _BY_NAME.get(name, scaled)


def _at(variant: Variant, resolution: int | None) -> Variant:
    """`variant` at `resolution`: the same network, the same ratio of crop to resize. Raises UnknownModel at too few."""
    if resolution is None or resolution == variant.resolution:
        return variant
    least = _LEAST.get(variant.name, RESOLUTIONS[0])
    if resolution < least:
        raise UnknownModel(f"{variant.name}@{resolution}: the network takes images of at least {least} x {least}")
    return replace(
        variant,
        name=f"{variant.name}@{resolution}",
        resolution=resolution,
        default=False,
        preprocessing=variant.preprocessing.at(resolution),
    )


def _unknown(name: str) -> UnknownModel:
    longer = [known for known in _BY_NAME if name and known.startswith(name.lower())]
    nearest = longer[:4] or difflib.get_close_matches(name.lower(), ["quick", "all", *_BY_NAME], n=4, cutoff=0.4)
    if any(character in name for character in "*?["):
        found = f"no model of the zoo matches {name!r}"
    else:
        found = f"no model of the zoo is named {name!r}"
    hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
    return UnknownModel(f"{found}{hint}. `bench models list` lists them all, models.list() does in Python.")
