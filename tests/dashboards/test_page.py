from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dashboards.charts import write_image
from dashboards.page import render, write_page
from results.judge.pareto import standings
from results.judge.summary import rows
from results.records import InputSpec, Row, Verdict
from tests.dashboards.test_table import both
from tests.results.factory import make_row, make_run
from tests.rigs.waiting import LIMIT_S

TABLE = rows(make_run(2, 8, 3))
HOSTILE = (
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=1</script>",
    "<!--<script>",
    "\"'><img src=x onerror=window.hacked=1>",
    "$title ${css} &amp; \u2028 \\u003c",
    "javascript:window.hacked=1",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def hostile_rows() -> list[Row]:
    result = []
    for number, text in enumerate(HOSTILE):
        changes: dict[str, Any] = {"device": text, "backend": text, "precision": text, "weights": text, "run": text}
        row = make_row(text, 10.0 + number, 60.0 + number, reason=text, verdict=Verdict.UNSTABLE, **changes)
        accuracy = row.accuracy.model_copy(update={"source": text, "metric": text, "dataset": text})
        valid = {"verdict": Verdict.VALID, "reason": "", "threads": 1}
        row = row.model_copy(update={"accuracies": (accuracy,), "options": {text: text}})
        result += [row, row.model_copy(update=valid)]
    return result


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(page)
    return parser.found


def test_one_file_without_any_reference_to_another(tmp_path: Path) -> None:
    write_page(TABLE, tmp_path / "page.html", title="A night")
    found = elements((tmp_path / "page.html").read_text("utf-8"))
    assert not [attributes for _, attributes in found if {"src", "href", "action", "style"} & set(attributes)]
    assert not [attributes for _, attributes in found if any(name.startswith("on") for name in attributes)]
    assert [tag for tag, _ in found].count("script") == 3


def test_the_same_rows_give_the_same_page() -> None:
    assert render(TABLE, "t") == render(TABLE, "t")


def test_what_is_kept_of_a_page_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = render(TABLE, "t")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert render(TABLE, "t") == expected
    (kept,) = (tmp_path / "edgebench").glob("chart-*.json")
    assert render(TABLE, "t") == expected  # from what is kept
    kept.write_text("{")
    assert render(TABLE, "t") == expected
    assert embedded(render([make_row(top1=None)], "t"))["chart"] != embedded(expected)["chart"]


def test_every_row_is_in_the_table_with_its_reason() -> None:
    page = render(TABLE, "t")
    assert page.count('<th scope="row"') == len(TABLE)
    for row in TABLE:
        assert row.reason in page


def test_what_was_fed_and_computed_has_columns_where_there_is_something_to_say() -> None:
    spec = InputSpec(
        name="<ids>",
        dtype="int64",
        shape=(8, 128),
        dims=("N", 128),
        values="made up: ones",
        made_up=("values", "sizes"),
    )
    row = make_row(
        inputs=(spec,), batch=8, throughput_per_s=812.3, signature="encode", shapes_fixed="in a copy", snr_db=41.26,
        top1_agreement=0.875, compute_precision="int8 + fp32", unverified="y differs", nonfinite="z holds NaN",
        notes=("4 threads on 1 core",),
    )  # fmt: skip
    page = render([row, make_row()])
    for words in (
        "&lt;ids&gt;: int64 8x128",
        "&lt;ids&gt;: made up: ones, sizes made up, the file says [N, 128]",
        ">812</td>",
        ">encode</td>",
        ">in a copy</td>",
        ">41.3</td>",
        ">0.875</td>",
        ">int8 + fp32</td>",
        ">y differs</td>",
        ">z holds NaN</td>",
        ">4 threads on 1 core</td>",
    ):
        assert words in page
    bare = render([make_row()])
    heads = ("Inputs", "Batch", "Per second", "Signature", "SNR dB", "Fed with", "Unverified", "Computed in")
    for head in heads:
        assert f">{head}</button>" in page
        assert f">{head}</button>" not in bare


def test_a_long_reason_is_whole_and_folded() -> None:
    reason = f"loading: {'words and words, ' * 200}<the cause>"
    page = render([make_row("net", None, verdict=Verdict.FAILED, reason=reason)])
    summary = page[page.index("<summary>loading: ") + 9 :].partition("</summary>")[0]
    assert len(summary) < 500
    assert summary.endswith("&lt;the cause&gt;")
    assert escape(reason) in page


def test_header_says_what_was_measured() -> None:
    page = render(TABLE, "A & B", "standard")
    for words in (
        "A &amp; B",
        "<dd>jetson-orin, pi4</dd>",
        "20260102-030000-abcd",
        "<dd>standard</dd>",
        "random weights",
    ):
        assert words in page
    assert "fewer than 3 restarts" not in page
    assert "fewer than 3 restarts" in render([make_row(n_restarts=2)], "t")


def test_who_says_so_is_on_the_page() -> None:
    data = embedded(render([make_row("a"), make_row("b", kind="measured")], "t"))
    assert data["options"]["accuracy"] == ["measured top-1 %, ImageNet-1k val", "published top-1 %, ImageNet-1k val"]
    measured, published = data["statements"]
    assert "measured on the very artifacts" in measured
    assert "published for trained weights" in published
    assert "the model's own paper" in published


def test_what_fell_back_and_aggregates_are_told_everywhere(tmp_path: Path) -> None:
    fallen = make_row("fallen", 5, 60, fallback="3 of 7 nodes ran on CPUExecutionProvider")
    told = make_row("told", 6, 70, aggregates="each restart is the median that the tool told")
    page = render([fallen, told], "t")
    assert "<td>valid, fell back</td>" in page
    assert ">6.00 a</td>" in page
    assert "fell back: 3 of 7 nodes ran on CPUExecutionProvider</td>" in page
    assert "aggregates only: each restart is the median that the tool told</td>" in page
    assert "! marks 1 of 2 rows" in page
    assert "a marks 1 of 2 rows" in page
    texts = [point["latency_text"] for point in embedded(page)["points"]]
    assert texts[0].endswith(", fell back: 3 of 7 nodes ran on CPUExecutionProvider")
    assert texts[1].endswith(", aggregates only")
    write_image([fallen, told], tmp_path / "chart.svg")
    image = (tmp_path / "chart.svg").read_text("utf-8")
    assert {">1 fallen<", ">!<", ">2 told<", ">a<"} <= set(re.findall(">[^<]+<", image))
    assert "(! fell back, a aggregates only)" in image


@pytest.mark.browser
def test_a_row_stands_on_the_frontier_of_each_of_its_accuracies(browser: Any, tmp_path: Path) -> None:
    fast, slow = (both(name, median, *values) for name, median, *values in (("fast", 5, 60, 50), ("slow", 9, 70, 48)))
    write_page([slow, fast, make_row("published", 8, 65)], tmp_path / "page.html")
    opened = Opened(browser, tmp_path / "page.html")
    assert opened.frontier() == ["fast"]
    assert opened.marks() == 2
    opened.page.select_option("#select-accuracy", label="published top-1 %, ImageNet-1k val")
    assert opened.frontier() == ["fast", "published", "slow"]
    opened.page.check("#only")
    assert opened.page.locator("#rows tbody tr:visible").count() == 3
    cells = opened.page.locator("#rows tbody tr").first.locator("td").all_text_contents()
    assert "70 p 48 m" in cells
    assert "published: on the frontier; measured: dominated by fast (onnxruntime, fp32, 4 threads)" in cells
    assert opened.said == []
    write_image([slow, fast], tmp_path / "image.svg")
    image = (tmp_path / "image.svg").read_text("utf-8")
    assert "pi4: measured top-1 %, ImageNet-1k val" in image
    assert "pi4: published top-1 %, ImageNet-1k val" in image


def embedded(page: str) -> dict[str, Any]:
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert block is not None
    return json.loads(block[1])


def test_hostile_text_stays_text() -> None:
    table = hostile_rows()
    page = render(table, HOSTILE[1], HOSTILE[0])
    tags = [tag for tag, _ in elements(page)]
    assert tags.count("script") == 3
    assert "img" not in tags
    assert {point["model"] for point in embedded(page)["points"]} == set(HOSTILE)


def test_the_largest_night_stays_small() -> None:
    """3 devices, 40 models, 3 backends."""
    page = render(rows(make_run(3, 40, 3, n=20)), "t")
    assert len(page.encode("utf-8")) < 2_000_000


@pytest.mark.parametrize("table", [[], [make_row(median=None, top1=None, verdict=Verdict.OFFLINE, reason="no route")]])
def test_nothing_to_draw_still_has_its_page(table: list[Row]) -> None:
    page = render(table, "t")
    assert 'id="chart-section" hidden' in page
    assert page.count('<th scope="row"') == len(table)


# --- In a real browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"no browser: none of {', '.join(BROWSERS)} is installed")
        pytest.skip("no browser is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=found, args=list(FLAGS), timeout=1000 * LIMIT_S)
        yield instance
        instance.close()


class Opened:
    """A page in the browser, with everything it said and asked for."""

    def __init__(self, browser: Any, path: Path, fragment: str = "", width: int = 1200) -> None:
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.set_default_timeout(1000 * LIMIT_S)
        self.page = context.new_page()
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + fragment)
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def frontier(self) -> list[str]:
        """The models of the listed frontier."""
        return [words.split(": ")[1].split(" (")[0] for words in self.page.locator("#frontier li").all_text_contents()]

    def marks(self) -> int:
        return self.page.locator('#chart svg [aria-roledescription="point"]').count()

    def column(self, number: int) -> list[str]:
        return self.page.locator(f"#rows tbody tr > :nth-child({number})").all_text_contents()


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    write_page(TABLE, tmp_path / "page.html", title="A night", profile="standard")
    return tmp_path / "page.html"


def on_device(device: str, backend: str | None = None) -> list[Row]:
    return [
        row for row in TABLE if row.device == device and backend in (None, row.backend) and row.median_ms is not None
    ]


def frontier_models(table: list[Row]) -> list[str]:
    pairs = zip(table, standings(table), strict=True)
    chosen = sorted((row.median_ms, row.model) for row, standing in pairs if standing.status == "frontier")
    return [model for _, model in chosen]


@pytest.mark.browser
def test_page_draws_without_network_or_complaint(browser: Any, page_file: Path) -> None:
    opened = Opened(browser, page_file)
    assert opened.said == []
    assert opened.requests == [page_file.as_uri()]
    assert opened.marks() == len(on_device("jetson-orin"))
    assert opened.frontier() == frontier_models(on_device("jetson-orin"))


@pytest.mark.browser
def test_selecting_changes_frontier_chart_and_address(browser: Any, page_file: Path) -> None:
    opened = Opened(browser, page_file)
    before = opened.page.locator("#frontier").text_content()
    opened.page.select_option("#select-device", label="pi4")
    opened.page.select_option("#select-backend", label="tflite")
    expected = on_device("pi4", "tflite")
    opened.page.wait_for_function(
        f"document.querySelectorAll('[aria-roledescription=point]').length === {len(expected)}"
    )
    assert opened.page.locator("#frontier").text_content() != before
    assert opened.frontier() == frontier_models(expected)
    assert "device=pi4&backend=tflite" in opened.page.url
    assert opened.said == []


@pytest.mark.browser
def test_the_address_restores_the_selection(browser: Any, page_file: Path) -> None:
    opened = Opened(browser, page_file, "#device=pi4&backend=openvino&q=failed&sort=6d&threads=99")
    assert opened.marks() == len(on_device("pi4", "openvino"))
    assert opened.page.input_value("#filter") == "failed"
    assert opened.page.locator("#rows tbody tr:visible").count() == sum("failed" in row.verdict for row in TABLE)
    assert opened.page.locator("th[aria-sort=descending]").inner_text().startswith("Median")


@pytest.mark.browser
def test_sorting_by_keyboard(browser: Any, page_file: Path) -> None:
    opened = Opened(browser, page_file)
    button = opened.page.get_by_role("button", name="Median")
    button.focus()
    opened.page.keyboard.press("Enter")
    shown = opened.column(7)
    known = [float(text) for text in shown if text != "-"]
    assert known == sorted(known)
    assert shown[len(known) :] == ["-"] * (len(TABLE) - len(known))
    opened.page.keyboard.press("Enter")
    assert [float(text) for text in opened.column(7)[: len(known)]] == sorted(known, reverse=True)
    assert opened.page.locator("th[aria-sort=descending]").count() == 1


@pytest.mark.browser
def test_filtering_the_table(browser: Any, page_file: Path) -> None:
    opened = Opened(browser, page_file)
    opened.page.fill("#filter", "SQUEEZENET unsupported")
    assert opened.page.locator("#rows tbody tr:visible").count() == 2
    assert opened.page.locator("#count").inner_text() == f"2 of {len(TABLE)} rows"
    opened.page.fill("#filter", "")
    opened.page.check("#only")
    assert opened.page.locator("#rows tbody tr:visible").count() == len(on_device("jetson-orin"))


@pytest.mark.browser
def test_arrows_and_intervals_follow_the_selection(browser: Any, tmp_path: Path) -> None:
    measured = {"kind": "measured", "accuracy_ci95": (89, 91)}
    table = [
        make_row("net", 20, 90, **measured),
        make_row("net", 10, 90, precision="int8", method="qdq", **measured),
        make_row("alone", 12, 85, kind="measured", backend="tflite"),
    ]
    write_page(table, tmp_path / "page.html")
    opened = Opened(browser, tmp_path / "page.html")
    heads = opened.page.locator("#chart svg .arrowheads_marks path, #chart svg .role-mark.arrowheads_marks path")

    def seen() -> list[str]:
        return [head.get_attribute("opacity") for head in heads.all()]

    assert seen() == ["0.6"]
    opened.page.select_option("#select-precision", label="int8")
    opened.page.wait_for_function("document.querySelectorAll('[aria-roledescription=point]').length === 1")
    assert seen() == ["0"], "its fp32 is not shown"
    assert opened.said == []


@pytest.mark.browser
def test_tooltip_says_everything(browser: Any, page_file: Path) -> None:
    opened = Opened(browser, page_file)
    opened.page.locator('#chart svg [aria-roledescription="point"]').first.hover(force=True)
    words = opened.page.locator("#vg-tooltip-element").inner_text()
    for head in ("Model", "Configuration", "Median latency", "Accuracy", "Source of accuracy", "Verdict", "Standing"):
        assert head in words
    assert opened.said == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_hangs_over_the_edge(browser: Any, page_file: Path, width: int) -> None:
    opened = Opened(browser, page_file, width=width)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_hostile_names_are_inert(browser: Any, tmp_path: Path) -> None:
    write_page(hostile_rows(), tmp_path / "page.html", title=HOSTILE[1])
    opened = Opened(browser, tmp_path / "page.html")
    for number in range(len(HOSTILE)):
        opened.page.select_option("#select-device", index=number)
        opened.page.select_option("#select-accuracy", index=number)
    opened.page.select_option("#select-device", index=0)
    for number in range(len(HOSTILE)):
        opened.page.select_option("#select-accuracy", index=number)
    assert opened.page.evaluate("window.hacked") is None
    assert opened.page.locator("img").count() == 0
    assert set(opened.column(2)) == set(HOSTILE)
    assert opened.page.locator("h1").inner_text() == HOSTILE[1]
    assert opened.said == []
    assert opened.requests == [(tmp_path / "page.html").as_uri()]


@pytest.mark.browser
def test_latencies_alone_are_drawn_without_a_frontier(browser: Any, tmp_path: Path) -> None:
    table = [row.model_copy(update={"accuracies": ()}) for row in TABLE]
    table[0] = table[0].model_copy(
        update={
            "device": "jetson-orin",
            "model": "the/same/folder/for/every/model/of/mine/the_end.of_it",
            "fallback": "3 of 7 nodes ran on the CPU",
        }
    )
    write_page(table, tmp_path / "page.html")
    opened = Opened(browser, tmp_path / "page.html")
    shown = [row for row in table if row.device == "jetson-orin" and row.median_ms is not None]
    assert opened.marks() == len(shown)
    words = opened.page.locator("#chart svg text").all_text_contents()
    assert words.count("!") == 1
    assert any("…" in word and word.endswith("/the_end.of_it") for word in words)
    assert opened.page.locator("h1").inner_text() == "Latency"
    assert opened.page.locator("#sentences").is_hidden()
    assert opened.said == []


def test_a_page_without_a_latency_says_where_the_reasons_are() -> None:
    page = render([make_row(median=None, verdict=Verdict.FAILED, reason="no memory")])
    assert "No row has a latency, so there is nothing to draw" in page


@pytest.mark.browser
def test_a_selection_without_frontier_and_one_without_rows(browser: Any, tmp_path: Path) -> None:
    unstable = make_row("w", 10, 60, verdict=Verdict.UNSTABLE, reason="3 of 5 restarts", backend="tflite")
    write_page([make_row("v", 20, 70), unstable, make_row("z", 9, 50, precision="int8")], tmp_path / "page.html")
    opened = Opened(browser, tmp_path / "page.html")
    opened.page.select_option("#select-backend", label="tflite")
    assert opened.frontier() == []
    assert "3 of 5 restarts" in opened.page.locator("#others").text_content()
    opened.page.select_option("#select-precision", label="int8")
    assert opened.page.locator("#nothing").is_visible()
    opened.page.select_option("#select-backend", index=0)
    assert opened.page.locator("#nothing").is_hidden()
    assert opened.frontier() == ["z"]
    assert opened.said == []


@pytest.mark.browser
def test_an_empty_page_works(browser: Any, tmp_path: Path) -> None:
    write_page([], tmp_path / "page.html")
    assert Opened(browser, tmp_path / "page.html").said == []


def test_the_control_has_a_table_of_its_own_and_no_place_elsewhere() -> None:
    control = make_row("bench:control", 1.23, 99.0, control=True, verdict=Verdict.UNSTABLE, reason="<b>")
    text = render([make_row("net"), control])
    section = text[text.index('<table id="controls">') :].partition("</table>")[0]
    assert "<td>1.23</td>" in section
    assert "&lt;b&gt;" in section
    assert "bench:control" not in text
    assert 'id="controls"' not in render([make_row("net")])
