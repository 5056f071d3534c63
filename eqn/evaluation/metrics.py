"""Metrics of 28 intensities against 0/1 labels. NumPy only: training uses them where scikit-learn need not be.

Arrays are (rows, 28) in canonical order: `gold` 0 or 1, `scores` in [0, 1], `predicted` 0 or 1.
Every figure equals scikit-learn's (the tests compare); an undefined precision, recall or F1 counts as 0, as there.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from eqn.emotions import EKMAN, EMOTIONS, INDEX, SENTIMENT
from eqn.evaluation.arrays import Flags, Floats, ratio
from eqn.evaluation.calibration import calibration_error, equal_width_error
from eqn.evaluation.intervals import RESAMPLES, Interval, bootstrap, interval, summary_intervals


@dataclasses.dataclass(frozen=True, slots=True)
class LabelFigures:
    """Figures of one emotion or group."""

    precision: float
    recall: float
    f1: float
    support: int
    """Rows that carry the label."""


@dataclasses.dataclass(frozen=True, slots=True)
class GroupFigures:
    """Figures over one set of labels: the 28 emotions, Ekman's groups, or sentiment."""

    labels: Mapping[str, LabelFigures]
    macro_precision: float
    macro_recall: float
    macro_f1: float
    micro_precision: float
    micro_recall: float
    micro_f1: float


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything EQN reports of one model on one split."""

    n: int
    emotions: GroupFigures
    ekman: GroupFigures
    sentiment: GroupFigures
    average_precision: Mapping[str, float]
    """Per emotion; NaN for an emotion that no row carries."""
    map: float
    """Mean of the average precisions that are defined."""
    brier: float
    """Mean squared difference over all rows x 28 cells."""
    brier_skill: float
    """1 - brier / brier of always answering the training prior; 0 is no better than that, 1 is perfect.
    Also 0 where that answer is never wrong."""
    calibration_error: Mapping[str, float]
    """Per emotion, in [0, 1]; see `eqn.evaluation.calibration`."""
    ece: float
    """Mean of the 28 calibration errors."""
    ece_10: float
    """The same with 10 bins of equal width."""
    intervals: Mapping[str, Interval]
    """95 % bootstrap intervals of `macro_f1`, `micro_f1`, `map` and `brier`; see `eqn.evaluation.intervals`."""
    f1_intervals: Mapping[str, Interval]
    """The same of each emotion's F1."""

    def summary(self) -> dict[str, float]:
        """Give the figures that stand in tables and in the registry, by their short names.

        The ends of an interval stand beside its figure as `<name>_low` and `<name>_high`.
        """
        figures = {
            "macro_f1": self.emotions.macro_f1,
            "micro_f1": self.emotions.micro_f1,
            "macro_precision": self.emotions.macro_precision,
            "macro_recall": self.emotions.macro_recall,
            "map": self.map,
            "brier": self.brier,
            "brier_skill": self.brier_skill,
            "ekman_macro_f1": self.ekman.macro_f1,
            "sentiment_macro_f1": self.sentiment.macro_f1,
            "ece": self.ece,
            "ece_10": self.ece_10,
            "n": self.n,
        }
        for name, ends in self.intervals.items():
            figures |= {f"{name}_low": ends.low, f"{name}_high": ends.high}
        return figures


def evaluate_scores(
    gold: Floats, scores: Floats, *, thresholds: Floats, prior: Floats, resamples: int = RESAMPLES
) -> Evaluation:
    """Evaluate `scores` against `gold`; `thresholds` (28,) make labels, `prior` (28,) are the training shares.

    The intervals come from `resamples` draws of the rows, always the same ones.
    """
    predicted = scores >= thresholds
    precisions = {name: average_precision(gold[:, i], scores[:, i]) for i, name in enumerate(EMOTIONS)}
    errors = {name: calibration_error(gold[:, i], scores[:, i]) for i, name in enumerate(EMOTIONS)}
    drawn = bootstrap(gold, scores, thresholds=thresholds, resamples=resamples)
    brier, reference = brier_score(gold, scores), brier_score(gold, np.broadcast_to(prior, gold.shape))
    return Evaluation(
        n=len(gold),
        emotions=group_figures(gold > 0, predicted, {name: (name,) for name in EMOTIONS}),
        ekman=group_figures(gold > 0, predicted, EKMAN),
        sentiment=group_figures(gold > 0, predicted, SENTIMENT),
        average_precision=precisions,
        map=float(np.nanmean(list(precisions.values()))),
        brier=brier,
        brier_skill=1.0 - brier / reference if reference else 0.0,
        calibration_error=errors,
        ece=float(np.mean(list(errors.values()))),
        ece_10=float(np.mean([equal_width_error(gold[:, i], scores[:, i]) for i in range(gold.shape[1])])),
        intervals=summary_intervals(drawn),
        f1_intervals={name: interval(drawn.f1[i]) for i, name in enumerate(EMOTIONS)},
    )


def group_figures(gold: Flags, predicted: Flags, groups: Mapping[str, Sequence[str]]) -> GroupFigures:
    """Give precision, recall and F1 of each group; a group is on in a row when any of its emotions is."""
    columns = [[INDEX[name] for name in names] for names in groups.values()]
    gold = np.stack([gold[:, members].any(axis=1) for members in columns], axis=1)
    predicted = np.stack([predicted[:, members].any(axis=1) for members in columns], axis=1)
    hits, called, there = (gold & predicted).sum(axis=0), predicted.sum(axis=0), gold.sum(axis=0)
    precision, recall, f1 = ratio(hits, called), ratio(hits, there), ratio(2 * hits, called + there)
    labels = {
        name: LabelFigures(float(precision[i]), float(recall[i]), float(f1[i]), int(there[i]))
        for i, name in enumerate(groups)
    }
    return GroupFigures(
        labels=labels,
        macro_precision=float(precision.mean()),
        macro_recall=float(recall.mean()),
        macro_f1=float(f1.mean()),
        micro_precision=float(ratio(hits.sum(), called.sum())),
        micro_recall=float(ratio(hits.sum(), there.sum())),
        micro_f1=float(ratio(2 * hits.sum(), called.sum() + there.sum())),
    )


def macro_f1(gold: Floats, predicted: Flags) -> float:
    """Give the mean of the 28 F1s."""
    hits = ((gold > 0) & predicted).sum(axis=0)
    return float(ratio(2 * hits, predicted.sum(axis=0) + (gold > 0).sum(axis=0)).mean())


def average_precision(gold: Floats, scores: Floats) -> float:
    """Give the area under the precision-recall steps of one emotion: sum of (R_k - R_k-1) P_k over distinct scores.

    NaN when no row carries the emotion.
    """
    positives = gold.sum()
    if positives == 0:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    # Rows with equal scores are called together: only the last of them ends a step.
    ends = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum(gold[order])[ends]
    called = np.flatnonzero(ends) + 1
    return float((np.diff(hits, prepend=0) * hits / called).sum() / positives)


def mean_average_precision(gold: Floats, scores: Floats) -> float:
    """Give the mean of the average precisions that are defined; 0 when no row carries any emotion."""
    found = [average_precision(gold[:, i], scores[:, i]) for i in range(gold.shape[1]) if gold[:, i].any()]
    return float(np.mean(found)) if found else 0.0


def brier_score(gold: Floats, scores: Floats) -> float:
    """Give the mean squared difference over all cells."""
    return float(np.mean((scores.astype(np.float64) - gold) ** 2))
