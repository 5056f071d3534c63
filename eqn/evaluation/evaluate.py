"""Evaluating a package, and the baselines beside it."""

import contextlib
import dataclasses
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from eqn.corpus.goemotions import Corpus
from eqn.emotions import EMOTIONS
from eqn.evaluation.arrays import Floats
from eqn.evaluation.baselines import baseline_evaluations
from eqn.evaluation.final import split_to_report
from eqn.evaluation.metrics import Evaluation, evaluate_scores
from eqn.model.package import Package, load_network

_BASELINES = 4
"""Raised when the baselines change: figures kept under the old number are then computed anew."""


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """What a package makes of a split, and how good it is."""

    gold: Floats
    """(rows, 28), 0 or 1."""
    scores: Floats
    """(rows, 28) in [0, 1]."""
    thresholds: Floats
    """(28,)."""
    evaluation: Evaluation


def measure_package(package: Package, corpus: Corpus, split: str) -> Measured:
    """Score a split of `corpus` with a package, and evaluate the scores.

    With the package's own thresholds, and the prior of the corpus' train split.

    Raises:
        UsageError: there is no such split.
        ArtifactRefused: the package's weights cannot be used.

    """
    from eqn.model.inference import fast_scorer

    held_out = split_to_report(corpus, split)
    scorer = fast_scorer(*load_network(package), max_tokens=package.max_tokens)
    gold, scores = held_out.targets(), scorer.scores(scorer.encode(held_out.texts))
    thresholds = np.array([package.thresholds[name] for name in EMOTIONS])
    prior = corpus.train.targets().mean(axis=0)
    return Measured(gold, scores, thresholds, evaluate_scores(gold, scores, thresholds=thresholds, prior=prior))


def evaluate_package(package: Package, corpus: Corpus, split: str) -> Evaluation:
    """Evaluate a package as `measure_package` does, and give the figures alone.

    Raises:
        UsageError: there is no such split.
        ArtifactRefused: the package's weights cannot be used.

    """
    return measure_package(package, corpus, split).evaluation


def baseline_figures(corpus: Corpus, *, cache: Path) -> Mapping[str, Mapping[str, float]]:
    """Give the baselines' figures on test, by name, computed once for each corpus and kept in the folder `cache`."""
    kept = cache / f"{_BASELINES}-{corpus.ref.digest}.json"
    with contextlib.suppress(OSError, ValueError):  # not there, or damaged: computed again
        known: dict[str, dict[str, float]] = json.loads(kept.read_text("utf-8"))
        return known
    figures = {name: evaluation.summary() for name, evaluation in baseline_evaluations(corpus).items()}
    cache.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_name(f".tmp-{secrets.token_hex(8)}")
    temporary.write_text(json.dumps(figures, indent=2), "utf-8")
    temporary.replace(kept)
    return figures
