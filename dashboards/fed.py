"""What a model was fed, in words: shapes, what was made up, and how to give it instead."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from results.records import InputSpec, Row, input_keys

_NAMELESS = "(nameless)"
_MOST_SHAPES, _MOST_INPUTS = 3, 6


def shapes(inputs: Sequence[InputSpec]) -> str:
    """Like `1x3x320x320`, several joined by a comma, each once."""
    found = list(dict.fromkeys(size(spec) for spec in inputs))
    more = [f"+{len(found) - _MOST_SHAPES}"] if len(found) > _MOST_SHAPES else []
    return ",".join(found[:_MOST_SHAPES] + more)


def size(spec: InputSpec) -> str:
    """Like `1x3x320x320`; `scalar` of one number."""
    return "x".join(map(str, spec.shape)) or "scalar"


def described(inputs: Sequence[InputSpec]) -> str:
    """Each input with its type and shape."""
    return "; ".join(f"{spec.name or _NAMELESS}: {spec.dtype} {size(spec)}" for spec in inputs)


def sources(inputs: Sequence[InputSpec]) -> str:
    """Where the values and sizes of each input come from, as far as somebody said so."""
    parts = []
    for spec in inputs:
        words = [spec.values] if spec.values else []
        words += [f"sizes made up, the file says {declared(spec)}"] if "sizes" in spec.made_up else []
        parts += [f"{spec.name or _NAMELESS}: {', '.join(words)}"] if words else []
    return "; ".join(parts)


def declared(spec: InputSpec) -> str:
    """The dimensions as the file has them."""
    return f"[{', '.join('?' if dim is None else str(dim) for dim in spec.dims or spec.shape)}]"


def made_up(inputs: Sequence[InputSpec]) -> str:
    """What was made up, and the options that give it; "" when nothing was."""
    values = [spec for spec in inputs if "values" in spec.made_up]
    sizes = [spec for spec in inputs if "sizes" in spec.made_up]
    words = []
    if values:
        words.append(f"values of {_listed([f'{spec.name or _NAMELESS} ({_kind(spec)})' for spec in values])}")
    if sizes:
        words.append(
            f"sizes of {_listed([f'{spec.name or _NAMELESS} ({declared(spec)} as {size(spec)})' for spec in sizes])}"
        )
    if not words:
        return ""
    keys = list(zip(input_keys(inputs), inputs, strict=True))
    options = [
        f"{option} {shlex.quote(key)}=…"
        for option, kind in (("--input", "values"), ("--input-shape", "sizes"))
        for key in [key for key, spec in keys if kind in spec.made_up][:_MOST_INPUTS]
    ]
    return f"{'; '.join(words)}. To give them: {' '.join(options)}"


def _kind(spec: InputSpec) -> str:
    values = spec.values.removeprefix("made up: ")
    return f"{values}, {spec.dtype} {size(spec)}" if values else f"{spec.dtype} {size(spec)}"


def _listed(parts: Sequence[str]) -> str:
    more = [f"{len(parts) - _MOST_INPUTS} more"] if len(parts) > _MOST_INPUTS else []
    return ", ".join([*parts[:_MOST_INPUTS], *more])


def particulars(row: Row) -> list[tuple[str, str]]:
    """What a reader must know of what was measured of a model, as (what, words)."""
    words = made_up(row.inputs)
    found = [("made up", words)] if words else []
    if row.signature is not None:
        found.append(("signature", f"{row.signature} ran; --signature chooses another"))
    if row.shapes_fixed == "in a copy":
        found.append(("copy", "a copy of the file with its sizes written into it was measured"))
    return found


def differ(rows: Sequence[Row]) -> bool:
    """Whether a table needs their shapes: sizes were set, or they differ among models whose names do not tell them.

    The same sizes in another order, as formats have them, are no difference.
    """
    outside = [row for row in rows if row.family is None and row.inputs]
    kinds = {frozenset(tuple(sorted(spec.shape)) for spec in row.inputs) for row in outside}
    return len(kinds) > 1 or any(spec.is_dynamic for row in outside for spec in row.inputs)
