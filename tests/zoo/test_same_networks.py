"""The zoo's networks compute what those of timm, torchvision, pytorchcv and transformers do with the same weights.

Listed widths, widths between them and, for networks released in TensorFlow, its padding. What is compared and how
stands in `same_network.py`. Known to differ, and left out: `fbnetc_100` of timm (expansion layers that FBNet-C does
not have), squeezenext, espnetv2 and ghostnet of pytorchcv, and NASNet where a map of even size is halved.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.rigs import libraries
from tests.rigs.bench import ROOT

pytestmark = [pytest.mark.zoo, pytest.mark.timeout(3600)]

PYTORCHCV = "pytorchcv==0.0.74"


def case(ours, theirs, arguments, *, sizes=(96, 97), tensorflow=False, **own):
    return {
        "ours": ours,
        "arguments": own,
        "theirs": theirs,
        "their_arguments": arguments,
        "sizes": sizes,
        "tensorflow": tensorflow,
    }


def timm(ours, name, **rest):
    return case(ours, "timm:create_model", {"model_name": name}, **rest)


def tf(ours, name, **rest):
    return timm(ours, f"tf_{name}", tensorflow=True, sizes=(75, 96, 97), **rest)


def scaled(ours, factory, variant, *, sizes=(97,), tensorflow=False, own=None, **arguments):
    """What timm's generators make of any multiplier."""
    theirs = f"timm.models.{factory}"
    return case(ours, theirs, {"variant": variant, **arguments}, sizes=sizes, tensorflow=tensorflow, **(own or {}))


def torchvision(ours, name, *, sizes=(96, 97), **arguments):
    return case(ours, f"torchvision.models:{name}", arguments, sizes=sizes)


def pytorchcv(ours, name, *, sizes=(224,), **arguments):
    return case(ours, f"pytorchcv.models.{name}", arguments, sizes=sizes)


def percent(width):
    return f"{round(100 * width):03}"


IMGCLSMOB = {0.2: "wd5", 0.25: "wd4", 0.5: "wd2", 0.75: "w3d4", 1.0: "w1"}
IMGCLSMOB |= {1.25: "w5d4", 1.5: "w3d2", 1.75: "w7d8", 2.0: "w2"}
BETWEEN = (0.35, 0.6, 0.9, 1.25)
COMPOUND = ((0.6, 0.7), (1.05, 1.1), (1.3, 1.5))

