"""The user's ~/.ssh/config as paramiko takes it: with `Include`s in place, without what only ssh itself can judge."""

from __future__ import annotations

import glob
import io
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import paramiko

from harness.errors import ConnectError
from harness.transports.ssh.files import read

_MAX_INCLUDES = 8
_MAX_FILES = 200

# Words of `Match` that paramiko judges: those alone, and those with something behind them. Others it takes for true.
_ALONE = {"all", "canonical", "final"}
_WITH_VALUE = {"host", "originalhost", "user", "localuser"}
_NEVER = "Host !*"


def look_up(host: str) -> paramiko.config.SSHConfigDict:
    """Return what the configuration says of a host. Raises ConnectError."""
    path = Path.home() / ".ssh" / "config"
    try:
        text = "\n".join(_lines(path, 0, iter(range(_MAX_FILES)))) if path.exists() else ""
        return paramiko.SSHConfig.from_file(io.StringIO(text)).lookup(host)
    except (OSError, RuntimeError, ValueError, paramiko.SSHException) as exc:  # RuntimeError: no such user's home
        raise ConnectError(f"{path} cannot be read: {exc}") from exc


def expanded(file: str) -> Path:
    """Return an IdentityFile with its `${VARIABLE}`s put in. Raises ConnectError."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConnectError(f"~/.ssh/config has IdentityFile {file}, but the environment has no {match[1]}")
        return os.environ[match[1]]

    return Path(re.sub(r"\$\{([^}]*)\}", value, file)).expanduser()


def _lines(path: Path, depth: int, files: Iterator[int]) -> Iterator[str]:
    """Yield a configuration's lines with its `Include`s in place, which paramiko passes over."""
    if next(files, None) is None:
        raise ValueError(f"more than {_MAX_FILES} files are included")
    try:
        content = read(path)
    except OSError as exc:
        raise ValueError(f"{path}: {exc.strerror}") from exc
    for line in content.decode("utf-8", "replace").splitlines():
        # A comment at the end, which paramiko takes for more words.
        bare = re.sub(r"""("[^"]*"|'[^']*')|\s#.*""", lambda match: match[1] or "", line)
        match = re.fullmatch(r"\s*(include|match)[\s=]+(.+?)\s*", bare, re.IGNORECASE)
        if match is None:
            yield bare
        elif match[1].lower() == "match":
            yield _judged(match[2])
        elif depth < _MAX_INCLUDES:
            for pattern in match[2].replace('"', "").split():
                for included in sorted(glob.glob(str(Path.home() / ".ssh" / Path(pattern).expanduser()))):  # noqa: PTH207 - absolute patterns too
                    yield from _lines(Path(included), depth + 1, files)


def _judged(conditions: str) -> str:
    """Return the line for a `Match`: as it is, or one that never holds where nobody here can tell whether it does."""
    words, line = iter(shlex.split(conditions)), ["Match"]
    for word in words:
        name = word.lower().removeprefix("!")
        if name not in _ALONE | _WITH_VALUE:
            return _NEVER
        line += [word.lower(), *([next(words, "")] if name in _WITH_VALUE else [])]
    return shlex.join(line)
