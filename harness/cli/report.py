"""`bench report`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import shared
from harness.cli.results import choice_options, chosen_rows


@click.command()
@choice_options
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Where the page goes."
)
@click.option(
    "--image", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Also a .png or .svg of the chart."
)
def report(
    run_name: str | None, device: str | None, model: str | None, output: Path | None, image: Path | None
) -> None:
    """Write the Pareto page again from stored results (the latest of every case, or one run)."""
    from dashboards.charts import write_image
    from dashboards.page import write_page
    from harness.errors import NothingToRun

    rows = chosen_rows(run_name, device, model)
    if not rows:
        raise NothingToRun("no results are stored for this choice; measure some with: bench run")
    page = output or shared.open_workspace().report
    write_page(rows, page)
    shared.tell(f"Pareto page: {page.absolute()}")
    if image is not None:
        write_image(rows, image)
        shared.tell(f"Picture: {image.absolute()}")
