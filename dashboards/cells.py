"""What stands in the cells of a row's columns (`results.columns`), in the terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

from dashboards import fed, measured, wording
from results.columns import COLUMNS, Column
from results.judge.pareto import Standings, standings_by_class, unsound
from results.records import Row, Verdict, shortened

_IN_WORDS = (
    "standing",
    "reason",
    "notes",
    "source",
    "made_up",
    "unverified",
    "nonfinite",
    "destroyed",
    "evaluation",
    "unevaluated",
    "chosen",
)
_OF_LATENCY = ("median_ms", "ci95_ms", "percentiles_ms", "load_ms", "cold_load_ms", "load_peak_rss_bytes",
               "cold_load_peak_rss_bytes", "first_ms", "peak_rss_bytes", "n_restarts", "n_iterations")  # fmt: skip
_LONG, _VERY_LONG = 40, 400


def text(key: str, row: Row) -> str:
    """A cell as it reads everywhere, by the unit in its key unless it is worded in its own way."""
    if key in _OWN:
        return _OWN[key](row)
    value = getattr(row, key)
    if key.endswith("_ms"):
        return wording.milliseconds(value)
    if key.endswith("_bytes"):
        return wording.megabytes(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={held}" for name, held in sorted(value.items()))
    return "" if value is None else str(value)


_OWN: dict[str, Callable[[Row], str]] = {
    "median_ms": wording.median,
    "ci95_ms": wording.interval_of,
    "percentiles_ms": lambda row: wording.milliseconds(row.percentiles_ms.get("p90")),
    "observed_ms": wording.observed,
    "lost_share": wording.lost,
    "sustained": lambda row: wording.from_peak(row.sustained),
    "accuracies": measured.marks,
    "against_fp32": measured.against_fp32,
    "evaluation": measured.in_detail,
    "asked": lambda row: ", ".join(row.asked),
    "notes": wording.notes,
    "source": lambda row: "; ".join(dict.fromkeys(accuracy.source for accuracy in row.accuracies)),
    "inputs": lambda row: fed.shapes(row.inputs),
    "made_up": lambda row: fed.sources(row.inputs),
    "shapes_fixed": lambda row: "" if row.shapes_fixed == "in the file" else row.shapes_fixed or "",
    "throughput_per_s": lambda row: wording.milliseconds(row.throughput_per_s),
    "snr_db": lambda row: "" if row.snr_db is None else f"{row.snr_db:.1f}",
    "speedup": lambda row: "" if row.speedup is None else f"{row.speedup:.2f}",
    "placement": lambda row: wording.elsewhere(row.placement),
    "chosen": lambda row: "auto" if row.chosen else "",
    "quality": lambda row: "" if row.quality is None else wording.quality(row.quality),
    "top1_agreement": lambda row: "" if row.top1_agreement is None else f"{row.top1_agreement:.4g}",
}


def some(column: Column, rows: Sequence[Row]) -> bool:
    """Whether a column has its place beside these rows."""
    if column.key in _OF_LATENCY and rows and not any("latency" in row.asked for row in rows):
        return False
    if column.key in ("batch", "throughput_per_s"):
        return any((row.batch or 0) > 1 for row in rows)
    return not column.seldom or any(text(column.key, row) for row in rows)


def on_page(rows: Sequence[Row]) -> list[Column]:
    """The columns of the page's table."""
    return [column for column in COLUMNS if column.head and some(column, rows)]


def page_head(rows: Sequence[Row]) -> str:
    """The heads of the page's table; a pointer on one shows what it means."""
    return "".join(_head(column) for column in on_page(rows))


def _head(column: Column) -> str:
    kind, means = ' class="number"' if column.is_number else "", escape(column.means.replace("`", ""))
    button = f'<button type="button">{escape(column.head)}</button>'
    return f'<th scope="col" aria-sort="none" title="{means}"{kind}>{button}</th>'


def page_lines(rows: Sequence[Row], points: Mapping[int, Sequence[int]]) -> str:
    """A line of the page's table per row in the order given, with its standing among all of them.

    `points` are the places in the chart of a row at an index.
    """
    found, columns = standings_by_class(rows), on_page(rows)
    return "\n".join(_line(rows, columns, index, found[index], points.get(index, ())) for index in range(len(rows)))


def _line(rows: Sequence[Row], columns: Sequence[Column], index: int, found: Standings, points: Sequence[int]) -> str:
    row = rows[index]
    on_frontier = any(standing.on_frontier for standing in found.values())
    unbelieved = row.verdict is not Verdict.VALID or (row.n_restarts > 0 and unsound(row))
    style = "frontier" if on_frontier else "bad" if unbelieved else ""
    attributes = (f' class="{style}"' if style else "") + (f' data-p="{" ".join(map(str, points))}"' if points else "")
    return f"<tr{attributes}>{''.join(_cell(column, row, found, rows) for column in columns)}</tr>"


def _cell(column: Column, row: Row, found: Standings, rows: Sequence[Row]) -> str:
    words = _words(column.key, row, found, rows)
    style = "words" if column.key in _IN_WORDS else "long" if len(words) > _LONG else ""  # else on one line
    style = f' class="{style}"' if style else ""
    if column.key == "model":
        return f'<th scope="row"{style}>{escape(words)}</th>'
    if column.is_number:
        value = _value(column.key, row)
        failed = " failed" if column.key == "accuracies" and row.evaluation and row.evaluation.check else ""
        title = f' title="{escape(row.evaluation.check)}"' if failed and row.evaluation else ""
        return f'<td class="number{failed}"{title} data-v="{"" if value is None else value!r}">{escape(words)}</td>'
    if column.key == "evaluation":
        return f'<td class="words">{measured.detail_html(row)}</td>'
    if column.key in _IN_WORDS and len(words) > _VERY_LONG:  # a line of the table is not a page high
        short = escape(shortened(words, _VERY_LONG))
        return f"<td{style}><details><summary>{short}</summary>{escape(words)}</details></td>"
    return f"<td{style}>{escape(words)}</td>"


def _words(key: str, row: Row, found: Standings, rows: Sequence[Row]) -> str:
    """A cell of the page, which has room for what the terminal says beside its table."""
    if key == "standing":
        return wording.standings_text(found, rows)
    if key == "verdict" and row.fallback:
        return f"{row.verdict.value}, fell back"
    if key == "chosen":
        return row.chosen
    if key == "inputs":
        return fed.described(row.inputs)
    if key == "backend" and (version := row.backend_version):
        return version if version.split()[0] == row.backend else f"{row.backend} ({version})"
    return text(key, row)


def _value(key: str, row: Row) -> float | int | None:
    """What a column of numbers is sorted by: of an interval its width, of several accuracies the first."""
    if key == "ci95_ms":
        return None if row.ci95_ms is None else row.ci95_ms[1] - row.ci95_ms[0]
    if key == "percentiles_ms":
        return row.percentiles_ms.get("p90")
    if key == "observed_ms":
        return row.observed_ms.get("p50")
    if key == "sustained":
        return None if row.sustained is None else -row.sustained.loss_share
    if key == "accuracies":
        return None if row.accuracy is None else row.accuracy.value
    if key == "against_fp32":
        return None if row.evaluation is None or row.evaluation.loss is None else -row.evaluation.loss
    value = getattr(row, key)
    return value if isinstance(value, (int, float)) else None
