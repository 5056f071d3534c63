"""Pearson and Spearman correlations with people's scores, and their bootstrap intervals over rows.

The intervals are made as those of `eqn.evaluation.intervals`: the middle 95 % of the figures of many draws of the rows.
For Spearman the rows are ranked anew in each draw.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from eqn.evaluation.arrays import Floats
from eqn.evaluation.draws import row_draws
from eqn.evaluation.intervals import RESAMPLES, Interval, interval

_SEED = 20_251_121
"""Any number: the same rows and scores always give the same intervals."""
_NO_SPREAD = 1e-10
"""A variance below this share of all rows' variance is what rounding leaves of 0."""


@dataclasses.dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation coefficient; NaN where one side is constant."""

    value: float
    interval: Interval


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Correlated:
    """Both coefficients of one pair, on the rows and on each draw of them."""

    pearson: float
    spearman: float
    drawn_pearson: Floats
    """(draws,); NaN for a draw in which one side is constant."""
    drawn_spearman: Floats

    def figures(self) -> tuple[Correlation, Correlation]:
        """Give Pearson and Spearman with their intervals."""
        return (
            Correlation(self.pearson, interval(self.drawn_pearson)),
            Correlation(self.spearman, interval(self.drawn_spearman)),
        )


def correlate(
    gold: Floats, readouts: Mapping[str, Floats], *, draws_of: str, resamples: int = RESAMPLES
) -> dict[str, Correlated]:
    """Correlate `gold`, (rows,), with each of `readouts`, (rows,), on the rows and on `resamples` draws of them.

    `draws_of` names the rows: calls with the same name and as many rows draw the same ones, others draw independently.
    """
    pieces: dict[str, list[tuple[Floats, Floats]]] = {name: [] for name in readouts}
    once = np.ones((len(gold), 1))
    ranked = {name: _Ranked(values) for name, values in readouts.items()}
    ranked_gold = _Ranked(gold)
    drawn = row_draws(len(gold), resamples, seed=[_SEED, *draws_of.encode()], dtype=np.float64)
    for weights in itertools.chain([once], drawn):
        gold_ranks = ranked_gold.ranks(weights)
        for name, values in readouts.items():
            plain = _coefficients(_standard(gold)[:, None], _standard(values)[:, None], weights)
            pieces[name].append((plain, _coefficients(gold_ranks, ranked[name].ranks(weights), weights)))
    joined = {name: [np.concatenate(both) for both in zip(*parts, strict=True)] for name, parts in pieces.items()}
    return {
        name: Correlated(float(pearson[0]), float(spearman[0]), pearson[1:], spearman[1:])
        for name, (pearson, spearman) in joined.items()
    }


def mean_of(correlated: Sequence[Correlated]) -> Correlated:
    """Give the mean coefficients of several pairs, draw by draw."""
    return Correlated(
        pearson=float(np.mean([one.pearson for one in correlated])),
        spearman=float(np.mean([one.spearman for one in correlated])),
        drawn_pearson=np.mean([one.drawn_pearson for one in correlated], axis=0),
        drawn_spearman=np.mean([one.drawn_spearman for one in correlated], axis=0),
    )


class _Ranked:
    """Values that are ranked in each draw, equal ones by the mean of their ranks."""

    def __init__(self, values: Floats) -> None:
        distinct, self._place = np.unique(values, return_inverse=True)
        self._order = np.argsort(self._place, kind="stable")
        self._starts = np.searchsorted(self._place[self._order], np.arange(len(distinct)))

    def ranks(self, weights: Floats) -> Floats:
        """Give the ranks in the draws, (rows, draws), moved and scaled into [-0.5, 0.5]; `weights` is (rows, draws)."""
        drawn = np.add.reduceat(weights[self._order], self._starts, axis=0)
        middle = np.cumsum(drawn, axis=0) - (drawn - 1) / 2
        ranks: Floats = middle[self._place] / weights.sum(axis=0) - 0.5
        return ranks


def _coefficients(first: Floats, second: Floats, weights: Floats) -> Floats:
    """Give Pearson's coefficient in each draw; `first` and `second` are (rows, draws) or (rows, 1)."""
    rows = weights.sum(axis=0)
    means = [np.einsum("rd,rd->d", np.broadcast_to(side, weights.shape), weights) / rows for side in (first, second)]
    a, b = first - means[0], second - means[1]
    both = np.einsum("rd,rd,rd->d", a, b, weights) / rows
    spreads = np.stack([np.einsum("rd,rd,rd->d", side, side, weights) / rows for side in (a, b)])
    there = (spreads > _NO_SPREAD).all(axis=0)
    whole = np.sqrt(np.where(there, spreads[0] * spreads[1], 1.0))
    return np.where(there, np.clip(both / whole, -1.0, 1.0), np.nan)


def _standard(values: Floats) -> Floats:
    """Move and scale to mean 0 and variance 1; a constant becomes 0 everywhere."""
    values = np.asarray(values, dtype=np.float64)
    constant = values.min() == values.max()
    return np.zeros_like(values) if constant else (values - values.mean()) / values.std()
