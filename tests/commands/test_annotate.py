"""`eqn annotate`: one text into bars, files into a release."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from eqn.emotions import EMOTIONS
from eqn.model import boxed
from tests.model.boxes import tiny_box

Eqn = Callable[..., Any]

HOSTILE = "[red]x[/red] [/nothing] :smile: \x1b[31mred\x1b[0m \x07 https://example.org"


def test_a_text_becomes_bars_strongest_first(eqn: Eqn, state: Any, elsewhere: Path) -> None:
    """The text, 28 bars in falling order, and the labels; with a package directory nothing is written."""
    done = eqn("annotate", "--model", state.package, "--text", "I can't stop smiling")

    assert (done.code, done.err) == (0, "")
    first, *bars, labels = done.out.splitlines()
    assert first == "I can't stop smiling"
    figures = [re.fullmatch(r" ?(\w+) +█*·* +(\d\.\d{4}) *", bar) for bar in bars]
    found = [(figure[1], float(figure[2])) for figure in figures if figure]
    assert sorted(name for name, _ in found) == sorted(EMOTIONS)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert labels.startswith("labels: ")
    assert [path.name for path in elsewhere.parent.iterdir()] == ["work"]


def test_a_text_can_be_read_by_machines(eqn: Eqn, state: Any) -> None:
    """With --json: the text as it came, 28 figures by name, the labels, and whether it was cut."""
    facts = eqn("annotate", "--model", state.package, "--text", HOSTILE, "--json").json()

    assert facts.keys() == {"text", "intensities", "labels", "truncated"}
    assert facts["text"] == HOSTILE
    assert list(facts["intensities"]) == list(EMOTIONS)
    assert all(0 <= score <= 1 and round(score, 4) == score for score in facts["intensities"].values())
    assert set(facts["labels"]) <= set(EMOTIONS)
    assert facts["truncated"] is False
    assert facts == eqn("annotate", "--model", state.package, "--text", HOSTILE, "--json").json()


def test_hostile_text_is_shown_as_text(eqn: Eqn, state: Any) -> None:
    """Markup is printed letter by letter, emoji names stay names, and no escape reaches the terminal."""
    out = eqn("annotate", "--model", state.package, "--text", HOSTILE).out

    assert out.startswith("[red]x[/red] [/nothing] :smile: �[31mred�[0m � https://example.org")
    assert "\x1b" not in out
    assert "\x07" not in out


def test_the_champion_annotates_unless_another_is_named(eqn: Eqn, with_models: Any) -> None:
    """Alias, version, address and directory of the same model give the same answer; another version another one."""
    names = ["champion", "1", "models:/eqn/1", "models:/eqn@champion", with_models.package]
    answers = [eqn("annotate", "--text", "hello", "--json").out]
    answers += [eqn("annotate", "--text", "hello", "--model", name, "--json").out for name in names]

    assert len(set(answers)) == 1
    assert eqn("annotate", "--text", "hello", "--model", "2", "--json").out not in answers


def test_files_become_a_release(eqn: Eqn, with_models: Any, letters: Path, elsewhere: Path, files_below: Any) -> None:
    """The data is where the last line says, under the ids that were given; the input is untouched."""
    before = letters.read_bytes()
    done = eqn("annotate", "letters.csv", "--dataset", "letters", "--out", "published")

    assert done.code == 0
    said, place = done.out.splitlines()
    assert said == "letters is published as release 1: 4 rows, 1 quarantined"
    assert "4 of 4 rows" in done.err
    assert pq.read_table(elsewhere / place).column("id").to_pylist() == ["007", "008", "009", "011"]
    assert letters.read_bytes() == before

    files = files_below(elsewhere)
    again = eqn("annotate", "letters.csv", "--dataset", "letters", "--out", "published")
    assert again.code == 0
    assert again.out == done.out.replace("is published", "is already published")
    assert files_below(elsewhere) == files


def test_a_release_can_be_read_by_machines(eqn: Eqn, with_models: Any, letters: Path, elsewhere: Path) -> None:
    """With --json: dataset, number, place and counts, the second time with the mark that it was there."""
    options = ["annotate", letters, "--dataset", "letters", "--out", elsewhere / "published", "--json"]
    first, again = eqn(*options).json(), eqn(*options).json()

    assert first == {
        "dataset": "letters",
        "number": 1,
        "path": first["path"],
        "rows": 4,
        "quarantined": 1,
        "already_published": False,
    }
    assert again == first | {"already_published": True}
    manifest = json.loads((elsewhere / "published/letters/releases/1.json").read_text())
    assert manifest["model"] == {"name": "eqn", "version": 1, "digest": with_models.package.name}


def test_a_dry_run_writes_nothing(eqn: Eqn, state: Any, letters: Path, elsewhere: Path, files_below: Any) -> None:
    """It says what would be done, for people and for machines, and leaves no file, folder or database."""
    before = files_below(elsewhere.parent)
    options = ["annotate", "letters.csv", "--dataset", "letters", "--model", state.package, "--dry-run"]
    done = eqn(*options)
    facts = eqn(*options, "--json").json()

    assert done.code == 0
    assert "4 rows would be annotated. Nothing was written." in done.out
    assert facts["inputs"] == [{"input": "letters.csv", "rows": 5, "quarantine": 1, "to do": "annotate"}]
    assert (facts["dataset"], facts["rows"], facts["rows_to_annotate"], facts["published"]) == ("letters", 5, 4, None)
    assert files_below(elsewhere.parent) == before
    assert sorted(path.name for path in elsewhere.parent.rglob("*")) == ["letters.csv", "work"]


def test_a_dry_run_knows_what_is_published(eqn: Eqn, with_models: Any, letters: Path) -> None:
    """After publishing there is nothing to do, and with one more file only that one is."""
    options = ["annotate", ".", "--dataset", "letters", "--out", "../published", "--dry-run"]
    eqn(*options[:-1])
    assert "Nothing to do: this is published as release 1." in eqn(*options).out
    assert eqn(*options, "--json").json()["published"] == 1

    Path("more.txt").write_text("one\ntwo\n")
    facts = eqn(*options, "--json").json()
    assert facts["rows_to_annotate"] == 2
    assert [entry["to do"] for entry in facts["inputs"]] == ["carry over", "annotate"]


def test_another_model_annotates_new_files_only_on_request(eqn: Eqn, with_models: Any, letters: Path) -> None:
    """Without a new file there is nothing to do; with one only that is; by default it annotates everything."""
    options = ["annotate", ".", "--dataset", "letters", "--out", "../published"]
    eqn(*options, "--model", "1")
    options += ["--model", "2"]
    assert eqn(*options, "--new-model", "new-files", "--json").json()["already_published"] is True
    assert eqn(*options, "--new-model", "new-files", "--dry-run", "--json").json()["published"] == 1
    assert eqn(*options, "--dry-run", "--json").json()["rows_to_annotate"] == 4

    Path("more.txt").write_text("one\ntwo\n")
    assert eqn(*options, "--new-model", "new-files", "--dry-run", "--json").json()["rows_to_annotate"] == 2
    assert eqn(*options, "--new-model", "new-files", "--json").json()["number"] == 2
    manifest = eqn("release", "show", "letters", "--store", "../published", "--json").json()
    assert manifest["model"]["version"] == 2
    assert [entry.get("model", {}).get("version") for entry in manifest["inputs"]] == [1, None]
    assert eqn("annotate", "--text", "x", "--new-model", "new-files").code == 2
    assert eqn(*options, "--new-model", "some").code == 2


def test_a_text_of_no_encoding_is_refused(eqn: Eqn, state: Any) -> None:
    """Bytes that are no UTF-8 arrive as half letters: they are no bug."""
    done = eqn("annotate", "--model", state.package, "--text", "caf\udce9")

    assert done.code == 2
    assert "UTF-8" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected either INPUT... or --text"),
        (["letters.csv", "--text", "hello"], "expected either INPUT... or --text"),
        (["letters.csv"], "expected --dataset beside the inputs"),
        (["letters.csv", "--dataset", "Letters!"], "expected a dataset name of lower-case letters"),
        (["letters.csv", "--dataset", "x", "--out", "ftp://host/x"], "ftp:// is not supported"),
        (["nowhere.csv", "--dataset", "x"], "nowhere.csv: no such file or folder"),
        (["letters.csv", "--dataset", "x", "--id-column", "text"], "two different columns"),
    ],
)
def test_a_call_that_cannot_be_taken_says_why(
    eqn: Eqn, state: Any, letters: Path, arguments: list[str], said: str
) -> None:
    """Exit code 2, one sentence, no traceback, and nothing is written."""
    done = eqn("annotate", "--model", state.package, *arguments)

    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert sorted(path.name for path in Path().iterdir()) == ["letters.csv"]


@pytest.mark.parametrize("model", ["runner-up", "99", "models:/eqn@runner-up", "models:/other/1", "models:nonsense"])
def test_an_unknown_model_is_told(eqn: Eqn, with_models: Any, model: str) -> None:
    """Exit code 2; an alias that is not there is answered with those that are."""
    done = eqn("annotate", "--text", "hello", "--model", model)

    assert done.code == 2
    assert "Traceback" not in done.err
    if model == "runner-up":
        assert "champion (version 1)" in done.err


def test_without_a_champion_the_model_in_the_box_answers_and_says_so(
    eqn: Eqn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first thing that a newcomer tries; no database is made for it."""
    monkeypatch.setattr(boxed, "BOX", tiny_box(tmp_path / "box").folder)
    done = eqn("annotate", "--text", "hello")

    assert done.code == 0
    assert "labels: " in done.out
    assert "Nobody is champion yet: the model in the box annotates." in done.err
    assert "eqn train" in done.err
    assert not list(tmp_path.rglob("mlflow.db"))


