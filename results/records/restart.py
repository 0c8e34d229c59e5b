"""The record of one restart."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from results.records.base import MAX_SAMPLES, FreeForm, Nanoseconds, Record, Samples, Text
from results.records.curve import Curve, Marked
from results.records.noise import Noise
from results.records.telemetry import Telemetry

Cause = Literal[
    "damaged",  # a file on the device is not what was pushed
    "wrong-output",  # it computes something else than the reference
    "export",  # its artifact could not be made
    "unsupported",  # the backend cannot do it there
    "memory",  # there was not enough of it
    "silent",  # no answer for too long
    "ended",  # the process crashed, was killed, or ended early
    "malformed",  # an answer that the protocol does not allow
    "implausible",  # numbers that cannot be true
    "fallback",  # strict was asked for, and not all of it ran where it was asked to
    "offline",  # the device could not be reached, or went away
    "busy",  # somebody else has the device
]
"""Why there are no samples, for programs; `Restart.reason` is for people. None where no program has to know."""

Caches = Literal["cold", "warm", "unknown"]
"""Whether what a load reads lay in memory already; `unknown` where the device does not tell."""

Probes = Annotated[
    tuple[tuple[Annotated[int, Field(ge=0, le=MAX_SAMPLES)], Nanoseconds], ...], Field(max_length=20_000)
]
"""(Number of samples before, nanoseconds) of a fixed piece of work."""

MOST_DB = 200.0
"""Of a signal-to-noise ratio: an output that is equal to the last bit has this one, not infinity."""


class Restart(Record):
    """One fresh process on the device: load, first inference, check, warm-up, timed inferences.

    `outcome` is `ok`, or what became of it instead; `cause` says why for programs, `reason` in words. `actual` is what
    really ran (execution providers, inference precision, threads; its common keys stand in
    `backends.base.Session.actual`), `agent` who measured (versions, hash). `max_abs_diff` is the largest difference
    of the output that comes closest to what is allowed, and `tolerance` that limit, in the output's own unit: of a
    quantized one steps of its scale, of ids the number of those that differ. `*_ns` are durations. `load_caches` is how
    the model's files lay in memory when it was loaded, `load_peak_rss_bytes` the peak memory from the start of the
    process until then. `snr_db` is the least signal-to-noise ratio of an output against the reference, 10 log10 of the
    ratio of the sums of squares; `top1_agreement` the share of score vectors whose largest element stands in the same
    place. None where there is no such output. `unverified` says why an output was not compared although there is a
    reference. `telemetry_timed` has what counts up, as the timed inferences began. `noise` says which of
    them lost their core, None where nothing tells; `probes` how long a fixed piece of work took on the CPU, each with
    the number of samples that were taken before it. `curve` stands in place of samples in a profile with spans
    (`Profile`).
    """

    case_id: str
    round: Annotated[int, Field(ge=0)]
    attempt: Annotated[int, Field(ge=0)] = 0
    started_at: Text
    wall_ns: Nanoseconds
    outcome: Literal["ok", "unsupported", "failed", "offline"]
    cause: Cause | None = None
    reason: Text = ""
    agent: dict[str, str] = Field(default_factory=dict)
    actual: FreeForm = Field(default_factory=dict)
    telemetry_before: Telemetry | None = None
    telemetry_timed: Telemetry | None = None
    telemetry_after: Telemetry | None = None
    import_ns: Nanoseconds | None = None
    load_ns: Nanoseconds | None = None
    load_caches: Caches | None = None
    load_peak_rss_bytes: Annotated[int, Field(ge=0, le=2**50)] | None = None
    first_ns: Nanoseconds | None = None
    verified: bool = False
    max_abs_diff: float | None = None
    snr_db: Annotated[float, Field(ge=-MOST_DB, le=MOST_DB)] | None = None
    top1_agreement: Annotated[float, Field(ge=0, le=1)] | None = None
    unverified: Text = ""
    tolerance: Annotated[float, Field(ge=0)] | None = None
    warmup_ns: Samples = ()
    warmup_stable: bool = False
    samples_ns: Samples = ()
    noise: Noise | None = None
    probes: Probes = ()
    curve: Curve | None = None
    peak_rss_bytes: Annotated[int, Field(ge=0, le=2**50)] | None = None

    @property
    def marked_by(self) -> Marked:
        """What told which of the timed inferences lost their core."""
        return self.curve.marked_by if self.curve else self.noise.marked_by if self.noise else "unknown"

    @property
    def timed(self) -> int:
        """How many timed inferences there are."""
        return self.curve.inferences if self.curve else len(self.samples_ns)

    @property
    def timed_ns(self) -> int:
        """How long they took together, with what lies between the spans of a curve."""
        return self.curve.points[-1].until_ns if self.curve else sum(self.samples_ns)

    @property
    def shortest_ns(self) -> int:
        """The shortest of them, of a curve the shortest median; there must be one."""
        if self.curve:
            medians = (one for point in self.curve.points for one in (point.observed_ns, point.median_ns))
            return min(one for one in medians if one is not None)
        return min(self.samples_ns)
