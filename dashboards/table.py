"""Rows for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dashboards import wording
from dashboards.wording import clean
from results.judge.pareto import Standing, standings
from results.records import Row, Verdict

WIDE = 120
"""Columns of the terminal from which load, first inference and memory have columns of their own."""
_PLAIN_WIDTH = 160

_STYLES = {
    Verdict.VALID: "green",
    Verdict.UNSTABLE: "yellow",
    Verdict.THROTTLED: "yellow",
    Verdict.NOT_COMPARABLE: "yellow",
    Verdict.UNSUPPORTED: "dim",
    Verdict.FAILED: "red",
    Verdict.OFFLINE: "red",
}
_FOLDED = 8
_MARKS = {"frontier": "F", "tie": "=", "dominated": "", "none": ""}


def print_table(rows: Sequence[Row], console: Console | None = None) -> None:
    """Print a table per device, then in full why rows are not valid and what fell back, then what a reader must know.

    Names come from outside: they are printed as plain text, without markup and without control characters.
    """
    console = console or Console()
    if not console.is_terminal:  # what is piped has no width, and nothing that reads it is served by 80 columns
        console = Console(file=console.file, width=max(console.width, _PLAIN_WIDTH), no_color=True)
    for table in make_tables(rows, console.width):
        console.print(table, highlight=False, crop=False)
        console.print()
    for line in reasons(rows) + fallbacks(rows):
        console.print(line, soft_wrap=True, highlight=False)
    for words in _legend(rows):
        console.print(Text(clean(words), style="dim"), soft_wrap=True, highlight=False)


def make_tables(rows: Sequence[Row], width: int) -> list[Table]:
    """A table for each device, in the order of the rows; what all its rows share moves into its title."""
    found = list(zip(rows, standings(rows), strict=True))
    devices = dict.fromkeys(row.device for row in rows)
    return [_table(device, [(row, s) for row, s in found if row.device == device], width) for device in devices]


def _table(device: str, found: Sequence[tuple[Row, Standing]], width: int) -> Table:
    shared = _shared([row for row, _ in found])
    wide = width >= WIDE
    title = Text(", ".join([clean(device), *(f"{words} {value}" for words, value in shared.values())]), style="bold")
    padding = (0, 2 if wide else 1, 0, 0)
    table = Table(box=None, padding=padding, title=title, title_justify="left", header_style="bold")
    heads = [(head, right) for head, right, only_wide in _COLUMNS if head not in shared and (wide or not only_wide)]
    for head, right in heads:
        folding = head in ("Model", "Backend", "Prec.")
        table.add_column(head, justify="right" if right else "left", overflow="fold", no_wrap=not folding)
    for row, standing in found:
        cells = _cells(row, standing)
        table.add_row(*(cells[head] for head, _ in heads))
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
    """One line for each reason why rows are not valid: verdict, device, reason, never shortened, and the rows."""
    found: dict[tuple[Verdict, str, str], list[str]] = {}
    for row in rows:
        if row.verdict is not Verdict.VALID:
            found.setdefault((row.verdict, row.device, row.reason), []).append(wording.name(row))
    return [
        Text.assemble((verdict.value, _STYLES[verdict]), clean(f" {device}: {'; '.join(names)}: {reason}"))
        for (verdict, device, reason), names in found.items()
    ]


def fallbacks(rows: Sequence[Row]) -> list[Text]:
    """One line for each thing that fell back: device, the rows, what."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.fallback:
            found.setdefault((row.device, row.fallback), []).append(wording.name(row))
    return [
        Text.assemble(("fell back", "yellow"), clean(f" {device}: {'; '.join(names)}: {fallback}"))
        for (device, fallback), names in found.items()
    ]


_COLUMNS = (
    # head, right-aligned, only on wide terminals
    ("Model", False, False),
    ("Backend", False, False),
    ("Prec.", False, False),
    ("Thr.", True, False),
    ("Verdict", False, False),
    ("ms", True, False),
    ("95 %", True, False),
    ("p90", True, False),
    ("Load", True, True),
    ("First", True, True),
    ("Peak MB", True, True),
    ("Acc.", True, False),
    ("", False, False),
)


def _cells(row: Row, standing: Standing) -> dict[str, Text]:
    return {
        "Model": Text(clean(row.model)),
        "Backend": Text(clean(row.backend)),
        "Prec.": Text(clean(row.precision)),
        "Thr.": Text(str(row.threads)),
        "Verdict": Text.assemble(
            (row.verdict.value, _STYLES[row.verdict]), (f" {wording.FALLBACK_MARK}" if row.fallback else "", "yellow")
        ),
        "ms": Text(wording.median(row)),
        "95 %": Text(wording.interval_of(row)),
        "p90": Text(wording.milliseconds(row.percentiles_ms.get("p90"))),
        "Load": Text(wording.milliseconds(row.load_ms)),
        "First": Text(wording.milliseconds(row.first_ms)),
        "Peak MB": Text(wording.megabytes(row.peak_rss_bytes)),
        "Acc.": Text(wording.accuracy_mark(row.accuracy)),
        "": Text(_MARKS[standing.status], style="bold"),
    }


def _shared(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """Columns that would repeat one value on every line: head to (word, value)."""
    values = {
        "Backend": ("backend", {clean(row.backend) for row in rows}),
        "Prec.": ("precision", {clean(row.precision) for row in rows}),
        "Thr.": ("threads", {str(row.threads) for row in rows}),
    }
    return {head: (word, found.pop()) for head, (word, found) in values.items() if len(rows) > 1 and len(found) == 1}


def _legend(rows: Sequence[Row]) -> list[str]:
    kinds = {"published": "p published for trained weights", "measured": "m measured on the artifact"}
    known = [row.accuracy for row in rows if row.accuracy is not None]
    metrics = "; ".join(sorted({f"{accuracy.metric}, {accuracy.dataset}" for accuracy in known}))
    marks = ", ".join(text for kind, text in kinds.items() if any(accuracy.kind == kind for accuracy in known))
    lines = ["ms: median latency with its 95 % interval. F: on the frontier, =: tie by noise."]
    if known:
        lines.append(f"Accuracy is {metrics}: {marks}.")
    return lines + wording.notices(rows)
