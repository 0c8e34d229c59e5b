"""What a result is: frozen, validated records, written to disk as JSON.

Everything here is untrusted when it is read back (a file may be damaged, a device may lie), so every field is typed and
bounded. Units are in the names: `_ns`, `_ms`, `_bytes`.

History of the run document's schema
------------------------------------
1. The first one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

MAX_SAMPLES = 1_000_000
_DAY_NS = 86_400 * 10**9

Nanoseconds = Annotated[int, Field(ge=0, le=_DAY_NS)]
Samples = Annotated[tuple[Nanoseconds, ...], Field(max_length=MAX_SAMPLES)]
Text = Annotated[str, Field(max_length=4096)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """Base of every record: immutable, and a field nobody defined is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Verdict(StrEnum):
    """What a measurement is good for. Anything but `valid` comes with its reason in words."""

    VALID = "valid"
    UNSTABLE = "unstable"
    THROTTLED = "throttled"
    NOT_COMPARABLE = "not-comparable"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    OFFLINE = "offline"


class Accuracy(Record):
    """One accuracy figure and where it comes from.

    `published` was printed by somebody (a paper, a model card) for trained weights; `measured` was measured on the very
    artifact. The two never share a frontier, nor do different metrics or data sets. `recalled` marks a published figure
    that was quoted from memory rather than re-read in its source.
    """

    value: float
    metric: Text = "top-1 %"
    dataset: Text = "ImageNet-1k val"
    kind: Literal["published", "measured"]
    source: Text
    recalled: bool = False


class ModelFacts(Record):
    """What is known about a model besides how fast it runs. `weights` is `random`, `own` or the name of a set."""

    name: Text
    family: Text | None = None
    weights: Text
    resolution: int | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    accuracy: Accuracy | None = None


class Profile(Record):
    """How much is measured: restarts per case, and bounds on one restart's warm-up and timed inferences."""

    name: Text
    restarts: Annotated[int, Field(ge=1, le=1000)]
    min_iterations: Annotated[int, Field(ge=1)]
    min_seconds: Annotated[float, Field(ge=0)]
    max_seconds: Annotated[float, Field(gt=0)]
    warmup_min_iterations: Annotated[int, Field(ge=1)]
    warmup_min_seconds: Annotated[float, Field(ge=0)]
    warmup_max_seconds: Annotated[float, Field(gt=0)]


class Case(Record):
    """One artifact under one backend with its options on one device.

    `case_id` is a hash of what was asked for, of all fields but `unsupported`: equal in two runs exactly when the two
    ask for the same. `io_sha256` names the inputs it is fed and the outputs it must give. `unsupported` is the
    reason known before anything runs (a format the backend cannot read). `cores` is the set it is kept on, `power_mode`
    the mode that the device must be in, if any.
    """

    case_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    device: Text
    model: Text
    backend: Text
    precision: Text
    threads: Annotated[int, Field(ge=1, le=1024)]
    options: dict[str, str] = Field(default_factory=dict)
    artifact_sha256: Sha256 | None
    artifact_format: Text | None
    io_sha256: Sha256 | None = None
    unsupported: Text | None = None
    cores: Text | None = None
    power_mode: Text | None = None


class Restart(Record):
    """One fresh process on the device: load, first inference, check, warm-up, timed inferences.

    `outcome` is `ok`, or why there are no samples; `reason` says it in words. `actual` is what really ran (execution
    providers, inference precision, threads; its common keys stand in `backends.base.Session.actual`), `agent` who
    measured (versions, hash). `*_ns` are durations.
    """

    case_id: str
    round: Annotated[int, Field(ge=0)]
    attempt: Annotated[int, Field(ge=0)] = 0
    started_at: Text
    wall_ns: Nanoseconds
    outcome: Literal["ok", "unsupported", "failed", "offline"]
    reason: Text = ""
    agent: dict[str, str] = Field(default_factory=dict)
    actual: dict[str, Any] = Field(default_factory=dict)
    telemetry_before: dict[str, Any] = Field(default_factory=dict)
    telemetry_after: dict[str, Any] = Field(default_factory=dict)
    import_ns: Nanoseconds | None = None
    load_ns: Nanoseconds | None = None
    first_ns: Nanoseconds | None = None
    verified: bool = False
    max_abs_diff: float | None = None
    warmup_ns: Samples = ()
    warmup_stable: bool = False
    samples_ns: Samples = ()
    peak_rss_bytes: Annotated[int, Field(ge=0, le=2**50)] | None = None


class RunHeader(Record):
    """What a run set out to do, fixed before the first restart: the first line of its journal."""

    schema_version: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    run_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    started_at: Text
    bench_version: Text
    command: tuple[Text, ...] = ()
    seed: int
    profile: Profile
    host: dict[str, str] = Field(default_factory=dict)
    models: tuple[ModelFacts, ...]
    cases: tuple[Case, ...]


class RunDocument(Record):
    """A run: its header and every restart that finished. `finished_at` is None while restarts are still missing."""

    header: RunHeader
    restarts: tuple[Restart, ...]
    finished_at: Text | None = None


class Row(Record):
    """One line of every table: a case with its verdict, its numbers and its accuracy. This is the `--json` schema.

    `median_ms` is the median of the restarts' medians, `ci95_ms` its 95 % interval [low, high], `spread_ms` the median
    absolute deviation of the restarts' medians, `percentiles_ms` pooled over restarts and holding only those for which
    there are enough samples. `load_ms`, `first_ms` are medians over restarts, `peak_rss_bytes` the maximum.
    `environment` is what was read of the device's state before and after the restarts (`judge.environment.NAMES`).

    `verified` says that the output was compared with the artifact's reference in every restart that brought numbers.
    `fallback` says in words what of the accelerators asked for was not given, `aggregates` that each restart brought
    one number for many inferences; each is empty when there is nothing to say.
    """

    run: Text
    started_at: Text
    device: Text
    model: Text
    family: Text | None
    backend: Text
    backend_version: Text | None
    precision: Text
    threads: int
    options: dict[str, str]
    verdict: Verdict
    reason: Text
    median_ms: float | None
    ci95_ms: tuple[float, float] | None
    spread_ms: float | None
    percentiles_ms: dict[str, float]
    verified: bool = False
    n_restarts: int
    n_iterations: int
    load_ms: float | None
    first_ms: float | None
    peak_rss_bytes: int | None
    artifact_sha256: str | None
    artifact_format: str | None
    weights: Text
    resolution: int | None
    parameters: int | None
    multiply_adds: int | None
    accuracy: Accuracy | None
    actual: dict[str, Any]
    environment: dict[str, tuple[Text, ...]]
    fallback: Text = ""
    aggregates: Text = ""
    case_id: str
