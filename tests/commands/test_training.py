"""`eqn train` and `eqn evaluate`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Eqn = Callable[..., Any]


def test_training_registers_a_model_and_says_its_figures(state: Any) -> None:
    """With --json, standard output is one value with the model and the figures on dev and test."""
    first, second = state.trained

    assert (first.code, second.code) == (0, 0)
    assert (first.json()["model"], second.json()["model"]) == ("eqn version 1", "eqn version 2")
    assert first.json()["metrics"].keys() == {"dev", "test"}
    assert {"macro_f1", "micro_f1", "map", "brier", "n"} <= first.json()["metrics"]["test"].keys()
    assert "step 8 of 8" in first.err


def test_training_again_is_no_training(eqn: Eqn, with_models: Any, corpus_folder: Path) -> None:
    """The same recipe on the same data with the same seed names the model that is there."""
    again = eqn("train", "--data", corpus_folder, "--backbone", "tiny", "--recipe", "quick", "--json")

    assert (again.code, again.out) == (0, with_models.trained[0].out)
    assert "was trained by this recipe on this data before" in again.err
    assert "step" not in again.err


def test_training_to_a_directory_touches_nothing_else(
    eqn: Eqn, corpus_folder: Path, elsewhere: Path, files_below: Any
) -> None:
    """With --out there is a package and no state folder; it is the model that is registered otherwise."""
    before = files_below(corpus_folder)
    options = ["--data", corpus_folder, "--backbone", "tiny", "--recipe", "quick", "--out", "models/mine"]
    done = eqn("train", *options)

    assert done.code == 0
    assert done.out == 'Next: eqn annotate --model models/mine --text "I can\'t stop smiling"\n'
    assert "mAP" in done.err
    assert sorted(path.name for path in (elsewhere / "models" / "mine").iterdir()) == [
        "README.md",
        "config.json",
        "eqn.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert [path.name for path in (elsewhere / "models").iterdir()] == ["mine"]
    assert not elsewhere.with_name("home").exists()
    assert files_below(corpus_folder) == before

    again, other = eqn("train", *options), eqn("train", *options, "--seed", "1")
    assert (again.code, again.out) == (0, done.out)
    assert "step" not in again.err
    assert other.code == 2
    assert "models/mine exists" in other.err


def test_training_to_a_directory_can_be_read_by_machines(eqn: Eqn, corpus_folder: Path, elsewhere: Path) -> None:
    """With --json, standard output is one value with the directory and the figures."""
    options = ["--data", corpus_folder, "--backbone", "tiny", "--recipe", "quick", "--out", "mine", "--json"]
    facts = eqn("train", *options).json()

    assert facts["model"] == "mine"
    assert facts["metrics"] == json.loads((elsewhere / "mine" / "eqn.json").read_text())["metrics"]


def test_evaluating_gives_every_figure(eqn: Eqn, with_models: Any, corpus_folder: Path) -> None:
    """The figures of an evaluation are those that training measured, with each emotion's beside them."""
    facts = eqn("evaluate", "champion", "--data", corpus_folder, "--json").json()

    figures = with_models.trained[0].json()["metrics"]["test"]
    assert {name: facts[name] for name in figures} == pytest.approx(figures)
    assert facts["n"] == 28
    assert len(facts["evaluation"]["emotions"]["labels"]) == 28


def test_an_evaluation_is_a_table_for_people(eqn: Eqn, state: Any, corpus_folder: Path) -> None:
    """A package directory needs no registry; every emotion has its row."""
    done = eqn("evaluate", state.package, "--data", corpus_folder, "--split", "dev")

    assert (done.code, done.err) == (0, "")
    assert "macro F1" in done.out
    assert all(name in done.out for name in ("admiration", "grief", "neutral"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--recipe", "nope"], "expected a recipe among"),
        (["train", "--data", "."], "lacks train.tsv, dev.tsv, test.tsv"),
        (["train", "--data", "nowhere"], "which is not a directory"),
        (["train", "--seed", "-1"], "'--seed'"),
        (["train", "--backbone", "./nowhere", "--out", "x"], "there is no directory ./nowhere"),
        (["evaluate", "PACKAGE", "--split", "prod"], "expected a split among train, dev, test; got 'prod'"),
        (["evaluate", "nowhere/at/all"], "found no directory nowhere/at/all"),
    ],
)
def test_a_call_that_cannot_be_taken_says_why(eqn: Eqn, state: Any, arguments: list[str], said: str) -> None:
    """Exit code 2, one sentence, no traceback."""
    done = eqn(*(argument.replace("PACKAGE", str(state.package)) for argument in arguments))

    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert done.out == ""


def test_data_that_breaks_the_contract_trains_nothing(eqn: Eqn, corpus_folder: Path, elsewhere: Path) -> None:
    """An id in two splits stops before training, and the row is named."""
    broken = elsewhere / "broken"
    broken.mkdir()
    for split in ("train", "dev", "test"):
        text = (corpus_folder / f"{split}.tsv").read_text()
        (broken / f"{split}.tsv").write_text(text + "another comment\t27\ttwice\n")
    done = eqn("train", "--data", broken, "--backbone", "tiny", "--recipe", "quick")

    assert done.code == 3
    assert "twice" in done.err
    assert "step" not in done.err
    assert eqn("models", "list", "--json").json() == []
