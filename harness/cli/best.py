"""`bench best`."""

from __future__ import annotations

import re
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from harness.cli import shared
from harness.cli.results import choice_options, chosen_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from results.judge.best import Answer
    from results.judge.pareto import AccuracyClass
    from results.records import Row

_DURATIONS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_SIZES = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"


def _quantity(units: dict[str, float], example: str) -> Callable[..., float | None]:
    """Read a positive number with its unit, into the unit whose factor is 1."""

    def read(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
        if text is None:
            return None
        match = re.fullmatch(rf"({_NUMBER}) ?([A-Za-z]+)", text)
        if match is None or match[2] not in units or not 0 < (number := float(match[1])) < float("inf"):
            raise click.BadParameter(
                f"{text!r} is no positive number with one of the units {', '.join(units)}, as {example}"
            )
        return number * units[match[2]]

    return read


_duration, _size = _quantity(_DURATIONS, "10ms"), _quantity(_SIZES, "10MB")


@click.command()
@choice_options
@click.option("--max-latency", "max_latency_ms", metavar="TIME", callback=_duration, help="As 10ms or 0.01s.")
@click.option("--min-accuracy", metavar="SHARE", help="As 0.7 or 70%; of a metric without % its own unit.")
@click.option("--max-size", "max_size_bytes", metavar="BYTES", callback=_size, help="Of the model's files, as 10MB.")
@click.option("--max-memory", "max_memory_bytes", metavar="BYTES", callback=_size, help="Of the process, as 200MB.")
@click.option("--backend", default=None, help="Only these runtimes, comma-separated; * is a wildcard.")
@click.option("--precision", default=None, help="Only these precisions, comma-separated; * is a wildcard.")
@click.option("--accuracy-source", type=click.Choice(["measured", "published"]), help="Default: measured, if any is.")
@click.option("--dataset", default=None, help="That the accuracy is of, or the beginning of its name.")
@shared.json_option
@click.pass_context
def best(
    context: click.Context,
    run_name: str | None,
    device: str | None,
    model: str | None,
    max_latency_ms: float | None,
    min_accuracy: str | None,
    max_size_bytes: float | None,
    max_memory_bytes: float | None,
    backend: str | None,
    precision: str | None,
    accuracy_source: str | None,
    dataset: str | None,
    as_json: bool,
) -> None:
    """Say which model, runtime and precision to take on a device within limits, and what noise leaves open."""
    from harness.errors import NothingToRun
    from results.judge.best import Limits, answer
    from results.judge.change import control

    rows = _of_one_device(control.apart(chosen_rows(run_name, device, model))[0])
    rows = _matching(_matching(rows, "backend", backend), "precision", precision)
    if not rows:
        raise NothingToRun("no results are stored for this choice; measure some with: bench run")
    kind = _kind(rows, accuracy_source, dataset)
    least = None if min_accuracy is None else _in_unit_of(kind[1], min_accuracy)
    found = answer(rows, kind, Limits(max_latency_ms, least, max_size_bytes, max_memory_bytes))
    _print(found, as_json)
    context.exit(0 if found.best is not None else shared.FAILED)


def _of_one_device(rows: list[Row]) -> list[Row]:
    devices = sorted({row.device for row in rows})
    if len(devices) > 1:
        raise click.UsageError(f"results of several devices: say which one with --device ({', '.join(devices)})")
    return rows


def _matching(rows: list[Row], field: str, wanted: str | None) -> list[Row]:
    if wanted is None:
        return rows
    patterns = [part.strip() for part in wanted.split(",") if part.strip()]
    found = [row for row in rows if any(fnmatchcase(getattr(row, field), pattern) for pattern in patterns)]
    if rows and not found:
        there = ", ".join(sorted({getattr(row, field) for row in rows}))
        raise click.BadParameter(f"no result has {wanted!r}; there is: {there}", param_hint=f"--{field}")
    return found


def _kind(rows: Sequence[Row], source: str | None, dataset: str | None) -> AccuracyClass:
    """The one class of accuracy that is asked for: what was measured before what was published."""
    from harness.errors import NothingToRun
    from results.judge.best import classes

    there = sorted(classes(rows))
    if not there:
        raise NothingToRun("no result of this choice has a latency and an accuracy; measure them: bench run --accuracy")
    named = [kind for kind in there if dataset is None or kind[2].casefold().startswith(dataset.casefold())]
    named = [kind for kind in named if dataset is not None and kind[2] == dataset] or named
    found = [kind for kind in named if kind[0] == (source or min(kind[0] for kind in named))]
    if len(found) != 1:
        listed = "; ".join(f"{of} {metric} on {name}" for of, metric, name in there)
        words = "several kinds of accuracy are" if found else "no such accuracy is"
        raise click.UsageError(f"{words} there: choose with --accuracy-source and --dataset among: {listed}")
    return found[0]


def _in_unit_of(metric: str, text: str) -> float:
    """The accuracy in the unit of the metric: of one in percent 0.7 and 70% are the same."""
    match, in_percent = re.fullmatch(rf"({_NUMBER}) ?(%?)", text), metric.endswith("%")
    number = float(match[1]) if match else -1.0
    if match and in_percent and (0 <= number <= 100 if match[2] else 0 <= number <= 1):
        return number if match[2] else number * 100
    if match and not in_percent and not match[2]:
        return number
    form = "a share from 0 to 1 or a percentage, as 0.7 or 70%" if in_percent else f"a number in the unit of {metric}"
    raise click.BadParameter(f"{text!r} is not {form}", param_hint="--min-accuracy")


def _print(found: Answer, as_json: bool) -> None:
    from dashboards import answer

    words = answer.lines(found)
    if not as_json:
        for line in words:
            shared.say(line)
        return
    shared.print_json(
        device=found.device,
        accuracy=dict(zip(("kind", "metric", "dataset"), found.kind, strict=True)),
        limits=asdict(found.limits),
        aim=found.limits.aim,
        best=answer.facts(found.best) if found.best else None,
        fitting=[answer.facts(row) for row in found.fitting],
        better=[{"limit": limit, "row": answer.facts(row)} for limit, row in found.better.items()],
        nearest=[{"limit": one.limit, "also": one.also, "row": answer.facts(one.row)} for one in found.nearest],
        open=[{"row": answer.facts(row), "why": why} for row, why in found.open],
        unsure=found.unsure,
        left_out=[{"reason": why, "rows": [answer.facts(row) for row in rows]} for why, rows in found.left_out.items()],
        words=words,
    )
