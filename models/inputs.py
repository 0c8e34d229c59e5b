"""Synthetic inputs with the statistics of photographs. NumPy only, so a machine that merely measures can make them."""

import numpy as np
from numpy.typing import NDArray


def natural_image(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Return NCHW 1/f noise of `shape`: mean 0 and variance 1 in every image, the same for the same seed.

    The amplitude spectrum of photographs falls as 1/f. White noise has no structure that survives a few
    strided convolutions, so activations (and their running statistics) would be unlike those of real inputs.
    """
    if len(shape) != 4 or min(shape) < 1:
        raise ValueError(f"a natural image has the shape (batch, channels, height, width), not {shape}")
    batch, channels, height, width = shape
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.standard_normal((batch, channels, height, width)))
    spectrum *= _amplitude(height, width)
    # Colour channels of a photograph are mostly one luminance: mix each with the mean of all.
    spectrum = 0.3 * spectrum + 0.7 * spectrum.mean(axis=1, keepdims=True)
    image = np.fft.irfft2(spectrum, s=(height, width))
    image -= image.mean(axis=(1, 2, 3), keepdims=True)
    deviation = image.std(axis=(1, 2, 3), keepdims=True)
    image /= np.where(deviation > 0, deviation, 1.0)
    return np.ascontiguousarray(image, dtype=np.float32)


def _amplitude(height: int, width: int) -> NDArray[np.float64]:
    """1/f over the half plane of `rfft2`; the lowest frequency stands in for the constant term."""
    rows = np.fft.fftfreq(height)[:, None]
    columns = np.fft.rfftfreq(width)[None, :]
    frequency = np.hypot(rows, columns)
    floor = 1.0 / max(height, width)
    amplitude: NDArray[np.float64] = 1.0 / np.maximum(frequency, floor)
    return amplitude
