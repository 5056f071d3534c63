"""How far the figures would move with other rows of the same kind: bootstrap intervals.

The rows of a split are drawn anew, with replacement, as many as there are, and every figure is computed on each draw;
the interval holds the middle 95 % of the figures (the percentile interval: Efron & Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13). It says what the choice of test rows does, and nothing about training again with another
seed. Thresholds and scores stay as they are: they come from other rows.

A draw is an integer weight for each row (see `eqn.evaluation.draws`): `weights` is (rows, draws).

The calibration error has no interval here: noise only ever adds to a mean of absolute differences, so that the figures
of the draws lie above the figure itself.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eqn.evaluation.arrays import Flags, Floats, ratio
from eqn.evaluation.draws import row_draws

RESAMPLES = 1000
_SHARE = 0.95
_SEED = 20_251_120
"""Any number: the same rows and scores always give the same intervals."""

Weights = NDArray[np.float32]
"""How often each row was drawn."""


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """Where the middle 95 % of the draws' figures lie."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """By how much a figure of the first of two models is above the second's, on the same rows."""

    value: float
    interval: Interval

    def __str__(self) -> str:
        low, high = self.interval.low, self.interval.high
        means = "these rows do not tell the two apart" if low <= 0 <= high else "more than the choice of rows explains"
        return f"{self.value:+.3f}, 95 % interval [{low:+.3f}, {high:+.3f}]: {means}."


@dataclasses.dataclass(frozen=True, slots=True)
class Drawn:
    """Figures of many draws; the last axis are the draws."""

    f1: Floats
    """(28, draws)."""
    macro_f1: Floats
    micro_f1: Floats
    map: Floats
    """Mean of the average precisions of the emotions that stand in the draw; NaN for a draw without any label."""
    brier: Floats


def bootstrap(gold: Floats, scores: Floats, *, thresholds: Floats, resamples: int = RESAMPLES) -> Drawn:
    """Give the figures of `resamples` draws of the rows of `gold` and `scores`, both (rows, 28)."""
    draws = [drawn_figures(gold, scores, thresholds=thresholds, weights=weights) for weights in _draws(gold, resamples)]
    return _joined(draws)


def paired_difference(
    gold: Floats,
    first: tuple[Floats, Floats],
    second: tuple[Floats, Floats],
    *,
    resamples: int = RESAMPLES,
) -> dict[str, Difference]:
    """Compare two models, each given as scores (rows, 28) and thresholds (28,), on the same rows.

    Both are measured on the same draws, so that a draw of easy rows, which lifts both, says nothing about either: the
    interval of the difference is narrower than those of the two figures suggest.

    Gives the differences of `macro_f1` and `map`, first minus second.
    """
    drawn: tuple[list[Drawn], list[Drawn]] = ([], [])
    for weights in _draws(gold, resamples):
        for draws, (scores, thresholds) in zip(drawn, (first, second), strict=True):
            draws.append(drawn_figures(gold, scores, thresholds=thresholds, weights=weights))
    once = np.ones((len(gold), 1), dtype=np.float32)
    ours, theirs = (
        drawn_figures(gold, scores, thresholds=thresholds, weights=once) for scores, thresholds in (first, second)
    )
    many, others = (_joined(draws) for draws in drawn)
    return {
        name: Difference(
            float(getattr(ours, name)[0] - getattr(theirs, name)[0]),
            interval(getattr(many, name) - getattr(others, name)),
        )
        for name in ("macro_f1", "map")
    }


def interval(figures: Floats) -> Interval:
    """Give the interval that the draws' `figures` span; draws in which the figure is not defined are left out."""
    defined = figures[np.isfinite(figures)]
    if not len(defined):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - _SHARE) / 2, (1 + _SHARE) / 2])
    return Interval(float(low), float(high))


def drawn_figures(gold: Floats, scores: Floats, *, thresholds: Floats, weights: Weights) -> Drawn:
    """Give the figures of each draw: what they would be if every row stood there as often as `weights` says."""
    carried, called = gold > 0, scores >= thresholds
    f1, micro_f1 = _f1(carried, called, weights)
    precisions = np.stack([_average_precisions(carried[:, i], scores[:, i], weights) for i in range(gold.shape[1])])
    defined = np.isfinite(precisions)
    count = defined.sum(axis=0)
    errors = ((scores.astype(np.float64) - gold) ** 2).mean(axis=1)
    return Drawn(
        f1=f1,
        macro_f1=f1.mean(axis=0),
        micro_f1=micro_f1,
        map=np.where(count > 0, ratio(np.where(defined, precisions, 0.0).sum(axis=0), count), np.nan),
        brier=np.einsum("r,rd->d", errors, weights) / weights.sum(axis=0, dtype=np.float64),
    )


def summary_intervals(drawn: Drawn) -> Mapping[str, Interval]:
    """Give the intervals of the figures that have one in tables, by the figures' short names."""
    return {name: interval(getattr(drawn, name)) for name in ("macro_f1", "micro_f1", "map", "brier")}


def _draws(gold: Floats, resamples: int) -> Iterator[Weights]:
    return row_draws(len(gold), resamples, seed=_SEED, dtype=np.float32)


def _joined(draws: Sequence[Drawn]) -> Drawn:
    names = [field.name for field in dataclasses.fields(Drawn)]
    return Drawn(**{name: np.concatenate([getattr(draw, name) for draw in draws], axis=-1) for name in names})


def _f1(carried: Flags, called: Flags, weights: Weights) -> tuple[Floats, Floats]:
    """Give F1 per emotion, (28, draws), and micro-F1."""
    hits, found, there = (flags.T.astype(np.float32) @ weights for flags in (carried & called, called, carried))
    pooled = [counts.sum(axis=0, dtype=np.float64) for counts in (hits, found + there)]
    return ratio(2 * hits, found + there), ratio(2 * pooled[0], pooled[1])


def _average_precisions(carried: Flags, scores: Floats, weights: Weights) -> Floats:
    """Give one emotion's average precision in each draw, defined as `eqn.evaluation.metrics.average_precision`.

    NaN for a draw in which no row carries the emotion.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # the last row of each distinct score
    hits_at = np.flatnonzero(carried[order])
    if not len(hits_at):
        return np.full(weights.shape[1], np.nan)
    # Only steps that a hit stands on count; the rows of those between them are called with the next one.
    steps, first_hits = np.unique(np.searchsorted(ends, hits_at), return_index=True)
    first_rows = np.append(0, ends[steps[:-1]] + 1)
    found = np.add.reduceat(weights[order[hits_at]], first_hits, axis=0)
    called = np.add.reduceat(weights[order[: ends[steps[-1]] + 1]], first_rows, axis=0)
    area = (found * ratio(np.cumsum(found, axis=0), np.cumsum(called, axis=0))).sum(axis=0)
    there = found.sum(axis=0)
    return np.where(there > 0, ratio(area, there), np.nan)
