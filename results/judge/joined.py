"""A latency and an accuracy of one case in one row, also when they were measured in different runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from results.records import Row


def joined(rows: Mapping[str, Row]) -> Row:
    """Of the latest row for each thing that was asked for (`Row.asked`) one row: that of the latency, or the only one.

    A later run that measured latency alone does not hide an accuracy of the very same case, nor the other way round:
    both are of the same file, under the same runtime and options, on the same device. The runtime's version may be
    another; the source of the accuracy names it.
    """
    latency, accuracy = rows.get("latency"), rows.get("accuracy")
    if latency is None or accuracy is None:
        return next(iter(rows.values()))
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
