"""What a row says of loading: the restarts with the files in memory and those without, apart."""

from __future__ import annotations

from typing import Any

import pytest

from results.judge import load
from results.records import Restart
from tests.results.factory import make_case, make_restart

CASE = make_case()


def loaded(number: int, caches: str | None, load_ms: int, peak: int | None = None) -> Restart:
    changes: dict[str, Any] = {"load_caches": caches, "load_ns": load_ms * 10**6, "load_peak_rss_bytes": peak}
    return make_restart(CASE, number, first_ns=load_ms * 10**5, **changes)


def test_cold_and_warm_loads_are_told_apart_each_with_its_peak() -> None:
    found = load.of_row([loaded(0, "cold", 90, 300), *(loaded(n, "warm", 10 + n, 100 + n) for n in (1, 2, 3))])
    assert found == {
        "load_ms": 12.0,
        "first_ms": pytest.approx(1.2),
        "load_peak_rss_bytes": 103,
        "cold_load_ms": 90.0,
        "cold_load_peak_rss_bytes": 300,
        "load_caches": "cold",
    }


@pytest.mark.parametrize(
    ("caches", "load_ms", "cold_load_ms", "state"),
    [
        (("unknown", "warm"), 20.0, 10.0, "unknown"),
        (("warm", "warm"), 15.0, None, "warm"),
        ((None, None), 15.0, None, "warm"),  # as recorded before, whose files had just been read
        (("cold",), None, 10.0, "cold"),
        ((), None, None, None),
    ],
)
def test_the_state_of_the_caches_is_declared(
    caches: tuple[str | None, ...], load_ms: float | None, cold_load_ms: float | None, state: str | None
) -> None:
    found = load.of_row([loaded(number, one, 10 * (number + 1)) for number, one in enumerate(caches)])
    assert (found["load_ms"], found["cold_load_ms"], found["load_caches"]) == (load_ms, cold_load_ms, state)
