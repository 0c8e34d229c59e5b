"""What becomes of an image before a network is fed it: the geometry, and the very arithmetic of PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from models.errors import UnusableModel
from models.preprocessing import Preprocessing, preprocessing_of
from models.zoo import catalog

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
TWO = Preprocessing(resize=2, crop=2, **IMAGENET)
BYTES = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)

channel = st.floats(-2, 2)
spread = st.floats(0.01, 4)


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


@given(st.tuples(channel, channel, channel), st.tuples(spread, spread, spread))
def test_normalization_is_that_of_pytorch_to_the_last_bit(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    ours = Preprocessing(resize=16, crop=16, mean=mean, std=std)
    values = torch.from_numpy(BYTES).permute(0, 3, 1, 2).to(torch.float32).div(255)
    values = values.sub(torch.tensor(mean).view(3, 1, 1)).div(torch.tensor(std).view(3, 1, 1))
    expected = values.permute(0, 2, 3, 1).numpy()
    found = ours.normalized(BYTES)
    assert found.dtype == np.float32
    assert found.tobytes() == np.ascontiguousarray(expected).tobytes()
    looked_up = np.stack([ours.table()[:, place][BYTES[..., place]] for place in range(3)], axis=-1)
    assert looked_up.tobytes() == found.tobytes()


def test_a_range_of_bytes_leaves_them_as_they_are() -> None:
    squeezenet = Preprocessing(
        resize=16, crop=16, mean=(104, 117, 123), std=(1, 1, 1), range=(0, 255), channel_order="BGR"
    )
    assert (squeezenet.normalized(BYTES)[0, 0, 5] == np.float32([5 - 104, 5 - 117, 5 - 123])).all()
    halves = Preprocessing(resize=16, crop=16, mean=(0,) * 3, std=(1,) * 3, range=(-1, 1))
    assert halves.table()[[0, 255]].tolist() == [[-1.0] * 3, [1.0] * 3]


def test_the_shorter_side_is_resized_and_the_middle_cut_out() -> None:
    wide = picture(100, 61)
    found = Preprocessing(resize=32, crop=28, interpolation="bicubic", **IMAGENET).apply(wide)
    resized = wide.resize((52, 32), Image.Resampling.BICUBIC)  # 32 · 100 / 61 = 52.46, cut
    assert (found == np.asarray(resized)[2:30, 12:40]).all()
    assert found.shape == (28, 28, 3)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_it_is_what_torchvision_does(interpolation: str) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    rng = np.random.default_rng(0)
    for width, height, crop, more in rng.integers((20, 20, 16, 0), (300, 300, 99, 40), (20, 4)).tolist():
        ours = Preprocessing(resize=crop + more, crop=crop, interpolation=interpolation, **IMAGENET)
        theirs = transforms.Compose(
            [
                transforms.Resize(crop + more, transforms.InterpolationMode(interpolation)),
                transforms.CenterCrop(crop),
                transforms.ToTensor(),
                transforms.Normalize(ours.mean, ours.std),
            ]
        )
        image = picture(width, height)
        expected = np.ascontiguousarray(theirs(image).numpy().transpose(1, 2, 0))
        assert ours.normalized(ours.apply(image)).tobytes() == expected.tobytes()


def test_an_odd_rest_is_rounded_half_to_even() -> None:
    image = picture(11, 13)
    found = Preprocessing(rule="none", crop=8, **IMAGENET).apply(image)
    assert (found == np.asarray(image)[2:10, 2:10]).all()  # 2.5 above, 1.5 at the left


def test_stretching_keeps_the_whole_picture() -> None:
    image = picture(40, 10)
    found = Preprocessing(rule="stretch", resize=12, crop=12, **IMAGENET).apply(image)
    assert (found == np.asarray(image.resize((12, 12), Image.Resampling.BILINEAR))).all()


def test_the_longer_side_is_resized_and_the_rest_filled() -> None:
    image = picture(40, 20)
    rule = Preprocessing(rule="longer side", resize=20, crop=24, **IMAGENET)
    found = rule.apply(image)
    assert (found[:10, :20] == np.asarray(image.resize((20, 10), Image.Resampling.BILINEAR))).all()
    assert (found[10:] == [124, 116, 104]).all()  # 0.485, 0.456 and 0.406 of 255
    assert np.abs(rule.normalized(found[10:])).max() < 0.01
    mask = rule.apply_to_mask(Image.fromarray(np.full((20, 40), 7, np.uint8)))
    assert (mask[:10, :20] == 7).all()
    assert (mask[10:] == 255).all()
    assert (mask[:, 20:] == 255).all()


def test_a_mask_keeps_its_classes() -> None:
    mask = np.zeros((30, 30), np.uint8)
    mask[:, 15:] = 20
    found = Preprocessing(resize=16, crop=12, **IMAGENET).apply_to_mask(Image.fromarray(mask))
    assert set(np.unique(found)) == {0, 20}
    assert found.shape == (12, 12)


def test_channels() -> None:
    image = picture(16, 16)
    pixels = np.asarray(image)
    bgr = Preprocessing(resize=16, crop=16, channel_order="BGR", **IMAGENET).apply(image)
    assert (bgr == pixels[:, :, ::-1]).all()
    assert bgr.flags.c_contiguous
    grey = Preprocessing(resize=16, crop=16, channel_order="grey", mean=(0.5,), std=(0.5,))
    assert (grey.apply(image)[:, :, 0] == np.asarray(image.convert("L"))).all()
    assert grey.shape == (16, 16, 1)
    one = picture(30, 20, "L")
    repeated = Preprocessing(resize=16, crop=12, **IMAGENET).apply(one)
    assert (repeated == Preprocessing(resize=16, crop=12, **IMAGENET).apply(one.convert("RGB"))).all()
    assert repeated.shape == (12, 12, 3)


def test_too_small_a_picture_that_may_not_be_resized() -> None:
    with pytest.raises(ValueError, match="7x9 pixels, less than the crop of 8"):
        Preprocessing(rule="none", crop=8, **IMAGENET).apply(picture(7, 9))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"resize": 10, "crop": 12}, "less than crop"),
        ({"resize": 14, "crop": 12, "rule": "longer side"}, "more than crop"),
        ({"crop": 12}, "resize is given"),
        ({"resize": 12, "crop": 12, "rule": "none"}, "resize is given"),
        ({"resize": 12, "crop": 12, "mean": (0.5,)}, "3 numbers"),
        ({"resize": 12, "crop": 12, "channel_order": "grey"}, "1 numbers"),
        ({"resize": 12, "crop": 12, "std": (0, 1, 1)}, "std is more than 0"),
        ({"resize": 12, "crop": 12, "range": (1, 0)}, "range is"),
        ({"resize": 12, "crop": 12, "mean": (float("nan"), 0, 0)}, "finite"),
        ({"resize": 12, "crop": 0}, "greater than"),
        ({"resize": 12, "crop": 12, "interpolation": "sinc"}, "bilinear"),
    ],
)
def test_what_makes_no_sense_is_refused(said: dict, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Preprocessing(**{**IMAGENET, **said})


def test_the_record_of_an_artifact() -> None:
    variant = catalog.get("mobilenet_v2_0.35@48").preprocessing
    said = {
        "resize": variant.resize,
        "crop": 48,
        "interpolation": variant.interpolation,
        "mean": list(variant.mean),
        "std": list(variant.std),
        "channel_order": "RGB",
        "range": [0.0, 1.0],
    }
    found = preprocessing_of(said, "m")
    assert found.crop == 48
    assert found.facts() == said  # keys of artifacts made before there were rules stay what they are
    with pytest.raises(UnusableModel, match=r"write a \[preprocessing\] table"):
        preprocessing_of({}, "m")
    with pytest.raises(UnusableModel, match=r"m: its preprocessing \(interpolation\) cannot be used"):
        preprocessing_of({**said, "interpolation": "random"}, "m")


def test_a_network_that_segments_sees_the_whole_picture() -> None:
    deeplab = catalog.get("deeplab_v3_mobilenet_v2_1.0@129").preprocessing
    assert (deeplab.rule, deeplab.resize, deeplab.crop) == ("longer side", 129, 129)
    assert deeplab.facts()["rule"] == "longer side"
    assert deeplab.apply(picture(40, 20))[-1, -1].tolist() == [127, 127, 127]


def test_networks_that_differ_in_normalization_share_prepared_images() -> None:
    other = Preprocessing(resize=2, crop=2, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert other.geometry() == TWO.geometry()
    assert other.digest != TWO.digest
    padded = [Preprocessing(rule="longer side", resize=2, crop=2, mean=(m,) * 3, std=(1,) * 3) for m in (0.2, 0.8)]
    assert padded[0].geometry() != padded[1].geometry()


def test_at_another_resolution() -> None:
    assert Preprocessing(resize=256, crop=224, **IMAGENET).at(192).resize == 219
    assert Preprocessing(rule="none", crop=224, **IMAGENET).at(96).crop == 96
