"""A device that lies, end to end: this host compares by itself, and believes no numbers that cannot be true."""

from __future__ import annotations

import sys

import pytest

from results import journal
from tests.rigs.bench import Bench

LIAR = """#!{python}
import json, subprocess, sys
agent = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE)
for line in agent.stdout:
    event = json.loads(line)
    if event["event"] == {event!r}:
        event.update({lie})
    print(json.dumps(event), flush=True)
sys.exit(agent.wait())
"""


@pytest.mark.parametrize(
    ("event", "lie", "words"),
    [
        (
            "samples",
            {"ns": [86_400 * 10**9], "noise": None},
            "the device tells of 8.64e+04 s that were timed in a restart that took",
        ),
        ("samples", {"ns": [7], "noise": None}, "the device tells of an inference of 7 ns"),
        (
            "samples",
            {"ns": [10**6], "noise": None},
            "the device tells 1 timed inferences in 0.001 s, and at least 20 were asked for",
        ),
        (
            "samples",
            {"ns": [10**6] * 60},
            "the timed inferences: the agent's answer is malformed (samples: Value error, a",
        ),
        ("verified", {"outputs": [{"off": 1e308}]}, "wrong output: it is off by 1e+308, allowed"),
        ("verified", {"outputs": [{"off": 0}, {"off": 0}]}, "the device tells of 2 outputs, and the model has 1"),
    ],
)
def test_a_device_that_lies_has_no_numbers(bench: Bench, event: str, lie: dict[str, object], words: str) -> None:
    bench.copy_model("onnx")
    python = bench.folder / "python"
    python.write_text(LIAR.format(python=sys.executable, event=event, lie=lie))
    python.chmod(0o755)
    (bench.folder / "devices.toml").write_text(f'[devices.liar]\ntransport = "local"\npython = "{python}"\n')
    arguments = ("run", "--device", "liar", "--backends", "onnxruntime", "--models", "tiny.onnx")
    (row,) = bench.rows(*arguments, expect=1)
    assert (row["verdict"], row["median_ms"], row["n_restarts"]) == ("failed", None, 0)
    assert row["reason"].startswith(words)
    (folder,) = (bench.workspace / "runs").iterdir()
    assert [restart.attempt for restart in journal.read(folder).restarts] == [0, 1]  # it had its second try
