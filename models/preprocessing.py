"""How an image becomes what a network is fed: one typed record, and its exact arithmetic.

Geometry is Pillow's, as torchvision's transforms do it with Pillow images: filters are antialiased when they shrink,
sizes are cut to whole pixels, an odd rest of a central crop is rounded half to even. It yields unsigned bytes, which
are kept. Normalization is float32 in the order of `ToTensor` and `Normalize`, (pixel / 255 - mean) / std, each step
rounded.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from models.errors import UnusableModel
from results.records import Record

if TYPE_CHECKING:
    from PIL import Image

Side = Annotated[int, Field(ge=1, le=8192)]
Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
ChannelOrder = Literal["RGB", "BGR", "grey"]
Rule = Literal["shorter side", "longer side", "stretch", "none"]

IGNORED = 255
"""The class of pixels of a mask that do not count, and of those that padding adds."""


class Preprocessing(Record):
    """How an image becomes the network's input.

    `rule` says what `resize`, in pixels, means:
    `shorter side`: the shorter side becomes `resize`, and the central square of `crop` pixels is cut out;
    `longer side`: the longer side becomes `resize`, and the mean color is added at the right and below up to `crop`;
    `stretch`: both sides become `resize`, whatever the shape, and the central square is cut out;
    `none`: the central square is cut out of the image as it is.

    Then pixels are scaled from 0..255 to `range`, `mean` is subtracted and the result divided by `std`, channel by
    channel in `channel_order`. A network of one channel has `grey` (ITU-R 601 luma), and one mean and one std.
    """

    resize: Side | None = None
    crop: Side
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channel_order: ChannelOrder = "RGB"
    range: tuple[float, float] = (0.0, 1.0)
    rule: Rule = "shorter side"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.resize is None) != (self.rule == "none"):
            raise ValueError("resize is given for every rule but none, and not for none")
        if self.resize is not None and (
            self.resize > self.crop if self.rule == "longer side" else self.resize < self.crop
        ):
            what = "more" if self.rule == "longer side" else "less"
            raise ValueError(f"resize ({self.resize}) is {what} than crop ({self.crop}) under the rule {self.rule}")
        if {len(self.mean), len(self.std)} != {self.channels}:
            raise ValueError(
                f"mean and std have {self.channels} numbers each in the channel order {self.channel_order}"
            )
        if min(self.std) <= 0:
            raise ValueError("std is more than 0")
        if self.range[0] >= self.range[1]:
            raise ValueError("range is the lower end and the higher end")
        return self

    @property
    def channels(self) -> int:
        """How many the network's input has."""
        return 1 if self.channel_order == "grey" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a prepared image: height, width, channels."""
        return self.crop, self.crop, self.channels

    def facts(self) -> dict[str, Any]:
        """As it stands in an artifact's record, where `shorter side` goes without saying: it was once the only rule."""
        said = self.model_dump(mode="json")
        if self.rule == "shorter side":
            del said["rule"]
        return said

    @property
    def digest(self) -> str:
        """A SHA-256 of everything it says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def geometry(self) -> dict[str, Any]:
        """What decides the bytes of a prepared image; networks that differ in normalization alone share them."""
        said = self.model_dump(mode="json", include={"resize", "crop", "interpolation", "channel_order", "rule"})
        return said | ({"padding": self._padding()} if self.rule == "longer side" else {})

    def at(self, resolution: int) -> Preprocessing:
        """The same for another size of the input: the same ratio of crop to resize."""
        resize = self.resize and round(self.resize * resolution / self.crop)
        return Preprocessing(**{**self.model_dump(), "resize": resize, "crop": resolution})

    def apply(self, picture: Image.Image) -> NDArray[np.uint8]:
        """A picture of the mode RGB or L as prepared bytes of `shape`. Raises ValueError for one that is too small."""
        grey = picture.mode == "L" or self.channel_order == "grey"
        mode = "L" if grey else "RGB"
        pixels = np.asarray(
            self._placed(picture if picture.mode == mode else picture.convert(mode), self.interpolation)
        )
        if grey:
            padded = self._filled(pixels[:, :, None], self._padding())
            return np.repeat(padded, self.channels, axis=2) if padded.shape[2] != self.channels else padded
        return self._filled(pixels[:, :, ::-1] if self.channel_order == "BGR" else pixels, self._padding())

    def apply_to_mask(self, mask: Image.Image) -> NDArray[np.uint8]:
        """A mask (mode L) as (crop, crop): the same places as of the image, no class mixed with another."""
        return self._filled(np.asarray(self._placed(mask, "nearest"))[:, :, None], (IGNORED,))[:, :, 0]

    def normalized(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Prepared bytes (…, channels) as what the network is fed, in the same layout."""
        return self._scaled(pixels.astype(np.float32))

    def table(self) -> NDArray[np.float32]:
        """What every byte becomes in every channel, (256, channels): looked up, it is `normalized` bit for bit."""
        return self._scaled(np.repeat(np.arange(256, dtype=np.float32)[:, None], self.channels, axis=1))

    def _scaled(self, values: Any) -> NDArray[np.float32]:
        low, high = self.range
        if (low, high) != (0.0, 255.0):
            values = values / np.float32(255)
        if (low, high) not in ((0.0, 255.0), (0.0, 1.0)):
            values = values * np.float32(high - low) + np.float32(low)
        scaled: NDArray[np.float32] = (values - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return scaled

    def _placed(self, picture: Image.Image, interpolation: str) -> Image.Image:
        from PIL import Image

        width, height = picture.size
        if self.resize is not None:
            size = {
                "stretch": (self.resize, self.resize),
                "shorter side": _scaled_size(width, height, self.resize, min(width, height)),
                "longer side": _scaled_size(width, height, self.resize, max(width, height)),
            }[self.rule]
            picture = picture.resize(size, Image.Resampling[interpolation.upper()])
        if self.rule == "longer side":
            return picture
        width, height = picture.size
        if min(width, height) < self.crop:
            raise ValueError(
                f"{width}x{height} pixels, less than the crop of {self.crop}, and the rule is not to resize it"
            )
        left, top = round((width - self.crop) / 2), round((height - self.crop) / 2)
        return picture.crop((left, top, left + self.crop, top + self.crop))

    def _filled(self, pixels: NDArray[np.uint8], color: tuple[int, ...]) -> NDArray[np.uint8]:
        """With a color at the right and below, up to the crop."""
        height, width = pixels.shape[:2]
        if (height, width) == (self.crop, self.crop):
            return np.ascontiguousarray(pixels)
        filled = np.empty((self.crop, self.crop, pixels.shape[2]), np.uint8)
        filled[:] = color[: pixels.shape[2]]
        filled[:height, :width] = pixels
        return filled

    def _padding(self) -> tuple[int, ...]:
        """The byte of every channel that comes nearest to 0 when it is normalized."""
        return tuple(int(np.abs(column).argmin()) for column in self.table().T)


def preprocessing_of(said: dict[str, Any], model: str) -> Preprocessing:
    """The preprocessing in an artifact's record. Raises UnusableModel where there is none or it makes no sense."""
    if not said:
        raise UnusableModel(
            f"{model}: nothing says how an image becomes its input; write a [preprocessing] table with resize, crop, "
            "mean and std into the TOML beside the model"
        )
    try:
        return Preprocessing.model_validate(said)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        words = first["msg"].removeprefix("Value error, ")
        raise UnusableModel(
            f"{model}: its preprocessing{f' ({where})' if where else ''} cannot be used: {words}"
        ) from exc


def _scaled_size(width: int, height: int, target: int, side: int) -> tuple[int, int]:
    """With `side`, one of both, as `target`; the other is cut to whole pixels as torchvision does."""
    return max(1, target * width // side), max(1, target * height // side)
