"""The answer of `bench best` in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dashboards import wording
from results.judge.best import WORDS, Answer
from results.judge.figures import Figure, difference, latency, loss, ratio
from results.records import Row

_MOST_NAMES = 6


def lines(answer: Answer) -> list[str]:
    """Which, why, what is second, what noise leaves open, and what was left out."""
    told = _found(answer) if answer.best is not None else _nothing(answer)
    return [*told, *_left_out(answer)]


def facts(row: Row) -> dict[str, Any]:
    """A row of the answer as JSON values."""
    held = row.model_dump(mode="json")
    names = ("run", "case_id", "model", "backend", "precision", "method", "threads", "options", "median_ms", "ci95_ms")
    return {
        **{name: held[name] for name in names},
        "accuracy": held["accuracies"][0] if held["accuracies"] else None,
        "size_bytes": row.size_bytes,
        "peak_rss_bytes": row.peak_rss_bytes,
    }


def _found(answer: Answer) -> Iterator[str]:
    best, second, count = answer.fitting[0], answer.second, len(answer.fitting)
    yield f"Best on {answer.device}: {_described(best)}."
    among = f"the {answer.limits.aim} of {count} rows" if count > 1 else "the only row"
    yield f"Why: {among} within the limits ({_limits(answer)})."
    for limit in answer.unsure:
        yield f"Not sure: its interval reaches beyond the limit of {WORDS[limit]}."
    for limit, row in answer.better.items():
        yield f"Held back by the limit of {WORDS[limit]}: {_described(row)} {_against(row, best)}."
    if second is not None:
        yield f"Second: {_described(second)} {_against(second, best)}."
    yield from _open(answer)


def _open(answer: Answer) -> Iterator[str]:
    best = answer.fitting[0]
    for row, why in answer.open[:_MOST_NAMES]:
        compared = "; it is the second" if row == answer.second else f" {_against(row, best)}"
        yield f"Left open by noise: {wording.name(row)} {why}{compared}."
    if (more := len(answer.open) - _MOST_NAMES) > 0:
        yield f"Left open by noise: {more} more, which --json lists."


def _nothing(answer: Answer) -> Iterator[str]:
    yield f"Nothing on {answer.device} is within the limits ({_limits(answer)})."
    for one in answer.nearest:
        also = f"; it also misses {' and '.join(WORDS[name] for name in one.also)}" if one.also else ""
        yield f"Nearest to the limit of {WORDS[one.limit]}: {_described(one.row)}{also}."


def _left_out(answer: Answer) -> Iterator[str]:
    for reason, rows in answer.left_out.items():
        yield f"Left out ({reason}): {_listed(rows)}."


def _listed(rows: Sequence[Row]) -> str:
    names = [wording.name(row) for row in rows]
    more = f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"


def _limits(answer: Answer) -> str:
    limits = answer.limits
    given = [
        ("latency at most {} ms", limits.max_latency_ms, 1.0),
        ("accuracy at least {} " + answer.kind[1], limits.min_accuracy, 1.0),
        ("size at most {} MB", limits.max_size_bytes, 1e6),
        ("memory at most {} MB", limits.max_memory_bytes, 1e6),
    ]
    return ", ".join(words.format(f"{bound / unit:.4g}") for words, bound, unit in given if bound is not None) or "none"


def _described(row: Row) -> str:
    parts = [wording.latency(row), wording.accuracy_text(row.accuracy)]
    if row.size_bytes is not None:
        parts.append(f"{wording.megabytes(row.size_bytes)} MB large")
    if row.peak_rss_bytes is not None:
        parts.append(f"{wording.megabytes(row.peak_rss_bytes)} MB of memory")
    return f"{wording.name(row)}: {', '.join(parts)}"


def _against(row: Row, best: Row) -> str:
    """What is given up and what is gained by a row in place of the best, each with its interval."""
    gain = difference(loss(best.accuracy), loss(row.accuracy))
    more = "equally accurate" if gain.value == 0 else f"{abs(gain.value):.2g} {'more' if gain.value > 0 else 'less'}"
    fast, slow = ratio(latency(best), latency(row)), ratio(latency(row), latency(best))
    factor, words = (fast, "as fast") if fast.value >= 1 else (slow, "as slow")
    return f"({more}{_interval(gain, 2)}; {factor.value:.2f} times {words}{_interval(factor, 3)})"


def _interval(of: Figure, digits: int) -> str:
    return "" if of.low == of.high else f", 95 %: {of.low:.{digits}g} to {of.high:.{digits}g}"
