"""The order of images: every beginning of it is a stratified sample."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.datasets.order import stratified_order

counts_of_classes = st.lists(st.integers(0, 40), min_size=1, max_size=9).filter(any)


@given(counts_of_classes, st.integers(0, 2**32))
def test_every_beginning_is_stratified(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    np.random.default_rng(seed).shuffle(labels)
    order = stratified_order(labels, seed)
    assert sorted(order.tolist()) == list(range(len(labels)))
    found = np.cumsum(labels[order][:, None] == np.arange(len(counts)), axis=0)
    proportional = np.arange(1, len(labels) + 1)[:, None] * np.array(counts) / len(labels)
    assert np.abs(found - proportional).max() < 1


def test_the_order_is_fixed_and_shuffled() -> None:
    labels = np.repeat(np.arange(3), 4).astype(np.int32)
    first = stratified_order(labels)
    assert first.tolist() == stratified_order(labels).tolist()
    assert first.tolist() == [3, 6, 11, 2, 7, 8, 1, 4, 10, 0, 5, 9]  # on every machine, under every NumPy
    assert stratified_order(labels, seed=1).tolist() != first.tolist()


def test_a_rare_class_is_not_left_to_the_end() -> None:
    labels = np.array([0] * 990 + [1] * 10, np.int32)
    places = np.flatnonzero(labels[stratified_order(labels)] == 1)
    assert np.diff(places).max() <= 200
    assert places[0] < 100
