"""Cache keys: everything that changes an artifact, hashed without importing what makes it."""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from models.artifacts import Form, Format
from models.zoo import catalog
from results.files import sha256_of

WEIGHTS_SEED = 0
INPUT_SEED = 0

_MODELS = Path(__file__).parent.parent
# Sources whose change changes what is written; a zoo artifact does not depend on how own files are read.
_NETWORK_SOURCES = ("weights.py", "inputs.py", "cost.py", "export/network.py", "export/parity.py", "export/recipe.py")
_OWN_SOURCES = ("inputs.py", "comparison.py", "export/parity.py")  # and all of export/own
_EXPORTERS: dict[Format, tuple[str, ...]] = {
    "onnx": ("torch", "onnx", "onnxscript", "onnx-ir"),
    "tflite": ("torch", "litert-torch", "litert-converter", "ai-edge-litert"),
}
_RUNTIMES: dict[Format, tuple[str, ...]] = {"onnx": ("onnx", "onnxruntime"), "tflite": ("ai-edge-litert",)}


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def exporter_versions(kind: Format) -> dict[str, str] | None:
    """Versions of the packages that make a format; None when one of them is not installed here."""
    found = _versions(_EXPORTERS[kind])
    return found if len(found) == len(_EXPORTERS[kind]) else None


def runtime_versions(kind: Format) -> dict[str, str]:
    """Versions of the packages that read the user's own files of a format, as far as they are installed."""
    return _versions(_RUNTIMES[kind])


def zoo_recipe(form: Form, variant: catalog.Variant, trained: str | None = None) -> str:
    """What a zoo artifact is made from, exporter versions aside; `trained` is the SHA-256 of trained weights."""
    names = ("export/zoo.py",) if trained is None else ("export/zoo.py", "pretrained.py")
    return digest(
        {
            **_form(form),
            "variant": variant.name,
            "resolution": variant.resolution,
            "factory": variant.factory,
            "arguments": dict(variant.arguments),
            "preprocessing": variant.preprocessing.facts(),
            "zoo": catalog.zoo_digest(variant),
            "num_classes": variant.classes,
            "weights": trained,
            "weights_seed": WEIGHTS_SEED,
            "input_seed": INPUT_SEED,
            "sources": _sources((*_NETWORK_SOURCES, *names, f"export/{form.format}.py")),
        }
    )


def checkpoint_recipe(form: Form, variant: catalog.Variant, sha256: str) -> str:
    """What an artifact of a checkpoint is made from, exporter versions aside; `sha256` is that of its file."""
    return digest(
        {
            **_form(form),
            "checkpoint": sha256,
            "zoo": catalog.zoo_digest(variant),
            "input_seed": INPUT_SEED,
            "sources": _sources((*_NETWORK_SOURCES, "export/checkpoint.py", f"export/{form.format}.py")),
        }
    )


def library_versions(library: str) -> dict[str, str] | None:
    """The version of a library of networks, for timm with that of torchvision; None when it is not installed here."""
    found = _versions(("timm", "torchvision") if library == "timm" else (library,))
    return found if library in found else None


def library_recipe(form: Form, library: str, network: str, weights: str, resolution: int | None = None) -> str:
    """What an artifact of a library's network is made from, versions of the library and the exporters aside."""
    return digest(
        {
            **_form(form),
            "library": library,
            "network": network,
            "resolution": resolution,
            "weights": weights,
            "weights_seed": WEIGHTS_SEED,
            "input_seed": INPUT_SEED,
            "sources": _sources((*_NETWORK_SOURCES, "export/library.py", f"export/{form.format}.py")),
        }
    )


def partner_recipe(variant: catalog.Variant, partner: str) -> str:
    """What an artifact of a variant with a library's weights is made from; `partner` is that library's recipe."""
    return digest(
        {
            "variant": variant.name,
            "zoo": catalog.zoo_digest(variant),
            "partner": partner,
            "sources": _sources(("transfer.py", "export/partner.py")),
        }
    )


def network_key(recipe: str, versions: Mapping[str, str]) -> str:
    """The key of an artifact made from PyTorch: its recipe and the versions of what it is made with."""
    return digest({"recipe": recipe, "versions": dict(versions)})


def own_key(kind: Format, facts: Mapping[str, Any]) -> str:
    """The key of an own file: `facts` (its hash, name, shapes, TOML, feed) and what reads it."""
    own = sorted(f"export/own/{path.name}" for path in (_MODELS / "export/own").glob("*.py"))
    sources = _sources((*_OWN_SOURCES, *own))
    return digest({"format": kind, "own": dict(facts), "versions": runtime_versions(kind), "sources": sources})


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _form(form: Form) -> dict[str, str]:
    """fp32 goes without saying, as it did before there were others."""
    return {"format": form.format} | ({} if form.precision == "fp32" else {"precision": form.precision})


def _sources(names: tuple[str, ...]) -> dict[str, str]:
    """The hash of each source, or that of the one it replaces where it writes the same bytes (`same.csv`)."""
    same = _same()
    hashes = {name: sha256_of(_MODELS / name) for name in names}
    return {name: same.get((name, found), found) for name, found in hashes.items()}


@cache
def _same() -> dict[tuple[str, str], str]:
    with (Path(__file__).parent / "same.csv").open(encoding="utf-8", newline="") as file:
        return {(row["source"], row["sha256"]): row["writes_the_same_as"] for row in csv.DictReader(file)}
