"""A latency and an accuracy of one case in one row, also when they were measured in different runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from results.records import Row


def joined(rows: Sequence[Row]) -> Row:
    """One row of those of one case, the earliest recorded first: the latest latency, and the accuracy to go by.

    A later run that measured latency alone does not hide an accuracy of the very same case, nor the other way round:
    both are of the same file, under the same runtime and options, on the same device. The latest accuracy goes before
    others, but not one on a part of the samples before one on more of them, as a quick run has it: while the runtime is
    the same, both come of the same answers.
    """
    latency = next((row for row in reversed(rows) if "latency" in row.asked), None)
    accuracy = None
    for row in rows:
        if "accuracy" in row.asked and (accuracy is None or not _says_less(row, accuracy)):
            accuracy = row
    if latency is None or accuracy is None:
        return latency or accuracy or rows[-1]
    if latency.run == accuracy.run:
        return latency
    return latency.model_copy(
        update={
            "asked": ("latency", "accuracy"),
            "accuracies": accuracy.accuracies,
            "evaluation": accuracy.evaluation,
            "unevaluated": accuracy.unevaluated,
            "notes": (*latency.notes, f"its accuracy was measured in run {accuracy.run}"),
        }
    )


def _says_less(row: Row, than: Row) -> bool:
    """Whether its accuracy is one on fewer samples of the same data set, under the same version of the runtime."""
    new, old = row.evaluation, than.evaluation
    if new is None or old is None or row.backend_version != than.backend_version:
        return False
    same = (new.dataset, new.split, new.metric, new.total) == (old.dataset, old.split, old.metric, old.total)
    return same and new.samples < old.samples
