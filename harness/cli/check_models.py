"""`bench models check`: what a run would make of model files, in seconds and without a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from harness.cli import shared
from harness.link.manners import Manners

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.run.checked import Answered, Checked, Fed, Tried
    from models.given import Given


@click.command("check")
@click.argument("expressions", nargs=-1, required=True)
@shared.backends_options
@shared.given_options
@shared.wait_option
@shared.patience_option
@shared.workers_option
@click.option("--strict", is_flag=True, help="Exit with 1 for a warning, too.")
@shared.json_option
@click.pass_context
def check(
    context: click.Context,
    expressions: tuple[str, ...],
    backend_names: str | None,
    options: tuple[str, ...],
    given: Given,
    wait_s: float,
    patience_s: float,
    workers: int,
    strict: bool,
    as_json: bool,
) -> None:
    """Say of model files whether they will run, under which runtimes, and on which inputs; nothing is measured.

    Exits with 1 when a file does not run under a runtime that reads it and is installed here.
    """
    from harness.cli.display import Display
    from harness.cli.run import choices
    from harness.run import trial
    from models.sources.selection import resolve

    workspace = shared.open_workspace()
    with Display() as display:
        models = resolve(expressions, given)
        if not models:
            raise click.UsageError("no model is named")
        request = trial.Request(models, choices(backend_names, options), Manners(wait_s, patience_s))
        found = trial.check(request, workspace, display.preparing, display.watch, workers)
    if as_json:
        shared.print_json(files=[checked.model_dump(mode="json") for checked in found])
    else:
        for checked in found:
            for line in _lines(checked):
                shared.say(line)
    context.exit(_exit_code(found, strict=strict))


def _exit_code(found: list[Checked], *, strict: bool) -> int:
    if all(checked.status == "unreadable" for checked in found):
        return 2
    is_good = all(checked.is_good and not (strict and checked.warnings) for checked in found)
    return 0 if is_good else 1


_WORDS = {
    "runs": "runs",
    "wrong": "computes something else",
    "failed": "does not run",
    "unsupported": "unsupported",
    "unreadable": "cannot be read",
    "not installed": "not installed here",
    "busy": "not tried",
}


def _lines(checked: Checked) -> Iterator[str]:
    """One block of a file: its state, then what there is to know, a line each."""
    yield f"{checked.model}: {_verdict(checked)}"
    yield _line("file", _file(checked))
    for tried in checked.runtimes:
        yield _line(tried.version or tried.backend, _trial(tried))
    for fed in checked.inputs:
        yield _line("input", _input(fed))
    for output in checked.outputs:
        yield _line("output", _output(output))
    types = [("weights", checked.weights), ("activations", checked.activations)]
    if any(words for _, words in types):
        yield _line("precision", _words(f"{what} {words}" for what, words in types if words))
    for warning in checked.warnings:
        yield _line("warning", warning)


def _verdict(checked: Checked) -> str:
    """In words, with the reason where no line of a runtime has it."""
    if checked.status == "partly":
        runs, other = (
            [tried.backend for tried in checked.runtimes if (tried.status == "runs") == is_good]
            for is_good in (True, False)
        )
        return f"runs under {', '.join(runs)}, not under {', '.join(other)}"
    because = "" if checked.runtimes or not checked.reason else f": {checked.reason}"
    return _WORDS[checked.status] + because


def _line(label: str, words: str) -> str:
    return f"  {label:<20} {words}"


def _words(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part)


def _file(checked: Checked) -> str:
    return _words(
        [
            checked.path or checked.format,
            "" if checked.size_bytes is None else _bytes(checked.size_bytes),
            *(f"with {file.path} ({_bytes(file.size_bytes)})" for file in checked.external),
            "" if checked.parameters is None else f"{checked.parameters:,} parameters",
            "" if checked.opset is None else f"opset {checked.opset}",
            "" if checked.signature is None else f"signature {checked.signature}",
            "" if checked.shapes_fixed in ("", "in the file") else f"sizes set {checked.shapes_fixed}",
        ]
    )


def _trial(tried: Tried) -> str:
    parts = [_WORDS[tried.status]]
    if tried.reason and tried.status != "not installed":
        parts[0] += f": {tried.reason}"
    if tried.status == "runs":
        unchecked = f"output unchecked{f' ({tried.unverified})' if tried.unverified else ''}"
        parts.append("output as the reference" if tried.verified else unchecked)
        parts.append(_counts("computes in", tried.compute))
        parts.append(_counts("left to the runtime's own kernels:", tried.left))
    return _words(parts)


def _counts(words: str, counts: dict[str, int]) -> str:
    shown = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items(), key=lambda item: -item[1])[:8])
    more = " …" if len(counts) > 8 else ""
    return f"{words} {shown}{more}" if counts else ""


def _input(fed: Fed) -> str:
    dims = [] if fed.dims is None else ["?" if dim is None else str(dim) for dim in fed.dims]
    declared = f"of [{', '.join(dims)}]" if dims else "of any rank" if fed.dims == () else ""
    made_up = "sizes made up" if "sizes" in fed.made_up else ""
    what = " ".join(filter(None, [fed.name or "(no name)", f"{fed.dtype}{list(fed.shape)}", declared]))
    give = f"to give your own: {' '.join(fed.options)}" if fed.options else ""
    return "; ".join(filter(None, [what, fed.values, made_up, give]))


def _output(output: Answered) -> str:
    rules = {"float": "", "quantized": f"steps of {output.scale or 1:g}", "exact": "must be equal"}
    what = f"{output.name or '(no name)'} {output.dtype}{list(output.shape)}"
    return _words([what, rules[output.rule], output.unchecked and f"not compared: {output.unchecked}"])


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
