"""How strongly calibration and thresholds are held back: measured on out-of-fold scores of the train split.

    eqn train --data DIR --recipe eqn --out model --out-of-fold scores.parquet
    python bench/thresholds.py scores.parquet --data DIR                    the table of bench/quality.md

Each draw takes as many rows as GoEmotions' dev has to choose by, halved as dev is, and 16,000 others to measure on. The
grid lies around the ridge and the pull that are in use; what stood before them calibrated nothing, and chose thresholds
on all of the rows, drawn towards the best common one.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eqn.corpus.goemotions import Split, load_corpus
from eqn.errors import UsageError
from eqn.evaluation.arrays import Floats
from eqn.evaluation.calibration import equal_width_error
from eqn.evaluation.halves import halves
from eqn.evaluation.intensity import logits
from eqn.evaluation.metrics import brier_score, macro_f1
from eqn.evaluation.recalibration import RIDGE, fit_recalibration
from eqn.evaluation.thresholds import CALIBRATED_PULL, PULL, choose_calibrated_thresholds, choose_thresholds
from eqn.exits import ending
from eqn.quality.out_of_fold import read_scores

CHOOSE_BY = 5_426
"""Rows of GoEmotions' dev."""
MEASURE_ON = 16_000
RIDGES = tuple(RIDGE * factor for factor in (0.1, 0.3, 1, 3, 10))
PULLS = tuple(CALIBRATED_PULL * factor for factor in (0.125, 0.5, 1, 2, 4))


class Setting(NamedTuple):
    """How strongly calibration and thresholds are held back."""

    ridge: float
    """Of the calibration; infinite where nothing is calibrated."""
    pull: float
    """Of the thresholds."""


BEFORE = Setting(np.inf, PULL)
IN_USE = Setting(RIDGE, CALIBRATED_PULL)


class Figures(NamedTuple):
    """What is measured of a setting."""

    macro_f1: float
    brier_skill: float
    ece: float
    """Mean calibration error of the emotions, in 10 bins of equal width."""


NAMES = ("macro F1", "Brier skill", "ECE of 10")


def study(
    train: Split, scores: Floats, *, draws: int, choose_by: int = CHOOSE_BY, measure_on: int = MEASURE_ON
) -> dict[Setting, list[Figures]]:
    """Measure every setting on each of `draws` draws of the rows of `train`, whose out-of-fold scores are (rows, 28).

    Raises:
        UsageError: there are fewer rows than a draw takes, or no draws.

    """
    if draws < 1:
        raise UsageError(f"expected 1 draw or more; got {draws}.")
    if len(scores) < choose_by + measure_on:
        raise UsageError(f"expected {choose_by + measure_on:,} training rows or more; there are {len(scores):,}.")
    generator, prior = np.random.default_rng(0), train.targets().mean(axis=0)
    found: dict[Setting, list[Figures]] = {}
    for _ in range(draws):
        order = generator.permutation(len(scores))
        for setting, figures in one_draw(train, scores, prior, np.split(order[: choose_by + measure_on], [choose_by])):
            found.setdefault(setting, []).append(figures)
    return found


def one_draw(
    train: Split, scores: Floats, prior: Floats, rows: Sequence[NDArray[np.int64]]
) -> Iterator[tuple[Setting, Figures]]:
    """Give the figures of each setting; `rows` are those to choose by and those to measure on."""
    (dev, dev_scores), (test, test_scores) = ((train.part(part), scores[part]) for part in rows)
    parts, gold, truth = halves(dev.ids), dev.targets(), test.targets()
    yield BEFORE, _figures(truth, test_scores, choose_thresholds(gold, dev_scores), prior)
    outputs = logits(dev_scores)
    for ridge in RIDGES:
        recalibration = fit_recalibration(gold[parts.calibrating], outputs[parts.calibrating], ridge=ridge)
        intensities, theirs = recalibration.intensities(outputs), recalibration.intensities(logits(test_scores))
        for pull in PULLS:
            thresholds = choose_calibrated_thresholds(
                gold[parts.choosing], intensities[parts.choosing], like=intensities, pull=pull
            )
            yield Setting(ridge, pull), _figures(truth, theirs, thresholds, prior)


def _figures(gold: Floats, scores: Floats, thresholds: Floats, prior: Floats) -> Figures:
    reference = brier_score(gold, np.broadcast_to(prior, gold.shape))
    errors = [equal_width_error(gold[:, i], scores[:, i]) for i in range(gold.shape[1])]
    return Figures(
        macro_f1=macro_f1(gold, scores >= thresholds),
        brier_skill=1 - brier_score(gold, scores) / reference,
        ece=float(np.mean(errors)),
    )


def table(found: Mapping[Setting, Sequence[Figures]]) -> str:
    """Give the means over the draws as a Markdown table: a line for each ridge, its macro F1 by pull."""
    head = ["ridge", "Brier skill", "ECE of 10", *(f"macro F1 at pull {pull:g}" for pull in PULLS)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for ridge in (BEFORE.ridge, *RIDGES):
        means = {pull: _mean(found[Setting(ridge, pull)]) for pull in PULLS if Setting(ridge, pull) in found}
        _, brier_skill, ece = next(iter(means.values()))  # no pull changes them
        cells = [f"{means[pull].macro_f1:.4f}" if pull in means else "-" for pull in PULLS]
        name = "none (before)" if ridge == BEFORE.ridge else f"{ridge:g}"
        lines.append(f"| {' | '.join([name, f'{brier_skill:.4f}', f'{ece:.4f}', *cells])} |")
    return "\n".join(lines)


def difference(found: Mapping[Setting, Sequence[Figures]], one: Setting, other: Setting) -> str:
    """Say by how much `one` is above `other` on the same draws: the mean, and the draws' standard deviation."""
    apart = np.array(found[one]) - np.array(found[other])
    return ", ".join(
        f"{name} {mean:+.4f} (± {deviation:.4f})"
        for name, mean, deviation in zip(NAMES, apart.mean(axis=0), apart.std(axis=0), strict=True)
    )


def _mean(figures: Sequence[Figures]) -> Figures:
    return Figures(*np.mean(figures, axis=0).tolist())


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path, help="Parquet that `eqn train --out-of-fold` wrote")
    parser.add_argument("--data", type=Path, required=True, help="directory with GoEmotions")
    parser.add_argument("--draws", type=int, default=40)
    said = parser.parse_args()
    corpus = load_corpus(said.data)
    found = study(corpus.train, read_scores(said.scores).aligned(corpus), draws=said.draws)
    best = max((setting for setting in found if setting != BEFORE), key=lambda setting: _mean(found[setting]).macro_f1)
    print(table(found))
    print(f"\nridge {RIDGE:g}, pull {CALIBRATED_PULL:g} above before: {difference(found, IN_USE, BEFORE)}")
    print(
        f"ridge {best.ridge:g}, pull {best.pull:g}, the highest macro F1, above that: {difference(found, best, IN_USE)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(ending(main))
