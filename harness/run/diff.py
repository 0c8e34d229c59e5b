"""Where two runtimes or precisions part: both compute every tensor of a model, which are compared on this host."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import AgentError, TransportError
from harness.fleet import locks
from harness.fleet.devices import Device
from harness.jobs.compute import Compute, Computed, read
from harness.jobs.model import ModelOnDevice
from harness.link.manners import Claim, Hooks, Manners
from harness.link.ready import ReadyDevice, files_of
from harness.run.plan import BackendChoice
from harness.workspace import Workspace
from models.artifacts import Artifact
from models.diff.compare import Difference, compare
from models.diff.layout import Layout, Part
from models.diff.workshop import Workshop
from models.store import ArtifactStore
from results.files import sha256_of

# A copy that a runtime does not take is halved until the operator is found, this often in all.
_MOST_HALVED = 40
_QUICK_S = 60.0

Arrays = Mapping[int, NDArray[Any]]


@dataclass(frozen=True)
class Side:
    """One of the two: a runtime with its options, and where it runs."""

    choice: BackendChoice
    device: Device

    @property
    def words(self) -> str:
        """As it was asked for."""
        options = ",".join(f"{key}={value}" for key, value in self.choice.options.items())
        name = f"{self.choice.backend}:{options}" if options else self.choice.backend
        return f"{name} on {self.device.name}"


@dataclass
class Report:
    """What was found; all by the numbers of tensors in the layout.

    `accumulated`: both have computed the whole model. `single`: B has computed each operator from A's tensors. `plain`
    are the outputs of the model as it is, in order, without any inner tensor handed out; None where they cannot be
    compared. `untold` says of an operator why its single error is not known. `ran` is what the runtimes say of
    themselves. `fused` is the operator whose tensor, once handed out, makes B's outputs right.
    """

    artifact: Artifact
    sides: tuple[Side, Side]
    threshold_db: float
    layout: Layout
    ran: tuple[Computed, Computed]
    accumulated: dict[int, Difference] = field(default_factory=dict)
    single: dict[int, Difference] = field(default_factory=dict)
    plain: list[Difference | None] = field(default_factory=list)
    untold: dict[int, str] = field(default_factory=dict)
    fused: int | None = None

    @property
    def agrees(self) -> bool:
        """Whether nothing parts."""
        told = [*self.accumulated.values(), *self.single.values(), *filter(None, self.plain)]
        return not any(difference.parts for difference in told)

    def first(self, differences: Mapping[int, Difference]) -> int | None:
        """The first tensor that parts, in the order in which the model computes."""
        for operator in self.layout.operators:
            for number in operator.outputs:
                if number in differences and differences[number].parts:
                    return number
        return None

    @property
    def only_fused(self) -> bool:
        """Whether the outputs part only while operators may be fused: handing out every tensor prevents that."""
        own = [number for number in self.layout.outputs if number in self.accumulated]
        plain = any(difference.parts for difference in self.plain if difference is not None)
        return plain and bool(own) and not any(self.accumulated[number].parts for number in own if number is not None)


def default_threshold_db(artifact: Artifact) -> float:
    """The tolerance of a run as a ratio of signal to noise: 60 dB where 1/1000 is allowed."""
    return -20 * math.log10(artifact.tolerance)


def diff(
    artifact: Artifact,
    sides: tuple[Side, Side],
    threshold_db: float,
    workspace: Workspace,
    manners: Manners,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Compare. Raises ModelError, DeviceBusy, and TransportError where a runtime cannot run the model at all."""
    store = ArtifactStore(workspace.artifacts)
    with Workshop.opened(store, artifact) as workshop, _opened(artifact, sides, workspace, manners, say) as computers:
        return _Comparison(workshop, sides, threshold_db, computers).report()


