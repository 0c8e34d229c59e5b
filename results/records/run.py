"""What a run set out to do, and what came of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from results.records.accuracy import ModelFacts
from results.records.artifact import ArtifactFacts
from results.records.base import SCHEMA_VERSION, Record, Sha256, Text, Word
from results.records.device import DeviceSeen
from results.records.evaluation import DatasetFacts, Evaluation
from results.records.restart import Restart

RUN_ID = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$"
"""The id of a run is the name of its folder, so it is never a path."""


class Profile(Record):
    """How much is measured: restarts per case, and bounds on one restart's warm-up and timed inferences.

    Without restarts, accuracy alone is measured. With `span_seconds` the timed inferences go on for `max_seconds`,
    and of each span of that length a point of a curve is kept (`Restart.curve`), no samples.
    """

    name: Text
    restarts: Annotated[int, Field(ge=0, le=1000)]
    min_iterations: Annotated[int, Field(ge=1)]
    min_seconds: Annotated[float, Field(ge=0)]
    max_seconds: Annotated[float, Field(gt=0)]
    warmup_min_iterations: Annotated[int, Field(ge=1)]
    warmup_min_seconds: Annotated[float, Field(ge=0)]
    warmup_max_seconds: Annotated[float, Field(gt=0)]
    span_seconds: Annotated[float, Field(gt=0)] | None = None


class Stopping(Record):
    """When enough has been measured: restarts beyond those of the profile, the most uncertain case first.

    They are added while the 95 % interval of a case reaches further than `target` (a share of its median) to either
    side, or without a target while its restarts are not one number; of all cases of a device together at most `extra`
    for each, of one at most `most` restarts in all, and none after `max_minutes` from the begin. A restart that others
    disturbed is repeated at most `repeats` times.
    """

    target: Annotated[float, Field(gt=0, le=1)] | None = None
    extra: Annotated[float, Field(ge=0, le=1000)] = 1.0
    most: Annotated[int, Field(ge=1, le=1000)] = 20
    max_minutes: Annotated[float, Field(gt=0, le=10_080)] | None = None
    repeats: Annotated[int, Field(ge=0, le=100)] = 2


class Case(Record):
    """One artifact under one backend with its options on one device.

    `case_id` is a hash of what was asked for, of all fields but `unsupported`, `dataset`, `unevaluated` and `control`:
    equal in two runs exactly when the two ask for the same. `io_sha256` names the inputs it is fed and the outputs it
    must give. `unsupported` is the reason known before anything runs (a format the backend cannot read). `cores` is the
    set it is kept on, `power_mode` the mode that the device must be in, if any. `method` says how the file's precision
    was made, "" for one that is as it was exported. `dataset` names the data set (`DatasetFacts`) on which its accuracy
    is measured, `unevaluated` is the reason why it is not, although that was asked for. A `strict` one fails where not
    all of the model runs on the accelerator that was asked for. `control` is one of the control series, which nobody
    asked for by name (`judge.change.control`).
    """

    case_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    device: Text
    model: Text
    backend: Text
    precision: Text
    method: Word = ""
    threads: Annotated[int, Field(ge=1, le=1024)]
    options: dict[str, str] = Field(default_factory=dict)
    artifact_sha256: Sha256 | None
    artifact_format: Text | None
    io_sha256: Sha256 | None = None
    dataset: Sha256 | None = None
    unevaluated: Text = ""
    unsupported: Text | None = None
    cores: Text | None = None
    power_mode: Text | None = None
    strict: bool = False
    control: bool = False


class RunHeader(Record):
    """What a run set out to do, fixed before the first restart.

    `max_loss` is how much accuracy a precision may cost (percentage points) to be chosen by `--precision auto`, None
    where that was not asked for.
    """

    schema_version: Annotated[int, Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    run_id: Annotated[str, Field(pattern=RUN_ID)]
    started_at: Text
    bench_version: Text
    command: tuple[Text, ...] = ()
    seed: int
    profile: Profile
    stopping: Stopping | None = None
    host: dict[str, str] = Field(default_factory=dict)
    models: tuple[ModelFacts, ...]
    artifacts: tuple[ArtifactFacts, ...] = ()
    datasets: tuple[DatasetFacts, ...] = ()
    max_loss: Annotated[float, Field(ge=0, le=100)] | None = None
    cases: tuple[Case, ...]


class Finished(Record):
    """Everything of a run was measured: when, and how many restarts were written down until then."""

    at: Text
    restarts: Annotated[int, Field(ge=0)]


class RunDocument(Record):
    """A run: its header, its devices at each connection, every restart and every evaluation that finished.

    `finished_at` is None while restarts are still missing. `notes` say what of its files was damaged and passed over.
    """

    header: RunHeader
    devices: tuple[DeviceSeen, ...] = ()
    restarts: tuple[Restart, ...]
    evaluations: tuple[Evaluation, ...] = ()
    finished_at: Text | None = None
    notes: tuple[Text, ...] = ()
