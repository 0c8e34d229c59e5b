"""What a result is: frozen, validated records, written to disk as JSON."""

from __future__ import annotations

from results.records.accuracy import Accuracy, ModelFacts
from results.records.artifact import (
    ArtifactFacts,
    Calibration,
    InputSpec,
    OutputSpec,
    Quality,
    ShapesFixed,
    TensorSpec,
    input_keys,
)
from results.records.base import (
    DEVICE_NAME,
    MAX_NESTING,
    MAX_SAMPLES,
    MAX_TEXT,
    SCHEMA_VERSION,
    DeviceName,
    FreeForm,
    Nanoseconds,
    Record,
    Samples,
    Sha256,
    Text,
    Word,
    is_too_deep,
    shortened,
)
from results.records.curve import MAX_MOMENTS, Curve, Marked, Moment, Point, Sustained
from results.records.device import DeviceIdentity, DeviceSeen
from results.records.evaluation import TOP, DatasetFacts, Evaluated, Evaluation, Metric
from results.records.means import Means
from results.records.noise import Noise
from results.records.packed import MAX_PACKED, Packed, packed, unpacked
from results.records.placement import MOST_NODES, Placement
from results.records.restart import MOST_DB, Caches, Cause, Probes, Restart
from results.records.row import Asked, Row, Verdict
from results.records.run import RUN_ID, Case, Finished, Profile, RunDocument, RunHeader, Stopping
from results.records.telemetry import Telemetry

__all__ = [
    "SCHEMA_VERSION",
    "MAX_SAMPLES",
    "MAX_TEXT",
    "MAX_NESTING",
    "Nanoseconds",
    "Samples",
    "Text",
    "Word",
    "Sha256",
    "DEVICE_NAME",
    "DeviceName",
    "FreeForm",
    "Record",
    "is_too_deep",
    "shortened",
    "Accuracy",
    "Means",
    "ModelFacts",
    "TensorSpec",
    "InputSpec",
    "input_keys",
    "OutputSpec",
    "ShapesFixed",
    "Calibration",
    "Quality",
    "ArtifactFacts",
    "Telemetry",
    "DeviceIdentity",
    "DeviceSeen",
    "MOST_NODES",
    "Placement",
    "MOST_DB",
    "Caches",
    "Probes",
    "Noise",
    "MAX_MOMENTS",
    "Curve",
    "Marked",
    "Moment",
    "Point",
    "Sustained",
    "Cause",
    "Restart",
    "TOP",
    "MAX_PACKED",
    "Packed",
    "packed",
    "unpacked",
    "Metric",
    "DatasetFacts",
    "Evaluation",
    "Evaluated",
    "RUN_ID",
    "Profile",
    "Stopping",
    "Case",
    "RunHeader",
    "Finished",
    "RunDocument",
    "Verdict",
    "Asked",
    "Row",
]
