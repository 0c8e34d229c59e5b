"""`bench best` as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from results import journal
from tests.results.factory import make_case, make_document, make_facts, make_restart
from tests.rigs.bench import Bench

TABLE = {"small": (4.0, 60.0), "middle": (8.0, 71.88), "large": (20.0, 77.0)}


def with_runs(workspace: Path) -> None:
    """Two devices, three models on each."""
    cases = [make_case(device, model) for device in ("pixel", "pi4") for model in TABLE]
    restarts = [make_restart(case, n, median_ms=TABLE[case.model][0]) for case in cases for n in range(5)]
    facts = tuple(make_facts(model, top1) for model, (_, top1) in TABLE.items())
    document = make_document(cases, restarts, facts)
    folder = workspace / "runs" / document.header.run_id
    folder.mkdir(parents=True)
    journal.write_document(folder, document)


def test_the_answer_in_words_and_as_json(bench: Bench) -> None:
    with_runs(bench.workspace)
    limits = ("best", "--device", "pixel", "--max-latency", "0.01s", "--min-accuracy", "0.55")
    words = bench(*limits).stdout.splitlines()
    assert words[0].startswith("Best on pixel: middle (onnxruntime, fp32, 4 threads): 8.")
    within = "within the limits (latency at most 10 ms, accuracy at least 55 top-1 %)"
    assert words[1] == f"Why: the most accurate of 2 rows {within}."
    assert words[2].startswith("Held back by the limit of the latency: large (onnxruntime, fp32, 4 threads): 20")
    assert words[3].startswith("Second: small (onnxruntime, fp32, 4 threads)")
    assert "(12 less; 2.0" in words[3]
    found = bench.json(*limits)
    assert found["words"] == words
    assert (found["best"]["model"], [row["model"] for row in found["fitting"]]) == ("middle", ["middle", "small"])
    assert found["accuracy"] == {"kind": "published", "metric": "top-1 %", "dataset": "ImageNet-1k val"}
    assert found["limits"]["max_latency_ms"] == 10


def test_nothing_fits_is_a_failure_that_names_the_nearest(bench: Bench) -> None:
    with_runs(bench.workspace)
    done = bench("best", "--device", "pi4", "--max-latency", "10ms", "--min-accuracy", "75%", expect=1)
    first, *nearest = done.stdout.splitlines()
    assert first == "Nothing on pi4 is within the limits (latency at most 10 ms, accuracy at least 75 top-1 %)."
    assert [line.split(" (")[0] for line in nearest] == [
        "Nearest to the limit of the latency: large",
        "Nearest to the limit of the accuracy: middle",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--max-latency", "10"), "no positive number with one of the units us, ms, s, as 10ms"),
        (("--max-latency", "-1ms"), "no positive number"),
        (("--max-size", "10m"), "kB, MB, GB, KiB, MiB, GiB, as 10MB"),
        (("--device", "pi4", "--min-accuracy", "70"), "a share from 0 to 1 or a percentage, as 0.7 or 70%"),
        (("--device", "pi4", "--min-accuracy", "nan"), "a share from 0 to 1"),
        (("--min-accuracy", "0.7"), "say which one with --device (pi4, pixel)"),
        (("--device", "pi4", "--backend", "tflite"), "there is: onnxruntime"),
        (("--device", "pi4", "--dataset", "cifar"), "published top-1 % on ImageNet-1k val"),
        (("--device", "pi4", "--accuracy-source", "measured"), "no such accuracy is there"),
        (("--device", "nowhere"), "no results are stored for this choice"),
    ],
)
def test_bad_input_says_what_to_type(bench: Bench, arguments: tuple[str, ...], said: str) -> None:
    with_runs(bench.workspace)
    done = bench("best", *arguments, expect=2)
    assert said in " ".join(done.stderr.split())
