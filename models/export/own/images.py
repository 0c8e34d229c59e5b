"""Pictures as the values of an input."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import WrongInput
from models.export.own.shapes import Dimension
from models.given import InputGiven

# Where height, width and channels stand.
_PLACES = {"NCHW": (2, 3, 1), "NHWC": (1, 2, 3), "CHW": (1, 2, 0), "HWC": (0, 1, 2), "HW": (0, 1, None)}
_LAYOUTS = {4: ("NCHW", "NHWC"), 3: ("CHW", "HWC")}
_MOST_SIDE = 2**15


def layout(dims: tuple[Dimension, ...]) -> str | None:
    """Which dimension is which: channels are 1 or 3, first where both could be; None for what is no picture's shape.

    Where the file leaves everything open they come first.
    """
    if len(dims) == 2:
        return "HW"
    layouts = _LAYOUTS.get(len(dims), ())
    found = next((name for name in layouts if dims[_PLACES[name][2] or 0] in (1, 3)), None)
    is_open = not any(isinstance(dim, int) for dim in dims[-3:])
    return found or (layouts[0] if layouts and is_open else None)


def natural_shape(path: Path, dims: tuple[Dimension, ...]) -> tuple[Dimension, ...]:
    """The dimensions with those that are open as the picture has them. Raises WrongInput."""
    name = layout(dims)
    if name is None:
        return dims
    height, width, channels = _PLACES[name]
    with _opened(path) as picture:
        own: dict[int | None, int] = {height: picture.height, width: picture.width, channels: 3}
    if "N" in name:
        own[0] = 1
    return tuple(dim if isinstance(dim, int) else own.get(place) for place, dim in enumerate(dims))


def read(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], wish: InputGiven) -> tuple[NDArray[Any], str]:
    """The picture in that shape and type, and in words how it was changed for it. Raises WrongInput."""
    name = layout(shape)
    if name is None:
        raise WrongInput(
            f"{path}: a picture cannot be fed to an input of the shape {list(shape)}; that takes height and width and "
            "1 or 3 channels, first or last"
        )
    height, width, channels = _PLACES[name]
    if not all(1 <= shape[place] <= _MOST_SIDE for place in (height, width)):
        raise WrongInput(f"{path}: a picture cannot be resized to {shape[width]}x{shape[height]}")
    with _opened(path) as picture:
        from PIL import Image, ImageOps

        size = f"{picture.width}x{picture.height}"
        try:
            upright = ImageOps.exif_transpose(picture)
            colored = upright.convert("RGB" if channels is not None and shape[channels] == 3 else "L")
            pixels = np.asarray(colored.resize((shape[width], shape[height]), Image.Resampling.BILINEAR))
        except (OSError, ValueError, SyntaxError, MemoryError) as exc:
            raise WrongInput(f"{path}: a damaged picture ({exc}); save it again") from exc
    resized = "" if size == f"{shape[width]}x{shape[height]}" else f"resized from {size}"
    values = _scaled(path, pixels.reshape(*pixels.shape[:2], -1), dtype, wish)
    if name in ("NCHW", "CHW"):
        values = values.transpose(2, 0, 1)
    values = values.reshape(shape[1:]) if "N" in name else values.reshape(shape)
    return np.ascontiguousarray(np.broadcast_to(values, shape)), resized


def _scaled(path: Path, pixels: NDArray[np.uint8], dtype: np.dtype[Any], wish: InputGiven) -> NDArray[Any]:
    """Pixels as numbers: 0 to 1 for floats, unless something else is said; the bytes themselves for integers."""
    if dtype.kind != "f":
        if (wish.scale, wish.mean, wish.std) != (None, None, None):
            raise WrongInput(f"{path}: scale, mean and std are for an input of floats, and this one is {dtype}")
        if dtype == np.bool_:
            raise WrongInput(f"{path}: a picture cannot be fed to an input of the type bool")
        return (pixels.astype(np.int16) - 128 if dtype == np.int8 else pixels).astype(dtype)
    channels = pixels.shape[-1]
    if any(said is not None and len(said) not in (1, channels) for said in (wish.mean, wish.std)):
        raise WrongInput(f"{path}: mean and std have one number, or one for each of the {channels} channels")
    values = pixels * (1 / 255 if wish.scale is None else float(wish.scale))
    mean, std = np.asarray(wish.mean or (0,), np.float64), np.asarray(wish.std or (1,), np.float64)
    return ((values - mean) / std).astype(dtype)


def _opened(path: Path) -> Any:
    """The picture, of which only the header is read yet. Raises WrongInput."""
    try:
        from PIL import Image
    except ImportError as exc:
        raise WrongInput(
            f"{path}: pictures are read with Pillow, which is not installed here; pip install pillow, or save the "
            "array as .npy"
        ) from exc
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(path, formats=("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM"))
    except (OSError, ValueError, SyntaxError) as exc:
        raise WrongInput(f"{path}: not a picture that can be read; save it as .png or .jpg") from exc
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as exc:
        raise WrongInput(f"{path}: too large a picture; give a smaller one") from exc
