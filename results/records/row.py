"""The line of every table: a case with its verdict and its numbers."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field, JsonValue

from results.records.accuracy import Accuracy
from results.records.artifact import InputSpec, Quality, ShapesFixed
from results.records.base import Record, Text, Word
from results.records.curve import Marked, Sustained
from results.records.evaluation import Evaluated
from results.records.placement import Placement
from results.records.restart import Caches

Asked = Literal["latency", "accuracy"]


class Verdict(StrEnum):
    """What a measurement is good for. Anything but `valid` comes with its reason in words."""

    VALID = "valid"
    UNSTABLE = "unstable"
    CONTENDED = "contended"
    THROTTLED = "throttled"
    NOT_COMPARABLE = "not-comparable"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    OFFLINE = "offline"


class Row(Record):
    """One line of every table: a case with its verdict, its numbers and its accuracies. This is the `--json` schema.

    `median_ms` is the median of the restarts' medians, `ci95_ms` its 95 % interval [low, high], `spread_ms` the median
    absolute deviation of the restarts' medians, `percentiles_ms` pooled over restarts and holding only those for which
    there are enough samples. All four are the device's own: of the inferences that kept their core, `n_undisturbed` of
    `n_iterations`, where `marked_by` says what told them apart; where that is unknown, of all. `observed_ms` are the
    percentiles of all inferences at ordinary priority, which is what a user gets while the device does other work, too,
    `lost_share` the share of their time that they waited for a core. `load_ms`, `first_ms` are medians over restarts
    that were loaded with the model's files in memory, `cold_load_ms` over those that were not, and `load_caches` says
    whether that is known. `peak_rss_bytes` is the largest of all restarts, `load_peak_rss_bytes` and
    `cold_load_peak_rss_bytes` until the model was loaded.
    `sustained` is what minutes without a pause did to it, None where it was measured otherwise; with it the figures
    above are those of the last fifth of the time, and there are no percentiles.
    `environment` is what was read of the device's state before and after the restarts, by the names that
    `judge.device.environment` has.

    `verified` says that the output was compared with the artifact's reference in every restart that brought numbers.
    `unverified` says why it was not ("" without numbers), `nonfinite` that it holds NaN or infinities nobody asked for,
    `destroyed` that the file's precision has left nothing of what fp32 computes; `snr_db` and `top1_agreement` are the
    least over restarts. `throughput_per_s` is examples per second, `batch` over the median.
    `method` says how the precision was made ("" as it was exported), `size_bytes` is that of all files of the model.
    `asked` is what was to be measured. `evaluation` is what was measured of its accuracy, which is among `accuracies`,
    too; `unevaluated` says why that is not of all samples that were asked for, "" when it is and without any. `quality`
    is what the precision cost when the file was made, None where bench has not made it.
    `untransformed` is the model that this one is an optimization of, "" where it is none. `speedup` is how many times
    as fast it is as the row that it is held against, with its interval (`judge.twins`); `chosen` is
    why `--precision auto` takes this row, "" where it does not (`judge.choice`).
    What the file was fed and in which types it computes is as in `ArtifactFacts`; `compute_precision` is what the
    runtime says. `notes` are decisions that were taken for the user, and what else to know of the measurement.
    `fallback` says in words what of the accelerators asked for was not given, `placement` in numbers of the restart of
    which most was not, failed ones too; None where none was asked for. `aggregates` says that each restart brought one
    number for many inferences; each is empty when there is nothing to say. `device_id` names the very board,
    `fingerprint` what must be equal in two rows that are compared (`judge.fingerprint`); None where it is not known.
    `control` says that the row is of the control series; `control_ms`, with its interval, is the latency of the control
    in the same run on the same device under the same runtime, None where there is no valid one
    (`judge.change.control`).
    """

    run: Text
    started_at: Text
    device: Text
    device_id: Text | None = None
    model: Text
    untransformed: Text = ""
    family: Text | None
    backend: Text
    backend_version: Text | None
    precision: Text
    method: Word = ""
    threads: int
    options: dict[str, str]
    verdict: Verdict
    reason: Text
    median_ms: float | None
    ci95_ms: tuple[float, float] | None
    spread_ms: float | None
    percentiles_ms: dict[str, float]
    observed_ms: dict[str, float] = Field(default_factory=dict)
    marked_by: Marked = "unknown"
    n_undisturbed: int | None = None
    lost_share: float | None = None
    sustained: Sustained | None = None
    verified: bool = False
    unverified: Text = ""
    nonfinite: Text = ""
    destroyed: Text = ""
    snr_db: float | None = None
    top1_agreement: float | None = None
    throughput_per_s: float | None = None
    inputs: tuple[InputSpec, ...] = ()
    batch: int | None = None
    signature: Text | None = None
    shapes_fixed: ShapesFixed | None = None
    weights_precision: Text = ""
    activations_precision: Text = ""
    compute_precision: Text = ""
    notes: tuple[Text, ...] = ()
    n_restarts: int
    n_iterations: int
    load_ms: float | None
    first_ms: float | None
    peak_rss_bytes: int | None
    load_peak_rss_bytes: int | None = None
    cold_load_ms: float | None = None
    cold_load_peak_rss_bytes: int | None = None
    load_caches: Caches | None = None
    artifact_sha256: str | None
    artifact_format: str | None
    weights: Text
    resolution: int | None
    parameters: int | None
    multiply_adds: int | None
    accuracies: tuple[Accuracy, ...] = ()
    evaluation: Evaluated | None = None
    unevaluated: Text = ""
    asked: tuple[Asked, ...] = ("latency",)
    size_bytes: int | None = None
    quality: Quality | None = None
    speedup: float | None = None
    speedup_ci95: tuple[float, float] | None = None
    chosen: Text = ""
    actual: dict[str, JsonValue]
    environment: dict[str, tuple[Text, ...]]
    fallback: Text = ""
    placement: Placement | None = None
    aggregates: Text = ""
    case_id: str
    fingerprint: Text | None = None
    control: bool = False
    control_ms: float | None = None
    control_ci95_ms: tuple[float, float] | None = None

    @property
    def accuracy(self) -> Accuracy | None:
        """The figure that is shown: the first."""
        return self.accuracies[0] if self.accuracies else None
