"""What the host makes of the numbers that a device tells, before it writes them down: it compares them by itself."""

from __future__ import annotations

import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from models.artifacts import Artifact, ArtifactStore
from results.judge.validity import believed
from results.records import Case, Profile, Restart

# As in the device's own check (`harness.agent.verify`): of outputs that are all but zero nobody asks for more.
_LEAST_MAGNITUDE = 1e-6


def checked(restart: Restart, case: Case, profile: Profile, artifact: Artifact, store: ArtifactStore) -> Restart:
    """Return the restart with the difference that was allowed; as `failed` when its numbers cannot be true."""
    if restart.max_abs_diff is not None:
        largest = _largest_output(store.io_path(artifact))
        allowed = None if largest is None else artifact.tolerance * max(largest, _LEAST_MAGNITUDE)
        restart = restart.model_copy(update={"tolerance": allowed})
    return believed(restart, case, profile)


@lru_cache(maxsize=1024)
def _largest_output(io: Path) -> float | None:
    """The largest magnitude in an artifact's reference outputs, 0 of those without floats, None when unreadable."""
    try:
        with np.load(io, allow_pickle=False) as arrays:
            outputs = [arrays[name] for name in arrays.files if name.startswith("out")]
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
    floats = [output[np.isfinite(output)] for output in outputs if output.dtype.kind == "f"]
    return max((float(np.max(np.abs(values.astype(np.float64)))) for values in floats if values.size), default=0.0)
