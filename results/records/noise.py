"""What other work took from the timed inferences of a restart."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from results.records.base import MAX_SAMPLES, Nanoseconds, Record, Text
from results.records.packed import Packed, unpacked


class Noise(Record):
    """Which of the timed inferences lost their core to other work.

    `marked_by` is what told: `schedstat`, the kernel's account of the time that each thread waited for a core (an
    inference in which one of them waited for more than 1 % of its time is disturbed), or `switches`, the involuntary
    switches of the process. `disturbed` is a bit for each sample, the first in the highest bit, packed. The samples
    from `shielded_from` on were taken under real-time priority, because too few of those before kept their core; None
    where there are none. `unshielded` says why there are none although there should be, "" otherwise. `lost_ns` is how
    long the samples before waited for a core, None where that is not known.
    """

    marked_by: Literal["schedstat", "switches"]
    disturbed: Packed
    shielded_from: Annotated[int, Field(ge=0, le=MAX_SAMPLES)] | None = None
    unshielded: Text = ""
    lost_ns: Nanoseconds | None = None

    def flags(self, samples: int) -> NDArray[np.bool_]:
        """Whether each of so many samples is disturbed. Raises ValueError where there are not as many marks."""
        if self.shielded_from is not None and self.shielded_from > samples:
            raise ValueError(f"of {samples} samples those from {self.shielded_from} on cannot be shielded")
        bits = unpacked(self.disturbed, "uint8", ((samples + 7) // 8,))
        return np.unpackbits(bits, count=samples).astype(bool)
