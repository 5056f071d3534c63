"""`eqn train` and `eqn evaluate`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eqn.corpus.goemotions import load_corpus
from eqn.model.package import FIGURES
from eqn.quality.out_of_fold import read_scores
from eqn.registry.connection import connect
from eqn.settings import load_settings

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
        "correlation.png",
        "emotions.png",
        "eqn.json",
        "intensities.png",
        "model.safetensors",
        "reliability.png",
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


def test_an_experiment_has_no_figures_on_test(eqn: Eqn, corpus_folder: Path, elsewhere: Path) -> None:
    """With --dev-only: the package, its card and what is printed know of dev alone."""
    options = ["--data", corpus_folder, "--backbone", "tiny", "--recipe", "quick", "--out", "mine", "--dev-only"]
    done = eqn("train", *options, "--json")

    assert done.code == 0
    assert done.json()["metrics"].keys() == {"dev"}
    assert json.loads((elsewhere / "mine" / "eqn.json").read_text())["metrics"] == done.json()["metrics"]
    assert "the test labels were not read" in (elsewhere / "mine" / "README.md").read_text()
    again = eqn("train", *options)
    assert (again.code, again.out) == (0, 'Next: eqn annotate --model mine --text "I can\'t stop smiling"\n')
    assert "on test" not in again.err


def test_out_of_fold_scores_are_written_beside_a_package(eqn: Eqn, corpus_folder: Path, elsewhere: Path) -> None:
    """A row for each training row; they are asked for again in vain where the package stands without them."""
    options = ["--data", corpus_folder, "--backbone", "tiny", "--recipe", "quick", "--set", "folds=2"]
    done = eqn("train", *options, "--out", "mine", "--out-of-fold", "scores.parquet")

    assert done.code == 0, done.err
    corpus = load_corpus(corpus_folder)
    scores = read_scores(elsewhere / "scores.parquet").aligned(corpus)
    assert scores.shape == (56, 28)
    assert len(set(scores[:, 0].tolist())) > 20
    again = eqn("train", *options, "--out", "mine", "--out-of-fold", "elsewhere.parquet")
    assert (again.code, again.out) == (2, "")
    assert not (elsewhere / "elsewhere.parquet").exists()


def test_a_file_that_is_there_is_refused_before_training(eqn: Eqn, corpus_folder: Path, elsewhere: Path) -> None:
    """Exit code 2 with what to do; the file stays, and nothing is trained or written."""
    (elsewhere / "scores.parquet").write_text("mine")
    options = ["--data", corpus_folder, "--backbone", "tiny", "--recipe", "quick", "--set", "folds=2"]
    done = eqn("train", *options, "--out", "mine", "--out-of-fold", "scores.parquet")

    assert (done.code, done.out) == (2, "")
    assert "expected no file scores.parquet; there is one" in done.err
    assert "choose another name" in done.err
    assert "step" not in done.err
    assert [path.name for path in elsewhere.iterdir()] == ["scores.parquet"]
    assert (elsewhere / "scores.parquet").read_text() == "mine"


def test_fields_of_a_recipe_are_changed_by_name(eqn: Eqn, corpus_folder: Path, elsewhere: Path) -> None:
    """Each --set counts, and the card of the model says what it was trained with."""
    options = ["--data", corpus_folder, "--backbone", "tiny", "--recipe", "quick"]
    changes = ["--set", "least_steps=12", "--set", "loss=mse", "--set", "name=squared"]
    done = eqn("train", *options, *changes, "--out", "mine")

    assert done.code == 0
    assert "step 12 of 12" in done.err
    assert "squared on test" in done.err
    facts = json.loads((elsewhere / "mine" / "eqn.json").read_text())
    assert (facts["recipe"]["least_steps"], facts["recipe"]["loss"], facts["output"]) == (12, "mse", "clip")
    card = (elsewhere / "mine" / "README.md").read_text()
    assert "least_steps" in card
    assert "mse" in card


def test_all_faulty_changes_are_named_at_once(eqn: Eqn, elsewhere: Path) -> None:
    """Exit code 2 before anything is read or trained."""
    done = eqn("train", "--set", "lr=1", "--set", "epochs=many", "--set", "checks=0", "--out", "mine")

    assert (done.code, done.out) == (2, "")
    for fault in ("'lr=1' is no FIELD=VALUE", "epochs must be a whole number", "checks must be at least 1, got 0"):
        assert fault in done.err
    assert "Traceback" not in done.err
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "split"), [([], "dev"), (["--split", "dev"], "dev"), (["--split", "test"], "test")]
)
def test_evaluating_gives_every_figure(
    eqn: Eqn, with_models: Any, corpus_folder: Path, options: list[str], split: str
) -> None:
    """The figures of an evaluation are those that training measured, with each emotion's beside them.

    They are of dev: test is measured when it is asked for.
    """
    facts = eqn("evaluate", "champion", "--data", corpus_folder, *options, "--json").json()

    measured = with_models.trained[0].json()["metrics"]
    assert measured["dev"] != measured["test"]
    figures = measured[split]
    assert {name: facts[name] for name in figures} == pytest.approx(figures)
    assert facts["n"] == 28
    assert len(facts["evaluation"]["emotions"]["labels"]) == 28


def _test_notes() -> dict[str, dict[str, str]]:
    """Give what the runs of the state folder in use say of evaluations on test, by the name of their seed."""
    client = connect(load_settings())
    runs = client.search_runs([client.get_experiment_by_name("eqn").experiment_id])
    return {
        run.data.params["seed"]: {name: tag for name, tag in run.data.tags.items() if name.startswith("eqn.test_")}
        for run in runs
    }


def test_the_runs_of_models_that_are_measured_on_test_say_so(eqn: Eqn, with_models: Any, corpus_folder: Path) -> None:
    """Of both models, by whatever name they are called; a look at dev, or at a model of nobody's, leaves no note."""
    call, digest = ["evaluate", "--data", corpus_folder, "--split", "test"], load_corpus(corpus_folder).ref.digest
    before = {seed: int(notes.get("eqn.test_evaluations", "0")) for seed, notes in _test_notes().items()}
    done = eqn(*call, "champion", "--against", "2")
    by_path = eqn(*call, with_models.package)

    assert (done.code, done.err, by_path.code, by_path.err) == (0, "", 0, "")
    notes = _test_notes()
    assert {seed: int(found["eqn.test_evaluations"]) - before[seed] for seed, found in notes.items()} == {
        "0": 2,
        "1": 1,
    }
    assert {found["eqn.test_corpus"] for found in notes.values()} == {digest}

    train = ["train", "--data", corpus_folder, "--backbone", "tiny", "--recipe", "quick", "--seed", "7"]
    assert eqn(*train, "--out", "mine").code == 0
    for quiet in (eqn(*call, "mine"), eqn("evaluate", "champion", "--data", corpus_folder)):
        assert (quiet.code, quiet.err) == (0, "")
    assert _test_notes() == notes


