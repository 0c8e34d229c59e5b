"""Trained weights that ship with the package: `<set>/<model>.safetensors`, a set for each data set.

Listing them reads no file.
"""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".safetensors"
_FOLDER = Path(__file__).parent


def sets() -> tuple[str, ...]:
    """The names of the sets, each that of a data set."""
    return tuple(sorted({path.parent.name for path in _FOLDER.glob(f"*/*{SUFFIX}")}))


def files(name: str) -> dict[str, Path]:
    """The checkpoints of a set by the names of their models, like "mobilenet_v2_0.35@48"."""
    return {path.name.removesuffix(SUFFIX): path for path in sorted((_FOLDER / name).glob(f"*{SUFFIX}"))}
