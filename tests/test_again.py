"""What `make test` does with failed tests, on folders of tests made for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs.bench import ROOT

GOOD = "def test_good(): pass\n"
BAD = "def test_bad(): assert not 'bad'\n"
ONCE = """
import pathlib, pytest

def is_first(name):
    note = pathlib.Path(__file__).with_name(name)
    return not note.exists() and (note.touch() or True)

@pytest.fixture
def untidy():
    yield
    assert not is_first("untidy")

def test_once(): assert not is_first("once")
def test_once_untidy(untidy): pass
"""
CRASH = "import os\ndef test_crash(): os._exit(3)\n"
NO_TESTS = "import nothing_of_this_name\n"


def run(folder: Path, **files: str) -> tuple[int, str]:
    """Return the exit code and the output of a run of `files`, name -> content, beside each other."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, content in files.items():
        (folder / f"test_{name}.py").write_text(content)
    wanted = [*("-p", "tests.again"), *("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")]
    quiet = [*("-p", "no:anyio"), *("-p", "no:cacheprovider")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COLUMNS"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *wanted, *quiet],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    return done.returncode, done.stdout + done.stderr


def counts(printed: str) -> dict[str, int]:
    """Return what pytest's closing line says."""
    return {
        word: int(count) for count, word in re.findall(r"(\d+) (\w+)", printed.splitlines()[-1].partition(" in ")[0])
    }


def test_what_fails_once_is_named_and_does_not_fail(tmp_path: Path) -> None:
    code, printed = run(tmp_path, good=GOOD, once=ONCE)
    assert code == 0
    assert counts(printed) == {"passed": 3, "rerun": 2}
    told = printed.splitlines()[-4:-1]
    assert told[0] == "2 of 2 failed tests passed when run again, alone:"
    assert set(told[1:]) == {"test_once.py::test_once", "test_once.py::test_once_untidy"}
    assert "failed once: test_once.py::test_once" in printed
    assert 'assert not is_first("once")' in printed  # how it failed stays readable


def test_what_fails_twice_fails(tmp_path: Path) -> None:
    code, printed = run(tmp_path, bad=BAD, once=ONCE)
    assert code == 1
    assert counts(printed) == {"failed": 1, "passed": 2, "rerun": 2}
    assert "2 of 3 failed tests passed when run again, alone:" in printed
    assert "FAILED test_bad.py::test_bad" in printed
    assert "again, alone: test_bad.py::test_bad failed" in printed


@pytest.mark.parametrize(
    ("content", "words"), [(CRASH, "A worker crashed"), (NO_TESTS, "Not every file could be collected")]
)
def test_what_is_no_failed_test_fails_at_once(tmp_path: Path, content: str, words: str) -> None:
    code, printed = run(tmp_path, good=GOOD, once=ONCE, other=content)
    assert code == 1
    assert words in printed
    assert "nothing was run again" in printed
    assert "rerun" not in counts(printed)


def test_many_failures_are_no_accident(tmp_path: Path) -> None:
    many = "import pytest\n@pytest.mark.parametrize('number', range(21))\ndef test_many(number): assert number < 0\n"
    code, printed = run(tmp_path, many=many)
    assert code == 1
    assert counts(printed) == {"failed": 21}
    assert "21 tests failed, more than 20: nothing was run again." in printed


def test_a_plugin_that_breaks_pytest_fails(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("def pytest_runtest_logreport(report): raise OSError('broken')\n")
    code, printed = run(tmp_path, good=GOOD)
    assert code not in (0, 1)
    assert "INTERNALERROR" in printed
