"""Vega-Altair charts: accuracy versus latency with its frontier, and plain latencies where no accuracy is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from dashboards import wording
from dashboards.points import PLOT_HEIGHT, PLOT_WIDTH, Point, chartable, lowest, options, panels, with_standings
from results.errors import ResultsError
from results.files import write_file
from results.judge.change import control
from results.judge.pareto import AccuracyClass
from results.records import Row

# Okabe and Ito's palette without its yellow, which no light background carries; shapes repeat what color says.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")

TOOLTIP = {
    "model": "Model",
    "configuration": "Configuration",
    "device": "Device",
    "latency_text": "Median latency",
    "accuracy_text": "Accuracy",
    "source": "Source of accuracy",
    "verdict_text": "Verdict",
    "standing": "Standing",
}
X_TITLE = "median latency of one inference, ms"
ARROWHEADS = "arrowheads"
STATIC_COLORS = {"currentColor": "#222222"}
_PNG_SCALE = 2


def frontier_chart(points: Sequence[Point] | None, backends: Sequence[str], metric: str) -> Any:
    """Accuracy over median latency in ms (logarithmic); None as points leaves the data to the page."""
    data, stairs = _data("points", points), _data("stairs", None if points is None else _stairs(points))
    start: Any = alt.param(name="lowest", value=1) if points is None else lowest(points)
    x = alt.X("median:Q", title=X_TITLE, axis=_axis()).scale(type="log", domainMin=start, nice=False, padding=10)
    y = alt.Y("accuracy:Q", title=metric, axis=_axis()).scale(zero=False, padding=22)
    base = alt.Chart(data).encode(x=x, y=y)
    frontier = alt.Chart(stairs).mark_line(interpolate="step-after", strokeWidth=1.5, stroke="currentColor", aria=False)
    names = base.mark_text(align="right", baseline="bottom", dx=-7, dy=-5, fill="currentColor", aria=False)
    chart = alt.layer(
        *_arrows(_data("arrows", None if points is None else _between_twins(points)), x, y),
        frontier.encode(x=x, y=y),
        _bars(base, backends),
        _accuracy_bars(base, backends),
        _marks(base, backends),
        _flags(base),
        names.encode(text="label:N"),
    )
    chart = chart.properties(width=PLOT_WIDTH, height=PLOT_HEIGHT)
    return chart.add_params(start) if points is None else chart


def latency_chart(points: Sequence[Point] | None, backends: Sequence[str]) -> Any:
    """One line per model, a mark per configuration at its median latency in ms with its interval."""
    order = alt.EncodingSortField("median", op="min")
    # Of a long name the end, which tells it from others: paths begin alike.
    # The end tells apart what begins alike: the sizes that a model was given stand there.
    short = "length(datum.value) > 24 ? slice(datum.value, 0, 5) + '…' + slice(datum.value, -18) : datum.value"
    y = alt.Y("model:N", sort=order, title=None, axis=_axis(labelLimit=200, labelExpr=short))
    x = alt.X("median:Q", title=X_TITLE, axis=_axis()).scale(type="log", nice=False, padding=12)
    base = alt.Chart(_data("points", points)).encode(x=x, y=y)
    chart = alt.layer(_bars(base, backends), _marks(base, backends), _flags(base))
    return chart.properties(width=PLOT_WIDTH, height=alt.Step(20))


def configured(chart: Any) -> dict[str, Any]:
    """The Vega-Lite specification, colored by the `currentColor` of whatever surrounds it."""
    styled = (
        chart.configure_axis(labelColor="currentColor", titleColor="currentColor", gridColor="currentColor")
        .configure_legend(labelColor="currentColor", titleColor="currentColor")
        .configure_view(stroke=None)
        .configure_title(color="currentColor", anchor="start", fontSize=13)
    )
    specification: dict[str, Any] = styled.to_dict()
    specification["background"] = "transparent"
    return specification


def write_image(rows: Sequence[Row], path: Path | str) -> None:
    """The charts of all devices and accuracy classes below one another, as .svg or .png (by the name of the file)."""
    path = Path(path)
    if path.suffix not in (".svg", ".png"):
        raise ResultsError(f"cannot draw {path.name}: the name must end in .svg or .png")
    specification = configured(alt.vconcat(*_panels(rows)).resolve_scale(x="independent", y="independent"))
    specification["background"] = "white"
    vega = _fixed_colors(turned(vl_convert.vegalite_to_vega(specification)))
    if path.suffix == ".svg":
        write_file(path, vl_convert.vega_to_svg(vega).encode("utf-8"))
    else:
        write_file(path, vl_convert.vega_to_png(vega, scale=_PNG_SCALE))


def _panels(rows: Sequence[Row]) -> list[Any]:
    shown = chartable(control.apart(rows)[0])
    if not shown.rows:
        raise ResultsError("there is nothing to draw: no row has a latency")
    backends = options(shown)["backend"]
    return [_panel(device, kind, [shown.rows[i] for i in members], backends) for device, kind, members in panels(shown)]


def _panel(device: str, kind: AccuracyClass | None, rows: Sequence[Row], backends: Sequence[str]) -> Any:
    points, marks = with_standings(rows), wording.flags_key(rows)
    if kind is None:
        return latency_chart(points, backends).properties(title=f"{device}: latency{marks}")
    chart = frontier_chart(points, backends, f"{kind[1]} ({kind[0]})")
    return chart.properties(title=f"{device}: {wording.class_text(kind)}{marks}")


def _bars(base: alt.Chart, backends: Sequence[str]) -> Any:
    """The 95 % interval of each latency."""
    return base.mark_rule(strokeWidth=1.5, aria=False).encode(
        x="low:Q", x2="high:Q", stroke=_stroke(backends), opacity=_opacity()
    )


def _accuracy_bars(base: alt.Chart, backends: Sequence[str]) -> Any:
    """The 95 % interval of each accuracy that was measured."""
    return base.mark_rule(strokeWidth=1.5, aria=False).encode(
        y="least:Q", y2="most:Q", stroke=_stroke(backends), opacity=_opacity()
    )


def _arrows(data: Any, x: Any, y: Any) -> list[Any]:
    """A line from each fp32 point to its twins, with a head in the middle, where no mark hides it."""
    base = alt.Chart(data)
    line = base.mark_rule(strokeWidth=1, stroke="currentColor", opacity=0.45, aria=False)
    head = base.mark_point(shape="triangle-right", filled=True, size=45, fill="currentColor", aria=False)
    is_nowhere = "datum.median == datum.median2 && datum.accuracy == datum.accuracy2"
    return [
        line.encode(x=x, y=y, x2="median2:Q", y2="accuracy2:Q"),
        head.encode(
            x="middle:Q", y="middle2:Q", opacity=alt.when(is_nowhere).then(alt.value(0)).otherwise(alt.value(0.6))
        ).properties(name=ARROWHEADS),
    ]


def turned(vega: dict[str, Any]) -> dict[str, Any]:
    """The Vega specification with its arrowheads turned along their lines: Vega-Lite knows no angle between pixels."""
    for mark in _all_marks(vega):
        if ARROWHEADS in str(mark.get("name", "")):
            update = mark["encode"]["update"]
            x, y = (update[axis]["scale"] for axis in ("x", "y"))
            rise = f"scale('{y}', datum.accuracy2) - scale('{y}', datum.accuracy)"
            run = f"scale('{x}', datum.median2) - scale('{x}', datum.median)"
            update["angle"] = {"signal": f"atan2({rise}, {run}) * 180 / PI"}
    return vega


def _all_marks(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for mark in group.get("marks", []):
        yield mark
        yield from _all_marks(mark)


def _marks(base: alt.Chart, backends: Sequence[str]) -> Any:
    """A mark per row: filled when it is valid and checked, faded when it is dominated."""
    domain, count = list(backends), len(backends)
    return base.mark_point(filled=True, strokeWidth=1.8).encode(
        color=alt.Color("backend:N", legend=_legend()).scale(domain=domain, range=_cycle(COLORS, count)),
        shape=alt.Shape("backend:N", legend=_legend()).scale(domain=domain, range=_cycle(SHAPES, count)),
        stroke=_stroke(backends),
        size=alt.when("datum.status == 'frontier'").then(alt.value(110)).otherwise(alt.value(60)),
        fillOpacity=alt.when("datum.off == ''").then(alt.value(1)).otherwise(alt.value(0)),
        opacity=_opacity(),
        tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in TOOLTIP.items()],
        description="name:N",
    )


def _flags(base: alt.Chart) -> Any:
    """What must be known of a latency, at the lower right of its mark: no name stands there."""
    text = base.mark_text(align="left", baseline="top", dx=5, dy=1, fontWeight="bold", fill="currentColor", aria=False)
    return text.encode(text="flags:N")


def _stairs(points: Sequence[Point]) -> list[dict[str, float]]:
    """Corners of the staircase, from fast to slow: at each latency the best accuracy to be had."""
    frontier = sorted((p["median"], p["accuracy"]) for p in points if p["status"] == "frontier")
    return [{"median": median, "accuracy": accuracy} for median, accuracy in frontier]


def _between_twins(points: Sequence[Point]) -> list[dict[str, float]]:
    """From the point of each model in fp32 to those in other precisions, with the middle of the way."""
    return [
        {
            "median": whole["median"],
            "accuracy": whole["accuracy"],
            "median2": point["median"],
            "accuracy2": point["accuracy"],
            "middle": (whole["median"] * point["median"]) ** 0.5,  # on a logarithmic axis
            "middle2": (whole["accuracy"] + point["accuracy"]) / 2,
        }
        for whole, point in ((points[point["twin"]], point) for point in points if "twin" in point)
    ]


def _data(name: str, values: Sequence[Any] | None) -> Any:
    return alt.NamedData(name) if values is None else alt.InlineData(values=list(values))


def _axis(**changes: Any) -> alt.Axis:
    return alt.Axis(gridOpacity=0.12, domainOpacity=0.4, tickOpacity=0.4, labelFontSize=11, **changes)


def _stroke(backends: Sequence[str]) -> alt.Stroke:
    return alt.Stroke("backend:N", legend=_legend()).scale(domain=list(backends), range=_cycle(COLORS, len(backends)))


def _legend() -> alt.Legend:
    """Equal in every channel: Vega-Lite joins equal legends into one, and one `None` among them removes it."""
    return alt.Legend(title=None, orient="top", symbolSize=80, columns=3, labelLimit=160, labelFontSize=11)


def _opacity() -> Any:
    return alt.when("datum.status == 'dominated'").then(alt.value(0.42)).otherwise(alt.value(1))


def _cycle(values: Sequence[str], count: int) -> list[str]:
    return [values[index % len(values)] for index in range(count)]


def _fixed_colors(value: Any) -> Any:
    """The specification with colors of its own: an image file has no surroundings to take them from."""
    if isinstance(value, dict):
        return {key: _fixed_colors(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_fixed_colors(item) for item in value]
    return STATIC_COLORS.get(value, value) if isinstance(value, str) else value
