"""A pytest plugin (`-p tests.again`): what failed beside other tests is run once more, alone, and fails only then.

Every failed test gets a process of its own, one after the other, without workers. One that passes there is counted as
passed and as `rerun`, and named at the end. Nothing is run again where anything but tests failed (a worker crashed, a
file could not be collected, pytest itself broke), nor where so many tests failed that it is no accident.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

MOST = 20  # more than this fail for a reason


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the workers of xdist only report
        config.pluginmanager.register(_Again(config), "again")
        # A run whose worker crashed is lost anyway, and with --dist loadfile the one in its place may wait for ever.
        config.option.maxworkerrestart = "0"


class _Again:
    """Runs failed tests again when the session ends, before pytest counts."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._crashed: list[str] = []
        self._told: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object) -> None:
        """Of xdist: a worker is gone, with an error where it was not told to go."""
        if error is not None:
            self._crashed.append(str(error))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        stats = self._config.pluginmanager.get_plugin("terminalreporter").stats
        failed = [*stats.get("failed", []), *stats.get("error", [])]
        tests = list(dict.fromkeys(report.nodeid for report in failed))
        if self._crashed:
            self._told = [f"A worker crashed ({'; '.join(self._crashed)}): nothing was run again."]
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        elif not all(isinstance(report, pytest.TestReport) for report in failed):
            self._told = ["Not every file could be collected: nothing was run again."]
        elif len(tests) > MOST:
            self._told = [f"{len(tests)} tests failed, more than {MOST}: nothing was run again."]
        elif tests:
            passed = [test for test in tests if self._passes([report for report in failed if report.nodeid == test])]
            self._count_as_passed(stats, passed)
            if passed == tests:
                session.exitstatus, session.testsfailed = pytest.ExitCode.OK, 0
            self._told = [f"{len(passed)} of {len(tests)} failed tests passed when run again, alone:", *passed]

    def _passes(self, reports: list[pytest.TestReport]) -> bool:
        """Run a test again in a process of its own; what it prints where it fails again joins its report."""
        test = reports[0].nodeid
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "", test]
        done = subprocess.run(command, cwd=self._config.rootpath, capture_output=True, text=True, errors="replace")
        passed = done.returncode == pytest.ExitCode.OK
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        terminal.ensure_newline()
        terminal.write_line(f"again, alone: {test} {'passed' if passed else 'failed'}")
        if not passed:
            reports[0].sections.append(("again, alone", done.stdout + done.stderr))
        return passed

    @staticmethod
    def _count_as_passed(stats: dict[str, list[pytest.TestReport]], passed: list[str]) -> None:
        for outcome in ("failed", "error"):
            reports = stats.pop(outcome, [])
            for report in reports:
                if report.nodeid not in passed:
                    stats.setdefault(outcome, []).append(report)
                elif report.nodeid not in {known.nodeid for known in stats.get("rerun", [])}:
                    stats.setdefault("rerun", []).append(report)
                    if report.when != "teardown":  # else it has been counted
                        stats.setdefault("passed", []).append(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
        for report in terminalreporter.stats.get("rerun", []):
            terminalreporter.section(f"failed once: {report.nodeid}")
            terminalreporter.write_line(report.longreprtext)
        yield
        if self._told:
            terminalreporter.section("run again, alone", "!", yellow=True, bold=True)
            for line in self._told:
                terminalreporter.write_line(line, yellow=True)
