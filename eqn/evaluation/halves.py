"""Dev in two halves: one chooses, the other calibrates.

What was chosen on rows fits these rows better than others, so a calibration fitted on the same rows would promise too
much. A row's half is drawn from its id: no other row, and no order of rows, changes it.
"""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True, slots=True)
class Halves:
    """The positions of the rows of each half, rising."""

    choosing: NDArray[np.int64]
    """Chooses the checkpoint and the thresholds."""
    calibrating: NDArray[np.int64]
    """Fits the calibration and the conformal sets."""


def halves(ids: Sequence[str]) -> Halves:
    """Halve rows by the first bit of their ids' sha256; a half is never empty when there are two rows or more."""
    first = np.fromiter((hashlib.sha256(row.encode()).digest()[0] >= 128 for row in ids), dtype=bool, count=len(ids))
    if (len(ids) > 1 and first.all()) or not first.any():
        first = np.arange(len(ids)) % 2 == 0
    return Halves(choosing=np.flatnonzero(first), calibrating=np.flatnonzero(~first))
