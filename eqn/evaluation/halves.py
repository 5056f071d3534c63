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
    """Halve rows by the first bit of their ids' sha256.

    Where all of a few rows fall into one half, they take turns in the order of their digests.
    """
    digests = [hashlib.sha256(row.encode("utf-8", "surrogatepass")).digest() for row in ids]
    first = np.fromiter((digest[0] >= 128 for digest in digests), dtype=bool, count=len(ids))
    if first.all() or not first.any():
        first[:] = False
        first[np.argsort(np.array(digests, dtype=object), kind="stable")[::2]] = True
    return Halves(choosing=np.flatnonzero(first), calibrating=np.flatnonzero(~first))
