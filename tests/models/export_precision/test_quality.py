"""What a precision costs, as numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import comparison
from models.export.precision.quality import top1_agreement
from results.judge.accuracy import snr_db


@given(st.floats(-60, 90))
def test_noise_of_a_known_strength_has_that_ratio(decibels: float) -> None:
    signal = np.random.default_rng(1).standard_normal((4, 100))
    noise = np.random.default_rng(2).standard_normal((4, 100))
    noise *= np.sqrt(np.sum(signal**2) / np.sum(noise**2)) * 10 ** (-decibels / 20)
    assert snr_db(signal, signal + noise) == pytest.approx(decibels, abs=1e-6)


def test_what_is_equal_and_what_is_not_finite_are_the_ends() -> None:
    signal = np.ones((1, 3))
    assert snr_db(signal, signal) == 200
    assert snr_db(signal, signal * np.nan) == snr_db(signal * 0, signal) == -200


def test_agreement_is_of_first_places_and_only_of_scores() -> None:
    scores = np.eye(4)
    assert top1_agreement(scores, scores[[0, 1, 2, 2]]) == 0.75
    assert top1_agreement(np.zeros((2, 3, 3)), np.zeros((2, 3, 3))) is None
    assert top1_agreement(np.zeros(3), np.zeros(3)) is None


def test_a_device_may_lose_a_few_decibels_and_half_precision_more() -> None:
    assert comparison.least_snr_db(25.0, "int8") == 19.0
    assert comparison.least_snr_db(60.0, "fp16") == 30.0
    assert comparison.least_snr_db(33.0, "fp16") == 27.0
