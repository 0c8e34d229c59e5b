"""Our artifacts against the same networks of timm and torchvision, exported by the same route, measured in turn.

Parameters and multiply-adds must be equal. The graphs may differ; where they do, the operators are printed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.workspace import Workspace
from models.artifacts import Artifact, Form
from models.prepare import prepare
from models.sources.selection import resolve
from models.store import ArtifactStore
from tests.perf.graphs import difference
from tests.perf.test_against_others import compare, harness_median
from tests.rigs import libraries
from tests.rigs.bench import ROOT

pytestmark = [pytest.mark.perf, pytest.mark.timeout(3600)]

NETWORKS = {
    "mobilenet_v1_1.0": "timm:mobilenetv1_100",
    "mobilenet_v2_1.0": "torchvision:mobilenet_v2",
    "mobilenet_v3_large_1.0": "torchvision:mobilenet_v3_large",
    "shufflenet_v2_1.0": "torchvision:shufflenet_v2_x1_0",
    "squeezenet_1.1": "torchvision:squeezenet1_1",
    "mnasnet_b1_1.0": "torchvision:mnasnet1_0",
    "efficientnet_b0": "timm:efficientnet_b0",
    "ghostnet_1.0": "timm:ghostnet_100",
    "mixnet_s": "timm:mixnet_s",
    "resnet50": "torchvision:resnet50",
}
FORMATS = {"onnxruntime": "onnx", "openvino": "onnx", "tflite": "tflite"}


@pytest.fixture(scope="session")
def workspace() -> Workspace:
    """The checkout's own workspace, so that artifacts are exported once for all sessions."""
    return Workspace.open(ROOT / "devices.toml")


@pytest.fixture(scope="session")
def installed(workspace: Workspace) -> Iterator[None]:
    try:
        with libraries.importable(workspace.root / "libraries"):
            yield
    except libraries.Unavailable as exc:
        pytest.skip(str(exc))


def pair(workspace: Workspace, name: str, kind: str) -> tuple[Artifact, Artifact]:
    """Our artifact and the library's."""
    ours, theirs = prepare(resolve([name, NETWORKS[name]]), ArtifactStore(workspace.artifacts))
    assert (ours.parameters, ours.multiply_adds) == (theirs.parameters, theirs.multiply_adds)
    return ours.artifacts[Form(kind, "fp32")], theirs.artifacts[Form(kind, "fp32")]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("backend", FORMATS)
@pytest.mark.parametrize("name", NETWORKS)
def test_against_the_same_network(benchmark: object, workspace: Workspace, name: str, backend: str) -> None:
    ours, theirs = pair(workspace, name, FORMATS[backend])
    store = ArtifactStore(workspace.artifacts)
    graphs = difference(store.model_path(ours), store.model_path(theirs))
    benchmark.extra_info["graphs"] = graphs  # type: ignore[attr-defined]
    print(f"\n{name}, {ours.format}: {graphs}")
    runs = harness_median(workspace, ours, backend), harness_median(workspace, theirs, backend)
    compare(f"{backend}, {name}, {NETWORKS[name]}", *runs, benchmark)
