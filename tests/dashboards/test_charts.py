from __future__ import annotations

import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dashboards.charts import COLORS, SHAPES, write_image
from results.errors import ResultsError
from results.judge.summary import rows
from results.records import Row
from tests.results.factory import make_row, make_run

TABLE = rows(make_run(2, 8, 3))


def texts(path: Path) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314


def test_svg_shows_each_device_and_the_names_of_its_frontier(tmp_path: Path) -> None:
    write_image(TABLE, tmp_path / "image.svg")
    words = texts(tmp_path / "image.svg")
    assert "pi4: published top-1 %, ImageNet-1k val" in words
    assert "jetson-orin: published top-1 %, ImageNet-1k val" in words
    assert {"onnxruntime", "openvino", "tflite"} <= set(words)
    assert any(word.startswith("1 ") for word in words)


def test_svg_has_colors_of_its_own_and_draws_every_row(tmp_path: Path) -> None:
    write_image(TABLE, tmp_path / "image.svg")
    content = (tmp_path / "image.svg").read_text("utf-8")
    assert "currentColor" not in content
    drawn = content.count('aria-roledescription="point"')
    assert drawn == sum(row.median_ms is not None for row in TABLE)


def test_published_and_measured_never_share_a_panel(tmp_path: Path) -> None:
    mixed: list[Row] = [make_row("a"), make_row("b", kind="measured")]
    write_image(mixed, tmp_path / "image.svg")
    words = texts(tmp_path / "image.svg")
    assert "pi4: published top-1 %, ImageNet-1k val" in words
    assert "pi4: measured top-1 %, ImageNet-1k val" in words


def test_an_arrow_leads_from_fp32_to_the_same_model_in_another_precision(tmp_path: Path) -> None:
    """It points to the left and down: faster, and less accurate."""
    fp32 = make_row("net", 20, 90, kind="measured", accuracy_ci95=(89, 91))
    int8 = make_row("net", 10, 88, kind="measured", accuracy_ci95=(87, 89), precision="int8", method="qdq")
    alone = make_row("alone", 12, 85, kind="measured", precision="int8", method="qdq")
    write_image([fp32, int8, alone], tmp_path / "image.svg")
    (group,) = re.findall(r'class="[^"]*arrowheads[^"]*".*?</g>', (tmp_path / "image.svg").read_text(), re.DOTALL)
    (angle,) = re.findall(r"rotate\(([-0-9.]+)\)", group)
    assert 90 < float(angle) < 180
    write_image([fp32, alone], tmp_path / "none.svg")
    assert "rotate(1" not in (tmp_path / "none.svg").read_text()


def test_png(tmp_path: Path) -> None:
    write_image(TABLE[:20], str(tmp_path / "image.png"))
    content = (tmp_path / "image.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", content[16:24])
    assert width > 1200
    assert height > 800


def test_latencies_alone(tmp_path: Path) -> None:
    write_image([row.model_copy(update={"accuracies": ()}) for row in TABLE], tmp_path / "image.svg")
    assert "pi4: latency" in texts(tmp_path / "image.svg")


def test_hostile_names_are_text(tmp_path: Path) -> None:
    write_image([make_row("<script>x()"), make_row('"&amp;', 20, 80)], tmp_path / "image.svg")
    assert "1 <script>x()" in texts(tmp_path / "image.svg")


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="nothing to draw"):
        write_image([], tmp_path / "image.svg")
    with pytest.raises(ResultsError, match=r"\.svg or \.png"):
        write_image(TABLE, tmp_path / "image.gif")


def test_colors_and_shapes_are_distinct_and_as_many() -> None:
    assert len(set(COLORS)) == len(set(SHAPES)) == len(COLORS) == len(SHAPES)
