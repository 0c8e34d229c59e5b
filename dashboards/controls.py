"""The control series as it is shown: lines below the terminal's table, and a small table of its own on the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dashboards import wording
from results.records import Row, Verdict, shortened

_HEAD = ("Device", "Runtime", "Median ms", "95 % interval", "Verdict", "Reason", "Run")


def lines(controls: Sequence[Row]) -> list[str]:
    """A line for each device: `control: onnxruntime 1.23 ms (1.22-1.24), openvino failed (why)`."""
    of_device: dict[str, list[str]] = {}
    for row in controls:
        of_device.setdefault(row.device, []).append(_short(row))
    named = len(of_device) > 1
    return [f"control{f' {device}' if named else ''}: {', '.join(found)}" for device, found in of_device.items()]


def _short(row: Row) -> str:
    words = [row.backend]
    if row.median_ms is not None:
        words.append(f"{wording.milliseconds(row.median_ms)} ms ({wording.interval_of(row)})")
    if row.verdict is not Verdict.VALID:
        words.append(f"{row.verdict.value} ({shortened(row.reason, wording.LONGEST)})")
    return " ".join(words)


def section(controls: Sequence[Row]) -> str:
    """The part of the page, "" without any."""
    if not controls:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in _HEAD)
    body = "\n".join(map(_line, sorted(controls, key=lambda row: (row.device, row.backend))))
    return (
        '<section aria-labelledby="control-heading">\n<h2 id="control-heading">Control series</h2>\n'
        '<div class="scroll" tabindex="0" role="region" aria-labelledby="control-heading">\n<table id="controls">\n'
        "<caption>One small network that never changes, measured in every run. Where its latency is another than "
        "before, the device or its runtime is, not the models.</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>\n</section>"
    )


def _line(row: Row) -> str:
    style = "" if row.verdict is Verdict.VALID else ' class="bad"'
    latency = (wording.milliseconds(row.median_ms), wording.interval_of(row))
    before = (row.device, row.backend_version or row.backend, *latency, row.verdict.value)
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in before)
    return f'<tr{style}>{cells}<td class="words">{escape(row.reason)}</td><td>{escape(row.run)}</td></tr>'