class _Comparison:
    def __init__(
        self, workshop: Workshop, sides: tuple[Side, Side], threshold_db: float, computers: tuple[_Computer, _Computer]
    ) -> None:
        self._workshop = workshop
        self._a, self._b = computers
        self._halved = 0
        artifact = workshop.artifact
        self._layout = workshop.write(())
        plain = [computer.plain() for computer in computers]
        self.found = Report(artifact, sides, threshold_db, self._layout, (self._a.ran, self._b.ran))
        for position in range(len(self._layout.outputs)):
            pair = [arrays.get(position) for arrays in plain]
            self.found.plain.append(self._compared(*pair))
        self._plain_a = plain[0]
        with np.load(workshop.store.io_path(artifact), allow_pickle=False) as arrays:
            workshop.keep({number: arrays[f"in{place}"] for place, number in enumerate(self._layout.inputs)})

    def report(self) -> Report:
        """Compare all tensors."""
        batches = self._layout.batches()
        self._workshop.write([Part(kind="whole", first=first, end=end) for first, end in batches])
        for first, end in batches:
            self._halving(first, end, self._whole)
        parts = [Part(kind="cut", first=first, end=end) for first, end in batches]
        self._workshop.write(parts)
        self._halved = 0
        for first, end in batches:
            self._halving(first, end, self._cut)
        if self.found.only_fused and len(batches) == 1:
            self.found.fused = self._fusion()
        return self.found

    def _compared(self, a: NDArray[Any] | None, b: NDArray[Any] | None) -> Difference | None:
        return None if a is None or b is None else compare(a, b, self.found.threshold_db)

    def _halving(self, first: int, end: int, work: Callable[[int, int], None]) -> None:
        """Do the work; where a runtime refuses, on both halves, so that one operator costs no other its comparison."""
        try:
            work(first, end)
        except AgentError as exc:
            self._halved += 1
            if end - first == 1 or self._halved > _MOST_HALVED:
                self.found.untold.update(dict.fromkeys(range(first, end), str(exc)))
                return
            middle = (first + end) // 2
            self._halving(first, middle, work)
            self._halving(middle, end, work)

    def _whole(self, first: int, end: int) -> None:
        part = Part(kind="whole", first=first, end=end)
        self._workshop.write([part])
        io = self._workshop.store.io_path(self._workshop.artifact)
        wanted = self._layout.made_by(first, end)
        if any(self._workshop.value(number) is None for number in wanted):  # else B has refused a longer part
            computed = self._of(part, self._a, io)
            self._workshop.keep({number: computed[number] for number in wanted if number in computed})
        made = self._of(part, self._b, io)
        self._workshop.drop(part)
        for number in wanted:
            difference = self._compared(self._workshop.value(number), made.get(number))
            if difference is not None:
                self.found.accumulated[number] = difference

    def _cut(self, first: int, end: int) -> None:
        part = Part(kind="cut", first=first, end=end)
        self._workshop.write([part])
        copy = self._workshop.copy(part)
        if not copy.outputs:
            return
        io = self._workshop.folder / "io.npz"
        fed = {f"in{place}": self._workshop.value(one.tensor) for place, one in enumerate(copy.inputs)}
        np.savez(io, allow_pickle=False, **{name: array for name, array in fed.items() if array is not None})
        made = self._of(part, self._b, io)
        self._workshop.drop(part)
        for number, array in made.items():
            if (difference := self._compared(self._workshop.value(number), array)) is not None:
                self.found.single[number] = difference

    def _of(self, part: Part, computer: _Computer, io: Path) -> Arrays:
        """What a copy hands out, by the numbers of the tensors."""
        copy = self._workshop.copy(part)
        with np.load(io, allow_pickle=False) as arrays:
            specs = [
                {
                    "name": one.name,
                    "dtype": arrays[f"in{place}"].dtype.name,
                    "shape": list(arrays[f"in{place}"].shape),
                }
                for place, one in enumerate(copy.inputs)
            ]
        if part.kind == "whole":
            inputs = zip(copy.inputs, self._workshop.artifact.inputs, strict=True)
            specs = [{**spec.declared, "name": one.name} for one, spec in inputs]
        arrays = computer.copy(self._workshop.path(part), io, specs)
        if arrays.keys() - set(range(len(copy.outputs))):
            raise AgentError(f"{computer.side.words}: it made more outputs than there are")
        return {copy.outputs[place]: array for place, array in arrays.items()}

    def _fusion(self) -> int | None:
        """Look for the operator by whose tensor, handed out, B's outputs become right; None when that is not one."""
        io = self._workshop.store.io_path(self._workshop.artifact)
        wrong, right = 0, len(self._layout.operators)
        try:
            while right - wrong > 1:
                middle = (wrong + right) // 2
                part = Part(kind="whole", first=0, end=middle)
                self._workshop.write([part])
                made = self._of(part, self._b, io)
                self._workshop.drop(part)
                pairs = [
                    self._compared(self._plain_a.get(place), made.get(number))
                    for place, number in enumerate(self._layout.outputs)
                    if number is not None
                ]
                if any(difference.parts for difference in pairs if difference is not None):
                    wrong = middle
                else:
                    right = middle
        except AgentError:
            return None
        return right - 1


