"""Rows as points of a chart, and the frontier of every selection a reader can make.

The page's script only looks frontiers up here: results.judge.pareto stays the one definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import log
from typing import Any

from dashboards import wording
from results.judge.figures import loss
from results.judge.pareto import AccuracyClass, Standing, accuracy_class, by_class, has_place, off_frontier, standings
from results.judge.twins import alike, held_against, is_reference
from results.records import Row

Point = dict[str, Any]

FREE = ("backend", "precision", "threads")
"""Fields by which a reader may choose, or not: device and accuracy class are always chosen, no frontier joins them."""
ANY = "*"
PLOT_WIDTH, PLOT_HEIGHT = 640, 380
"""Plot size in pixels for which it is decided which names fit."""
_LABEL_HEIGHT, _CHARACTER, _MARGIN = 13, 5.4, 12
LEFT_SHARE = 0.25
"""Share of the x axis kept free on the left, where the names of the fastest models stand."""


@dataclass(frozen=True)
class Chartable:
    """The rows a chart can show: those with an accuracy, or, when none has one, those with a latency.

    A row is there once for each class of its accuracies, with that accuracy alone; `origins` are the indices of the
    rows among all that were given.
    """

    rows: tuple[Row, ...]
    origins: tuple[int, ...]
    with_accuracy: bool


def chartable(rows: Sequence[Row]) -> Chartable:
    placed = [(view, index) for index, row in enumerate(rows) if has_place(row) for view in by_class(row)]
    found = placed or [
        (row, index) for index, row in enumerate(rows) if row.median_ms is not None and row.median_ms > 0
    ]
    return Chartable(tuple(row for row, _ in found), tuple(index for _, index in found), bool(placed))


def point(row: Row) -> Point:
    """What the chart draws and its tooltip says about a row, apart from its standing."""
    low, high = row.ci95_ms or (row.median_ms, row.median_ms)
    of_accuracy = -loss(row.accuracy)
    version = f", version {row.backend_version}" if row.backend_version else ""
    return {
        "name": wording.name(row),
        "model": row.model,
        "mark": wording.RECALLED_MARK if row.accuracy is not None and row.accuracy.recalled else "",
        "flags": wording.flags(row),
        "device": row.device,
        "backend": row.backend,
        "precision": row.precision,
        "threads": row.threads,
        "median": row.median_ms,
        "low": low if low else row.median_ms,  # 0 has no place on a logarithmic axis
        "high": high,
        "accuracy": row.accuracy.value if row.accuracy else None,
        "least": of_accuracy.low,
        "most": of_accuracy.high,
        "latency_text": wording.latency(row),
        "accuracy_text": wording.accuracy_text(row.accuracy),
        "source": row.accuracy.source if row.accuracy else "-",
        "configuration": wording.configuration(row) + version,
        "verdict": row.verdict.value,
        "off": off_frontier(row),
        "verdict_text": f"{row.verdict.value}: {row.reason}" if row.reason else row.verdict.value,
    }


def twins(rows: Sequence[Row]) -> dict[int, int]:
    """From each row to the one it is held against, in the same class of accuracy, by their places.

    That is from another precision to fp32, and from a transformed model to what it was before.
    """
    placed = [(place, row, accuracy_class(row)) for place, row in enumerate(rows) if has_place(row)]
    whole = {(alike(row), kind): place for place, row, kind in placed if is_reference(row)}
    keys = [(place, (held_against(row), kind)) for place, row, kind in placed]
    return {place: whole[key] for place, key in keys if key in whole}


def with_standings(rows: Sequence[Row]) -> list[Point]:
    """Points with their standing among these rows, for a chart that never changes. Frontier points are numbered."""
    result = standings(rows)
    points = [
        point(row) | {"status": standing.status, "standing": wording.standing_text(standing, rows), "label": ""}
        for row, standing in zip(rows, result, strict=True)
    ]
    for place, twin in twins(rows).items():
        points[place]["twin"] = twin
    frontier = frontier_order(rows, result)
    named, numbered = labels_that_fit(rows, frontier)
    for number, index in enumerate(frontier, 1):
        full = f"{number} {points[index]['model']}{points[index]['mark']}"
        points[index]["label"] = full if index in named else str(number) if index in numbered else ""
    return points


def frontier_order(rows: Sequence[Row], result: Sequence[Standing]) -> list[int]:
    """Indices of the undominated rows, from fast to slow; ties are not numbered."""
    frontier = [index for index, standing in enumerate(result) if standing.status == "frontier"]
    return sorted(frontier, key=lambda index: (rows[index].median_ms or 0, rows[index].model))


def labels_that_fit(rows: Sequence[Row], frontier: Sequence[int]) -> tuple[list[int], list[int]]:
    """Those of the frontier that get their name, and those that get only their number.

    Labels stand right-aligned at the upper left of their points, where a frontier has no points by definition, so
    only labels can collide. The most accurate go first.
    """
    taken: list[tuple[float, float, float]] = []
    found: list[list[int]] = [[], []]
    places = _places(rows)
    left_over = list(reversed(frontier))
    for group, only_number in zip(found, (False, True), strict=True):
        for index in left_over:
            right, top = places[index]
            characters = 2 if only_number else len(rows[index].model) + 3
            left = right - _MARGIN - _CHARACTER * characters
            hit = any(abs(top - y) < _LABEL_HEIGHT and left < end and start < right for start, end, y in taken)
            if left >= 0 and not hit:
                group.append(index)
                taken.append((left, right, top))
        left_over = [index for index in left_over if index not in group]
    return found[0], found[1]


def _places(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """About where each row is drawn, in pixels from the lower left corner."""
    drawn = [(log(row.median_ms or 1.0), row.accuracy.value if row.accuracy else 0.0) for row in rows]
    if not drawn:
        return []
    (x_low, y_low), (x_high, y_high) = (tuple(map(pick, zip(*drawn, strict=True))) for pick in (min, max))
    return [
        (
            (LEFT_SHARE + (1 - LEFT_SHARE) * (x - x_low) / ((x_high - x_low) or 1)) * PLOT_WIDTH,
            (y - y_low) / ((y_high - y_low) or 1) * PLOT_HEIGHT * 0.9,
        )
        for x, y in drawn
    ]


def lowest(points: Sequence[Point]) -> float:
    """Left end of the x axis in ms: LEFT_SHARE of a logarithmic axis lies before the fastest point."""
    if not points:
        return 1.0
    fastest, slowest = min(p["low"] for p in points), max(p["high"] for p in points)
    return float(fastest / max(slowest / fastest, 1.5) ** (LEFT_SHARE / (1 - LEFT_SHARE)))


def options(shown: Chartable) -> dict[str, list[Any]]:
    """The values of each selector, sorted. Accuracy classes are numbered in the order of their text."""
    classes = sorted({kind for row in shown.rows if (kind := accuracy_class(row)) is not None})
    values = {field: sorted({getattr(row, field) for row in shown.rows}) for field in ("device", *FREE)}
    return {"device": values.pop("device"), "accuracy": classes if shown.with_accuracy else [], **values}


def selections(shown: Chartable) -> dict[str, dict[str, list[Any]]]:
    """For every selection that holds a row: which points are shown, on what standing.

    Keys are positions in `options` joined by "|" in its order (device, accuracy, backend, precision, threads), `*` for
    all; a frontier never joins devices or accuracy classes, so these two are always chosen. Values: `frontier`, `other`
    (shown, on no frontier), `named` and `numbered` (by their label) are point indices, `tie` and `dominated`
    pairs [point, by which point].
    """
    values = options(shown)
    result = {}
    free = [[ANY, *range(len(values[field]))] for field in FREE]
    for device, kind, base in panels(shown):
        place = (values["device"].index(device), values["accuracy"].index(kind) if kind else 0)
        for chosen in product(*free):
            members = [index for index in base if _matches(shown.rows[index], values, chosen)]
            if members:
                result["|".join(map(str, (*place, *chosen)))] = _selection(shown, members)
    return result


def panels(shown: Chartable) -> Iterator[tuple[str, AccuracyClass | None, list[int]]]:
    """What may share a frontier: each device with each class of accuracy, and the indices of its rows."""
    values = options(shown)
    for device, kind in product(values["device"], values["accuracy"] or [None]):
        rows = enumerate(shown.rows)
        members = [i for i, row in rows if row.device == device and (kind is None or accuracy_class(row) == kind)]
        if members:
            yield device, kind, members


def _matches(row: Row, values: dict[str, list[Any]], chosen: tuple[Any, ...]) -> bool:
    pairs = zip(FREE, chosen, strict=True)
    return all(choice == ANY or getattr(row, field) == values[field][choice] for field, choice in pairs)


def _selection(shown: Chartable, members: list[int]) -> dict[str, list[Any]]:
    rows = [shown.rows[index] for index in members]
    result = standings(rows)
    found: dict[str, list[Any]] = {"tie": [], "dominated": [], "other": []}
    for index, standing in zip(members, result, strict=True):
        if standing.dominated_by is not None:
            found[standing.status].append([index, members[standing.dominated_by]])
        elif standing.status == "none":
            found["other"].append(index)
    frontier = frontier_order(rows, result)
    found["frontier"] = [members[index] for index in frontier]
    for key, labeled in zip(("named", "numbered"), labels_that_fit(rows, frontier), strict=True):
        found[key] = [members[index] for index in labeled]
    return found
