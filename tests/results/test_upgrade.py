"""Runs that were recorded with older schemas are read as runs of today: nothing in their rows changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import journal
from results.judge.summary import rows
from results.records import SCHEMA_VERSION, DeviceIdentity, Telemetry, is_too_deep
from results.records.base import MAX_NESTING
from tests.rigs.bench import DATA

RUNS_1 = sorted((DATA / "schema1").iterdir())
RUNS_2 = sorted((DATA / "schema2").iterdir())


@pytest.mark.parametrize("folder", [*RUNS_1, *RUNS_2], ids=lambda folder: folder.name)
def test_rows_are_those_that_the_old_code_printed(folder: Path) -> None:
    document = journal.read(folder)
    assert document.header.schema_version == SCHEMA_VERSION
    printed = json.loads((folder / "rows.json").read_text())["rows"]
    now = [row.model_dump(mode="json") | {"accuracy": row.accuracy} for row in rows(document)]
    assert len(now) == len(printed)
    for before, after in zip(printed, now, strict=True):
        if after["accuracy"] is not None:
            after["accuracy"] = after["accuracy"].model_dump(exclude={"ci95", "samples"})
        for accuracy in after["accuracies"]:
            assert (accuracy.pop("ci95"), accuracy.pop("samples")) == (None, None), "not known before schema 4"
        if after["n_restarts"] in (3, 4):  # the interval was too narrow then
            (low, high), narrow = after["ci95_ms"], before.pop("ci95_ms")
            assert low <= narrow[0] <= narrow[1] <= high
        assert {name: after[name] for name in before} == before


def test_causes_and_telemetry_are_typed() -> None:
    restarts = [restart for folder in RUNS_1 for restart in journal.read(folder).restarts]
    assert {restart.cause for restart in restarts if restart.outcome == "offline"} == {"offline"}
    assert {restart.cause for restart in restarts if restart.outcome == "ok"} == {None}
    loads = [restart.telemetry_after.load_1min for restart in restarts if restart.telemetry_after]
    assert loads
    assert all(isinstance(load, float) for load in loads)
    assert all(restart.telemetry_after.governor is None for restart in restarts if restart.telemetry_after)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=100) | st.just("unknown"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=80), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(sorted(Telemetry.model_fields)), json_values))
def test_whatever_a_device_says_is_telemetry_that_can_be_read_again(said: dict[str, Any]) -> None:
    reading = Telemetry.of(said)
    assert Telemetry.model_validate_json(reading.model_dump_json()) == reading
    assert "unknown" not in (reading.governor or ())
    assert reading.hottest_c is None or 0 < reading.hottest_c < 200


@given(st.dictionaries(st.sampled_from(sorted(DeviceIdentity.model_fields)), json_values))
def test_whatever_a_device_says_of_itself_can_be_read_again(said: dict[str, Any]) -> None:
    identity = DeviceIdentity.of(said)
    assert DeviceIdentity.model_validate_json(identity.model_dump_json()) == identity


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_nesting_has_one_limit(kind: type) -> None:
    tree: Any = 1
    for _ in range(MAX_NESTING):
        tree = {"x": tree} if kind is dict else kind([tree])
    assert not is_too_deep(tree)
    assert is_too_deep([tree])
