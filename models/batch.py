"""How many examples one inference computes: what the shapes of inputs and outputs tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from results.records import InputSpec, TensorSpec

_OTHER = re.compile(r"seq|time|len|frame|token|step|past|cache|^[tls]$", re.IGNORECASE)
"""Symbols of dimensions that are no batch, though they may stand first: a recurrent network reads step after step."""


def batch_of(inputs: Sequence[InputSpec], outputs: Sequence[TensorSpec]) -> int | None:
    """The leading size that all inputs and outputs share; None where they do not, or where it may be something else.

    Scalars have none and do not count among the inputs. Vectors alone do not tell elements from examples.
    """
    shaped = [spec for spec in inputs if spec.shape]
    tensors = [*shaped, *outputs]
    leading = {spec.shape[0] if spec.shape else None for spec in tensors}
    if len(leading) != 1 or not outputs or all(len(spec.shape) < 2 for spec in tensors):
        return None
    firsts = [spec.dims[0] for spec in shaped if spec.dims]
    if any(isinstance(first, str) and _OTHER.search(first) for first in firsts):
        return None
    return leading.pop()
