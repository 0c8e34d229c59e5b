"""docs/zoo.md: every family and variant of the zoo. `python -m models.zoo.document` writes it.

Parameters and multiply-adds come from `counts.csv`; `--recount` counts them again, which needs PyTorch and a minute.
"""

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from models.facts import published
from models.zoo import catalog
from models.zoo.variant import Variant

COUNTS = Path(__file__).with_name("counts.csv")
TARGET = Path(__file__).parents[2] / "docs" / "zoo.md"
METRICS = {"classification": "top-1", "segmentation": "mean IoU"}
HEAD = """\
<!-- Made by `python -m models.zoo.document`; changes made here are lost. -->

# The zoo

{families} families, {variants} variants. Parameters are trainable ones; multiply-adds are those of convolutions and
matrix products for one image at the stated resolution. Top-1 accuracy is on ImageNet-1k, mean intersection over union
on PASCAL VOC 2012 val at one scale; both were published for trained weights, the zoo's own weights are random.
`bench models show NAME` tells more about one variant.

Bold variants are in `all`. **R** marks a reconstruction: its paper does not fix every layer, or no code is public.
**?** marks a figure that was not read again at its source.

| family | year | variants | idea |
|---|---|---|---|
"""
FAMILY = """
## {name}

{source}

| variant | resolution | parameters, M | multiply-adds, M | {metric}, % | source of {metric} |
|---|---|---|---|---|---|
"""


def text() -> str:
    """The document for the catalog as it is. Raises KeyError for a variant that `counts.csv` does not have."""
    counts = _read()
    families = [(name, list(variants)) for name, variants in _families()]
    parts = [HEAD.format(families=len(families), variants=len(catalog.VARIANTS))]
    for name, variants in families:
        first = variants[0]
        parts.append(f"| [{name}](#{name}) | {first.year} | {len(variants)} | {first.idea} |\n")
    for name, variants in families:
        first = variants[0]
        parts.append(FAMILY.format(name=name, source=first.source, metric=METRICS[first.task]))
        parts += [_row(variant, counts) for variant in variants]
        parts += _notes(variants)
    return "".join(parts)


def recount() -> None:
    """Count every variant again, on the meta device, and write `counts.csv`."""
    import torch

    import models
    from models.cost import multiply_adds, parameters

    rows = []
    for variant in catalog.VARIANTS:
        with torch.device("meta"):
            network = models.create(variant.name)
        rows.append((variant.name, parameters(network), multiply_adds(network, variant.resolution)))
    with COUNTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("variant", "parameters", "multiply_adds"))
        writer.writerows(rows)


def main() -> None:
    """Write docs/zoo.md."""
    parser = argparse.ArgumentParser(prog="python -m models.zoo.document", description=__doc__)
    parser.add_argument("--recount", action="store_true", help="count parameters and multiply-adds again")
    if parser.parse_args().recount:
        recount()
    TARGET.write_text(text(), encoding="utf-8")


def _families() -> Iterator[tuple[str, Iterator[Variant]]]:
    """Families in the order of their first variants."""
    order = {name: index for index, name in enumerate(dict.fromkeys(variant.family for variant in catalog.VARIANTS))}
    return groupby(sorted(catalog.VARIANTS, key=lambda variant: order[variant.family]), lambda variant: variant.family)


def _row(variant: Variant, counts: Mapping[str, tuple[int, int]]) -> str:
    parameters, multiply_adds = counts[variant.name]
    fact = published.preferred(variant.name)
    name = f"**{variant.name}**" if variant.default else variant.name
    accuracy = published.accuracy(variant.name)
    cells = (
        f"{name} **R**" if variant.reconstruction else name,
        str(variant.resolution),
        f"{parameters / 1e6:.2f}",
        f"{multiply_adds / 1e6:.1f}",
        f"{accuracy.value:.1f}{' **?**' if accuracy.recalled else ''}" if accuracy is not None else "-",
        fact.source if fact is not None else "-",
    )
    return f"| {' | '.join(cells)} |\n"


def _notes(variants: Sequence[Variant]) -> Iterator[str]:
    """Why counts differ from published ones, and for which variants where it is not for all of the family."""
    concerned: dict[str, list[str]] = {}
    for variant in variants:
        for note in published.differences(variant.name):
            concerned.setdefault(note, []).append(variant.name)
    if concerned:
        yield "\nWhere published parameters or multiply-adds differ:\n\n"
    for note, names in concerned.items():
        yield f"- {note}\n" if len(names) == len(variants) else f"- {', '.join(names)}: {note}\n"


def _read() -> dict[str, tuple[int, int]]:
    with COUNTS.open(encoding="utf-8", newline="") as file:
        return {row["variant"]: (int(row["parameters"]), int(row["multiply_adds"])) for row in csv.DictReader(file)}


if __name__ == "__main__":
    main()
