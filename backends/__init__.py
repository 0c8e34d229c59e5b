"""Runtimes, one file each. Runs on the device, so: Python 3.8, the standard library, NumPy and the runtime.

A backend is looked up by name: the built-in ones from the table below, imported when asked for, others from the entry
point group `edgebench.backends`.
"""

import importlib
from typing import Dict, List, Type

from backends.base import Backend, Session, Unsupported

__all__ = ["BUILTIN", "DEFAULT", "Backend", "Session", "UnknownBackend", "Unsupported", "find", "names", "reference"]

BUILTIN = {
    "onnxruntime": "backends.onnxruntime:OnnxRuntime",
    "openvino": "backends.openvino:OpenVino",
    "tflite": "backends.tflite:TFLite",
    "benchmark_model": "backends.benchmark_model:BenchmarkModel",
    "benchmark_app": "backends.benchmark_app:BenchmarkApp",
    "litert_benchmark": "backends.litert_benchmark:LitertBenchmark",
    "fake": "backends.fake:Fake",
}  # type: Dict[str, str]

# What `bench run` measures when nothing else is asked for.
DEFAULT = ("onnxruntime", "openvino", "tflite")

GROUP = "edgebench.backends"


class UnknownBackend(Exception):
    """No backend of that name; the message lists those there are."""

    exit_code = 2


def _third_party() -> Dict[str, str]:
    """Return name -> "module:Class" of the installed packages' entry points."""
    from importlib import metadata

    found = metadata.entry_points()
    # Python 3.8 and 3.9 return a dict, later ones an object with select().
    group = found.select(group=GROUP) if hasattr(found, "select") else found.get(GROUP, ())
    return {point.name: point.value for point in group}


def names() -> List[str]:
    """Return the names of every backend known here. Raises UnknownBackend when two claim one name."""
    others = _third_party()
    for name in set(others) & set(BUILTIN):
        raise UnknownBackend("two backends are called {}: {} and {}".format(name, BUILTIN[name], others[name]))
    return [*BUILTIN, *sorted(others)]


def reference(name: str) -> str:
    """Return "module:Class" of the backend. Raises UnknownBackend."""
    if name in BUILTIN:
        return BUILTIN[name]
    others = _third_party()
    if name not in others:
        known = ", ".join(names())
        raise UnknownBackend("no backend is called {!r}; there are: {}".format(name, known))
    return others[name]


def find(name: str) -> Type[Backend]:
    """Return the backend's class, without importing its runtime. Raises UnknownBackend."""
    return load_class(reference(name))


def load_class(target: str) -> Type[Backend]:
    """Import "module:Class"."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
