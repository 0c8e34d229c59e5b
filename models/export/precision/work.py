"""What every recipe is given, and the words in which it fails."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ExportFailed, ModelError
from results.records import shortened


@dataclass
class Work:
    """Make `target` of the fp32 file `source`; both take float32 inputs of one shape and answer float32.

    `calibration` holds arrays for the one input, in the file's own layout. A recipe adds to `notes` what it decided.
    """

    source: Path
    target: Path
    input_name: str
    calibration: Sequence[NDArray[np.float32]] = ()
    notes: list[str] = field(default_factory=list)


@contextmanager
def failing(doing: str) -> Iterator[None]:
    """Whatever a quantizer throws becomes ExportFailed, in words; what it warns of is for its developers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ModelError:
        raise
    except Exception as exc:  # quantizers raise anything
        words = f"{type(exc).__name__}: {' '.join(str(exc).split()) or 'no message'}"
        raise ExportFailed(f"{doing}: {shortened(words, 1000)}") from exc


def write_onnx(model: Any, target: Path) -> None:
    """The same bytes for the same model. Raises ExportFailed where ONNX does not accept it."""
    import onnx

    with failing("the quantized ONNX model is not valid"):
        onnx.checker.check_model(model)
        target.write_bytes(model.SerializeToString(deterministic=True))
