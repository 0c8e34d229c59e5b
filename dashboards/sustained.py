"""Minutes without a pause: which rows change places on the frontier, and their part of the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dashboards import wording
from results.judge.device.sustained import SLOWER, Change, changes
from results.records import Row, Sustained, Verdict, shortened

MOST_CURVES = 20


def notices(rows: Sequence[Row]) -> list[str]:
    """What the latencies of these rows are, and who changes places; nothing without such rows."""
    measured = [row for row in rows if row.sustained is not None]
    if not measured:
        return []
    lines = [
        "Sustained: the latency is that of the last fifth of minutes without a pause; the column says how the speed "
        "changed from the first minute."
    ]
    found = [_in_words(rows, change) for change in changes(rows)]
    if not found and sum(row.accuracy is not None and row.verdict is Verdict.VALID for row in measured) > 1:
        found = ["No row changes places on the frontier between the first minute and the end."]
    return lines + found


def _in_words(rows: Sequence[Row], change: Change) -> str:
    row = rows[change.row]
    was, is_now = ("not ", "") if change.comes else ("", "not ")
    over = "" if change.by is None else f", where {wording.name(rows[change.by])} is better"
    where, late = (over, "") if change.comes else ("", over)
    return (
        f"{row.device}: {wording.name(row)} is {was}on the frontier at first{where}, and {is_now}at the end{late} "
        f"({wording.milliseconds(_of(row).peak_ms)} ms, then {wording.milliseconds(row.median_ms)} ms)."
    )


def _of(row: Row) -> Sustained:
    assert row.sustained is not None  # noqa: S101 - asked only of such rows
    return row.sustained


def section(rows: Sequence[Row]) -> str:
    """The part of the page: for each device its curves, and a table of them; "" without any."""
    measured = [row for row in rows if row.sustained is not None]
    if not measured:
        return ""
    from dashboards.curves import drawing

    numbers = {id(row): number for number, row in enumerate(measured, 1)}
    parts = []
    for device in dict.fromkeys(row.device for row in measured):
        of_device = [row for row in measured if row.device == device]
        drawn = sorted(of_device, key=lambda row: -_of(row).loss_share)[:MOST_CURVES]
        few = f" Drawn are the {MOST_CURVES} that lost most." if len(drawn) < len(of_device) else ""
        title = f"Latency of each row on {device} relative to its latency at first, over time.{few}"
        parts += [
            f"<h3>{escape(device)}</h3>",
            f'<div class="curves" role="img" aria-label="{escape(title)} The table below has the figures.">',
            drawing([(numbers[id(row)], row) for row in drawn]),
            f'</div><p class="key">{escape(title)} Faded: not valid. Dotted: {SLOWER:g} times the latency.</p>',
        ]
    told = "".join(f"<li>{escape(line)}</li>" for line in notices(rows))
    return (
        '<section aria-labelledby="sustained-heading"><h2 id="sustained-heading">Sustained</h2>'
        f"<ul>{told}</ul>{''.join(parts)}{_table(measured, numbers)}</section>"
    )


_HEADS = ("", "Model", "Verdict", "Minutes", "At first", "At the end", "Speed", "Throttled after", "Hottest", "Why")
_NUMBER = ' class="number"'


def _table(rows: Sequence[Row], numbers: dict[int, int]) -> str:
    heads = "".join(f'<th scope="col"{_NUMBER if head in _HEADS[3:9] else ""}>{head}</th>' for head in _HEADS)
    lines = "".join(_line(numbers[id(row)], row) for row in rows)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="sustained-heading"><table>'
        "<caption>Latencies in ms, at first and in the last fifth of the time.</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _line(number: int, row: Row) -> str:
    found = _of(row)
    after = "" if found.throttled_after_s is None else f"{found.throttled_after_s:.3g} s"
    hottest = "" if found.hottest_c is None else f"{found.hottest_c:.0f} °C"
    cells = (
        f"{found.minutes:.3g}",
        wording.milliseconds(found.peak_ms),
        wording.milliseconds(row.median_ms),
        wording.change(-found.loss_share),
        after,
        hottest,
    )
    ended = "" if found.ended in row.reason else found.ended
    why = "; ".join(filter(None, (row.reason, ended, found.why)))
    style = "" if row.verdict is Verdict.VALID else ' class="bad"'
    told = f"<td>{row.verdict.value}</td>" + "".join(f"<td{_NUMBER}>{escape(cell)}</td>" for cell in cells)
    name = escape(shortened(wording.name(row), 200))
    words = escape(shortened(why, 400))
    return f'<tr{style}><td>{number}</td><th scope="row">{name}</th>{told}<td class="words">{words}</td></tr>'
