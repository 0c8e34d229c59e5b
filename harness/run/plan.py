"""What will be measured and in which order: pure functions of models, backends, devices and a seed."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.fleet.devices import Device
from harness.run.chosen import Chosen, PlannedModel, choose, failure, file_of
from harness.run.tally import Tally
from results.records import Case, Profile, Stopping

PROFILES = {
    "quick": Profile(
        name="quick",
        restarts=2,
        min_iterations=20,
        min_seconds=0.3,
        max_seconds=10.0,
        warmup_min_iterations=5,
        warmup_min_seconds=0.3,
        warmup_max_seconds=3.0,
    ),
    "standard": Profile(
        name="standard",
        restarts=5,
        min_iterations=50,
        min_seconds=1.0,
        max_seconds=60.0,
        warmup_min_iterations=10,
        warmup_min_seconds=0.5,
        warmup_max_seconds=10.0,
    ),
    "mlperf": Profile(
        name="mlperf",
        restarts=1,
        min_iterations=1024,
        min_seconds=60.0,
        max_seconds=600.0,
        warmup_min_iterations=10,
        warmup_min_seconds=1.0,
        warmup_max_seconds=30.0,
    ),
}

MINUTES = 10.0
_MOST_POINTS, _SHORTEST_SPAN_S = 600, 0.1


def sustained(minutes: float = MINUTES) -> Profile:
    """Return the profile of a case for so many minutes without a pause, and a curve of about 600 points at most."""
    seconds = 60 * minutes
    return Profile(
        name="sustained",
        restarts=1,
        min_iterations=1,
        min_seconds=seconds,
        max_seconds=seconds,
        warmup_min_iterations=5,
        warmup_min_seconds=0.3,
        warmup_max_seconds=3.0,
        span_seconds=max(seconds / _MOST_POINTS, _SHORTEST_SPAN_S),
    )


PROFILES["sustained"] = sustained()


def usual(name: str) -> tuple[Profile, Stopping]:
    """Return a profile as it is measured where nothing else is said, and when enough is measured.

    The last round of `standard` goes to the cases that are known least well.
    """
    profile = PROFILES[name]
    if name == "standard":
        return profile.model_copy(update={"restarts": 4}), Stopping(target=0.01, extra=1.0, most=20)
    return profile, Stopping(extra=1.0, most=5) if name == "quick" else Stopping(extra=0.0)


@dataclass(frozen=True)
class BackendChoice:
    """What one backend is asked to run: its name and its own options."""

    backend: str
    options: Mapping[str, str] = field(default_factory=dict)


def build_cases(
    devices: Sequence[Device],
    models: Sequence[PlannedModel],
    choices: Sequence[BackendChoice],
    threads: Sequence[int] | None,
    precisions: Sequence[str] = (),
) -> list[Case]:
    """Return the cases of every device, model, backend, precision and number of threads, in that order.

    `threads` and each option of a choice override what the devices say. Without `precisions` every file runs as it was
    exported or given. Raises UnknownBackend.
    """
    return [
        _case(device, model, choice, chosen, count)
        for device in devices
        for model in models
        for choice in choices
        for chosen in choose(model, choice.backend, precisions)
        for count in dict.fromkeys(threads or device.threads)
    ]


def control_cases(
    devices: Sequence[Device], control: Sequence[PlannedModel], choices: Sequence[BackendChoice], cases: Sequence[Case]
) -> list[Case]:
    """Return a case of the control, on one thread, for each device and backend under which any of `cases` can run."""
    used = {(case.device, case.backend) for case in cases if case.artifact_format is not None}
    known = {case.case_id for case in cases}
    plain = [device.model_copy(update={"strict": False}) for device in devices]
    return [
        case.model_copy(update={"control": True})
        for case in build_cases(plain, control, choices, [1])
        if case.artifact_format is not None and (case.device, case.backend) in used and case.case_id not in known
    ]


def _case(device: Device, model: PlannedModel, choice: BackendChoice, chosen: Chosen, threads: int) -> Case:
    files, unsupported = chosen.files, chosen.unsupported or None
    if files is not None and files.is_unsupported:
        unsupported = files.failure[:4000]
    runnable = None if files is None or files.failure else files
    options = {**device.backend_options.get(choice.backend, {}), **choice.options, **chosen.options}
    asked = {
        "device": device.name,
        "model": model.name,
        "artifact": runnable and runnable.sha256,
        "io": runnable and runnable.io_sha256,
        "backend": choice.backend,
        "options": options,
        "precision": chosen.precision,
        "threads": threads,
        **({"method": chosen.method} if chosen.method else {}),
        **({"cores": device.cores} if device.cores else {}),
        **({"power_mode": device.power_mode} if device.power_mode else {}),
        **({"strict": True} if device.strict else {}),
    }
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return Case(
        case_id=digest[:16],
        device=device.name,
        model=model.name,
        backend=choice.backend,
        precision=chosen.precision,
        method=chosen.method,
        threads=threads,
        options=options,
        artifact_sha256=runnable.sha256 if runnable else None,
        artifact_format=runnable.format if runnable else None,
        io_sha256=runnable.io_sha256 if runnable else None,
        unsupported=unsupported,
        cores=device.cores,
        power_mode=device.power_mode,
        strict=device.strict,
    )


def export_failure(case: Case, model: PlannedModel) -> str | None:
    """Return why the artifact that the case needs could not be made, None if it was."""
    if case.artifact_format is not None or case.unsupported is not None:
        return None
    return failure(model, case.backend, case.precision, case.method)


def file_key(case: Case) -> tuple[str, ...]:
    """Model, format, precision and method of the file that the case runs."""
    return (case.model, case.artifact_format or "", *file_of(case.precision, case.method))


def schedule(cases: Iterable[Case], profile: Profile, seed: int) -> list[tuple[int, Case]]:
    """Return (round, case) in the order they run: every case once a round, each round in a random order of its own.

    Interleaving spreads a slow drift of the device over all cases instead of over one; see docs/measurement.md.
    """
    runnable = [case for case in cases if case.artifact_format is not None]
    order = []
    for round_ in range(profile.restarts):
        shuffled = list(runnable)
        # Seeded per round, so that a resumed run goes on in the order of the one that was cut off.
        random.Random(f"{seed}/{round_}").shuffle(shuffled)  # noqa: S311 - an order, no secret
        order += [(round_, case) for case in shuffled]
    return order


def todo(cases: Iterable[Case], profile: Profile, seed: int, tally: Tally) -> list[tuple[int, Case]]:
    """Return those of the scheduled restarts that are still to be done."""
    return [(round_, case) for round_, case in schedule(cases, profile, seed) if tally.is_open(round_, case)]
