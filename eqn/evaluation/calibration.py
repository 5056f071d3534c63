"""Whether intensities can be read as probabilities: of the rows with 0.3 for joy, do 3 in 10 carry it?

The expected calibration error (Naeini, Cooper & Hauskrecht, AAAI 2015) sorts the rows into bins by their scores and
averages, over all rows, how far a bin's mean score lies from the share of its rows that carry the label. The bins here
hold equally many rows (Nixon et al., Measuring Calibration in Deep Learning, 2019, arXiv 1904.01685): bins of equal
width would put nearly all scores of a rare emotion into the first. It is computed for each emotion by itself; over all
28 pooled it would tell of the many cells that are rightly near 0, and little else. For the same reason it compares
models, not emotions: where scores and shares are small, so is their difference.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from eqn.evaluation.arrays import Floats

BINS = 15


@dataclasses.dataclass(frozen=True, slots=True)
class Reliability:
    """The bins of one emotion, by rising score; each array has an entry for each bin that holds rows."""

    mean_score: Floats
    share: Floats
    """Share of the bin's rows that carry the label."""
    rows: NDArray[np.int64]
    """How many rows it holds."""


def reliability(gold: Floats, scores: Floats, *, bins: int = BINS) -> Reliability:
    """Sort the rows of one emotion into `bins` bins of equally many rows.

    Rows with the same score share a bin, that in which the middle one of them falls, so that the order of the rows
    changes nothing; bins are then of unequal size, and may be fewer. A constant score gives a single bin.
    """
    distinct, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    middles = np.cumsum(sizes) - (sizes + 1) / 2  # the mean rank of each group of ties, from 0
    place = np.floor(middles * bins / len(scores)).astype(np.int64)
    rows, carried = np.bincount(place[group]), np.bincount(place[group], weights=gold)
    total = np.bincount(place, weights=distinct.astype(np.float64) * sizes)
    held = rows > 0
    return Reliability(mean_score=total[held] / rows[held], share=carried[held] / rows[held], rows=rows[held])


def calibration_error(gold: Floats, scores: Floats, *, bins: int = BINS) -> float:
    """Give one emotion's expected calibration error, in [0, 1]: 0 is perfect."""
    found = reliability(gold, scores, bins=bins)
    return float(np.average(np.abs(found.mean_score - found.share), weights=found.rows))


def equal_width_error(gold: Floats, scores: Floats, *, bins: int = 10) -> float:
    """Give one emotion's expected calibration error in `bins` bins of equal width, as most publications compute it."""
    place = np.minimum((scores * bins).astype(np.int64), bins - 1)
    carried, total = (np.bincount(place, weights=values, minlength=bins) for values in (gold, scores))
    return float(np.abs(total - carried).sum() / len(scores))
