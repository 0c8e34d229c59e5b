"""The order in which images are prepared and evaluated: shuffled, and every class spread evenly."""

from __future__ import annotations

import heapq
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

SEED = 0


def stratified_order(classes: NDArray[np.int32], seed: int = SEED) -> NDArray[np.int64]:
    """A permutation of the images whose every beginning is a stratified sample.

    Among the first n, a class with the share p of all images has more than n·p - 1 and fewer than n·p + 1 images,
    whatever n. That is the chairman assignment problem: its schedule by earliest deadline is from Tijdeman, Discrete
    Mathematics 32 (1980), where the bound is 1 - 1/(2k - 2) of k classes. Which images of a class come first is drawn;
    only the raw stream of PCG64 is used, which NumPy never changes.
    """
    draws = np.random.PCG64(seed).random_raw(len(classes))
    shuffled = np.argsort(draws, kind="stable")
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    counts = np.bincount(classes)
    counts = counts[counts > 0]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    taken = np.zeros(len(counts), np.int64)
    order = np.empty(len(classes), np.int64)
    for position, chosen in enumerate(_schedule([int(count) for count in counts])):
        order[position] = by_class[starts[chosen] + taken[chosen]]
        taken[chosen] += 1
    return order


def _schedule(counts: list[int]) -> list[int]:
    """Which class stands at each place: of those whose next image may come, the one whose image must come first."""
    total, parts = sum(counts), max(2 * len(counts) - 2, 2)
    released: dict[int, list[int]] = defaultdict(list)
    used = [0] * len(counts)
    for index in range(len(counts)):
        released[1].append(index)  # the first of a class may come once n·p reaches 1/parts, at the latest below
    waiting: list[tuple[int, int]] = []
    found = []
    for place in range(1, total + 1):
        for index in released.pop(place, ()):
            earliest = -((used[index] * parts + 1) * total // -(counts[index] * parts))
            if earliest > place:
                released[earliest].append(index)
            else:
                deadline = ((used[index] + 1) * parts - 1) * total // (counts[index] * parts)
                heapq.heappush(waiting, (deadline, index))
        _, chosen = heapq.heappop(waiting)
        found.append(chosen)
        used[chosen] += 1
        if used[chosen] < counts[chosen]:
            released[place + 1].append(chosen)
    return found
