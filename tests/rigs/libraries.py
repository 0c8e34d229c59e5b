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


def paths(folder: Path, packages: tuple[str, ...] = PACKAGES) -> list[str]:
    """What a PYTHONPATH needs so that all can be imported; fetches them into `folder` at most once."""
    names = [package.partition("==")[0] for package in packages]
    try:
        for name in names:
            importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        if not all((folder / name).is_dir() for name in names):
            _fetch(folder, packages)
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


def _fetch(folder: Path, packages: tuple[str, ...]) -> None:
    # Their dependencies would bring another PyTorch; the converters' environment already has what is really imported.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*command, "--upgrade", "--target", str(folder), *packages], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unavailable(f"{' and '.join(packages)} cannot be installed: {done.stderr.strip()[-200:]}")
