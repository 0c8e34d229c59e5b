"""A loop as one writes it by hand: no harness, no agent. Prints the median in nanoseconds.

python bare.py BACKEND MODEL IO WARMUP_S TIMED_S
python bare.py BACKEND MODEL IO OUTPUTS.npz

The second form runs it once and writes the outputs.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Loaded = tuple[Callable[[], Any], Callable[[], list[np.ndarray]]]
"""What runs an inference, and what gives the outputs of one."""


def onnxruntime(path: str, fed: list[np.ndarray]) -> Loaded:
    """What is timed has its open sizes fixed, and its inputs bound once as they are under the other runtimes."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    plain = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {node.name: array for node, array in zip(plain.get_inputs(), fed, strict=True)}
    sizes: dict[str, set[int]] = {}
    for node in plain.get_inputs():
        for size, length in zip(node.shape, feeds[node.name].shape, strict=True):
            if isinstance(size, str):
                sizes.setdefault(size, set()).add(length)
    for symbol, lengths in sizes.items():
        if len(lengths) == 1:
            options.add_free_dimension_override_by_name(symbol, lengths.pop())
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
    for node in session.get_outputs():
        binding.bind_output(node.name)
    return lambda: session.run_with_iobinding(binding), lambda: plain.run(None, feeds)


def openvino(path: str, fed: list[np.ndarray]) -> Loaded:
    import openvino as ov

    core = ov.Core()
    try:
        model = core.read_model(path)
    except RuntimeError:
        # Some files are converted only when sizes are known.
        model = ov.convert_model(path, input=[list(array.shape) for array in fed])
    if model.is_dynamic():
        model.reshape({position: array.shape for position, array in enumerate(fed)})
    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(model, "CPU", config)
    request = compiled.create_infer_request()
    for position, array in enumerate(fed):
        request.set_input_tensor(position, ov.Tensor(array))
    return request.infer, lambda: [*request.infer().values()]


def tflite(path: str, fed: list[np.ndarray]) -> Loaded:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    details = interpreter.get_input_details()
    for detail, array in zip(details, fed, strict=True):
        if tuple(detail["shape"]) != array.shape:
            interpreter.resize_tensor_input(detail["index"], array.shape)
    interpreter.allocate_tensors()
    for detail, array in zip(details, fed, strict=True):
        interpreter.set_tensor(detail["index"], array)

    def outputs() -> list[np.ndarray]:
        interpreter.invoke()
        return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]

    return interpreter.invoke, outputs


def timed(run: Callable[[], object], seconds: float) -> list[int]:
    samples = []
    end = time.perf_counter_ns() + int(seconds * 1e9)
    while time.perf_counter_ns() < end:
        start = time.perf_counter_ns()
        run()
        samples.append(time.perf_counter_ns() - start)
    return samples


def main() -> None:
    backend, model, io, *rest = sys.argv[1:]
    with np.load(io) as arrays:
        fed = [arrays[f"in{n}"] for n in range(len(arrays.files)) if f"in{n}" in arrays.files]
    run, outputs = {"onnxruntime": onnxruntime, "openvino": openvino, "tflite": tflite}[backend](model, fed)
    if len(rest) == 1:
        np.savez(rest[0], *[np.asarray(array) for array in outputs()])
        return
    warmup_s, timed_s = rest
    timed(run, float(warmup_s))
    print(statistics.median(timed(run, float(timed_s))))


if __name__ == "__main__":
    main()