def test_a_missing_text_column_is_answered_with_those_that_are_there(
    eqn: Eqn, state: Any, letters: Path, elsewhere: Path
) -> None:
    """Exit code 3, the columns found, and a guess at the one that was meant."""
    done = eqn("annotate", letters, "--dataset", "x", "--model", state.package, "--text-column", "txet")

    assert done.code == 3
    assert "'id', 'text', 'author'" in done.err
    assert "--text-column 'text'" in done.err
    assert _written(elsewhere.with_name("home")) == {"metrics"}


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl", "x.txt", "x.parquet", "x.csv.gz"])
@pytest.mark.parametrize("content", [b"", bytes(range(128, 256)) * 40], ids=["empty", "noise"])
def test_a_file_without_sense_is_refused(eqn: Eqn, state: Any, elsewhere: Path, name: str, content: bytes) -> None:
    """Empty files and noise, whatever they are called: exit code 3, the file's name, nothing published."""
    (elsewhere / name).write_bytes(content)
    done = eqn("annotate", name, "--dataset", "x", "--model", state.package, "--out", "published")

    assert done.code == 3, done.err
    assert name in done.err
    assert "Traceback" not in done.err
    assert not (elsewhere / "published").exists()


def test_a_damaged_package_annotates_nothing(eqn: Eqn, state: Any, letters: Path, elsewhere: Path) -> None:
    """One changed byte in a model's file: exit code 8, and the file is named."""
    copy = elsewhere / "copy"
    copy.mkdir()
    for path in state.package.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    tokenizer = copy / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"a"', '"b"', 1))

    for options in (["--text", "hello"], [letters, "--dataset", "x"]):
        done = eqn("annotate", "--model", copy, *options)
        assert done.code == 8
        assert "tokenizer.json: changed" in done.err
        assert "Traceback" not in done.err


