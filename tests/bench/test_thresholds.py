"""Promises about the study of ridge and pull: it does with its rows what a training does with dev."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.thresholds import BEFORE, IN_USE, PULLS, RIDGES, Figures, Setting, difference, one_draw, study, table
from eqn.corpus.goemotions import Corpus, Split, load_corpus
from eqn.errors import UsageError
from eqn.evaluation.intensity import logits
from eqn.evaluation.metrics import evaluate_scores
from eqn.evaluation.thresholds import choose_thresholds
from eqn.evaluation.tuning import tune
from eqn.quality.out_of_fold import write_scores

ROOT = Path(__file__).parents[2]
Scored = tuple[Split, NDArray[np.float32]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """900 rows to train on, whose first emotions are the most frequent."""
    folder, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    lines = [f"text {row}\t{int(27 * draw.random() ** 2)}\trow-{row}\n" for row in range(900)]
    for split in ("train", "dev", "test"):
        (folder / f"{split}.tsv").write_text("".join(f"{split} {line}" for line in lines).replace("row-", split))
    return load_corpus(folder)


@pytest.fixture(scope="module")
def scored(corpus: Corpus) -> Scored:
    """Scores that tell the labels apart, and are far too sure of themselves."""
    noise = np.random.default_rng(1).standard_normal((900, 28))
    z = 3 * (2.5 * corpus.train.targets() - 2 + noise)
    return corpus.train, (1 / (1 + np.exp(-z))).astype(np.float32)


@pytest.fixture(scope="module")
def found(scored: Scored) -> dict[Setting, list[Figures]]:
    return study(*scored, draws=3, choose_by=300, measure_on=500)


def test_the_setting_in_use_is_what_a_training_chooses(scored: Scored) -> None:
    """Calibration and thresholds are those of `tune` on the rows to choose by, the figures those of an evaluation."""
    train, scores = scored
    rows = np.split(np.random.default_rng(2).permutation(900)[:800], [300])
    prior = train.targets().mean(axis=0)
    found = dict(one_draw(train, scores, prior, rows))

    dev, measured = (train.part(part) for part in rows)
    tuned = tune(dev.ids, dev.targets(), logits(scores[rows[0]]), log_odds=True)
    assert tuned.recalibration is not None
    intensities = tuned.recalibration.intensities(logits(scores[rows[1]]))
    choices = {
        IN_USE: (intensities, tuned.thresholds),
        BEFORE: (scores[rows[1]], choose_thresholds(dev.targets(), scores[rows[0]])),
    }
    for setting, (answers, thresholds) in choices.items():
        expected = evaluate_scores(measured.targets(), answers, thresholds=thresholds, prior=prior, resamples=1)
        wanted = (expected.emotions.macro_f1, expected.brier_skill, expected.ece_10)
        assert found[setting] == pytest.approx(wanted, abs=1e-9)
    assert found[IN_USE].ece < found[BEFORE].ece * 0.75  # there is something to calibrate


def test_every_setting_is_measured_on_every_draw(scored: Scored, found: dict[Setting, list[Figures]]) -> None:
    """The grid holds what is in use; other draws give other figures, the same call the same ones."""
    assert found.keys() == {BEFORE, *(Setting(ridge, pull) for ridge in RIDGES for pull in PULLS)}
    assert IN_USE in found
    assert all(len(set(figures)) == 3 for figures in found.values())
    assert study(*scored, draws=1, choose_by=300, measure_on=500) == {key: drawn[:1] for key, drawn in found.items()}


def test_the_table_shows_the_means(found: dict[Setting, list[Figures]]) -> None:
    """A line for what stood before, and one for each ridge."""
    lines = table(found).splitlines()
    means = {setting: np.mean(figures, axis=0) for setting, figures in found.items()}

    assert len(lines) == 2 + 1 + len(RIDGES)
    f1, skill, error = means[BEFORE]
    assert lines[2] == f"| none (before) | {skill:.4f} | {error:.4f} | {f1:.4f} | - | - | - | - |"
    _, skill, error = means[IN_USE]
    macro_f1s = " | ".join(f"{means[Setting(IN_USE.ridge, pull)][0]:.4f}" for pull in PULLS)
    assert f"| 100 | {skill:.4f} | {error:.4f} | {macro_f1s} |" in lines


def test_a_difference_is_taken_draw_by_draw() -> None:
    """So that what the rows of a draw do to both settings is no noise between them."""
    one = [Figures(0.5, 0.3, 0.01), Figures(0.7, 0.5, 0.01)]
    other = [Figures(0.4, 0.3, 0.02), Figures(0.6, 0.4, 0.02)]

    said = difference({IN_USE: one, BEFORE: other}, IN_USE, BEFORE)

    assert said == "macro F1 +0.1000 (± 0.0000), Brier skill +0.0500 (± 0.0500), ECE of 10 -0.0100 (± 0.0000)"


def test_too_few_rows_or_draws_are_a_wrong_call(corpus: Corpus, scored: Scored, tmp_path: Path) -> None:
    """A draw never measures on a row that it chose by; on the command line: exit 2, one sentence, no traceback."""
    with pytest.raises(UsageError, match="expected 901 training rows or more; there are 900"):
        study(*scored, draws=1, choose_by=401, measure_on=500)
    with pytest.raises(UsageError, match="expected 1 draw or more; got 0"):
        study(*scored, draws=0, choose_by=300, measure_on=500)

    train, scores = scored
    write_scores(tmp_path / "scores", train.ids, train.texts, scores, corpus_digest=corpus.ref.digest)
    done = subprocess.run(
        [sys.executable, "bench/thresholds.py", tmp_path / "scores", "--data", corpus.ref.path],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "eqn: expected 21,426 training rows or more; there are 900.\n"
