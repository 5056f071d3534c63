"""Distances between two samples, each 0 where they are alike and 1 where they have nothing in common.

Of counts it is the Jensen-Shannon distance to base 2, the square root of the divergence (Lin, Divergence measures based
on the Shannon entropy, 1991; Endres and Schindelin, A new metric for probability distributions, 2003). Of vectors it is
how well a classifier tells the two sides apart (Lopez-Paz and Oquab, Revisiting classifier two-sample tests, 2017;
compared with others by Rabanser et al., Failing loudly, 2019).

Two samples of the same distribution differ, too. How far they do by chance is known beforehand, from the numbers of
rows alone: `noise_of_counts` and `noise_of_separability`. `bench/drift.py` holds both against real data.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

LEAST_EXPECTED = 5
"""Rows that are expected in a bin, at least: with fewer, `noise_of_counts` is too low."""
_FOLDS = 5
_PENALTY = 0.01
"""C of the classifier: an embedding has hundreds of numbers, and there may be a hundred texts."""
_FOLDS_SHARE_ROWS = 1.5
"""By how much more an AUC of cross-validation varies than one of unseen rows.

`bench/drift.py` counts the false alarms of the limits that come of it.
"""


def merged_bins(first: Sequence[int], second: Sequence[int]) -> tuple[list[int], list[int]]:
    """Put neighbouring bins together, from the last one on, until a row is expected at least 5 times in each of them.

    Expected, that is, in the side with fewer rows, by the mean of both sides' shares. Sparser bins would make a chance
    of their own (Cochran, Some methods for strengthening the common chi-squared tests, 1954).

    >>> merged_bins([80, 15, 3, 1, 1], [80, 14, 3, 2, 1])
    ([80, 15, 5], [80, 14, 6])
    """
    rows = min(sum(first), sum(second)) / 2
    expected = (count / sum(first) * rows + other / sum(second) * rows for count, other in _backwards(first, second))
    merged: list[tuple[int, int]] = []
    here, there, enough = 0, 0, 0.0
    for (count, other), share in zip(_backwards(first, second), expected, strict=True):
        here, there, enough = here + count, there + other, enough + share
        if enough >= LEAST_EXPECTED:
            merged.append((here, there))
            here, there, enough = 0, 0, 0.0
    last = merged.pop() if merged else (0, 0)
    merged.append((last[0] + here, last[1] + there))
    return [count for count, _ in reversed(merged)], [other for _, other in reversed(merged)]


def jensen_shannon(first: Sequence[int], second: Sequence[int]) -> float:
    """Give the distance between the shares of two rows of counts, neither of them without any."""
    from scipy.spatial.distance import jensenshannon

    return float(jensenshannon(first, second, base=2))


def noise_of_counts(first: Sequence[int], second: Sequence[int], *, beyond: float) -> float:
    """Give the Jensen-Shannon distance that two samples of one distribution exceed with probability `beyond`.

    For such samples of n and m rows in k bins the divergence in bits is near a chi-squared variable of k - 1 degrees of
    freedom times (1/n + 1/m) / (8 ln 2): the beginning of its Taylor series (Grosse et al., Analysis of symbolic
    sequences using the Jensen-Shannon divergence, 2002).
    """
    from scipy.stats import chi2

    bins = int(np.count_nonzero(np.add(first, second)))
    if bins < 2:
        return 0.0
    rows = 1 / sum(first) + 1 / sum(second)
    return min(1.0, math.sqrt(float(chi2.isf(beyond, bins - 1)) * rows / (8 * math.log(2))))


def separability(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Give 2 AUC - 1 of a logistic regression that tells rows of `first` (n, width) from rows of `second` (m, width).

    Each row is judged by a classifier that has not seen it. Below 0, which is chance, it is 0. Nothing in it is random.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = np.concatenate([first, second])
    sides = np.repeat([0, 1], [len(first), len(second)])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=_PENALTY, class_weight="balanced", max_iter=500))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    judged = cross_val_predict(classifier, rows, sides, cv=folds, method="decision_function")
    return max(0.0, 2 * float(roc_auc_score(sides, judged)) - 1)


def noise_of_separability(first: int, second: int, *, beyond: float) -> float:
    """Give the separability that two samples of one distribution, of so many rows, exceed with probability `beyond`.

    An AUC of samples that are alike has the variance (n + m + 1) / (12 n m) (Mann and Whitney, On a test of whether one
    of two random variables is stochastically larger than the other, 1947).
    """
    from scipy.stats import norm

    deviation = 2 * math.sqrt((first + second + 1) / (12 * first * second))
    return min(1.0, float(norm.isf(beyond)) * deviation * _FOLDS_SHARE_ROWS)


def _backwards(first: Sequence[int], second: Sequence[int]) -> Iterator[tuple[int, int]]:
    return zip(reversed(first), reversed(second), strict=True)
