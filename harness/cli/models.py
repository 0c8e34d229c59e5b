"""`bench models`."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from harness.cli import shared

if TYPE_CHECKING:
    from models.given import Given
    from models.sources.base import Weights


@click.group()
def models() -> None:
    """The zoo: list, describe and export models."""


@models.command("list")
@click.argument("pattern", default="*")
@shared.json_option
def list_(pattern: str, as_json: bool) -> None:
    """List the variants whose name matches PATTERN (like 'mobilenet_v2*'), the default ones marked."""
    from models.zoo import catalog

    variants = catalog.select(pattern)
    if as_json:
        shared.print_json(models=[_described(variant) for variant in variants])
        return
    from rich.table import Table

    table = Table(
        "model", "family", "resolution", "accuracy (published)", "in quick", "in all", "reconstructed", box=None
    )
    quick = {variant.name for variant in catalog.select("quick")}
    for variant in variants:
        described = _described(variant)
        accuracy = described["accuracy"]
        shown = (
            f"{accuracy['value']:.1f} {accuracy['metric']}{' (recalled)' if accuracy['recalled'] else ''}"
            if accuracy
            else "-"
        )
        marks = ("*" if mark else "" for mark in (variant.name in quick, variant.default, variant.reconstruction))
        table.add_row(variant.name, variant.family, str(variant.resolution), shown, *marks)
    shared.console().print(table)


@models.command()
@click.argument("name")
@shared.json_option
def show(name: str, as_json: bool) -> None:
    """Describe one variant: where it is from, what was published of it, its artifacts here, its layers and cost."""
    from models.facts import published
    from models.store import ArtifactStore
    from models.zoo import catalog

    variant = catalog.get(name)
    stored = [a for a in ArtifactStore(shared.open_workspace().artifacts).all() if a.model == variant.name]
    cost = published.cost(variant.name)
    described = {
        **_described(variant),
        "published_cost": dataclasses.asdict(cost) if cost is not None else None,
        "known_differences": published.differences(variant.name),
        "artifacts": [
            artifact.model_dump(mode="json", exclude={"key", "recipe", "preprocessing"}) for artifact in stored
        ],
    }
    report = _report(variant)
    if as_json:
        shared.print_json(model={**described, "cost": dataclasses.asdict(report)})
        return
    _print_fields(described)
    _print_report(report, cost)


@models.command()
@click.argument("expressions", nargs=-1, required=True)
@shared.weights_option
@shared.given_options
@shared.workers_option
@shared.json_option
@click.pass_context
def export(
    context: click.Context,
    expressions: tuple[str, ...],
    weights: Weights,
    given: Given,
    workers: int,
    as_json: bool,
) -> None:
    """Make the artifacts of models without measuring them, and say where they lie."""
    from harness.cli.display import Display
    from models.prepare import prepare
    from models.sources.selection import resolve
    from models.store import ArtifactStore

    store = ArtifactStore(shared.open_workspace().artifacts)
    with Display() as display:
        requests = resolve(expressions, given, weights)
        if not requests:
            raise click.UsageError("no model is named")
        prepared = prepare(requests, store, workers=workers, on_event=display.preparing)
    made = [
        {**artifact.model_dump(mode="json"), "model": model.name, "path": str(store.model_path(artifact))}
        for model in prepared
        for artifact in model.artifacts.values()
    ]
    failures = [
        {"model": model.name, **form._asdict(), "reason": reason}
        for model in prepared
        for form, reason in model.failures.items()
    ]
    if as_json:
        shared.print_json(artifacts=made, failures=failures)
    else:
        for artifact in made:
            click.echo(f"{artifact['model']}  {artifact['format']}  {artifact['size_bytes']} bytes  {artifact['path']}")
        for failure in failures:
            click.echo(f"{failure['model']}  {failure['format']}  failed: {failure['reason']}")
    context.exit(1 if failures else 0)


def _described(variant: Any) -> dict[str, Any]:
    from models.facts import published

    accuracy = published.accuracy(variant.name)
    preprocessing = variant.preprocessing.model_dump(mode="json")
    return {
        **dataclasses.asdict(variant),
        "preprocessing": preprocessing,
        "accuracy": accuracy and accuracy.model_dump(),
    }


def _report(variant: Any) -> Any:
    import torch

    from models import create
    from models.facts.layers_report import report

    with torch.device("meta"):  # shapes without storage
        network = create(variant.name)
    return report(network, variant.resolution)


def _print_report(report: Any, cost: Any) -> None:
    """The table of layers, then the sums."""
    from rich.table import Table

    console = shared.console()
    wide = console.width >= 100  # else without the memory access of each layer, so that no number is cut
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("layer", overflow="fold")
    for heading in ("operator", "input", "output"):
        table.add_column(heading, no_wrap=True)
    for heading in ("parameters", "multiply-\nadds", *(["memory\naccess"] if wide else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for layer in report.layers:
        numbers = [layer.parameters, layer.multiply_adds, *([layer.memory_access] if wide else [])]
        shapes = (_by(layer.input), _by(layer.output))
        table.add_row(layer.name, _operator(layer), *shapes, *(str(number or "") for number in numbers))
    console.print(table)
    totals = Table("", "parameters", "multiply-adds", box=None)
    for share in report.shares:
        totals.add_row(share.kind, f"{share.parameters:.1%}", f"{share.multiply_adds:.1%}")
    totals.add_row("in all", str(report.parameters), str(report.multiply_adds))
    if cost is not None:
        published = (f"{value} M" if value else "-" for value in (cost.parameters_m, cost.multiply_adds_m))
        totals.add_row("as published", *published)
    console.print(totals)
    if report.unused_parameters:
        click.echo(f"parameters of layers that never run: {report.unused_parameters}")
    click.echo(f"memory access cost: {report.memory_access} elements read and written by convolutions and products")
    for words, peak in (
        ("most memory of activations alive at once", report.peak),
        ("largest tensor between two blocks", report.between_blocks),
    ):
        click.echo(f"{words}: {peak.bytes_32} bytes of 32-bit, {peak.bytes_16} of 16-bit numbers, at {peak.layer}")


def _operator(layer: Any) -> str:
    """With kernel, stride and groups where they are not 1: "Conv2d 3x3/2 g32"."""
    kernel = f" {_by(layer.kernel)}" if layer.kernel else ""
    strides = layer.stride or (1,)
    stride = "" if max(strides) == 1 else f"/{strides[0] if len(set(strides)) == 1 else _by(strides)}"
    groups = f" g{layer.groups}" if (layer.groups or 1) > 1 else ""
    return f"{layer.operator}{kernel}{stride}{groups}"


def _by(sizes: tuple[int, ...] | None) -> str:
    return "x".join(map(str, sizes or ()))


def _print_fields(fields: dict[str, Any], indent: str = "") -> None:
    for key, value in fields.items():
        if isinstance(value, dict):
            click.echo(f"{indent}{key}:")
            _print_fields(value, indent + "  ")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            for item in value:
                click.echo(f"{indent}{key}:")
                _print_fields(item, indent + "  ")
        elif isinstance(value, list):
            click.echo(f"{indent}{key}: {'; '.join(map(str, value)) or '-'}")
        else:
            click.echo(f"{indent}{key}: {value}")
