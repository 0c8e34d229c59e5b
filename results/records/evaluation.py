"""What a model got right on a data set: the data set as it was fed, and what came of each part of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from results.records.base import FreeForm, Nanoseconds, Record, Sha256, Text, Word
from results.records.packed import Packed
from results.records.restart import Cause

MAX_CLASSES = 100_000
Count = Annotated[int, Field(ge=0, le=2**40)]
TOP = 5
"""How many of the best classes of a sample are kept, the best first; fewer where there are fewer classes."""

Metric = Literal["top-1 %", "mean IoU %"]


class DatasetFacts(Record):
    """A data set as models of one preprocessing are fed it; a case finds it by `sha256`, which names the prepared
    samples.

    `total` is how many samples it has, `samples` how many of them were asked for: the first in an order in which every
    beginning has its share of each class. `labels` are their true classes in that order (packed uint32), empty for
    segmentation. `preprocessing` says in words what was done to the images.
    """

    name: Text
    split: Word = ""
    sha256: Sha256
    metric: Metric = "top-1 %"
    classes: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_CLASSES)]
    total: Count
    samples: Count
    labels: Packed = ""
    preprocessing: Text = ""
    notes: tuple[Text, ...] = ()

    @property
    def title(self) -> str:
        """Its name with its split, as accuracies name it: `fashion-mnist test`."""
        return f"{self.name} {self.split}".rstrip()


class Evaluation(Record):
    """A part of a data set that one case computed: the samples from `first` on, `count` of them, by one process.

    `outcome`, `cause`, `reason`, `agent`, `actual` and `attempt` are as in `Restart`. `top` are the `TOP` best classes
    of every sample (packed uint32, count x TOP or fewer; the number of classes itself where its outputs are no answer,
    as NaN is), `confidence` the softmax of the best (packed float32, count);
    `logits` are the outputs of the first `logits_count` samples (packed float32, logits_count x classes), kept of the
    first samples of a data set only. `confusion` is, for segmentation, how many pixels of each true class were taken
    for which class (packed uint32, count x classes x classes). `infer_ns` is the time of the inferences alone.
    """

    case_id: str
    dataset: Sha256
    first: Count
    count: Count
    attempt: Annotated[int, Field(ge=0)] = 0
    started_at: Text
    wall_ns: Nanoseconds
    outcome: Literal["ok", "unsupported", "failed", "offline"]
    cause: Cause | None = None
    reason: Text = ""
    agent: dict[str, str] = Field(default_factory=dict)
    actual: FreeForm = Field(default_factory=dict)
    infer_ns: Nanoseconds | None = None
    top: Packed = ""
    confidence: Packed = ""
    logits_count: Count = 0
    logits: Packed = ""
    confusion: Packed = ""


class Evaluated(Record):
    """What a row says of the accuracy that was measured of its very file, under its runtime, on its device.

    `truth` is a hash of the classes and of what is true of the samples: two data sets of one name differ in it, one
    that was prepared in two ways does not.
    `value` is in the unit of `metric`, with its 95 % interval `ci95` (Wilson's for shares). `samples` of `total` were
    evaluated. `reference` is what it should be, where that is known, and `drop` how far it is below, in percentage
    points; `check` says in words that it is further below than `threshold` allows, "" when it is not. `loss` is how far
    it is below the fp32 file on the same samples, in percentage points, with its interval. `agreement` is the share of
    samples in which it names the same class as that file, `mcnemar_p` how likely so many differences of one kind are by
    chance, `logit_snr_db` the signal-to-noise ratio of its outputs against those of that file. `calibration_error` is
    the expected one over 15 bins. `per_class` is the share of right answers (or the IoU) of each class by name, in
    percent.
    """

    dataset: Text
    split: Word = ""
    dataset_sha256: Sha256
    truth: Word = ""
    metric: Metric
    value: float
    ci95: tuple[float, float] | None = None
    samples: Count
    total: Count
    top5: float | None = None
    per_class: dict[Text, float] = Field(default_factory=dict)
    calibration_error: float | None = None
    reference: float | None = None
    threshold: float | None = None
    drop: float | None = None
    check: Text = ""
    loss: float | None = None
    loss_ci95: tuple[float, float] | None = None
    agreement: float | None = None
    mcnemar_p: float | None = None
    logit_snr_db: float | None = None
    images_per_s: float | None = None
    notes: tuple[Text, ...] = ()
