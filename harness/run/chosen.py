"""Which files of a model a backend runs for the precisions that were asked for, or why none. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import backends
from backends.base import Way

HINT = "hint"
"""The method of a case whose fp32 file the runtime itself computes in another precision."""


@dataclass(frozen=True)
class Files:
    """An artifact as the plan sees it: what it is, and the hashes of its model file and of its reference pair.

    The hashes are None while it is not made yet; `failure` says why it could not be made, `is_unsupported` that nothing
    is wrong with it.
    """

    format: str
    precision: str
    sha256: str | None = None
    io_sha256: str | None = None
    failure: str = ""
    is_unsupported: bool = False
    method: str = ""


@dataclass(frozen=True)
class PlannedModel:
    """A model as the plan sees it: its artifacts, at least one, no two of one format, precision and method."""

    name: str
    artifacts: Sequence[Files]


@dataclass(frozen=True)
class Chosen:
    """What one case runs, and the backend's own options that belong to it; without `files` why there is nothing."""

    precision: str
    method: str = ""
    files: Files | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    unsupported: str = ""

    def __hash__(self) -> int:
        return hash((self.precision, self.method, self.unsupported))


def choose(model: PlannedModel, backend: str, precisions: Sequence[str]) -> list[Chosen]:
    """One entry for each precision and way, or for each file as it was exported or given where none is asked for."""
    readable = _readable(model, backend)
    given = [files for files in readable if not files.method]
    if not readable:
        formats = backends.find(backend).formats
        has = dict.fromkeys(there.format for there in model.artifacts)
        words = f"{backend} reads {' and '.join(formats)}; the model is there as {' and '.join(has)}"
        return [Chosen(asked, unsupported=words) for asked in precisions or (model.artifacts[0].precision,)]
    if not precisions:
        return [_as_is(files) for files in given]
    return list(dict.fromkeys(one for asked in precisions for one in _asked(model, backend, given, readable, asked)))


def file_of(precision: str, method: str) -> tuple[str, str]:
    """Precision and method of the file that a case with these runs."""
    return ("fp32", "") if method == HINT else (precision, method)


def ways(backend: str, precision: str) -> tuple[Way, ...]:
    """How a backend can compute in a precision; none where it cannot."""
    found = backends.find(backend).precisions.get(precision, ())
    return () if isinstance(found, str) else found


def _asked(
    model: PlannedModel, backend: str, given: Sequence[Files], readable: Sequence[Files], asked: str
) -> list[Chosen]:
    """What is there in the precision as it was given; else every way to make it; else what nobody has read yet."""
    as_is = [_as_is(files) for files in given if files.precision == asked]
    if as_is:
        return as_is
    found = ways(backend, asked)
    made = [one for way in found for one in _made(asked, way, readable)]
    unread = [_as_is(files) for files in given if found and files.precision == "unknown"]
    return made or unread or [Chosen(asked, unsupported=_why_not(model, backend, given, asked))]


def _as_is(files: Files) -> Chosen:
    return Chosen(files.precision, files.method, files)


def _made(asked: str, way: Way, readable: Sequence[Files]) -> list[Chosen]:
    found = [
        files
        for files in readable
        if (files.precision, files.method) == (way.precision, way.method)
        and (not way.formats or files.format in way.formats)
    ]
    return [Chosen(asked, HINT if way.hint else way.method, files, dict(way.hint)) for files in found[:1]]


def _why_not(model: PlannedModel, backend: str, given: Sequence[Files], asked: str) -> str:
    reason = backends.find(backend).precisions.get(asked, f"{backend} has no way to compute in {asked}")
    if isinstance(reason, str):
        return reason
    formats = dict.fromkeys(name for way in reason for name in way.formats)
    there = dict.fromkeys(files.precision for files in given)
    if formats and not any(files.format in formats for files in given):
        has = " and ".join(dict.fromkeys(files.format for files in given))
        return f"{backend} runs {asked} of {' and '.join(formats)} files; {model.name} is there as {has}"
    return f"{asked} is made of an fp32 file, and {model.name} is there in {' and '.join(there)}"


def _readable(model: PlannedModel, backend: str) -> list[Files]:
    """Every file of the best format that the backend reads, of what could be made if anything could."""
    by_format = [
        [files for files in model.artifacts if files.format == name] for name in backends.find(backend).formats
    ]
    made = (found for found in by_format if not all(files.failure for files in found))
    return next(made, next(filter(None, by_format), []))


def failure(model: PlannedModel, backend: str, precision: str, method: str) -> str | None:
    """Why the file that a case runs could not be made, None if it was."""
    found = [
        files for files in _readable(model, backend) if (files.precision, files.method) == file_of(precision, method)
    ]
    return next((files.failure for files in found if files.failure), None)