def test_publishing_options_do_not_go_with_one_text(eqn: Eqn) -> None:
    """Nobody believes that a dataset was published when only bars were drawn."""
    done = eqn("annotate", "--text", "hello", "--dataset", "letters")

    assert done.code == 2
    assert "--dataset" in done.err


def repacked(package: Path, out: Path, **facts: Any) -> Path:
    """Copy a package and let its eqn.json say something else; None takes a fact out."""
    shutil.copytree(package, out)
    said = json.loads((out / "eqn.json").read_text()) | facts
    (out / "eqn.json").write_text(json.dumps({name: value for name, value in said.items() if value is not None}))
    return out


@pytest.fixture
def sure(state: Any, tmp_path: Path) -> Path:
    """A model that promises joy, always, and nothing else."""
    facts = {"coverage": 0.9, "limits": {"joy": 0.0}, "rows": dict.fromkeys(EMOTIONS, 9)}
    return repacked(state.package, tmp_path / "sure", conformal=facts)


def test_a_texts_uncertainty_is_shown_on_request(eqn: Eqn, sure: Path) -> None:
    """Below the labels: entropy, set, and what the set promises; by machines it is read with the coverage."""
    options = ["annotate", "--model", sure, "--text", "I can't stop smiling"]
    plain, asked = eqn(*options), eqn(*options, "--uncertainty")
    facts = eqn(*options, "--uncertainty", "--json").json()

    assert asked.out.startswith(plain.out)
    entropy, found, promised = asked.out.removeprefix(plain.out).splitlines()
    assert entropy.startswith(f"entropy: {facts['entropy']:.4f} bits")
    assert found == "conformal set: joy"
    assert "at least 90 %" in promised
    assert "Nothing is promised for admiration, amusement" in promised
    assert (
        eqn(*options, "--json").json() | {"entropy": facts["entropy"], "conformal": ["joy"], "coverage": 0.9} == facts
    )
    assert 0 < facts["entropy"] <= 1


