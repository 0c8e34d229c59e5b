"""`python -m models.export.worker`: carries out one order (a line of JSON on stdin) and tells events (JSON lines).

A process of its own because converters crash, print, leak memory and change global state; none of that reaches the
program that started it. When that program ends, however it does, stdin does, too, and the worker with it.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from models.errors import ModelError
from models.export.orders import ORDER, Event, NetworkOrder, Order, Target
from models.store import ArtifactStore
from results.records import shortened

if TYPE_CHECKING:
    from models.export.network import Network


def main() -> int:
    """Read the order, carry it out, report. The exit status is 0 unless the worker itself is at fault."""
    events = _private_stdout()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # rather this process than what measures
    order = ORDER.validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_host, daemon=True).start()
    make = _maker(order, ArtifactStore(Path(order.store)))
    for target in order.targets:
        _make(order.model, target, make(target), events)
    return 0


def _maker(order: Order, store: ArtifactStore) -> Callable[[Any], Iterator[str]]:
    """What makes a target of the order, telling its stages. What it needs is imported for it alone."""
    if order.kind == "file":
        from models.export.own.files import FileImport

        return FileImport(order, store).make
    if order.kind == "copies":
        from models.diff.copies import Copies

        return Copies(order).make
    if order.kind == "derived":
        from models.export.precision.derivation import Derivation

        return Derivation(order, store).make
    from models.export.network import NetworkExport

    return NetworkExport(order, store, partial(load, order)).make


def load(order: NetworkOrder) -> Network:
    """Build the network of an order. Raises ModelError where that cannot be done."""
    from models.export import checkpoint, library, optimized, partner, zoo

    if order.kind == "optimized":
        return optimized.transformed(load(order.network), order)
    if order.kind == "checkpoint":
        return checkpoint.load(order)
    if order.kind == "partner":
        return partner.load(order)
    return zoo.load(order) if order.kind == "zoo" else library.load(order)


def _end_with_host() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(os.getpid(), signal.SIGKILL)  # a group of its own: a converter may have started others


def _private_stdout() -> IO[str]:
    """The stdout we were given, for events alone: whatever else is printed, by C++ code too, goes to stderr."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "w", encoding="utf-8", buffering=1)


def _make(model: str, target: Target, stages: Iterator[str], events: IO[str]) -> None:
    started = time.monotonic()

    def tell(event: Literal["stage", "artifact", "error"], **fields: str) -> None:
        line = Event(
            event=event,
            format=target.format,
            key=target.key,
            seconds=round(time.monotonic() - started, 3),
            peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            **fields,
        )
        print(line.model_dump_json(), file=events)

    try:
        for stage in stages:
            tell("stage", stage=stage)
    except ModelError as exc:
        tell("error", error=type(exc).__name__, message=str(exc))
    except Exception as exc:  # noqa: BLE001 - converters raise anything; one format must not stop the other
        traceback.print_exc()
        tell("error", message=f"{model} ({target.format}): {_short(exc)}")
    else:
        tell("artifact")


def _short(exc: BaseException) -> str:
    return shortened(f"{type(exc).__name__}: {' '.join(str(exc).split()) or 'no message'}", 3000)


if __name__ == "__main__":
    sys.exit(main())
