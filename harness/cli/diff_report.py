"""What `bench models diff` has found, in words and as a tree for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from harness.cli import shared

if TYPE_CHECKING:
    from harness.run.diff import Report
    from models.diff.compare import Difference

_WORST = 10  # single errors that are shown
_SHOWN = 4  # inputs of an operator, outputs of a model
_MOST_NAME = 60


def tree(report: Report) -> dict[str, Any]:
    """The whole report; `first` and the like are places in `tensors`."""
    layout = report.layout
    places = [number for operator in layout.operators for number in operator.outputs]
    return {
        "model": report.artifact.model,
        "sha256": report.artifact.sha256,
        "format": report.artifact.format,
        "agrees": report.agrees,
        "threshold_db": round(report.threshold_db, 3),
        "sides": [
            {
                "backend": side.choice.backend,
                "options": dict(side.choice.options),
                "device": side.device.name,
                "version": ran.backend_version,
                "actual": ran.actual,
            }
            for side, ran in zip(report.sides, report.ran, strict=True)
        ],
        "first": _named(report, report.first(report.accumulated)),
        "first_single": _named(report, report.first(report.single)),
        "fused": None if report.fused is None else _operator(report, report.fused),
        "only_fused": report.only_fused,
        "tensors": [
            {
                "tensor": layout.tensors[number].name,
                "operator": _operator(report, layout.tensors[number].operator),
                "dtype": layout.tensors[number].dtype,
                "accumulated": _difference(report.accumulated.get(number)),
                "single": _difference(report.single.get(number)),
                "untold": report.untold.get(layout.tensors[number].operator or 0, ""),
            }
            for number in places
        ],
        "outputs": [
            {"tensor": None if number is None else layout.tensors[number].name, "plain": _difference(difference)}
            for number, difference in zip(layout.outputs, report.plain, strict=True)
        ],
    }


def _named(report: Report, number: int | None) -> str | None:
    return None if number is None else report.layout.tensors[number].name


def _operator(report: Report, place: int | None) -> dict[str, str] | None:
    if place is None:
        return None
    operator = report.layout.operators[place]
    return {"kind": operator.kind, "name": operator.name}


def _difference(difference: Difference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    return {
        "parts": difference.parts,
        "snr_db": difference.snr_db,
        "max_abs": difference.max_abs,
        "relative": difference.relative,
        "elements": difference.elements,
        "shapes": difference.shapes,
        "nonfinite": difference.nonfinite,
    }


def show(report: Report) -> None:
    artifact = report.artifact
    shared.say(f"{artifact.model} ({artifact.format}, {artifact.precision})")
    for letter, side, ran in zip("AB", report.sides, report.ran, strict=True):
        shared.say(f"  {letter}: {side.words}, {ran.backend_version}")
    told = report.accumulated
    apart = sum(difference.parts for difference in told.values())
    much = f"{apart} of {len(told)} tensors part" if apart else f"none of {len(told)} tensors parts"
    shared.say(f"  {much} (signal to noise below {report.threshold_db:.1f} dB)")
    first, alone = report.first(report.accumulated), report.first(report.single)
    if first is not None:
        _head("First tensor that parts")
        _print_tensor(report, first)
    if alone is not None and alone != first:
        _head("First operator that parts alone, fed with A's tensors")
        _print_tensor(report, alone)
    _print_worst(report)
    _print_outputs(report)
    for line in _notes(report):
        _head(line)


def _print_tensor(report: Report, number: int) -> None:
    """A tensor, both differences, who makes it, and the state of what that is fed."""
    layout = report.layout
    tensor = layout.tensors[number]
    shared.say(f"  {_short(tensor.name)}, made by {_maker(report, number)}")
    shared.say(f"    accumulated  {_told(report.accumulated.get(number))}")
    shared.say(f"    single       {_told(report.single.get(number))}")
    if tensor.operator is None:
        return
    fed = layout.operators[tensor.operator].inputs
    for one in fed[:_SHOWN]:
        state = "the model's input" if one in layout.inputs else _told(report.accumulated.get(one))
        shared.say(f"    fed with     {_short(layout.tensors[one].name)}: {state}")
    if len(fed) > _SHOWN:
        shared.say(f"                 and {len(fed) - _SHOWN} more")


def _print_worst(report: Report) -> None:
    differing = {number: one for number, one in report.single.items() if one.parts or one.elements}
    worst = sorted(differing, key=lambda number: _rank(differing[number]))[:_WORST]
    if not worst:
        _head("No operator differs alone, fed with A's tensors")
        return
    _head("Worst operators alone, fed with A's tensors")
    _print_lines(
        [
            (_maker(report, number), _short(report.layout.tensors[number].name), _told(differing[number]))
            for number in worst
        ]
    )


def _rank(difference: Difference) -> tuple[bool, float]:
    return not difference.parts, difference.snr_db if difference.snr_db is not None else -1e9


def _print_outputs(report: Report) -> None:
    _head("Outputs of the model as it is")
    lines = []
    for number, difference in list(zip(report.layout.outputs, report.plain, strict=True))[:_SHOWN]:
        name = "-" if number is None else _short(report.layout.tensors[number].name)
        lines.append((name, _told(difference), "parts" if difference is not None and difference.parts else ""))
    _print_lines(lines)
    if len(report.plain) > _SHOWN:
        shared.say(f"  and {len(report.plain) - _SHOWN} more")


def _notes(report: Report) -> Iterable[str]:
    if report.only_fused:
        yield (
            "The outputs part only as long as no tensor between operators is handed out: B computes them otherwise "
            "when it may join operators into one, or leave some out."
        )
    if report.fused is not None:
        number = report.layout.operators[report.fused].outputs[0]
        name = _short(report.layout.tensors[number].name)
        yield f"They become right when {name} is handed out, made by {_maker(report, number)}."
    for place, why in list(report.untold.items())[:1]:
        operator = report.layout.operators[place]
        yield f"Not known for {len(report.untold)} operators, as {operator.kind} {_short(operator.name)}: {why}"
    kept = sum(1 for tensor in report.layout.tensors if not tensor.dtype)
    if kept:
        yield f"{kept} tensors cannot be handed out: no NumPy array holds their type."


def _maker(report: Report, number: int) -> str:
    place = report.layout.tensors[number].operator
    if place is None:
        return "nobody: it is an input"
    operator = report.layout.operators[place]
    return f"{operator.kind} {_short(operator.name)}".rstrip()


def _told(difference: Difference | None) -> str:
    """How far apart, in a few words."""
    if difference is None:
        return "not known"
    a, b = difference.shapes
    if a != b:
        return f"shapes {list(a)} and {list(b)}"
    nonfinite = (
        f", {difference.nonfinite[0]} and {difference.nonfinite[1]} NaN or infinite"
        if any(difference.nonfinite)
        else ""
    )
    if not difference.elements:
        return f"the same{nonfinite}"
    relative = "" if difference.relative is None else f" ({difference.relative:.2g} of the largest)"
    size = 1
    for length in a:
        size *= length
    return (
        f"{difference.snr_db:.1f} dB, off by {difference.max_abs:.3g}{relative}, {difference.elements} of {size} "
        f"elements{nonfinite}"
    )


def _print_lines(lines: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))] if lines else []
    for line in lines:
        shared.say("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _short(name: str) -> str:
    return name if len(name) <= _MOST_NAME else f"…{name[1 - _MOST_NAME :]}"


def _head(text: str) -> None:
    click.echo()
    shared.say(text)
