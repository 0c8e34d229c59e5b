"""How accuracies are worded, above all those that were measured: in the page, the image and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dashboards.wording import RECALLED_MARK
from results.judge.twins import is_reference
from results.records import Accuracy, Evaluated, Row, shortened

_MOST_CLASSES = 50
BY_CHANCE = 0.05
"""From this p-value of McNemar's test on, a difference may be chance."""


def marks(row: Row) -> str:
    """The figures with how they are known: `71.9 p* 70.2 ±0.6 m`, published (and recalled) and measured."""
    return " ".join(map(_mark, row.accuracies)) or "-"


def _mark(accuracy: Accuracy) -> str:
    how = f"{accuracy.kind[0]}{RECALLED_MARK if accuracy.recalled else ''}"
    if accuracy.ci95 is None:
        return f"{accuracy.value:.4g} {how}"
    low, high = accuracy.ci95
    return f"{accuracy.value:.2f} ±{max((high - low) / 2, 0.01):#.2g} {how}"


def against_fp32(row: Row) -> str:
    """`-0.41`: percentage points less than fp32; `(-0.02)` where so many differences may be chance."""
    found = row.evaluation
    if found is None or found.loss is None:
        return ""
    words = f"{-found.loss:+.2f}".replace("+0.00", "0").replace("-0.00", "0")
    return f"({words})" if found.mcnemar_p is not None and found.mcnemar_p >= BY_CHANCE else words


def facts(found: Evaluated, against: str = "fp32") -> list[str]:
    """All of an evaluation but its classes, a fact a part; `against` is what it was held against."""
    low, high = found.ci95 or (None, None)
    interval = "" if low is None or high is None else f" (95 %: {low:.4g}-{high:.4g})"
    words = [f"{found.value:.4g} {found.metric}{interval} on {found.samples} of {found.total} samples"]
    words += [f"top-5 {found.top5:.4g} %"] if found.top5 is not None else []
    if found.reference is not None:
        allowed = "" if found.threshold is None else f", {found.threshold:g} allowed"
        words.append(f"reference {found.reference:.4g}: {-(found.drop or 0):+.3g} points{allowed}")
    if found.loss is not None:
        between = (
            "" if found.loss_ci95 is None else f" (95 %: {-found.loss_ci95[1]:+.2f} to {-found.loss_ci95[0]:+.2f})"
        )
        words.append(f"against {against} {-found.loss:+.2f} points{between}")
    words += [f"same class as {against} in {100 * found.agreement:.2f} %"] if found.agreement is not None else []
    words += [f"McNemar p = {found.mcnemar_p:.2g}"] if found.mcnemar_p is not None else []
    words += [f"outputs at {found.logit_snr_db:.1f} dB"] if found.logit_snr_db is not None else []
    words += [f"calibration error {found.calibration_error:.3f}"] if found.calibration_error is not None else []
    words += [f"{found.images_per_s:.4g} images/s"] if found.images_per_s is not None else []
    return [*words, *found.notes]


def in_detail(row: Row) -> str:
    """An evaluation as text."""
    return "; ".join(facts(row.evaluation, _against(row))) if row.evaluation is not None else ""


def _against(row: Row) -> str:
    """Its fp32 file; of a transformed model in fp32, the model before."""
    return row.untransformed if row.untransformed and is_reference(row) else "fp32"


def detail_html(row: Row) -> str:
    """An evaluation as it stands in a cell of the page: a line of it, and folded away its facts and its classes."""
    found = row.evaluation
    if found is None:
        return ""
    listed = "".join(f"<li>{escape(fact)}</li>" for fact in facts(found, _against(row)))
    short = [] if found.agreement is None else [f"same as {shortened(_against(row), 40)} {100 * found.agreement:.2f} %"]
    ordered = sorted(found.per_class.items(), key=lambda entry: entry[1])
    short += [f"worst class {shortened(name, 40)} {share:.4g} %" for name, share in ordered[:1]]
    summary = escape("; ".join(short) or f"{found.samples} samples")
    return f"<details><summary>{summary}</summary><ul>{listed}</ul>{_classes_html(found, ordered)}</details>"


def _classes_html(found: Evaluated, ordered: Sequence[tuple[str, float]]) -> str:
    if not ordered:
        return ""
    lines = [
        f'<tr><td>{escape(name)}</td><td class="number">{share:.4g}</td></tr>'
        for name, share in ordered[:_MOST_CLASSES]
    ]
    left = len(ordered) - len(lines)
    rest = f"<p>and {left} better ones, which are in the JSON</p>" if left else ""
    what = "IoU %" if found.metric == "mean IoU %" else "right %"
    head = f'<tr><td>class</td><td class="number">{what}</td></tr>'
    return f'<table class="classes">{head}{"".join(lines)}</table>{rest}'


def notices(rows: Sequence[Row]) -> list[str]:
    """What a reader must know before believing the accuracies of these rows."""
    truths: dict[str, set[str]] = {}
    for found in (row.evaluation for row in rows if row.evaluation is not None):
        truths.setdefault(f"{found.dataset} {found.split}, {found.samples} samples", set()).add(found.truth)
    result = [
        f"{len(different)} different data sets are called {shortened(name, 200)}: their accuracies cannot be compared."
        for name, different in truths.items()
        if len(different) > 1
    ]
    failed = [row for row in rows if row.evaluation is not None and row.evaluation.check]
    if failed:
        names = shortened(", ".join(dict.fromkeys(row.model for row in failed)), 300)
        result.append(f"{len(failed)} of {len(rows)} rows are less accurate than their reference allows: {names}.")
    return result
