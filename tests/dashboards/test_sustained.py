"""The part of the page about minutes without a pause, and what is said of it in the terminal."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

from dashboards import curves, sustained
from dashboards.page import render
from results.records import Verdict
from tests.results.factory import make_row, make_sustained

SVG = "{http://www.w3.org/2000/svg}"
HOT = make_sustained("hot", 69.0, 10.0, 14.0)
COOL = make_sustained("cool", 70.0, 11.0, 11.0)
FAILED = make_sustained("<b>bad</b>", 71.0, 20.0, 40.0, verdict=Verdict.THROTTLED, reason="ended after 400 s")


def test_who_changes_places_is_said_in_words() -> None:
    _, words = sustained.notices([HOT, COOL, FAILED])
    assert words == (
        "pi4: hot (onnxruntime, fp32, 4 threads) is on the frontier at first, and not at the end, where cool "
        "(onnxruntime, fp32, 4 threads) is better (10.0 ms, then 14.0 ms)."
    )
    late, first = make_sustained("late", 71.0, 12.0, 12.0), make_sustained("first", 72.0, 11.0, 15.0)
    _, words = sustained.notices([late, first])
    assert "late (onnxruntime, fp32, 4 threads) is not on the frontier at first, where first (" in words
    assert words.endswith("is better, and at the end (12.0 ms, then 12.0 ms).")
    assert sustained.notices([COOL, make_sustained("slow", 72.0, 20.0, 21.0)])[1].startswith("No row changes places")
    assert sustained.notices([make_row()]) == []


def test_the_page_has_curves_and_the_same_in_a_table_without_scripts() -> None:
    page = re.sub(r"<script.*?</script>", "", render([HOT, COOL, FAILED, make_row("plain")]), flags=re.DOTALL)
    section = page[page.index('<section aria-labelledby="sustained-heading">') : page.index('id="table-heading"')]
    drawing = ElementTree.fromstring(re.findall(r"<svg.*?</svg>", section, re.DOTALL)[0])  # noqa: S314 - our own
    lines = [path for path in drawing.iter(f"{SVG}path") if path.get("stroke-width") == "1.6"]
    assert len(lines) == 2 * 3, "latencies and temperatures"
    assert [path.get("opacity") for path in lines[:3]].count("0.35") == 1
    assert "style=" not in section
    assert "<b>bad" not in section
    for words in ("&lt;b&gt;bad&lt;/b&gt;", "-29 %", "200 s", "75 °C", "10.0", "14.0"):
        assert words in section
    assert section.count('class="bad"') == 1
    assert "plain" not in section


def test_the_numbers_behind_curves_that_end_alike_do_not_overlap() -> None:
    ends = [{"row": row, "y": y} for row, y in ((1, 1.02), (2, 1.4), (3, 1.0), (4, 1.0), (5, 1.39))]
    placed = curves.apart(ends, [1.0, 1.4])
    assert [one["row"] for one in placed] == [3, 4, 1, 5, 2]
    heights = [one["y"] for one in placed]
    assert heights[0] == 1.0
    assert all(above - below >= 0.02 for below, above in pairwise(heights))


def test_a_page_without_such_rows_has_no_such_part() -> None:
    assert sustained.section([make_row()]) == ""


def test_of_many_curves_those_that_lost_most_are_drawn() -> None:
    many = [make_sustained(f"m{number}", 70.0, 10.0, 10.0 + number) for number in range(sustained.MOST_CURVES + 5)]
    section = sustained.section(many)
    assert f"Drawn are the {sustained.MOST_CURVES} that lost most" in section
    assert section.count("<tr>") == 1 + len(many)
