"""One self-contained HTML page of rows: no network, no eval, everything in the file.

Names and reasons come from devices and from other people's models, so nothing reaches the page unescaped: text goes
through `html.escape`, data into a JSON block without a single `<`, and the page's policy allows exactly the two scripts
and the one style sheet that are written here, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from html import escape
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import vl_convert

from dashboards import controls, measured, sustained, wording
from dashboards.cells import page_head, page_lines
from dashboards.points import ANY, FREE, LEFT_SHARE, Chartable, chartable, options, point, selections, twins
from results.errors import ResultsError
from results.files import write_file
from results.judge.change import control
from results.judge.pareto import AccuracyClass, accuracy_class
from results.records import Row, Verdict

_SELECTORS = {
    "device": "Device",
    "accuracy": "Accuracy",
    "backend": "Backend",
    "precision": "Precision",
    "threads": "Threads",
}
_KEY = (
    "Shape and color: backend. Line: the frontier, at each latency the best accuracy to be had. Faded: dominated. "
    "Hollow: not valid or not checked, never on the frontier. Bars: 95 % intervals of latency and accuracy. "
    "Arrows: from a model in fp32 to the same in another precision."
)
_LATENCY_KEY = (
    "No row has an accuracy, so there is no frontier. Shape and color: backend. Hollow: not valid or not checked. "
    "Bars: 95 % interval of the latency."
)
_MOST_SOURCES = 12


def write_page(rows: Sequence[Row], path: Path | str, *, title: str | None = None, profile: str | None = None) -> None:
    """Write the page; the same rows give the same bytes. `profile` names how much was measured, for the header.

    Without a title it is that of the chart.
    """
    write_file(Path(path), render(rows, title, profile).encode("utf-8"))


def render(rows: Sequence[Row], title: str | None = None, profile: str | None = None) -> str:
    """The page as text."""
    rows, of_control = control.apart(rows)
    shown = chartable(rows)
    heading = "Accuracy versus latency" if shown.with_accuracy else "Latency"
    css, js, vega = _asset("page.css"), _asset("page.js"), _vega_script()
    points: dict[int, list[int]] = {}
    for place, origin in enumerate(shown.origins):
        points.setdefault(origin, []).append(place)
    parts = {
        "policy": escape(_policy(css, [vega, js])),
        "title": escape(title or heading),
        "facts": _facts(rows, profile),
        "chart_hidden": "" if shown.rows else " hidden",
        "selectors": _selectors(shown),
        "key": escape(_KEY if shown.with_accuracy else _LATENCY_KEY),
        "notices": "\n".join(f'<p class="notice">{escape(notice)}</p>' for notice in _notices(rows, shown)),
        "sustained": sustained.section(rows),
        "count": str(len(rows)),
        "caption": escape(
            "Every case that was asked for, with what became of it. Latencies in ms; load and first inference are "
            "medians over restarts. Accuracy: p published, m measured, ± half of its 95 % interval. Standing: among "
            "all valid rows of the same device and kind of accuracy."
        ),
        "head": page_head(rows),
        "body": page_lines(rows, points),
        "controls": controls.section(of_control),
        "data": _json(_data(shown)),
        "css": css,
        "vega": vega,
        "js": js,
    }
    return Template(_asset("page.html")).substitute(parts)


def _facts(rows: Sequence[Row], profile: str | None) -> str:
    times = sorted({row.started_at for row in rows})
    facts = {
        "Devices": ", ".join(sorted({row.device for row in rows})),
        "Runs": ", ".join(sorted({row.run for row in rows})),
        "Started": times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}" if times else "",
        "Profile": profile or "",
        "Rows": ", ".join(
            f"{count} {verdict.value}" for verdict in Verdict if (count := sum(r.verdict is verdict for r in rows))
        ),
    }
    return "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items() if text)


def _selectors(shown: Chartable) -> str:
    values = options(shown)
    parts = []
    for field, caption in _SELECTORS.items():
        if not values[field]:
            continue
        texts = [wording.class_text(v) if field == "accuracy" else str(v) for v in values[field]]
        choices = [f'<option value="{position}">{escape(text)}</option>' for position, text in enumerate(texts)]
        if field in FREE:
            every = f"all ({len(texts)})" if len(texts) > 1 else f"{texts[0]} (all)"
            choices = [f'<option value="{ANY}">{escape(every)}</option>', *(choices if len(texts) > 1 else [])]
        disabled = " disabled" if len(texts) == 1 else ""
        select = f'<select id="select-{field}"{disabled}>{"".join(choices)}</select>'
        parts.append(f'<label for="select-{field}">{caption}{select}</label>')
    return "".join(parts)


def _notices(rows: Sequence[Row], shown: Chartable) -> list[str]:
    notices = [*measured.notices(rows), *wording.notices(rows)]
    if rows and not shown.rows:
        notices.append("No row has a latency, so there is nothing to draw. The column Reason says why.")
    without = sum(not row.accuracies for row in rows)
    if shown.with_accuracy and without:
        notices.append(f"{without} of {len(rows)} rows have no accuracy: they are in the table only.")
    return notices


def _statement(shown: Chartable, kind: AccuracyClass) -> str:
    """What the accuracies of a class are, and who says so."""
    sources = sorted({row.accuracy.source for row in shown.rows if row.accuracy and accuracy_class(row) == kind})
    listed = "; ".join(sources[:_MOST_SOURCES])
    listed += f"; and {len(sources) - _MOST_SOURCES} more, named in the table" if len(sources) > _MOST_SOURCES else ""
    if kind[0] == "measured":
        return f"Accuracy is {kind[1]} on {kind[2]}, measured on the very artifacts that were timed. Source: {listed}."
    return (
        f"Accuracy is {kind[1]} on {kind[2]} as published for trained weights, not measured on the artifacts that were "
        f"timed; quantization or conversion may lower it. Published in: {listed}."
    )


def _data(shown: Chartable) -> dict[str, Any]:
    """What page.js reads."""
    values = options(shown)
    classes = values["accuracy"]
    metric = f"{classes[0][1]} ({classes[0][0]})" if len(classes) == 1 else "accuracy"
    return {
        "points": [point(row) for row in shown.rows],
        "twins": sorted(twins(shown.rows).items()),
        "options": values | {"accuracy": [wording.class_text(kind) for kind in classes]},
        "selections": selections(shown),
        "metrics": [kind[1] for kind in classes],
        "statements": [_statement(shown, kind) for kind in classes],
        "frontiers": shown.with_accuracy,
        "left_share": LEFT_SHARE,
        "chart": _chart(values["backend"], metric if shown.with_accuracy else None),
    }


def _chart(backends: list[str], metric: str | None) -> dict[str, Any]:
    """The chart's Vega specification without data: the frontier over `metric`, without one the latencies."""

    def make() -> str:
        from dashboards.charts import configured, frontier_chart, latency_chart, turned

        chart = latency_chart(None, backends) if metric is None else frontier_chart(None, backends, metric)
        specification = turned(vl_convert.vegalite_to_vega(configured(chart)))
        specification["autosize"] = {"type": "fit-x", "contains": "padding"}
        specification["description"] = "The figures of this chart are in the table of all rows."
        return json.dumps(specification)

    versions = [metadata.version(name) for name in ("altair", "vl-convert-python")]
    sources = [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))]
    digest = hashlib.sha256(json.dumps([backends, metric, versions, sources]).encode()).hexdigest()
    try:
        found: dict[str, Any] = json.loads(_kept(f"chart-{digest[:16]}.json", make))
    except ValueError:  # the kept file is damaged
        found = json.loads(make())
    return found


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, nor begin a comment there."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(css: str, scripts: list[str]) -> str:
    allowed = " ".join(_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(css)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _asset(name: str) -> str:
    return files("dashboards").joinpath(name).read_text(encoding="utf-8")


@cache
def _vega_script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, as the installed vl-convert bundles them."""

    def make() -> str:
        bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
        return re.sub(r"<(?=/script|!--)", r"\\x3c", bundle, flags=re.IGNORECASE)

    return _kept(f"vega-{metadata.version('vl-convert-python')}.js", make)


def _kept(name: str, make: Callable[[], str]) -> str:
    """What `make` returns, which takes seconds, from the user's cache folder where it is there.

    `name` carries all that it depends on.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = home / "edgebench" / name
    with suppress(OSError, UnicodeDecodeError):
        return kept.read_text(encoding="utf-8")
    made = make()
    with suppress(ResultsError):  # a home that cannot be written costs the seconds again, no more
        write_file(kept, made.encode("utf-8"))
    return made
