"""Another board under an old name is told, once."""

from __future__ import annotations

from pathlib import Path

from harness.run import boards
from harness.workspace import Workspace
from results.records import DeviceIdentity, DeviceSeen


def seen(hardware: str | None, board: str = "Raspberry Pi 4", device: str = "pi") -> DeviceSeen:
    identity = DeviceIdentity(board=board, hardware_id=hardware and hardware * 64)
    return DeviceSeen(device=device, at="2026-05-06T07:08:09+00:00", identity=identity)


def test_a_changed_board_is_told_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert boards.change(workspace, seen("a")) is None
    assert boards.change(workspace, seen("a")) is None
    assert boards.change(workspace, seen("c", device="other")) is None
    said = boards.change(workspace, seen("b", "Raspberry Pi 5"))
    assert said == (
        "pi is another board than on 2026-05-06 (Raspberry Pi 4, hardware aaaaaaaa; now Raspberry Pi 5, hardware "
        "bbbbbbbb): its results are not to be compared with those of before"
    )
    assert boards.change(workspace, seen("b")) is None


def test_a_board_that_tells_no_number_is_not_taken_for_another(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert boards.change(workspace, seen("a")) is None
    assert boards.change(workspace, seen(None)) is None
    assert boards.change(workspace, seen("a")) is None


def test_a_damaged_memory_is_none(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    boards.change(workspace, seen("a"))
    (tmp_path / "seen" / "pi.json").write_bytes(b"\xff{")
    assert boards.change(workspace, seen("b")) is None
    assert boards.change(workspace, seen("b")) is None
