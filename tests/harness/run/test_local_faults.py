"""`bench` on this machine while it and its agents are killed, stopped and hung up on, and the index is deleted."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.rigs.bench import Bench
from tests.rigs.campaign import Campaign, asked_for
from tests.rigs.sshd import marked


@pytest.mark.timeout(0)  # the campaign has its own limit
def test_random_faults_lose_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.copy_model()
    bench.environment["PYTHONFAULTHANDLER"] = "1"

    def delete_index() -> None:
        for path in bench.workspace.glob("index.sqlite*"):
            path.unlink(missing_ok=True)

    campaign = Campaign(
        bench,
        ("--models", "tiny.onnx", "--backends", "fake", "--threads", "1,2,3"),
        {"index deleted": delete_index},
        lambda word: marked(f"TMPDIR={tmp_path / 'tmp'}", word),
        lambda: [tmp_path / "tmp/edgebench-locks/local.lock"],
        host_signals=(signal.SIGKILL, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGSTOP),
        agent_signals=(signal.SIGKILL, signal.SIGHUP, signal.SIGSTOP),
    )
    try:
        campaign.run(*asked_for())
    finally:
        for pid in campaign.processes(""):
            os.kill(pid, signal.SIGKILL)
