"""ONNX in int8 by NNCF's post-training quantization, for OpenVINO.

Of the ONNX file and not of OpenVINO's own: OpenVINO runs the one as fast as the other (docs/precision.md), and so every
artifact is a file that other tools read, too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from models.export.precision.work import Work, failing, write_onnx


def make(work: Work) -> Iterator[str]:
    """Raises ExportFailed."""
    import nncf
    import onnx

    yield "quantizing with NNCF"
    nncf.set_log_level(logging.ERROR)
    with failing("NNCF"):
        data = nncf.Dataset([{work.input_name: array} for array in work.calibration])
        model = nncf.quantize(onnx.load(work.source), data, subset_size=len(work.calibration))
    write_onnx(model, work.target)
