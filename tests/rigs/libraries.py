"""timm and torchvision for worker processes: those installed, or else fetched into a scratch folder."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = ("timm==1.0.31", "torchvision==0.28.0")
OPERATORS = Path(__file__).parent / "torchvision_operators"


class Unavailable(Exception):
    """The packages cannot be had here; the message says why."""


def paths(folder: Path) -> list[str]:
    """What a PYTHONPATH needs so that both can be imported; fetches them into `folder` at most once."""
    try:
        for package in ("timm", "torchvision"):
            importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        if not (folder / "torchvision").is_dir():
            _fetch(folder)
        return [str(OPERATORS), str(folder)]
    return []


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """This process sees the packages' metadata, and the processes that it starts can import them."""
    added, before = paths(folder), os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*added, *filter(None, [before])])
    sys.path[:0] = added
    try:
        yield
    finally:
        del sys.path[: len(added)]
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _fetch(folder: Path) -> None:
    # Their dependencies would bring another PyTorch; the converters' environment already has what is really imported.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*command, "--target", str(folder), *PACKAGES], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{' and '.join(PACKAGES)} cannot be installed: {done.stderr.strip()[-200:]}")
