"""The curves of minutes without a pause as an SVG, which is there without JavaScript.

It holds numbers alone: the table beside it names them, so nothing from outside is in the drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import vl_convert

from dashboards.charts import COLORS, configured
from results.judge.device.sustained import SLOWER
from results.records import Row, Verdict

_WIDTH, _HEIGHT, _HEAT_HEIGHT, _LINE_HEIGHT = 680, 230, 90, 12
_FADED = 0.35
_S_PER_MINUTE = 60
_AXIS = alt.Axis(gridOpacity=0.12, domainOpacity=0.4, tickOpacity=0.4)
_TIME_AXIS = alt.Axis(gridOpacity=0.12, domainOpacity=0.4, tickOpacity=0.4, tickCount=10)

Numbered = Sequence[tuple[int, Row]]


def drawing(numbered: Numbered) -> str:
    """The chart of one device as an SVG."""
    charts = [_latencies(numbered)]
    if any(row.sustained is not None and row.sustained.hottest_c is not None for _, row in numbered):
        charts.append(_temperatures(numbered))
    specification = configured(alt.vconcat(*charts).resolve_scale(x="shared", color="shared"))
    drawn: str = vl_convert.vegalite_to_svg(specification)
    return drawn[drawn.index("<svg") :]


def _latencies(numbered: Numbered) -> Any:
    values = [
        _value(number, row, moment.at_s) | {"y": moment.median_ms / found.peak_ms}
        for number, row in numbered
        if (found := row.sustained) is not None and found.peak_ms > 0
        for moment in found.curve
        if moment.median_ms is not None
    ]
    ends = apart(list({value["row"]: value for value in values}.values()), [SLOWER, *(value["y"] for value in values)])
    limit = alt.Chart(alt.InlineData(values=[{"y": SLOWER}])).mark_rule(
        strokeDash=[2, 3], strokeWidth=1.2, stroke="currentColor"
    )
    y = alt.Y("y:Q", title="latency relative to first", axis=_AXIS).scale(zero=False, nice=True)
    names = _base(ends).mark_text(align="left", dx=4, fontSize=11, fill="currentColor")
    chart = alt.layer(limit.encode(y=y), _lines(values, y), names.encode(x=_minutes(), y=y, text="row:N"))
    return chart.properties(width=_WIDTH, height=_HEIGHT)


def apart(ends: Sequence[dict[str, Any]], drawn: Sequence[float]) -> list[dict[str, Any]]:
    """The places of the numbers behind the curves, each above the one below it by the height of a line."""
    least = _LINE_HEIGHT / _HEIGHT * (max(drawn) - min(drawn))
    placed: list[dict[str, Any]] = []
    for end in sorted(ends, key=lambda value: value["y"]):
        placed.append(end | {"y": max(end["y"], placed[-1]["y"] + least) if placed else end["y"]})
    return placed


def _temperatures(numbered: Numbered) -> Any:
    values = [
        _value(number, row, moment.at_s) | {"y": moment.temperature_c}
        for number, row in numbered
        if row.sustained is not None
        for moment in row.sustained.curve
        if moment.temperature_c is not None
    ]
    y = alt.Y("y:Q", title="°C", axis=_AXIS).scale(zero=False)
    return _lines(values, y).properties(width=_WIDTH, height=_HEAT_HEIGHT)


def _value(number: int, row: Row, at_s: float) -> dict[str, Any]:
    return {"row": number, "minutes": at_s / _S_PER_MINUTE, "faded": row.verdict is not Verdict.VALID}


def _base(values: Sequence[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=list(values)))


def _minutes() -> alt.X:
    return alt.X("minutes:Q", title="minutes", axis=_TIME_AXIS).scale(nice=False, zero=True)


def _lines(values: Sequence[dict[str, Any]], y: alt.Y) -> Any:
    numbers = sorted({value["row"] for value in values})
    colors = [COLORS[(number - 1) % len(COLORS)] for number in numbers]
    return (
        _base(values)
        .mark_line(strokeWidth=1.6, interpolate="monotone")
        .encode(
            x=_minutes(),
            y=y,
            detail="row:N",
            stroke=alt.Stroke("row:N", legend=None).scale(domain=numbers, range=colors),
            opacity=alt.when("datum.faded").then(alt.value(_FADED)).otherwise(alt.value(1)),
        )
    )