CASES = [
    timm("mobilenet_v1_1.0", "mobilenetv1_100"),
    *(pytorchcv(f"mobilenet_v1_{w}", "mobilenet:get_mobilenet", width_scale=w) for w in (0.25, 0.5, 0.75, *BETWEEN)),
    *(torchvision(f"mobilenet_v2_{w}", "mobilenet_v2", width_mult=w) for w in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
    *(torchvision(f"mobilenet_v2_{w}", "mobilenet_v2", width_mult=w) for w in (0.6, 0.9, 1.1, 1.8)),
    *(timm(f"mobilenet_v3_large_{w}", f"mobilenetv3_large_{percent(w)}") for w in (0.75, 1.0)),
    *(timm(f"mobilenet_v3_small_{w}", f"mobilenetv3_small_{percent(w)}") for w in (0.5, 0.75, 1.0)),
    *(tf(f"mobilenet_v3_{s}_minimalistic", f"mobilenetv3_{s}_minimal_100") for s in ("large", "small")),
    *(
        scaled(
            f"mobilenet_v3_{size}_{w}",
            "mobilenetv3:_gen_mobilenet_v3",
            f"mobilenetv3_{size}_100",
            channel_multiplier=w,
        )
        for size in ("large", "small")
        for w in BETWEEN
    ),
    *(pytorchcv(f"shufflenet_v1_g{g}_1.0", f"shufflenet:shufflenet_g{g}_w1") for g in (1, 2, 3, 4, 8)),
    *(
        pytorchcv(f"shufflenet_v1_g3_{w}", "shufflenet:get_shufflenet", groups=3, width_scale=w)
        for w in (0.25, 0.75, 0.9, 1.25)
    ),
    *(torchvision(f"shufflenet_v2_{w}", f"shufflenet_v2_x{w}".replace(".", "_")) for w in (0.5, 1.0, 1.5, 2.0)),
    *(pytorchcv(f"igcv3_d_{w}", "igcv3:get_igcv3", width_scale=w) for w in (0.25, 0.5, 0.6, 0.75, 0.9, 1.0, 1.25)),
    torchvision("squeezenet_1.0", "squeezenet1_0"),
    torchvision("squeezenet_1.1", "squeezenet1_1"),
    timm("xception", "legacy_xception", sizes=(97, 150)),
    *(pytorchcv(f"condensenet_74_c{c}", f"condensenet:condensenet74_c{c}_g{c}") for c in (4, 8)),
    timm("se_resnet50", "legacy_seresnet50"),
    timm("pnasnet5_mobile", "pnasnet5large", sizes=(195,), cells=12, filters=216, stem=96),
    *(timm(f"mnasnet_a1_{w}", f"semnasnet_{percent(w)}") for w in (0.5, 0.75, 1.0, 1.4)),
    *(
        scaled(f"mnasnet_a1_{w}", "efficientnet:_gen_mnasnet_a1", "semnasnet_100", channel_multiplier=w)
        for w in BETWEEN
    ),
    *(torchvision(f"mnasnet_b1_{w}", "MNASNet", alpha=w) for w in (0.5, 0.75, 1.0, 1.3, *BETWEEN)),
    timm("mnasnet_small", "mnasnet_small"),
    *(timm(f"efficientnet_b{n}", f"efficientnet_b{n}") for n in range(8)),
    tf("efficientnet_b0", "efficientnet_b0"),
    *(timm(f"efficientnet_lite{n}", f"efficientnet_lite{n}") for n in range(5)),
    *(tf(f"efficientnet_v2_b{n}", f"efficientnetv2_b{n}") for n in range(4)),
    *(timm(f"efficientnet_v2_{s}", f"efficientnetv2_{s}", sizes=(64, 97)) for s in ("s", "m", "l", "xl")),
    *(
        scaled(
            ours,
            f"efficientnet:_gen_{generator}",
            variant,
            tensorflow=variant.startswith("tf_"),
            own={"width": w, "depth": d},
            channel_multiplier=w,
            depth_multiplier=d,
        )
        for w, d in COMPOUND
        for ours, generator, variant in (
            ("efficientnet_b0", "efficientnet", "efficientnet_b0"),
            ("efficientnet_lite0", "efficientnet_lite", "efficientnet_lite0"),
            ("efficientnet_v2_b0", "efficientnetv2_base", "tf_efficientnetv2_b0"),
        )
    ),
    *(timm(f"tinynet_{s}", f"tinynet_{s}") for s in "abcde"),
    *(
        scaled(
            "tinynet_a",
            "efficientnet:_gen_tinynet",
            "tinynet_a",
            own={"width": w, "depth": d},
            model_width=w,
            depth_multiplier=d,
        )
        for w, d in COMPOUND
    ),
    *(timm(f"mixnet_{s}", f"mixnet_{s}") for s in "sml"),
    tf("mixnet_s", "mixnet_s"),
    *(timm(f"ghostnet_{w}", f"ghostnet_{percent(w)}") for w in (0.5, 1.0, 1.3)),
    *(scaled(f"ghostnet_{w}", "ghostnet:_create_ghostnet", "ghostnet_100", width=w) for w in (0.35, 0.7, 1.1)),
    *(pytorchcv(f"dicenet_{w}", f"dicenet:dicenet_{IMGCLSMOB[w]}") for w in IMGCLSMOB if w != 0.25),
    *(timm(f"mobilevit_{s}", f"mobilevit_{s}", sizes=(128, 160)) for s in ("xxs", "xs", "s")),
    torchvision("alexnet", "alexnet", sizes=(97, 224)),
    torchvision("vgg16", "vgg16", sizes=(224,)),
    torchvision("googlenet", "googlenet", aux_logits=False, init_weights=False),
    torchvision("inception_v3", "inception_v3", sizes=(139, 299), aux_logits=False, init_weights=False),
    torchvision("resnet50", "resnet50"),
    timm("deit_tiny", "deit_tiny_patch16_224", sizes=(224,)),
    *(
        case(
            f"deeplab_v3_mobilenet_v2_{width}{suffix}",
            "tests.zoo.references:MobileNetV2",
            {"width": width, "output_stride": output_stride, "divisor": 8 if width == 1 else 1},
            sizes=(65, 129),
        )
        for width in (1.0, 0.5)
        for suffix, output_stride in (("", 16), ("_os8", 8))
    ),
    *(
        case(
            "deeplab_v3plus_xception_65",
            "tests.zoo.references:Xception65",
            {"output_stride": output_stride},
            sizes=(65,),
            output_stride=output_stride,
        )
        for output_stride in (16, 8)
    ),
]


def label(index):
    chosen = CASES[index]
    arguments = ",".join(str(value) for value in chosen["their_arguments"].values())
    return f"{chosen['ours']}-{chosen['theirs'].partition('.')[0].partition(':')[0]}-{arguments}"


@pytest.fixture(scope="session")
def answers(tmp_path_factory):
    """All in one process, because the libraries take long to import."""
    try:
        paths = libraries.paths(tmp_path_factory.mktemp("libraries"), (*libraries.PACKAGES, PYTORCHCV))
    except libraries.Unavailable as exc:
        pytest.skip(str(exc))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, str(ROOT)])}
    command = [sys.executable, "-W", "ignore", "-m", "tests.zoo.same_network"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, input=json.dumps(CASES), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("index", range(len(CASES)), ids=label)
def test_both_compute_the_same(answers, index):
    answer = answers[index]
    assert "error" not in answer, answer["error"]
    assert answer["difference"] < 1e-9
