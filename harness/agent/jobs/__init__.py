"""What a host can ask of the agent: one module a job.

A job's module has a dataclass `Request`, which the host builds and sends as JSON, and `run(request, emit)`, which
answers with events by calling `emit` and returns the exit status: 0 when the last event is the job's own, else 1.
Whatever it raises becomes an `error` event.

A request with a field `give_up_after_s` is bounded by it, and its process ends with the host. One without reads on from
standard input and sees to its end itself.
"""

import importlib
from types import ModuleType

JOBS = {
    "latency": "harness.agent.jobs.latency",
    "accuracy": "harness.agent.jobs.accuracy",
    "segmentation": "harness.agent.jobs.segmentation",
    "compute": "harness.agent.jobs.compute",
    "probe": "harness.agent.jobs.probe",
    "hold": "harness.agent.jobs.hold",
    "setup": "harness.agent.jobs.setup",
}


def find(name: object) -> ModuleType:
    """Import the module of a job. Raises ValueError with those there are."""
    if not isinstance(name, str) or name not in JOBS:
        raise ValueError("no job is called {!r}; there are: {}".format(name, ", ".join(JOBS)))
    return importlib.import_module(JOBS[name])
