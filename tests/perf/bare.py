"""A loop as one writes it by hand: no harness, no agent. Prints the median in nanoseconds.

python bare.py BACKEND MODEL IO WARMUP_S TIMED_S
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np


def onnxruntime(path: str, array: np.ndarray) -> Callable[[], object]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: array}
    return lambda: session.run(None, feeds)


def openvino(path: str, array: np.ndarray) -> Callable[[], object]:
    import openvino as ov

    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(path, "CPU", config).create_infer_request()
    request.set_input_tensor(ov.Tensor(array))
    return request.infer


def tflite(path: str, array: np.ndarray) -> Callable[[], object]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], array)
    return interpreter.invoke


def timed(run: Callable[[], object], seconds: float) -> list[int]:
    samples = []
    end = time.perf_counter_ns() + int(seconds * 1e9)
    while time.perf_counter_ns() < end:
        start = time.perf_counter_ns()
        run()
        samples.append(time.perf_counter_ns() - start)
    return samples


def main() -> None:
    backend, model, io, warmup_s, timed_s = sys.argv[1:]
    with np.load(io) as arrays:
        run = {"onnxruntime": onnxruntime, "openvino": openvino, "tflite": tflite}[backend](model, arrays["in0"])
    timed(run, float(warmup_s))
    print(statistics.median(timed(run, float(timed_s))))


if __name__ == "__main__":
    main()
