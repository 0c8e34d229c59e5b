"""What went into a measurement besides the device: a model file as it was fed, computed and changed."""

from __future__ import annotations

from typing import Annotated, Literal

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
    the array comes from, `made_up` what of it nobody asked for.
    """

    dims: Annotated[tuple[Count | Text | None, ...], Field(max_length=64)] | None = None
    values: Text = ""
    made_up: tuple[Literal["values", "sizes"], ...] = ()

    @property
    def is_dynamic(self) -> bool:
        """Whether the file leaves sizes of it open."""
        return self.dims is not None and self.dims != self.shape


class ArtifactFacts(Record):
    """What a row says of the very file that ran; a case finds it by `sha256` and `io_sha256`.

    `batch` is the number of examples that one inference computes, None where that is not known. `signature` is that of
    a TFLite file with several. `weights` and `activations` say in which types the graph holds and passes numbers
    (`fp32`, `int4`; several joined by ` + `, the one with most elements first), "" where nobody looked. `unverified`
    says why there is no reference to compare with, `nonfinite` which outputs of the reference hold NaN or infinities
    that nobody asked for; each "" when there is nothing to say.
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
    notes: Annotated[tuple[Text, ...], Field(max_length=4096)] = ()
