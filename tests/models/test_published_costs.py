"""Published parameters and multiply-adds, and the reasons known for those that are not met."""

import csv
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from models.facts import published
from models.zoo import catalog

with (Path(__file__).parent / "data" / "zoo_counts.csv").open(newline="") as file:
    COUNTS = [row for row in csv.DictReader(file) if published.cost(row["name"]) is not None]


def test_every_row_belongs_to_the_zoo():
    for name in published.costs():
        catalog.get(name)
    for pattern, note in published.known_differences():
        assert catalog.names(pattern)
        assert note.endswith(".")


@pytest.mark.parametrize("row", COUNTS, ids=lambda row: row["name"])
def test_a_difference_beyond_rounding_and_one_percent_has_a_known_reason(row):
    cost = published.cost(row["name"])
    multiply_adds = int(row["madds"]) + int(row["attention"] or 0)
    for printed, counted in ((cost.parameters_m, int(row["params"])), (cost.multiply_adds_m, multiply_adds)):
        if printed:
            rounding = 0.5 * 10 ** -len(printed.partition(".")[2])
            difference = abs(counted / 1e6 - float(printed))
            assert difference <= max(rounding * 1.001, 0.01 * float(printed)) or published.differences(row["name"])


def test_a_resolution_has_multiply_adds_of_its_own():
    assert published.cost("mobilenet_v1_1.0@192") == published.Cost("4.2", "418")
    assert published.cost("ghostnet_1.0@192") == published.Cost("5.2", "")
    assert published.cost("mnasnet_b1_0.5") is None


def test_differences_are_those_of_the_variant():
    (note,) = published.differences("espnetv2_1.0@160")
    assert "last linear layer" in note
    assert published.differences("mobilenet_v1_1.0") == []
    assert not any(fnmatchcase("mobilenet_v1_1.0", pattern) for pattern, _ in published.known_differences())
