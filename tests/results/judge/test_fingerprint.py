"""What must be equal in two measurements that are compared, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from results.judge.fingerprint import other_board
from results.judge.summary import rows
from results.records import Case, DeviceIdentity, DeviceSeen, Profile, Row, Telemetry, Verdict
from tests.results.factory import STANDARD, make_case, make_document, make_restart

CASE = make_case(io_sha256="c" * 64)


def seen(hardware: str | None = "a" * 64, at: str = "2026-01-01", **identity: Any) -> DeviceSeen:
    return DeviceSeen(device=CASE.device, at=at, identity=DeviceIdentity(hardware_id=hardware, **identity))


def row(
    case: Case = CASE, devices: tuple[DeviceSeen, ...] = (seen(),), profile: Profile = STANDARD, **changes: Any
) -> Row:
    done = [make_restart(case, number, **changes) for number in range(profile.restarts)]
    document = make_document([case], done, profile=profile)
    (found,) = rows(document.model_copy(update={"devices": devices}))
    return found


USUAL = row()


def test_the_same_measured_again_has_the_same_fingerprint() -> None:
    again = row(
        started_at="2027-01-01", peak_rss_bytes=1, load_ns=5, agent={"backend_version": "1.27.0", "python": "3"}
    )
    assert USUAL.fingerprint == again.fingerprint
    assert USUAL.fingerprint is not None
    assert USUAL.device_id == "a" * 16


@pytest.mark.parametrize(
    "changes",
    [
        {"case": CASE.model_copy(update={"model": "another name", "device": CASE.device, "case_id": "0" * 16})},
        {"profile": STANDARD.model_copy(update={"name": "night", "restarts": 3})},
        {"devices": (seen(kernel="6.1"), seen(kernel="6.2"))},
    ],
)
def test_what_moves_no_latency_is_not_in_it(changes: dict[str, Any]) -> None:
    assert row(**changes).fingerprint == USUAL.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"case": CASE.model_copy(update={"artifact_sha256": "d" * 64})},
        {"case": CASE.model_copy(update={"io_sha256": "d" * 64})},
        {"case": CASE.model_copy(update={"backend": "tflite"})},
        {"case": CASE.model_copy(update={"options": {"provider": "cuda"}})},
        {"case": CASE.model_copy(update={"precision": "int8"})},
        {"case": CASE.model_copy(update={"threads": 2})},
        {"case": CASE.model_copy(update={"cores": "4-7"})},
        {"profile": STANDARD.model_copy(update={"warmup_min_seconds": 1.0})},
        {"devices": (seen("b" * 64),)},
        {"agent": {"backend_version": "1.28.0"}},
        {"telemetry_before": Telemetry.of({"governor": ["ondemand"]})},
        {"telemetry_after": Telemetry.of({"power_mode": "15W"})},
        {"actual": {"fallback": "all of it ran on the CPU"}},
    ],
)
def test_what_moves_a_latency_is_in_it(changes: dict[str, Any]) -> None:
    found = row(**changes).fingerprint
    assert found is not None
    assert found != USUAL.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"case": CASE.model_copy(update={"artifact_sha256": None})},
        {"case": CASE.model_copy(update={"io_sha256": None})},
        {"devices": ()},
        {"devices": (seen(None),)},
        {"devices": (seen(), seen(None))},
        {"agent": {}},
    ],
)
def test_without_one_of_its_parts_there_is_none(changes: dict[str, Any]) -> None:
    assert row(**changes).fingerprint is None


def test_another_board_in_mid_run_is_told() -> None:
    devices = (seen(board="Raspberry Pi 4", at="day 1"), seen("b" * 64, at="day 2", board="Raspberry Pi 5"))
    found = row(devices=devices)
    assert (found.verdict, found.device_id, found.fingerprint) == (Verdict.NOT_COMPARABLE, None, None)
    assert found.reason == (
        f"{CASE.device} is another board than before: Raspberry Pi 5 (bbbbbbbb) at day 2, "
        "Raspberry Pi 4 (aaaaaaaa) at day 1"
    )


def test_who_tells_no_serial_number_is_nobody_else() -> None:
    assert other_board(seen(), seen(None)) is None
    assert other_board(seen(None), seen()) is None
    assert other_board(seen(), seen(kernel="7")) is None
    assert other_board(seen(), seen("c" * 64)) is not None
