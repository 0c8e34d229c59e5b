"""`bench results`."""

from __future__ import annotations

import io
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import shared

if TYPE_CHECKING:
    from results.records import Row


def choice_options(command: click.decorators.FC) -> click.decorators.FC:
    """Add the options that choose among stored results."""
    for option in (
        click.option("--model", default=None, help="Only models of this name; * is a wildcard."),
        click.option("--device", default=None, help="Only this device; * is a wildcard."),
        click.option(
            "--run", "run_name", default=None, help="One run (its name, or last); default: the latest of every case."
        ),
    ):
        command = option(command)
    return command


def chosen_rows(run_name: str | None, device: str | None, model: str | None) -> list[Row]:
    """Return the rows of a run, or the latest of every case. Raises RunNotFound, ResultsError."""
    workspace = shared.open_workspace()
    with closing(shared.open_store(workspace)) as store:
        if run_name is not None:
            return store.rows(run=workspace.find_run(run_name), device=device, model=model)
        return store.latest(device=device, model=model)


@click.group()
def results() -> None:
    """Stored results."""


@results.command("list")
@choice_options
@shared.json_option
def list_(run_name: str | None, device: str | None, model: str | None, as_json: bool) -> None:
    """List results: the latest of every case, or those of one run."""
    shared.print_rows(chosen_rows(run_name, device, model), as_json=as_json)


@results.command()
@shared.json_option
def runs(as_json: bool) -> None:
    """List the runs, the oldest first, with how far each got."""
    workspace = shared.open_workspace()
    described = [
        {
            "run": document.header.run_id,
            "started_at": document.header.started_at,
            "finished_at": document.finished_at,
            "profile": document.header.profile.name,
            "cases": sum(not case.control for case in document.header.cases),
            "restarts": len(document.restarts),
        }
        for document in shared.documents(workspace, workspace.run_ids())
    ]
    if as_json:
        shared.print_json(runs=described)
        return
    for run in described:
        state = "finished" if run["finished_at"] else "unfinished: bench run --resume " + str(run["run"])
        shared.say(f"{run['run']}  {run['profile']}  {run['cases']} cases  {run['restarts']} restarts  {state}")


@results.command()
@click.argument("run_name", metavar="RUN")
@shared.json_option
def show(run_name: str, as_json: bool) -> None:
    """Show one run (its name, or last): its table, and every restart with `--json`."""
    from results import journal
    from results.judge.summary import rows as summarize

    workspace = shared.open_workspace()
    document = journal.read(workspace.run_folder(workspace.find_run(run_name)))
    for note in document.notes:
        shared.say(f"bench: {note}", err=True)
    if as_json:
        shared.print_json(run=document.model_dump(mode="json"))
        return
    header = document.header
    shared.say(f"Run {header.run_id}, profile {header.profile.name}, seed {header.seed}, bench {header.bench_version}")
    shared.say(f"Started {header.started_at}, finished {document.finished_at or 'not yet'}")
    shared.say(f"bench {' '.join(header.command)}")
    shared.print_rows(summarize(document), as_json=False)


@results.command()
@choice_options
@click.option("--format", "format_", type=click.Choice(["csv", "parquet", "json"]), default="csv", show_default=True)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Default: standard output."
)
def export(run_name: str | None, device: str | None, model: str | None, format_: str, output: Path | None) -> None:
    """Write results as CSV, Parquet or JSON."""
    from results.export import write

    rows = chosen_rows(run_name, device, model)
    if output is not None:
        write(rows, output, format_)
        shared.say(f"{len(rows)} rows in {output}", err=True)
    elif not sys.stdout.isatty():
        write(rows, sys.stdout.buffer, format_)
    elif format_ == "parquet":
        raise click.UsageError("Parquet is binary, not text for a terminal: name a file with -o")
    else:
        write(rows, content := io.BytesIO(), format_)
        shared.tell(content.getvalue().decode().removesuffix("\n"))


@results.command()
def reindex() -> None:
    """Make the index anew from the runs' documents."""
    workspace = shared.open_workspace()
    with closing(shared.open_store(workspace, anew=True)) as store:
        shared.tell(f"{len(store.runs())} runs indexed in {workspace.index}")
