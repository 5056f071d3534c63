"""A probe: ridge regression from a model's 28 intensities to people's scores, fitted on scored texts.

It shows how much of a score the 28 numbers carry, and is no zero-shot figure: it has seen scores of the same kind.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from eqn.corpus.intensity_layouts import LEAST_ROWS, Gold, Intensities
from eqn.errors import DataRefused
from eqn.evaluation.arrays import Flags, Floats

_ALPHAS = np.logspace(-2, 4, 13)
"""Strengths of the penalty to choose from; the features have variance 1."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A linear function of the 28 intensities in logit space."""

    weights: Floats
    """(28,)."""
    intercept: float
    alpha: float
    """Strength of the penalty, chosen by leaving out each row once."""

    def predict(self, logits: Floats) -> Floats:
        """Give scores on the scale of those it was fitted on, (rows,), for `logits`, (rows, 28)."""
        predicted: Floats = logits @ self.weights + self.intercept
        return predicted


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Fitting:
    """Scored texts to fit probes on, none of which is measured."""

    files: tuple[str, ...]
    split: str
    """Split of the rows, or `all`."""
    texts: tuple[str, ...]
    gold: Mapping[str, Gold]
    """By target, places among `texts`."""
    left_out: int
    """Rows that were left out because their text is measured."""


def fitting_for(data: Intensities, fit: Intensities) -> Fitting:
    """Take from `fit` what probes for the targets of `data` can be fitted on: texts that `data` does not have.

    Raises:
        DataRefused: no target is left with rows enough.

    """
    measured = set(data.texts)
    other = np.array([text not in measured for text in fit.texts])
    kept = {target: _only(fit.gold[target], other) for target in data.gold if target in fit.gold}
    usable = {target: gold for target, gold in kept.items() if len(gold.rows) >= LEAST_ROWS and np.ptp(gold.scores) > 0}
    if not usable:
        raise DataRefused(
            "expected scores to fit a probe on, of other texts than those measured; there are too few:",
            faults=[f"measured are {', '.join(data.gold)}; {', '.join(fit.files)} has {', '.join(fit.gold)}"]
            + [f"{target}: {len(gold.rows)} rows whose text is not measured as well" for target, gold in kept.items()],
            todo="Fit on a training file of the same kind; one file serves both when a column `split` divides it.",
        )
    used = np.unique(np.concatenate([gold.rows for gold in usable.values()]))
    return Fitting(
        files=fit.files,
        split=fit.split,
        texts=tuple(fit.texts[row] for row in used),
        gold={target: Gold(np.searchsorted(used, gold.rows), gold.scores) for target, gold in usable.items()},
        left_out=int((~other).sum()),
    )


def _only(gold: Gold, wanted: Flags) -> Gold:
    taken = wanted[gold.rows]
    return Gold(gold.rows[taken], gold.scores[taken])


def fit_probe(logits: Floats, gold: Floats) -> Probe:
    """Fit a probe on `logits`, (rows, 28), and people's scores `gold`, (rows,). Nothing in it is random.

    Needs scikit-learn.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(logits)
    ridge = RidgeCV(alphas=_ALPHAS).fit(scaler.transform(logits), gold)
    weights = ridge.coef_ / scaler.scale_
    return Probe(weights, float(ridge.intercept_ - weights @ scaler.mean_), float(ridge.alpha_))
