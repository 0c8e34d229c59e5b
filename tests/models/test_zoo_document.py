"""docs/zoo.md says what the catalog, the counts and the published figures say."""

import csv
from pathlib import Path

import pytest

from models.zoo import catalog, document

REMAKE = "run `python -m models.zoo.document` (with --recount after a change of networks)"
with (Path(__file__).parent / "data" / "zoo_counts.csv").open(newline="") as file:
    COUNTED = {row["name"]: row for row in csv.DictReader(file)}


def test_the_document_is_up_to_date():
    assert document.TARGET.read_text(encoding="utf-8") == document.text(), REMAKE


def test_the_counts_are_those_that_the_networks_are_tested_against():
    counts = document._read()
    assert list(counts) == catalog.names(), REMAKE
    for name, (parameters, multiply_adds) in counts.items():
        row = COUNTED[name]
        assert parameters == int(row["params"])
        assert multiply_adds == pytest.approx(int(row["madds"]) + int(row["attention"] or 0), rel=1e-3)


def test_every_variant_has_one_row():
    rows = [line.split(" | ") for line in document.text().splitlines() if line.count(" | ") == 5]
    named = {cells[0].removeprefix("| "): cells for cells in rows if cells[1].isdigit()}
    assert len(named) == len(catalog.VARIANTS)
    for variant in catalog.VARIANTS:
        name = f"**{variant.name}**" if variant.default else variant.name
        assert (f"{name} **R**" if variant.reconstruction else name) in named
