"""Encoded pictures as Pillow images of 8 bits, grey or RGB, upright, whatever they are encoded as."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from models.errors import UnreadableDataset

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
MAX_PIXELS = 40_000_000
MAX_BYTES = 256 * 2**20
"""Of one encoded picture."""

# Pillow takes 4 bytes a pixel, twice while a picture is turned: one large picture and the small ones of all threads
# take at most 400 MB.
_LARGE_PIXELS = 8_000_000 // (os.cpu_count() or 1)
_WRONG = (
    OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, OverflowError, MemoryError,
    struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip
# Beyond 32 MiB the C library takes a block from the system and gives it back, in place of keeping it for one thread.
Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]
_large = threading.Lock()
_thread = threading.local()


@contextmanager
def one_large_at_a_time() -> Iterator[None]:
    """Within, a thread that decodes a large picture keeps other threads from decoding another."""
    with ExitStack() as stack:
        _thread.stack = stack
        try:
            yield
        finally:
            _thread.stack = None


def decoded(source: Path | bytes, place: str) -> Image.Image:
    """A picture of the mode L or RGB, turned as its EXIF orientation says.

    Transparent pixels show white. 16 bits become 8 by their upper half, as Pillow reads 16-bit colors. Of several
    frames it is the first. Raises UnreadableDataset, which calls it `place`.
    """
    return _read(source, place, lambda picture: _in_eight_bits(ImageOps.exif_transpose(picture)))


def decoded_mask(source: Path | bytes, place: str) -> Image.Image:
    """A mask (mode L): the numbers of a grey picture, or the indices of one with a palette.

    Raises UnreadableDataset for colors, which are no numbers.
    """
    return _read(source, place, _numbers)


def _read(source: Path | bytes, place: str, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    try:
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        if size > MAX_BYTES:
            raise UnreadableDataset(f"{place}: larger than {MAX_BYTES >> 20} MiB; save it as a smaller picture")
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as picture:
            pixels = picture.width * picture.height
            if pixels > MAX_PIXELS:
                raise UnreadableDataset(
                    f"{place}: {picture.width}x{picture.height} pixels, more than {MAX_PIXELS // 10**6} million; make "
                    "it smaller"
                )
            stack: ExitStack | None = getattr(_thread, "stack", None)
            if stack is not None and pixels > _LARGE_PIXELS:
                stack.enter_context(_large)
            picture.load()
            return convert(picture)
    except UnidentifiedImageError as exc:
        raise UnreadableDataset(
            f"{place}: no picture that can be read ({', '.join(FORMATS)}); save it as .png or .jpg, or take it out"
        ) from exc
    except _WRONG as exc:
        words = " ".join(str(exc).split())[:200] or type(exc).__name__
        raise UnreadableDataset(f"{place}: a damaged picture ({words}); fetch it again, or take it out") from exc


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    if picture.mode in ("L", "RGB"):
        return picture.copy() if picture.readonly else picture
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        values = np.asarray(picture).astype(np.int64)
        return Image.fromarray((values.clip(0, 65535) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise ValueError(f"pixels of 32 bits (mode {picture.mode}), of which nothing says what is white; save 8 bits")
    if picture.has_transparency_data:
        shown = picture.convert("RGBA")
        white = Image.new("RGBA", shown.size, "white")
        return Image.alpha_composite(white, shown).convert("L" if picture.mode in ("LA", "La") else "RGB")
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _numbers(picture: Image.Image) -> Image.Image:
    if picture.mode in ("L", "P"):
        return Image.fromarray(np.asarray(picture))
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        if values.min() >= 0 and values.max() <= 255:
            return Image.fromarray(values.astype(np.uint8))
        raise ValueError(
            "numbers beyond 0 to 255; a mask has the class of every pixel, and 255 where it does not count"
        )
    raise ValueError(
        f"mode {picture.mode}; a mask is a grey picture or one with a palette, whose pixels are the numbers of classes"
    )
