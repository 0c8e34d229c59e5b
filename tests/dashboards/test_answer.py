from __future__ import annotations

from dashboards.answer import lines
from results.judge.best import Limits, answer
from results.records import Row
from tests.results.factory import make_row

MEASURED = ("measured", "top-1 %", "ImageNet-1k val")


def measured(model: str, median: float, value: float, **changes: object) -> Row:
    return make_row(model, median, value, kind="measured", accuracy_ci95=(value - 0.5, value + 0.5), **changes)


def test_every_part_of_the_answer_is_worded() -> None:
    rows = [
        measured("best", 9.9, 91.0, size_bytes=4_000_000),
        measured("as good", 5.0, 90.5),
        measured("slow", 20.0, 93.0),
        measured("near", 10.05, 91.2),
        make_row("none", 5, None),
    ]
    said = lines(answer(rows, MEASURED, Limits(max_latency_ms=10)))
    assert [line.split(":")[0] for line in said] == [
        "Best on pi4",
        "Why",
        "Held back by the limit of the latency",
        "Second",
        "Left open by noise",
        "Left open by noise",
        "Left out (no accuracy is known)",
    ]
    assert "4.00 MB large" in said[0]
    assert "91 (95 %: 90.5-91.5) top-1 %" in said[0]
    assert any("0.5 less, 95 %: -1.2 to 0.21; 1.98 times as fast, 95 %: 1.95 to 2.01" in line for line in said)
    assert any("near (onnxruntime, fp32, 4 threads) misses the latency by no more than noise" in line for line in said)


def test_a_long_list_is_cut_and_counted() -> None:
    rows = [measured(f"m{n}", 5 + n * 1e-3, 90.0) for n in range(12)] + [make_row(f"n{n}", 5, None) for n in range(9)]
    said = lines(answer(rows, MEASURED, Limits()))
    assert "Left open by noise: 5 more, which --json lists." in said
    assert said[-1].endswith("and 3 more.")
