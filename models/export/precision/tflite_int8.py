"""TFLite in int8, static: int8 weights with a scale a channel, int8 activations, float32 inputs and outputs.

The recipe is mixed where the runtime has no fast int8 kernel for an operator: XNNPACK leaves it to a built-in kernel,
which may cost ten times the float one. What it leaves is asked of the runtime itself, not kept in a list here, and
such kinds of operators stay in float, until nothing is left that was quantized. Leaving out may also cost (each
border between int8 and float is a conversion), so the two files are timed against each other and the faster is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.errors import ExportFailed
from models.export.precision import race
from models.export.precision.work import Work, failing

MOST_ROUNDS = 6
"""Of leaving more kinds in float; after the second there was never a new one on the zoo."""


def make(work: Work) -> Iterator[str]:
    """Raises ExportFailed."""
    yield "calibrating for LiteRT"
    with failing("ai-edge-quantizer"):
        maker = _Maker(work)
        yield "quantizing with ai-edge-quantizer"
        full = maker.quantized(frozenset())
    kept = frozenset[str]()
    mixed = full
    for _ in range(MOST_ROUNDS):
        left = left_to_builtin_kernels(mixed, work) & maker.kinds - kept
        if not left:
            break
        kept |= left
        yield f"leaving {', '.join(sorted(kept))} in float"
        with failing("ai-edge-quantizer"):
            mixed = maker.quantized(kept)
    if not kept:
        work.target.write_bytes(full)
        return
    yield "timing the mixed recipe against the full one"
    names = ", ".join(sorted(kept))
    medians = race.medians_ms(work.target.parent, {"full": full, "mixed": mixed})
    words = f"full int8 {medians['full']:.3g} ms, {names} left in float {medians['mixed']:.3g} ms on the exporting host"
    is_mixed = medians["mixed"] <= medians["full"]
    work.notes.append(f"{'mixed recipe' if is_mixed else 'full int8'}, the faster of two: {words}")
    work.target.write_bytes(mixed if is_mixed else full)


class _Maker:
    """A file calibrated once, to be quantized by several recipes."""

    def __init__(self, work: Work) -> None:
        from ai_edge_quantizer import quantizer, recipe

        self._source = str(work.source)
        self._recipe = recipe.static_wi8_ai8()
        signature, argument = _signature(work.source)
        maker = quantizer.Quantizer(self._source, self._recipe)
        feeds = [{argument: array} for array in work.calibration]
        self._found = maker.calibrate({signature: feeds}, num_threads=1)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of operators that the quantizer knows how to leave out."""
        from ai_edge_quantizer import qtyping

        return frozenset(kind.value for kind in qtyping.TFLOperationName) - {"*", "INPUT", "OUTPUT"}

    def quantized(self, in_float: frozenset[str]) -> bytes:
        from ai_edge_quantizer import qtyping, quantizer

        maker = quantizer.Quantizer(self._source, self._recipe)
        # Inputs and outputs stay float32: what feeds and reads the model need not know that it is quantized.
        for kind in ["INPUT", "OUTPUT", *sorted(in_float)]:
            maker.update_quantization_recipe(
                ".*", qtyping.TFLOperationName(kind), algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE
            )
        return bytes(maker.quantize(self._found).quantized_model)


def left_to_builtin_kernels(model: bytes, work: Work) -> frozenset[str]:
    """The kinds of operators that XNNPACK does not take, as the runtime itself tells. Raises ExportFailed."""
    from backends.tflite import TFLite

    path = work.target.with_name("asked.tflite")
    path.write_bytes(model)
    shape = list(work.calibration[0].shape)
    with failing("LiteRT cannot load the quantized file"):
        session = TFLite().load(str(path), [{"name": work.input_name, "shape": shape}], {"threads": 1})
        return frozenset(session.actual().get("left", {}))


def _signature(path: Path) -> tuple[str, str]:
    """The signature that the quantizer calibrates by, and its name for the input. Raises ExportFailed."""
    from ai_edge_litert.interpreter import Interpreter

    signatures: dict[str, Any] = Interpreter(str(path)).get_signature_list()
    if len(signatures) != 1:
        raise ExportFailed(f"ai-edge-quantizer needs a file with one signature; this one has {len(signatures)}")
    name, facts = next(iter(signatures.items()))
    return name, facts["inputs"][0]
