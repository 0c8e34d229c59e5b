"""Synthetic inputs: reproducible, normalized, and with a spectrum like that of photographs."""

import numpy as np
import pytest

from models.inputs import natural_image


def test_an_image_is_reproducible_and_normalized():
    image = natural_image((2, 3, 64, 48), seed=5)
    assert image.shape == (2, 3, 64, 48)
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, natural_image((2, 3, 64, 48), seed=5))
    assert not np.array_equal(image, natural_image((2, 3, 64, 48), seed=6))
    np.testing.assert_allclose(image.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(image.std(axis=(1, 2, 3)), 1, atol=1e-5)


def test_power_falls_with_the_square_of_the_frequency():
    image = natural_image((8, 1, 128, 128), seed=1)
    power = (np.abs(np.fft.rfft2(image)) ** 2).mean(axis=(0, 1))
    ratio = power[0, 4:8].mean() / power[0, 16:32].mean()
    assert 8 < ratio < 32  # 16 in expectation


@pytest.mark.parametrize("size", [1, 2, 7])
def test_tiny_images_are_finite(size):
    assert np.isfinite(natural_image((1, 3, size, size), seed=0)).all()


def test_another_rank_is_refused():
    with pytest.raises(ValueError, match="batch, channels, height, width"):
        natural_image((3, 8, 8), seed=0)
