"""Files of the user's that a backend has pushed to a device, like a benchmark tool: kept in the workspace by content.

A case names such a file `NAME@HASH`, so that another build of a tool is another case, and a run can be resumed after
the user's own copy has changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import backends
from harness.errors import ConfigError, NothingToRun, WorkspaceError
from harness.fleet.devices import Device
from harness.link.ready import File
from harness.workspace import Workspace
from results.errors import ResultsError
from results.files import sha256_of, write_file
from results.records import Case

_sha256 = cache(sha256_of)  # of kept files, which never change

_HASH_LENGTH = 16
_KEPT = re.compile(r"([A-Za-z0-9._-]{1,100})@([0-9a-f]{16})")


def keep(workspace: Workspace, backend: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return the options with every file that the backend wants pushed kept and named by its content.

    Raises ConfigError, WorkspaceError.
    """
    return {
        option: _keep(workspace, f"{backend}.{option}", value) if option in backends.find(backend).pushed else value
        for option, value in options.items()
    }


def pushed(workspace: Workspace, device: Device, case: Case) -> dict[str, File]:
    """Return option -> the file that it names, for every option of the case that names one. Raises NothingToRun."""
    found = {}
    for option in backends.find(case.backend).pushed:
        kept = _KEPT.fullmatch(case.options.get(option, ""))
        if kept:
            source = workspace.root / "tools" / kept[2] / kept[1]
            try:
                sha256 = _sha256(source)
            except OSError as exc:
                raise NothingToRun(
                    f"{source} of this run is gone ({exc.strerror}); measure anew with bench run"
                ) from exc
            # Where models are, so that it goes as they do when nobody has used it for long.
            found[option] = File(workspace.device_root(device) / "artifacts" / sha256 / kept[1], source, sha256)
    return found


def _keep(workspace: Workspace, option: str, value: str) -> str:
    try:
        source = Path(value).expanduser()
        content = source.read_bytes()
    except (OSError, ValueError, RuntimeError) as exc:  # ~name of nobody, a name with a null byte
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise ConfigError(f"{option}: {value!r} cannot be read here, to be pushed to a device: {why}") from exc
    name = re.sub(r"[^A-Za-z0-9._-]", "_", source.name)[:100]
    digest = hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]
    target = workspace.root / "tools" / digest / name
    try:
        if not target.exists():
            write_file(target, content)
    except ResultsError as exc:
        raise WorkspaceError(str(exc)) from exc
    return f"{name}@{digest}"
