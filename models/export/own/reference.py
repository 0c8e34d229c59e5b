"""The reference of the user's own models: the host runtime's outputs, or why there are none."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.messages import is_lacking, plain
from models.export.parity import OnnxRunner, TfliteRunner
from results import records

Runner = OnnxRunner | TfliteRunner

# What this machine or NumPy lacks, besides the runtime: the file may be sound, and run elsewhere.
_HERE_ONLY = re.compile("bad_alloc|[Ff]ailed to allocate|No corresponding Numpy type")


class DoesNotRun(Exception):
    """The file is broken, or does not take these inputs; in the runtime's words."""


@dataclass
class Reference:
    """Outputs with their names; without any, `missing` says why."""

    outputs: list[NDArray[Any]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    missing: str = ""


def compute(load: Callable[[], Runner], fed: Sequence[NDArray[Any]]) -> Reference:
    """Run a file twice on this host. Raises DoesNotRun."""
    try:
        runner = load()
        first, second = runner(fed), runner(fed)
    except MemoryError:
        return Reference(missing="this machine has not enough memory to run it")
    except Exception as exc:  # the runtimes raise classes of their own, some of them undocumented
        message = shortened(str(exc))
        if not (is_lacking(str(exc)) or _HERE_ONLY.search(str(exc))):
            raise DoesNotRun(message) from exc
        return Reference(missing=f"the runtime on this machine cannot run it: {message}")
    missing = _unusable(runner.output_names, first, second)
    return Reference([] if missing else [np.asarray(array) for array in first], runner.output_names, missing)


def _unusable(names: list[str], first: list[Any], second: list[Any]) -> str:
    """Why outputs are no reference, or nothing: not plain numbers, or others on the second run."""
    for name, one, two in zip(names, first, second, strict=True):
        if not isinstance(one, np.ndarray | np.generic) or one.dtype.kind not in "fiub":
            return f"output {name} is not a tensor of numbers"
        if not _same(np.asarray(one), np.asarray(two)):
            return f"output {name} differs from run to run on the same input"
    return ""


def _same(one: NDArray[Any], two: NDArray[Any]) -> bool:
    if one.shape != two.shape:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, two))
    return bool(np.allclose(one, two, rtol=1e-5, atol=1e-6, equal_nan=True))


def shortened(message: str) -> str:
    """A runtime's message in plain words, with room beside it in a reason."""
    return records.shortened(plain(message).rstrip("."), 3000)
