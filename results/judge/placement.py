"""What of a graph ran elsewhere than asked for, from what a runtime says of itself (`backends.base.Session.actual`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from results.records import MOST_NODES, Placement, Restart

_MOST_PLACES = 64
_MOST_MULTIPLY_ADDS = 2**62
_SHOWN_KINDS = 4


def placement(actual: Mapping[str, Any]) -> Placement | None:
    """None where no accelerator was asked for; of what makes no sense nothing is known."""
    said = actual.get("asked")
    asked = [name for name in said if isinstance(name, str) and name][:_MOST_PLACES] if isinstance(said, list) else []
    if not asked:
        return None
    shown = tuple(name[:64] for name in asked)
    nodes = _counts(actual.get("placement"), MOST_NODES)
    total, elsewhere = sum(nodes.values()), _elsewhere(nodes, asked)
    if not 0 < total <= MOST_NODES:
        return Placement(asked=shown)
    share: float | None = None
    if elsewhere in (0, total):
        share = elsewhere / total
    else:
        work = _counts(actual.get("multiply_adds"), _MOST_MULTIPLY_ADDS)
        if any(work.values()):
            share = _elsewhere(work, asked) / sum(work.values())
    return Placement(asked=shown, nodes=total, nodes_elsewhere=elsewhere, multiply_adds_share_elsewhere=share)


def of_row(restarts: Sequence[Restart]) -> Placement | None:
    """That of the restart of which most is elsewhere."""
    found = [one for restart in restarts if (one := placement(restart.actual)) is not None]
    return max(found, key=lambda one: (one.nodes_elsewhere or 0, one.nodes is not None), default=None)


def fallback(actual: Mapping[str, Any]) -> str:
    """What was asked for and not given, in words, with the share of multiply-adds that it makes; "" for nothing."""
    said, found = actual.get("fallback"), placement(actual)
    words = said if isinstance(said, str) else ""
    is_part = found is not None and found.nodes_elsewhere not in (None, 0, found.nodes)
    if not words or found is None or not is_part:
        return words
    share = found.multiply_adds_share_elsewhere
    return f"{words} ({'an unknown share' if share is None else percent(share)} of the multiply-adds)"


def percent(share: float) -> str:
    """A share in three digits; neither nothing nor everything is said where it is not."""
    if 0 < share < 0.001 or 0.999 < share < 1:
        return "under 0.1 %" if share < 0.5 else "over 99.9 %"
    return f"{100 * share:.3g} %"


def left(actual: Mapping[str, Any]) -> str:
    """The kinds of operators that the accelerator did not take, most first; "" where nobody tells."""
    counts = _counts(actual.get("left"), MOST_NODES)
    most = sorted(counts, key=lambda kind: (-counts[kind], kind))
    return ", ".join(f"{counts[kind]} {kind[:64]}" for kind in most[:_SHOWN_KINDS]) + (
        " and others" if len(most) > _SHOWN_KINDS else ""
    )


def _counts(said: Any, limit: int) -> dict[str, int]:
    """{name: number}; {} where any of it is no such thing, since half of a sum would be a wrong one."""
    if not isinstance(said, dict):
        return {}
    counts = {str(name): count for name, count in said.items() if type(count) is int and 0 <= count <= limit}
    return counts if len(counts) == len(said) else {}


def _elsewhere(counts: Mapping[str, int], asked: Sequence[str]) -> int:
    return sum(count for where, count in counts.items() if where not in asked)