def test_files_are_annotated_with_uncertainty_on_request(eqn: Eqn, sure: Path, letters: Path, elsewhere: Path) -> None:
    """The same files with and without the option are two releases; each is found again."""
    options = ["annotate", letters, "--dataset", "letters", "--model", sure, "--out", "published", "--json"]
    plain, asked = eqn(*options).json(), eqn(*options, "--uncertainty").json()
    names = [pq.read_table(f"{release['path']}/data").column_names for release in (plain, asked)]

    assert (plain["number"], asked["number"]) == (1, 2)
    assert names[1] == [*names[0], "entropy", "conformal"]
    assert eqn(*options, "--uncertainty").json() == asked | {"already_published": True}
    assert eqn(*options, "--uncertainty", "--dry-run").json()["published"] == 2
    assert eqn(*options).json() == plain | {"already_published": True}


@pytest.mark.parametrize(
    "options", [["--text", "hello"], ["letters.csv", "--dataset", "x"], ["nowhere", "--dataset", "x"]]
)
def test_an_earlier_model_cannot_tell_its_uncertainty(
    eqn: Eqn, state: Any, letters: Path, elsewhere: Path, options: list[str]
) -> None:
    """Exit code 2 before inputs are looked for, what to do, and nothing written."""
    earlier = repacked(state.package, elsewhere.parent / "earlier", format=2, calibration=None, conformal=None)
    done = eqn("annotate", "--model", earlier, *options, "--uncertainty")

    assert (done.code, done.out) == (2, "")
    assert "trained by an earlier EQN" in done.err
    assert "Train it again" in done.err
    assert "Traceback" not in done.err
    assert {path.name for path in elsewhere.parent.iterdir()} - {"home"} == {"earlier", "work"}
    assert _written(elsewhere.with_name("home")) == (set() if "--text" in options else {"metrics"})


def _written(home: Path) -> set[str]:
    """Give what stands in a state folder, if it is there: that a run failed is counted."""
    return {path.name for path in home.iterdir()} if home.is_dir() else set()