class _Computer:
    """One side at work: has files computed on its device."""

    def __init__(
        self, side: Side, session: ReadyDevice, artifact: Artifact, workspace: Workspace, scratch: Path
    ) -> None:
        self.side = side
        self._session = session
        self._precision = artifact.precision
        self._own = ModelOnDevice.of(artifact, workspace.device_root(side.device))
        self._scratch = scratch
        self.ran = Computed("", {}, 0, "0" * 64)

    def plain(self) -> Arrays:
        """Return position -> output of the very file that a run measures. Raises TransportError."""
        arrays, self.ran = self._computed(self._own)
        return arrays

    def copy(self, model: Path, io: Path, inputs: Sequence[dict[str, Any]]) -> Arrays:
        """Return position -> output of a copy, which is on the device only meanwhile. Raises TransportError."""
        self._session.check()
        hashes = [sha256_of(path) for path in (model, io)]
        folder = self._own.model.parent
        there = [folder / f"diff-{sha256}{path.suffix}" for sha256, path in zip(hashes, (model, io), strict=True)]
        for source, path, sha256 in zip((model, io), there, hashes, strict=True):
            self._session.agent.transport.push(source, path, sha256)
        try:
            return self._computed(ModelOnDevice(there[0], hashes[0], there[1], hashes[1], inputs, self._own.data))[0]
        finally:
            self._remove(there)

    def _computed(self, model: ModelOnDevice) -> tuple[Arrays, Computed]:
        self._session.check()
        target = model.model.with_name(f"outputs-{secrets.token_hex(8)}.npz")
        options = {
            **self.side.choice.options,
            "threads": self.side.device.threads[0],
            "precision": self._precision,
        }
        pulled = self._scratch / target.name
        try:
            done = self._session.carry_out(Compute(self.side.choice.backend, model, options, target))
            self._session.agent.transport.pull(target, pulled)
            return read(pulled, done), done
        except AgentError as exc:
            raise AgentError(f"{self.side.words}: {exc}") from exc
        finally:
            pulled.unlink(missing_ok=True)
            self._remove([target, target.with_name(f"{target.name}.part")])

    def _remove(self, paths: Sequence[PurePosixPath]) -> None:
        transport = self._session.agent.transport
        if transport.has_shell:
            transport.run(["rm", "-f", *map(str, paths)], timeout_s=_QUICK_S)


@contextmanager
def _opened(
    artifact: Artifact,
    sides: tuple[Side, Side],
    workspace: Workspace,
    manners: Manners,
    say: Callable[[str], None],
) -> Iterator[tuple[_Computer, _Computer]]:
    """Hold the devices of both sides, one after the other in the order of their names, and make them ready."""
    store = ArtifactStore(workspace.artifacts)
    reason = "bench models diff"
    sessions: dict[str, ReadyDevice] = {}
    with ExitStack() as stack:
        scratch = stack.enter_context(store.scratch())
        for name, device in sorted({side.device.name: side.device for side in sides}.items()):
            files = files_of(artifact, store, workspace.device_root(device))
            backends = tuple(sorted({side.choice.backend for side in sides if side.device.name == name}))
            claim = Claim(reason, secrets.token_hex(8))
            stack.enter_context(locks.hold(name, reason, wait_s=manners.wait_s, on_wait=say))
            session = ReadyDevice(workspace, device, claim, backends, files, manners, Hooks(say=say))
            sessions[name] = stack.enter_context(closing(session))
            try:
                session.open()
            except TransportError as exc:
                raise type(exc)(f"{name}: {exc}") from exc
        first, second = (_Computer(side, sessions[side.device.name], artifact, workspace, scratch) for side in sides)
        yield first, second
