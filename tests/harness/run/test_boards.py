"""Another board under an old name is told, once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from harness.run import boards
from harness.workspace import Workspace
from results.records import DeviceIdentity, DeviceSeen
from tests.rigs.bench import Bench

# A Python that answers as the device's own does, but with another board's number.
BOARD = """#!{python}
import json, subprocess, sys
agent = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE)
for line in agent.stdout:
    event = json.loads(line)
    if event["event"] == "probe":
        event["system"].update(board="Board {number}", hardware_id="{number}" * 64)
    print(json.dumps(event), flush=True)
sys.exit(agent.wait())
"""


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
        "pi is another board than before: Raspberry Pi 5 (bbbbbbbb) at 2026-05-06T07:08:09+00:00, Raspberry Pi 4 "
        "(aaaaaaaa) at 2026-05-06T07:08:09+00:00; its results are not to be compared with those of before"
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


def test_a_run_tells_that_another_board_answers_to_a_name(bench: Bench) -> None:
    bench.copy_model()
    python = bench.folder / "python"
    (bench.folder / "devices.toml").write_text(f'[devices.pi]\ntransport = "local"\npython = "{python}"\n')
    said, boards_seen = [], []
    for number in (1, 1, 2):
        python.write_text(BOARD.format(python=sys.executable, number=number))
        python.chmod(0o755)
        done = bench("run", "--device", "pi", "--backends", "fake", "--models", "tiny.onnx", "--json")
        (row,) = json.loads(done.stdout)["rows"]
        assert row["verdict"] != "not-comparable"
        said.append("another board" in done.stderr)
        boards_seen.append(row["device_id"])
    assert said == [False, False, True]
    assert boards_seen == ["1" * 16, "1" * 16, "2" * 16]
    assert "pi is another board than before: Board 2 (22222222) at " in done.stderr
    assert ", Board 1 (11111111) at " in done.stderr
    assert "; its results are not to be compared with those of before" in done.stderr
