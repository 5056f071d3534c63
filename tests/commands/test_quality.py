"""`eqn quality label-issues`, and the way back: `eqn data corrected`."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eqn.corpus.goemotions import load_corpus
from eqn.emotions import EMOTIONS, INDEX
from eqn.quality.out_of_fold import write_scores
from tests.corpus.rater_rows import rating, write_ratings

Eqn = Callable[..., Any]

WRONG = "train-0-17"
"""A comment of joy, which the scores take for love."""


@pytest.fixture
def scores(corpus_folder: Path, elsewhere: Path) -> Path:
    """Out-of-fold scores of a model that knows better in one row."""
    corpus = load_corpus(corpus_folder)
    found = np.random.default_rng(0).uniform(0.01, 0.03, (56, 28)) + 0.7 * corpus.train.targets()
    row = corpus.train.ids.index(WRONG)
    found[row, [INDEX["joy"], INDEX["love"]]] = 0.0, 0.9
    write_scores(
        elsewhere / "scores.parquet",
        corpus.train.ids,
        corpus.train.texts,
        found.astype(np.float32),
        corpus_digest=corpus.ref.digest,
    )
    return elsewhere / "scores.parquet"


def test_the_most_doubtful_row_is_shown_first(eqn: Eqn, corpus_folder: Path, scores: Path) -> None:
    """With its text, its labels and better ones; the same for machines."""
    asked = ("quality", "label-issues", "--data", corpus_folder, "--scores", scores)
    said = eqn(*asked)
    facts = eqn(*asked, "--json").json()

    assert (said.code, said.err) == (0, "")
    first = facts["issues"][0]
    assert (first["id"], first["given"], first["suggested"]) == (WRONG, ["joy"], ["love"])
    assert first["text"].startswith("train 0: ")
    assert (facts["rows"], facts["corpus"]["name"], facts["files"]) == (56, "small", [])
    assert facts["doubted"] == len(facts["issues"])
    assert f"small: {facts['doubted']} of 56 training rows are doubted" in said.out
    assert "train 0: being glad" in said.out


def test_the_way_from_a_doubt_to_a_new_corpus(eqn: Eqn, corpus_folder: Path, scores: Path, elsewhere: Path) -> None:
    """The first row is exported for Label Studio, its suggestion accepted there, and read back."""
    exported = eqn(
        *("quality", "label-issues", "--data", corpus_folder, "--scores", scores),
        *("--top", 1, "--export", "label-studio", "issues.json"),
    )
    tasks = json.loads((elsewhere / "issues.json").read_text())
    tasks[0]["annotations"] = [{"result": tasks[0]["predictions"][0]["result"], "was_cancelled": False}]
    (elsewhere / "export.json").write_text(json.dumps(tasks))
    way = ("data", "corrected", "--data", corpus_folder, "--corrections", "export.json", "--out")
    done = eqn(*way, "new one")
    facts = eqn(*way, "again", "--json").json()

    assert (exported.code, done.code, len(tasks)) == (0, 0, 1)
    assert exported.out.endswith("issues.json\nissues.xml\n")
    old, new = load_corpus(corpus_folder), load_corpus(elsewhere / "new one")
    row = old.train.ids.index(WRONG)
    assert new.train.labels[row] == (INDEX["love"],)
    assert new.train.labels[:row] + new.train.labels[row + 1 :] == old.train.labels[:row] + old.train.labels[row + 1 :]
    assert done.out.startswith("1 corrections, 1 of them change labels in train.tsv\n")
    assert done.out.endswith(f"Next: eqn train --data '{elsewhere / 'new one'}'\n")
    assert facts["corpus"]["digest"] == new.ref.digest != facts["made_from"]["digest"] == old.ref.digest
    refused = eqn("quality", "label-issues", "--data", "new one", "--scores", scores)
    assert refused.code == 8
    assert "has those of another one" in refused.err


def test_tables_are_written(eqn: Eqn, corpus_folder: Path, scores: Path, elsewhere: Path) -> None:
    """As the ending says; with raters, theirs and the consensus go beside it."""
    rows = [rating(WRONG, "1", "joy"), rating(WRONG, "2", "love"), rating("train-1-17", "1", "joy")]
    write_ratings(elsewhere / "raters.csv", [*rows, rating("elsewhere", "1")])
    asked = ("quality", "label-issues", "--data", corpus_folder, "--scores", scores, "--raters", "raters.csv")
    said = eqn(*asked, "--out", "issues.csv")
    facts = eqn(*asked, "--out", "issues.jsonl", "--top", 1, "--json").json()

    assert (said.code, said.err) == (0, "")
    assert said.out.endswith("issues.csv\nissues-raters.csv\nissues-consensus.csv\n")
    assert "2 raters of 2 training comments with ratings, 1 (50.0%) with several raters" in said.out
    assert "1 more rated comments are not in the training split." in said.out
    with (elsewhere / "issues.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["id"] == WRONG
    consensus = {row["id"]: row for row in csv.DictReader((elsewhere / "issues-consensus.csv").open(newline=""))}
    assert {name: row["labels"] for name, row in consensus.items()} == {WRONG: "love", "train-1-17": "joy"}
    assert consensus["train-1-17"]["agreement"] == ""
    assert facts["files"] == ["issues.jsonl", "issues-raters.jsonl", "issues-consensus.jsonl"]
    assert {row["rater"]: row["comments"] for row in facts["raters"]["raters"]} == {"1": 2, "2": 1}
    assert len(facts["raters"]["consensus"]) == len(facts["issues"]) == 1


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--out", "x.xlsx"], 2, "ends in .csv, .parquet, .jsonl"),
        (["--export", "doccano", "x.json"], 2, "expected an export for label-studio or argilla"),
        (["--export", "argilla", "x.json"], 2, "ends in .jsonl"),
        (["--export", "argilla"], 2, "requires 2 arguments"),
        (["--top", "0"], 2, "greater than or equal to 1"),
        (["--scores", "nowhere"], 2, "there is no file nowhere"),
        (["--raters", "nowhere.csv"], 2, "no such file"),
    ],
)
def test_a_wrong_call_is_told(
    eqn: Eqn, corpus_folder: Path, scores: Path, elsewhere: Path, options: list[str], code: int, said: str
) -> None:
    """A sentence, and nothing is written."""
    done = eqn("quality", "label-issues", "--data", corpus_folder, "--scores", scores, *options)

    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err
    assert [path.name for path in elsewhere.iterdir()] == ["scores.parquet"]


def test_scores_without_any_doubt_are_said_to_have_none(eqn: Eqn, corpus_folder: Path, elsewhere: Path) -> None:
    """No table, no file, exit 0."""
    corpus = load_corpus(corpus_folder)
    sure = (0.98 * corpus.train.targets() + 0.01).astype(np.float32)
    write_scores(
        elsewhere / "sure.parquet", corpus.train.ids, corpus.train.texts, sure, corpus_digest=corpus.ref.digest
    )
    done = eqn("quality", "label-issues", "--data", corpus_folder, "--scores", "sure.parquet", "--out", "x.csv")

    assert (done.code, done.err) == (0, "")
    assert "0 of 56 training rows are doubted" in done.out
    assert not (elsewhere / "x.csv").exists()


def test_corrections_that_do_not_fit_are_told(eqn: Eqn, corpus_folder: Path, elsewhere: Path) -> None:
    """Exit 3 with every fault; exit 2 where something is in the way."""
    (elsewhere / "x.jsonl").write_text('{"id": "strange", "labels": ["joy"]}\n{"id": "dev-0-1", "labels": ["joy"]}\n')
    way = ("data", "corrected", "--data", corpus_folder, "--corrections", "x.jsonl", "--out")
    done = eqn(*way, "new")

    assert done.code == 3
    assert "'strange' is no comment of this corpus" in done.err
    assert "'dev-0-1' is in dev.tsv" in done.err
    (elsewhere / "y.jsonl").write_text(json.dumps({"id": WRONG, "labels": [EMOTIONS[0]]}))
    full = eqn("data", "corrected", "--data", corpus_folder, "--corrections", "y.jsonl", "--out", ".")
    assert full.code == 2
    assert "expected a new or empty directory" in full.err
