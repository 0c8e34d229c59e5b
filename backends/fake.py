"""A backend without a runtime: for tests of everything around a backend, and for trying the harness out.

It answers with the reference output that travels with the artifact, after `sleep_ms`, and can misbehave on demand.
"""

import glob
import os
import signal
import time
from typing import Any, ClassVar, Dict, List, Tuple

from backends.base import Backend, Precisions, Session, Unsupported, Way, check_options


class Fake(Backend):
    """Options: `sleep_ms` per inference (default 1), 1.5 times that from `slow_after_s` on, `fault`: one of

    `load`, `crash` (killed in the middle of an inference), `hang`, `wrong` (wrong output), `unsupported`, `noise`
    (prints to standard output), `exit`.
    """

    name = "fake"
    formats = ("onnx", "tflite")
    packages = ("numpy",)
    precisions: ClassVar[Precisions] = {
        "fp32": (Way("fp32"),),
        "fp16": (Way("fp16", "cast"),),
        "bf16": "this backend has no bf16",
        "int8": (Way("int8", "qdq", ("onnx",)), Way("int8", "static", ("tflite",))),
    }

    def version(self) -> str:
        return "fake 1"

    def load(self, path: str, inputs: List[Dict[str, Any]], options: Dict[str, Any]) -> Session:
        import numpy

        check_options(self.name, options, ("sleep_ms", "slow_after_s", "fault"))
        fault = str(options.get("fault", ""))
        if fault == "load":
            raise RuntimeError("the model cannot be loaded")
        if fault == "unsupported":
            raise Unsupported("operator Imaginary is not supported")
        outputs = []
        for pair in sorted(glob.glob(os.path.join(glob.escape(os.path.dirname(path)), "io*.npz")))[:1]:
            with numpy.load(pair, allow_pickle=False) as arrays:
                outputs = [arrays[key] for key in arrays.files if key.startswith("out")]
        sleep_s, slow_after_s = float(options.get("sleep_ms", 1)) / 1000, float(options.get("slow_after_s", "inf"))
        return FakeSession(outputs, sleep_s, slow_after_s, fault, int(options["threads"]))


class FakeSession(Session):
    """Sleeps, then has its outputs ready."""

    def __init__(self, outputs: List[Any], sleep_s: float, slow_after_s: float, fault: str, threads: int) -> None:
        self._outputs = outputs
        self._sleep_s = sleep_s
        self._slow_from_s = time.monotonic() + slow_after_s
        self._fault = fault
        self._threads = threads
        self._runs = 0

    def bind(self, inputs: List[Tuple[str, Any]]) -> None:
        pass

    def run(self) -> None:
        self._runs += 1
        time.sleep(self._sleep_s * (1.5 if time.monotonic() >= self._slow_from_s else 1))
        if not self._fault or self._runs < 3:
            return
        if self._fault == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._fault == "hang":
            time.sleep(3600)
        if self._fault == "noise":
            os.write(1, b"a runtime that talks\xff\n")
        if self._fault == "exit":
            os._exit(0)

    def outputs(self) -> List[Any]:
        if self._fault != "wrong":
            return self._outputs
        return [array + 1 if array.dtype.kind == "f" else ~array for array in self._outputs]

    def actual(self) -> Dict[str, Any]:
        return {"threads": self._threads, "precision": "none"}
