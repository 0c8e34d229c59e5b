"""A network of timm or torchvision, ready to be exported. The library is imported in the worker and nowhere else.

Trained weights alone are fetched, by the library itself; everything else is built from what is installed.
`python -m models.export.library LIBRARY PATTERN` prints the names that match, as one line of JSON.
"""

from __future__ import annotations

import difflib
import importlib
import json
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import Any

from models.artifacts import WeightsOrigin
from models.errors import ModelError, UnknownModel
from models.export import recipe
from models.export.network import Network, one_thread
from models.export.orders import LibraryOrder
from results.records import Accuracy

DEFAULT_SIDE = 224
# Auxiliary classifiers serve training alone; beside trained weights torchvision refuses to be told of them.
_TORCHVISION_ARGUMENTS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"aux_logits": False, "init_weights": False},
}
_SIDES = {"inception_v3": 299}


def load(order: LibraryOrder) -> Network:
    """Build the network of an order. Raises UnknownModel, or ModelError where the library or weights cannot be had."""
    import torch

    _import(order.library)
    torch.manual_seed(recipe.WEIGHTS_SEED)  # for what `models.weights` leaves as the library made it
    network = (_timm if order.library == "timm" else _torchvision)(order)
    if order.weights == "random":
        from models import weights

        with one_thread():
            weights.initialize(network.module, network.shape, seed=recipe.WEIGHTS_SEED)
    network.module.eval()
    return network


def matching(library: str, pattern: str) -> list[str]:
    """The names of a library's image classifiers that match; those of timm with a tag only where the pattern has one.

    Raises ModelError where the library cannot be imported.
    """
    _import(library)
    if library == "timm":
        import timm

        names = timm.list_models(pretrained="." in pattern)
    else:
        names = _torchvision_names()
    return [name for name in names if fnmatchcase(name, pattern)]


def _import(library: str) -> None:
    try:
        importlib.import_module(library)
    except Exception as exc:
        raise ModelError(
            f"{library} is installed but cannot be imported ({type(exc).__name__}: {exc}); "
            "install versions of torch, torchvision and timm that belong together"
        ) from exc


def _torchvision_names() -> list[str]:
    import torchvision

    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names


def _timm(order: LibraryOrder) -> Network:
    import timm

    name, trained = order.network, order.weights == "pretrained"
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise _unknown(order, timm.list_models())
    tagged = timm.list_models(f"{architecture}.*", pretrained=True)
    if tag and name not in tagged:
        raise _unknown(order, [architecture, *tagged])
    if trained and not tagged:
        raise _no_weights(order)
    # Networks that are made for one size are told another; the others take no such argument.
    made_for_a_size = getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False)
    arguments = {"img_size": order.resolution} if order.resolution and made_for_a_size else {}
    module = _built(order, lambda: timm.create_model(name, pretrained=trained, **arguments))
    known = module.pretrained_cfg
    channels, height, width = known.get("input_size") or (3, DEFAULT_SIDE, DEFAULT_SIDE)
    if order.resolution:
        height = width = order.resolution
    resize = round(min(height, width) / (known.get("crop_pct") or 1.0))
    preprocessing = _preprocessing(resize, height, known["interpolation"], known["mean"], known["std"])
    if not trained:
        return Network(module, (channels, height, width), preprocessing)
    origin = _origin("timm", known.get("license"), known.get("hf_hub_id") or known.get("url") or "")
    label = f"pretrained (timm {version('timm')}, {known.get('tag') or 'no tag'})"
    return Network(module, (channels, height, width), preprocessing, label, origin)


def _torchvision(order: LibraryOrder) -> Network:
    import torchvision

    names = _torchvision_names()
    if order.network not in names:
        raise _unknown(order, names)
    chosen: Any = getattr(torchvision.models.get_model_weights(order.network), "DEFAULT", None)
    if chosen is None and order.weights == "pretrained":
        raise _no_weights(order)
    side = order.resolution or _SIDES.get(order.network, DEFAULT_SIDE)
    preprocessing: dict[str, Any] = {}
    if chosen is not None:
        steps = chosen.transforms()
        crop, resize = int(steps.crop_size[0]), int(steps.resize_size[0])
        side = order.resolution or crop
        preprocessing = _preprocessing(
            round(resize * side / crop), side, steps.interpolation.value, steps.mean, steps.std
        )
    arguments = {} if order.weights == "pretrained" else _TORCHVISION_ARGUMENTS.get(order.network, {})
    if order.network.startswith("vit_"):
        arguments = {"image_size": side}
    shape, trained = (3, side, side), chosen if order.weights == "pretrained" else None
    module = _built(order, lambda: torchvision.models.get_model(order.network, weights=trained, **arguments))
    if trained is None:
        return Network(module, shape, preprocessing)
    release = f"torchvision {version('torchvision')}"
    origin = _origin("torchvision", chosen.meta.get("license"), chosen.url)
    accuracy = _accuracy(chosen, f"{release}, {chosen}") if side == crop else None  # it was measured at this size
    return Network(module, shape, preprocessing, f"pretrained ({release}, {chosen.name})", origin, accuracy)


def _built(order: LibraryOrder, build: Any) -> Any:
    """What `build` returns; that trained weights cannot be fetched is an error of its own."""
    if order.weights == "random":
        return build()
    try:
        return build()
    except Exception as exc:
        words = " ".join(str(exc).split())[:300]
        raise ModelError(
            f"{order.model}: its trained weights cannot be fetched ({type(exc).__name__}: {words}); "
            "check the connection, or take --weights random"
        ) from exc


def _origin(package: str, terms: str | None, homepage: str) -> WeightsOrigin:
    return WeightsOrigin(package=package, version=version(package), license=terms or "not stated", homepage=homepage)


def _preprocessing(
    resize: int, crop: int, interpolation: str, mean: Sequence[float], std: Sequence[float]
) -> dict[str, Any]:
    """The fields of `models.zoo.variant.Preprocessing`."""
    return {
        "resize": resize,
        "crop": crop,
        "interpolation": interpolation,
        "mean": [float(value) for value in mean],
        "std": [float(value) for value in std],
        "channel_order": "RGB",
        "range": [0.0, 1.0],
    }


def _accuracy(chosen: Any, source: str) -> Accuracy | None:
    top1 = chosen.meta.get("_metrics", {}).get("ImageNet-1K", {}).get("acc@1")
    return None if top1 is None else Accuracy(value=float(top1), kind="published", source=source)


def _unknown(order: LibraryOrder, names: Sequence[str]) -> UnknownModel:
    near = difflib.get_close_matches(order.network, names, n=4, cutoff=0.4)
    hint = f"; nearest: {', '.join(f'{order.library}:{name}' for name in near)}" if near else ""
    return UnknownModel(f"{order.library} has no image classifier named {order.network!r}{hint}")


def _no_weights(order: LibraryOrder) -> ModelError:
    return ModelError(f"{order.model}: {order.library} has no trained weights of this network; take --weights random")


if __name__ == "__main__":
    try:
        print(json.dumps(matching(*sys.argv[1:])))
    except ModelError as exc:
        sys.exit(str(exc))
