"""Rows for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from dashboards import controls, fed, measured, sustained, wording
from dashboards.cells import some, text
from dashboards.wording import clean
from results.columns import COLUMNS, Column
from results.judge.change import control
from results.judge.pareto import Standings, standings_by_class
from results.records import Row, Verdict, shortened

WIDE = 120
"""Columns of the terminal from which load, first inference and memory have columns of their own."""
_PLAIN_WIDTH = 160

_STYLES = {
    Verdict.VALID: "green",
    Verdict.UNSTABLE: "yellow",
    Verdict.CONTENDED: "yellow",
    Verdict.THROTTLED: "yellow",
    Verdict.NOT_COMPARABLE: "yellow",
    Verdict.UNSUPPORTED: "dim",
    Verdict.FAILED: "red",
    Verdict.OFFLINE: "red",
}
_FOLDED = 8
_MARKS = {"frontier": "F", "tie": "=", "dominated": "", "none": ""}


def print_table(rows: Sequence[Row], console: Console | None = None) -> None:
    """Print a table per device, then why rows are not valid and what was measured, then what a reader must know.

    Names come from outside: they are printed as plain text, without markup and without control characters.
    """
    rows, of_control = control.apart(rows)
    console = console or Console()
    if not console.is_terminal:  # what is piped has no width, and nothing that reads it is served by 80 columns
        console = Console(file=console.file, width=max(console.width, _PLAIN_WIDTH), no_color=True)
    for table in make_tables(rows, console.width):
        console.print(table, highlight=False, crop=False)
        console.print()
    for line in reasons(rows):
        console.print(line, soft_wrap=True, highlight=False)
    for words in controls.lines(of_control):
        console.print(Text(clean(words)), soft_wrap=True, highlight=False)
    for words in _legend(rows):
        console.print(Text(clean(words), style="dim"), soft_wrap=True, highlight=False)


def make_tables(rows: Sequence[Row], width: int) -> list[Table]:
    """A table for each device, in the order of the rows; what all its rows share moves into its title."""
    found = list(zip(rows, standings_by_class(rows), strict=True))
    devices = dict.fromkeys(row.device for row in rows)
    return [_table(device, [(row, s) for row, s in found if row.device == device], width) for device in devices]


def _table(device: str, found: Sequence[tuple[Row, Standings]], width: int) -> Table:
    shared = _shared([row for row, _ in found])
    wide = width >= WIDE
    title = Text(", ".join([clean(device), *(f"{key} {value}" for key, value in shared.items())]), style="bold")
    padding = (0, 2 if wide else 1, 0, 0)
    table = Table(box=None, padding=padding, title=title, title_justify="left", header_style="bold")
    rows = [row for row, _ in found]
    columns = [c for c in COLUMNS if c.short and c.key not in shared and (wide or not c.wide) and some(c, rows)]
    if not fed.differ(rows):
        columns = [column for column in columns if column.key != "inputs"]
    if not any(row.untransformed for row in rows):
        columns = [column for column in columns if column.key != "size_bytes"]
    for column in columns:
        folding = column.key in ("model", "backend", "precision", "inputs")
        side: JustifyMethod = "right" if column.is_number else "left"
        table.add_column(column.short, justify=side, overflow="fold", no_wrap=not folding)
    for row, standing in found:
        table.add_row(*(_cell(column, row, standing) for column in columns))
    if (least := _least_width(table)) > width:
        table.width = least  # the terminal breaks the lines; a figure that lost its last digits would be another
    return table


def _least_width(table: Table) -> int:
    """The width in which no figure is cut, and names are folded into what can still be read."""
    widths = [max(cell_len(str(cell)) for cell in (column.header, *column.cells)) for column in table.columns]
    return sum(
        (length if column.no_wrap else min(length, _FOLDED)) + 1
        for length, column in zip(widths, table.columns, strict=True)
    )


def reasons(rows: Sequence[Row]) -> list[Text]:
    """One line for each reason why rows are not valid, for what fell back, and for what was decided for the user."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for row in rows:
        if row.verdict is not Verdict.VALID:
            key = (row.verdict.value, _STYLES[row.verdict], row.device, row.reason)
            found.setdefault(key, []).append(wording.name(row))
    for row in rows:
        if row.fallback:
            found.setdefault(("fell back", "yellow", row.device, row.fallback), []).append(wording.name(row))
    for row in rows:
        if row.evaluation is not None and row.evaluation.check:
            found.setdefault(("too inaccurate", "red", row.device, row.evaluation.check), []).append(wording.name(row))
        if row.unevaluated and row.unevaluated != row.reason:
            found.setdefault(("not evaluated", "red", row.device, row.unevaluated), []).append(wording.name(row))
    for row in rows:
        for note in (*row.notes, *(row.evaluation.notes if row.evaluation is not None else ())):
            found.setdefault(("note", "yellow", row.device, note), []).append(wording.name(row))
    lines = [
        Text.assemble((what, style), clean(f" {device}: {'; '.join(names)}: {shortened(why, wording.LONGEST)}"))
        for (what, style, device, why), names in found.items()
    ]
    told: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        for one in fed.particulars(row) if "latency" in row.asked else ():
            told.setdefault(one, {})[row.model] = None
    return lines + [
        Text.assemble((what, "yellow"), clean(f" {', '.join(models)}: {shortened(words, 4 * wording.LONGEST)}"))
        for (what, words), models in told.items()
    ]


def _cell(column: Column, row: Row, found: Standings) -> Text:
    if column.key == "standing":
        return Text(_mark(found), style="bold")
    cell = Text(clean(text(column.key, row)), style=_STYLES[row.verdict] if column.key == "verdict" else "")
    if column.key == "accuracies" and row.evaluation is not None and row.evaluation.check:
        cell.stylize("red")
    if column.key == "verdict" and row.fallback:
        cell.append(f" {wording.FALLBACK_MARK}", "yellow")
    return cell


def _mark(found: Standings) -> str:
    """`F`, `=` or nothing; `Fp =m` where a row stands differently by its published and its measured accuracy."""
    marks = {kind: _MARKS[standing.status] for kind, standing in found.items()}
    if len(set(marks.values())) < 2:
        return next(iter(marks.values()), "")
    return " ".join(f"{mark}{kind[0][0]}" for kind, mark in marks.items() if mark)


def _shared(rows: Sequence[Row]) -> dict[str, str]:
    """Columns that would repeat one value on every line, and that value."""
    found = {key: {clean(text(key, row)) for row in rows} for key in ("backend", "precision", "threads")}
    return {key: values.pop() for key, values in found.items() if len(rows) > 1 and len(values) == 1}


def _legend(rows: Sequence[Row]) -> list[str]:
    kinds = {
        "published": "p published for trained weights",
        "measured": "m measured on the artifact, ± half of its 95 % interval",
    }
    known = [accuracy for row in rows for accuracy in row.accuracies]
    metrics = "; ".join(sorted({f"{accuracy.metric}, {accuracy.dataset}" for accuracy in known}))
    marks = ", ".join(text for kind, text in kinds.items() if any(accuracy.kind == kind for accuracy in known))
    lines = ["ms: median latency with its 95 % interval."]
    if known:
        lines = [f"{lines[0]} F: on the frontier, =: tie by noise.", f"Accuracy is {metrics}: {marks}."]
    return lines + sustained.notices(rows) + measured.notices(rows) + wording.notices(rows)
