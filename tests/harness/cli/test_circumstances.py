"""Under what a command runs: standard streams that are closed, and a terminal that names must not steer."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from results import journal
from results.records import Verdict
from tests.results.factory import make_case, make_document, make_facts, make_restart
from tests.rigs.bench import DATA, MEASURED, ROOT

HOSTILE = "evil\x1b[2J\x9b31m\x07name"


def with_run(workspace: Path, name: str = "net") -> Path:
    """A workspace with one finished run."""
    case = make_case(model=name)
    document = make_document([case], [make_restart(case, n) for n in range(5)], (make_facts(name, 70.0),))
    folder = workspace / "runs" / document.header.run_id
    folder.mkdir(parents=True)
    journal.write_document(folder, document)
    return workspace


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line in which `bench` is the command."""
    program = f"{sys.executable} -c 'from harness.cli import main; main()'"
    values = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(["bash", "-c", line.replace("bench", program)], cwd=folder, env=values, capture_output=True)


COMMANDS = (
    "results list", "results runs", "results show last", "results export -o out.csv", "report -o page.html",
    "results reindex", "devices list", "models list", "run --backends fake --models tiny.onnx --fixed --no-control",
    "models check tiny.onnx --backends fake", "models export tiny.onnx",
)  # fmt: skip


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_every_command_runs_with_its_streams_closed(closed: str, tmp_path: Path) -> None:
    with_run(tmp_path / ".bench")
    (tmp_path / "tiny.onnx").write_bytes((DATA / "tiny.onnx").read_bytes())
    for command in COMMANDS:
        done = shell(f"bench {command} {closed}", tmp_path)
        assert (done.returncode, done.stderr) == (0, b""), command
        assert done.stdout or ">&- 2" in closed or "-o" in command, command
    # What was written to a closed stream went nowhere, above all into no file that got its number.
    listed = shell("bench results list --json", tmp_path)
    assert listed.stderr == b""
    recorded, measured = json.loads(listed.stdout)["rows"]
    assert recorded["verdict"] == Verdict.VALID
    assert measured["verdict"] in MEASURED


def test_an_error_has_its_code_with_standard_error_closed(tmp_path: Path) -> None:
    assert shell("bench results show nothing 2>&-", tmp_path).returncode == 2
    assert shell("bench results nothing 2>&-", tmp_path).returncode == 2


def on_terminal(arguments: str, folder: Path) -> bytes:
    """What a command shows on a terminal."""
    master, slave = pty.openpty()
    values = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb", "NO_COLOR": "1"}
    program = [sys.executable, "-c", "from harness.cli import main; main()", *arguments.split()]
    process = subprocess.Popen(program, cwd=folder, env=values, stdout=slave, stderr=slave, stdin=slave)
    os.close(slave)
    shown = b""
    try:
        while block := os.read(master, 65536):
            shown += block
    except OSError:  # the end of a terminal
        pass
    os.close(master)
    process.wait()
    return shown


@pytest.mark.parametrize("format_", ["json", "csv"])
def test_no_control_character_reaches_a_terminal_and_a_pipe_gets_all(format_: str, tmp_path: Path) -> None:
    with_run(tmp_path / ".bench", HOSTILE)
    for arguments in (f"results export --format {format_}", "results list --json", "results list", "results show last"):
        shown = on_terminal(arguments, tmp_path).decode().replace("\r\n", "\n").replace("\n", "")
        assert "evil" in shown
        assert [mark for mark in shown if not mark.isprintable()] == [], arguments
    piped = shell(f"bench results export --format {format_}", tmp_path).stdout
    assert HOSTILE.encode() in piped or json.loads(piped)["rows"][0]["model"] == HOSTILE


def test_parquet_does_not_go_to_a_terminal(tmp_path: Path) -> None:
    with_run(tmp_path / ".bench")
    assert b"name a file with -o" in on_terminal("results export --format parquet", tmp_path)
    assert shell("bench results export --format parquet", tmp_path).stdout.startswith(b"PAR1")


def test_a_deleted_working_folder_is_told_in_words(tmp_path: Path) -> None:
    for command in (*COMMANDS, "models check tiny.onnx --json", "--devices-file devices.toml devices list"):
        gone = tmp_path / "gone"
        gone.mkdir()
        done = shell(f'rmdir "{gone}"; bench {command}', gone)
        assert b"Traceback" not in done.stderr, command
        if command != "models list":  # which needs no folder
            assert done.returncode == 2, command
            assert b"the folder that this was started in is gone" in done.stderr, command