def test_an_evaluation_on_test_that_cannot_be_noted_is_one_all_the_same(
    eqn: Eqn, state: Any, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures come, and a message says that and why the server was not told."""
    monkeypatch.setenv("EQN_TRACKING_URI", "http://127.0.0.1:9")  # where nobody listens
    done = eqn("evaluate", state.package, "--data", corpus_folder, "--split", "test", "--json")

    assert done.code == 0
    assert done.json()["macro_f1"] == state.trained[0].json()["metrics"]["test"]["macro_f1"]
    assert "this evaluation on test could not be noted in MLflow" in done.err
    assert "http://127.0.0.1:9 cannot be reached" in done.err
    assert "Traceback" not in done.err


def test_an_evaluation_is_a_table_for_people(eqn: Eqn, state: Any, corpus_folder: Path) -> None:
    """A package directory needs no registry; every emotion has its row."""
    done = eqn("evaluate", state.package, "--data", corpus_folder, "--split", "dev")

    assert (done.code, done.err) == (0, "")
    assert "macro F1" in done.out
    assert all(name in done.out for name in ("admiration", "grief", "neutral"))
    shown = json.loads((state.package / "eqn.json").read_text())["metrics"]["dev"]
    interval = f"{shown['macro_f1']:.3f} [{shown['macro_f1_low']:.3f}, {shown['macro_f1_high']:.3f}]"
    assert interval in done.out
    assert f"{shown['ece']:.4f}" in done.out
    assert max(len(line) for line in done.out.splitlines()) <= 80


def test_a_model_is_held_against_another_on_the_same_rows(eqn: Eqn, with_models: Any, corpus_folder: Path) -> None:
    """Both models' figures, and for each difference a sentence that says whether the rows tell the models apart."""
    call = ["evaluate", "1", "--against", "2", "--data", corpus_folder, "--split", "test"]
    done, facts = eqn(*call), eqn(*call, "--json").json()

    first, second = (done.json()["metrics"]["test"] for done in with_models.trained)
    assert facts["macro_f1"] == pytest.approx(first["macro_f1"])
    assert facts["against"]["macro_f1"] == pytest.approx(second["macro_f1"])
    names = (facts["model"], facts["against"]["model"])
    assert len(set(names)) == 2
    assert all(name in done.out for name in names)
    for head, key in (("macro F1", "macro_f1"), ("mAP", "map")):
        difference = facts["against"]["difference"][key]
        low, high = difference["interval"]["low"], difference["interval"]["high"]
        assert difference["value"] == pytest.approx(first[key] - second[key])
        assert f"{head} of {names[0]} minus that of {names[1]}: {difference['value']:+.3f}, 95 %" in done.out
        assert ("do not tell the two apart" in done.out) or not low <= 0 <= high


def test_the_figures_of_an_evaluation_are_drawn(
    eqn: Eqn, state: Any, corpus_folder: Path, elsewhere: Path, files_below: Any
) -> None:
    """Four images in a new directory; what stands there already is not overwritten, and a package stays as it is."""
    call = ["evaluate", state.package, "--data", corpus_folder, "--figures"]
    done = eqn(*call, "shown/here")

    assert (done.code, done.err) == (0, "")
    assert "The figures are in shown/here" in done.out
    images = files_below(elsewhere / "shown")
    assert sorted(Path(path).name for path in images) == sorted(FIGURES)
    assert all(content.startswith(b"\x89PNG") for content in images.values())

    before = files_below(state.package)
    for folder in ("shown/here", state.package):
        refused = eqn(*call, folder)
        assert (refused.code, refused.out) == (2, "")
        assert "expected a new or empty directory for the figures" in refused.err
    assert files_below(state.package) == before
    assert files_below(elsewhere / "shown") == images


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--recipe", "nope"], "expected a recipe among"),
        (["train", "--data", "."], "lacks train.tsv, dev.tsv, test.tsv"),
        (["train", "--data", "nowhere"], "which is not a directory"),
        (["train", "--seed", "-1"], "'--seed'"),
        (["train", "--backbone", "./nowhere", "--out", "x"], "there is no directory ./nowhere"),
        (["train", "--dev-only"], "--dev-only and --out-of-fold go with --out"),
        (["train", "--out-of-fold", "scores"], "--dev-only and --out-of-fold go with --out"),
        (
            ["train", "--recipe", "quick", "--backbone", "tiny", "--out", "x", "--out-of-fold", "scores"],
            "out-of-fold scores need 2 folds or more, and folds is 0",
        ),
        (["evaluate", "PACKAGE", "--split", "prod"], "expected a split among train, dev, test; got 'prod'"),
        (["evaluate", "nowhere/at/all"], "found no directory nowhere/at/all"),
        (["evaluate", "PACKAGE", "--against", "PACKAGE"], "expected another model than"),
        (["evaluate", "PACKAGE", "--against", "nowhere/at/all"], "found no directory nowhere/at/all"),
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
