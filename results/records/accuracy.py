"""How accurate a model is, and what else is known of it besides how fast it runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from results.records.base import Record, Text


class Accuracy(Record):
    """One accuracy figure and where it comes from.

    `published` was printed by somebody (a paper, a model card) for trained weights; `measured` was measured on the very
    artifact. The two never share a frontier, nor do different metrics or data sets. `recalled` marks a published figure
    that was quoted from memory rather than re-read in its source. `ci95` is the interval of what was measured on
    `samples`.
    """

    value: float
    metric: Text = "top-1 %"
    dataset: Text = "ImageNet-1k val"
    kind: Literal["published", "measured"]
    source: Text
    recalled: bool = False
    ci95: tuple[float, float] | None = None
    samples: int | None = None


class ModelFacts(Record):
    """What is known about a model. `weights` is `random`, `own` or the name of a set; the first accuracy is shown.

    `reference` is what its accuracy should come to where it is measured, `threshold` how many percentage points less
    is allowed; without one `judge.evaluation` decides by the precision. `untransformed` is the model that it is an
    optimization of, "" where it is none; `notes` are what else to know of its weights.
    """

    name: Text
    family: Text | None = None
    weights: Text
    resolution: int | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    accuracies: tuple[Accuracy, ...] = ()
    reference: Accuracy | None = None
    threshold: Annotated[float, Field(ge=0, le=100)] | None = None
    untransformed: Text = ""
    notes: tuple[Text, ...] = ()
