"""Pictures of every mode and in every broken state."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.datasets import pictures
from models.datasets.pictures import decoded, decoded_mask
from models.errors import UnreadableDataset

COLORS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
RGB = Image.fromarray(COLORS)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pixels(content: bytes) -> np.ndarray:
    found = decoded(content, "it")
    assert found.mode in ("L", "RGB")
    return np.asarray(found)


def test_colors_and_greys_are_kept(tmp_path: Path) -> None:
    assert (pixels(encoded(RGB)) == COLORS).all()
    grey = RGB.convert("L")
    assert (pixels(encoded(grey)) == np.asarray(grey)).all()
    (tmp_path / "a.png").write_bytes(encoded(RGB))
    assert (np.asarray(decoded(tmp_path / "a.png", "it")) == COLORS).all()


def test_a_palette() -> None:
    palette = RGB.quantize(4)
    assert (pixels(encoded(palette)) == np.asarray(palette.convert("RGB"))).all()


def test_black_and_white() -> None:
    assert set(np.unique(pixels(encoded(RGB.convert("1"))))) == {0, 255}


def test_sixteen_bits_of_grey_become_the_upper_eight() -> None:
    values = np.array([[0, 255, 256, 0x1234], [0x7FFF, 0x8000, 0xFF00, 0xFFFF]], np.uint16)
    expected = values >> 8
    assert (pixels(encoded(Image.fromarray(values))) == expected).all()
    assert (pixels(encoded(Image.fromarray(values), "TIFF")) == expected).all()


def test_sixteen_bits_of_color_become_the_upper_eight() -> None:
    values = np.array([[[0x12FF, 0x80FF, 0xFF00]]], np.uint16)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    png += chunk(b"IDAT", zlib.compress(b"\0" + values.astype(">u2").tobytes())) + chunk(b"IEND", b"")
    assert pixels(png).tolist() == [[[0x12, 0x80, 0xFF]]]


def test_transparent_pixels_show_white() -> None:
    clear = np.dstack([COLORS, np.full(COLORS.shape[:2], 255, np.uint8)])
    clear[0, 0] = (10, 20, 30, 0)
    found = pixels(encoded(Image.fromarray(clear)))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert (found[1:] == COLORS[1:]).all()
    grey = Image.fromarray(np.array([[[50, 0], [60, 255]]], np.uint8), "LA")
    assert pixels(encoded(grey)).tolist() == [[255, 60]]
    palette = RGB.quantize(4)
    marked = pixels(encoded(palette, transparency=palette.getpixel((0, 0))))
    assert marked[0, 0].tolist() == [255, 255, 255]


def test_four_inks() -> None:
    found = pixels(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    assert found.shape == (8, 8, 3)
    assert np.abs(found.astype(int) - [255, 0, 0]).max() < 12  # magenta and yellow make red


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, COLORS),
        (2, COLORS[:, ::-1]),
        (3, COLORS[::-1, ::-1]),
        (4, COLORS[::-1]),
        (5, COLORS.transpose(1, 0, 2)),
        (6, np.rot90(COLORS, -1)),
        (7, np.rot90(COLORS, 2).transpose(1, 0, 2)),
        (8, np.rot90(COLORS)),
    ],
)
def test_exif_says_how_a_picture_is_turned(orientation: int, turned: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (pixels(encoded(RGB, exif=exif)) == turned).all()


def test_the_first_of_several_frames() -> None:
    frames = [Image.new("L", (4, 4), value) for value in (10, 200)]
    found = pixels(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert (found == 10).all()


JPEG = encoded(Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)), "JPEG")
PNG = encoded(RGB)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no picture that can be read"),
        (b"<html>not found</html>", "no picture that can be read"),
        (JPEG[: len(JPEG) // 2], "a damaged picture .*truncated"),
        (PNG[:60], "damaged|no picture"),
        (PNG[:-20] + bytes(20), "damaged"),
        (encoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"), "32 bits"),
    ],
)
def test_broken_pictures_are_named(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(content)
    for source in (content, tmp_path / "broken.jpg"):
        with pytest.raises(UnreadableDataset, match=words) as caught:
            decoded(source, "folder/broken.jpg")
        assert str(caught.value).startswith("folder/broken.jpg: ")


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = encoded(Image.new("1", (30_000, 30_000)))
    with pytest.raises(UnreadableDataset, match="exceeds limit"):
        decoded(huge, "bomb.png")
    large = encoded(Image.new("1", (7000, 7000)))
    with pytest.raises(UnreadableDataset, match="7000x7000 pixels, more than 40 million"):
        decoded(large, "large.png")
    monkeypatch.setattr(pictures, "MAX_BYTES", 10)
    with pytest.raises(UnreadableDataset, match="larger than"):
        decoded(PNG, "long.png")


def test_only_formats_of_pictures() -> None:
    with pytest.raises(UnreadableDataset, match="no picture that can be read"):
        decoded(encoded(RGB, "PDF"), "a.pdf")


def test_one_large_picture_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_LARGE_PIXELS", 10)
    with pictures.one_large_at_a_time():
        decoded(PNG, "a.png")
        assert pictures._large.locked()
    assert not pictures._large.locked()
    decoded(PNG, "a.png")
    assert not pictures._large.locked()


def test_masks_are_numbers() -> None:
    numbers = np.array([[0, 1], [20, 255]], np.uint8)
    assert (np.asarray(decoded_mask(encoded(Image.fromarray(numbers)), "m")) == numbers).all()
    palette = Image.fromarray(numbers, "L").convert("P")
    palette.putpalette([value % 256 for value in range(768)])
    assert decoded_mask(encoded(palette), "m").mode == "L"
    assert (np.asarray(decoded_mask(encoded(Image.fromarray(numbers.astype(np.uint16))), "m")) == numbers).all()
    with pytest.raises(UnreadableDataset, match="mode RGB; a mask is"):
        decoded_mask(PNG, "m")
    with pytest.raises(UnreadableDataset, match="beyond 0 to 255"):
        decoded_mask(encoded(Image.fromarray(np.array([[300]], np.uint16))), "m")
