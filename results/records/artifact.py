"""What went into a measurement besides the device: a model file as it was fed, computed and changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from results.records.base import Record, Sha256, Text, Word

Count = Annotated[int, Field(ge=0, le=2**60)]
Shape = Annotated[tuple[Count, ...], Field(max_length=64)]

ShapesFixed = Literal["in the file", "by the runtime", "in a copy"]
"""Where the sizes that were measured come from: the file has them, or it leaves some open and they were set for it."""


class TensorSpec(Record):
    """A tensor as it is fed or comes out: `dtype` in NumPy's name, `shape` without unknown dimensions."""

    name: Text
    dtype: Annotated[str, Field(max_length=32)]
    shape: Shape


class InputSpec(TensorSpec):
    """An input, with what was decided for the user.

    `dims` are its dimensions as the file declares them: a size, a symbol, or None for what is not known (None as a
    whole where they are those of `shape`, () for a rank that the file leaves open too). `values` says in words where
    the array comes from, `made_up` what of it nobody asked for. `scale` and `zero_point` are those of a quantized one.
    """

    dims: Annotated[tuple[Count | Text | None, ...], Field(max_length=64)] | None = None
    values: Text = ""
    made_up: tuple[Literal["values", "sizes"], ...] = ()
    scale: Annotated[float, Field(gt=0)] | None = None
    zero_point: Annotated[int, Field(ge=-(2**31), le=2**31)] = 0

    @property
    def is_dynamic(self) -> bool:
        """Whether the file leaves sizes of it open."""
        return self.dims is not None and self.dims != self.shape

    @property
    def declared(self) -> dict[str, Any]:
        """What a backend is told of it."""
        dims = {} if self.dims is None else {"dims": list(self.dims)}
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape), **dims}


def input_keys(inputs: Sequence[InputSpec]) -> list[str]:
    """By what each input is called in options: its name, or its position where it has none of its own."""
    names = [spec.name for spec in inputs]
    return [name if name and names.count(name) == 1 else str(position) for position, name in enumerate(names)]


class OutputSpec(TensorSpec):
    """An output, and what is needed to compare it.

    `scale` and `zero_point` are those of a quantized output; integers without a scale are ids, which must be equal.
    `tolerance` is the user's own for this output, relative to its largest magnitude. `least_snr_db` is what its
    signal-to-noise ratio against a reference in fp32 must be at least, for a file of lower precision; nothing else is
    compared then. `steps` and `steps_rms` are how many steps of its scale one element, and their root mean square, may
    be off; integers without a scale are compared by them, too, where the user gives `steps`. `nonfinite` says that the
    user expects NaN and infinities. `free` counts the elements that the last bits of a float decide, which are not
    compared (a mask beside the output). `unchecked` says why nothing of it is compared, "" when it is.
    """

    scale: Annotated[float, Field(gt=0)] | None = None
    zero_point: Annotated[int, Field(ge=-(2**31), le=2**31)] = 0
    tolerance: Annotated[float, Field(gt=0)] | None = None
    least_snr_db: Annotated[float, Field(ge=-200, le=200)] | None = None
    steps: Annotated[float, Field(ge=0)] | None = None
    steps_rms: Annotated[float, Field(ge=0)] | None = None
    nonfinite: bool = False
    free: Count = 0
    unchecked: Text = ""

    @property
    def kind(self) -> Literal["float", "quantized", "exact"]:
        """By which rule its elements are compared."""
        if self.dtype.startswith("float"):
            return "float"
        return "exact" if self.scale is None and self.steps is None else "quantized"


class Calibration(Record):
    """What the ranges of a quantized file were found from: `sha256` is that of the arrays as they were fed."""

    name: Text
    sha256: Sha256
    samples: Count


class Quality(Record):
    """What making a precision cost: its outputs under `runtime` on `samples` inputs against those of fp32.

    `snr_db` and `top1_agreement` are as in `Restart`, over all these inputs together.
    """

    runtime: Text
    samples: Count
    snr_db: Annotated[float, Field(ge=-200, le=200)]
    top1_agreement: Annotated[float, Field(ge=0, le=1)] | None = None


class ArtifactFacts(Record):
    """What a row says of the very file that ran; a case finds it by `sha256` and `io_sha256`.

    `batch` is the number of examples that one inference computes, None where that is not known. `signature` is that of
    a TFLite file with several. `weights` and `activations` say in which types the graph holds and passes numbers
    (`fp32`, `int4`; several joined by ` + `, the one with most elements first), "" where nobody looked. `unverified`
    says why there is no reference to compare with, `nonfinite` which outputs of the reference hold NaN or infinities
    that nobody asked for; each "" when there is nothing to say. `calibration` and `quality` are those of a file that
    bench has made of one in fp32.
    """

    sha256: Sha256
    io_sha256: Sha256
    inputs: Annotated[tuple[InputSpec, ...], Field(max_length=4096)] = ()
    batch: Count | None = None
    signature: Text | None = None
    weights: Word = ""
    activations: Word = ""
    shapes_fixed: ShapesFixed = "in the file"
    unverified: Text = ""
    nonfinite: Text = ""
    size_bytes: Count | None = None
    calibration: Calibration | None = None
    quality: Quality | None = None
    notes: Annotated[tuple[Text, ...], Field(max_length=4096)] = ()
