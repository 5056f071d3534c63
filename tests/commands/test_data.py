"""`eqn data` and `eqn validate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eqn.emotions import EMOTIONS

Eqn = Callable[..., Any]


def test_a_corpus_is_shown(eqn: Eqn, corpus_folder: Path) -> None:
    """Rows, digest and labels: the same figures for people and machines."""
    said = eqn("data", "show", "--data", corpus_folder)
    facts = eqn("data", "show", "--data", corpus_folder, "--json").json()

    assert facts["rows"] == {"train": 56, "dev": 28, "test": 28}
    assert facts["labels"]["train"] == dict.fromkeys(EMOTIONS, 2)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("small: train 56, dev 28, test 28\n")
    assert f"digest {facts['digest']}\n" in said.out
    assert all(name in said.out for name in EMOTIONS)


def test_without_data_the_sample_is_shown(eqn: Eqn) -> None:
    """A newcomer without GoEmotions sees the embedded comments."""
    facts = eqn("data", "show", "--json").json()

    assert facts["name"] == "sample"
    assert sum(facts["rows"].values()) == 1464


def test_the_environment_names_the_corpus(eqn: Eqn, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EQN_GOEMOTIONS stands for --data."""
    monkeypatch.setenv("EQN_GOEMOTIONS", str(corpus_folder))

    assert eqn("data", "show", "--json").json()["name"] == "small"


def test_a_sound_corpus_passes(eqn: Eqn, corpus_folder: Path) -> None:
    """Exit code 0, the verdict, and where the report is."""
    said = eqn("validate", corpus_folder)
    facts = eqn("validate", corpus_folder, "--json").json()

    assert said.code == 0
    assert said.out.startswith("small: passed; ")
    assert (facts["passed"], facts["subject"], facts["rows"]) == (True, "small", 112)
    assert Path(facts["data_docs"]).is_file()
    assert said.out.endswith(f"Data Docs: {facts['data_docs']}\n")


def test_files_are_held_against_the_contract(eqn: Eqn, letters: Path) -> None:
    """A quarantined row is a finding; a fifth of the rows is still allowed."""
    said = eqn("validate", letters)
    facts = eqn("validate", letters, "--json").json()

    assert said.code == 0
    assert facts["passed"]
    assert [finding["ids"] for finding in facts["findings"]] == [["letters.csv row 4"]]
    assert "warning: no row is in quarantine, but 1 of 5 rows break this" in said.out


def test_files_that_break_the_contract_are_refused(eqn: Eqn, elsewhere: Path) -> None:
    """Exit code 3; with --json the outcome is on standard output all the same, the message on the other."""
    (elsewhere / "blank.csv").write_text("text\n \n \nhello\n")
    done = eqn("validate", "blank.csv", "--json")

    assert done.code == 3
    assert done.json()["passed"] is False
    assert "at most 20% of a file's rows are in quarantine" in done.err
    assert "Traceback" not in done.err


def test_columns_may_be_named(eqn: Eqn, elsewhere: Path) -> None:
    """Text and id under other names."""
    (elsewhere / "x.csv").write_text("key,body\n1,hello\n2,there\n")

    assert eqn("validate", "x.csv", "--text-column", "body", "--id-column", "key").code == 0
    wrong = eqn("validate", "x.csv")
    assert wrong.code == 3
    assert "'key', 'body'" in wrong.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data", "show", "--data", "."], "lacks train.tsv, dev.tsv, test.tsv"),
        (["data", "show", "--data", "nowhere"], "which is not a directory"),
        (["validate", "nowhere"], "nowhere: no such file or folder"),
        (["validate", "."], "the folder holds no files to read"),
        (["validate"], "Missing argument"),
    ],
)
def test_a_place_without_data_is_told(eqn: Eqn, arguments: list[str], said: str) -> None:
    """Exit code 2 and what was expected where."""
    done = eqn(*arguments)

    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_split_that_is_missing_is_named(eqn: Eqn, corpus_folder: Path, elsewhere: Path) -> None:
    """Two of three splits are a corpus with a fault, not files to annotate."""
    for name in ("train.tsv", "dev.tsv"):
        (elsewhere / name).write_bytes((corpus_folder / name).read_bytes())
    done = eqn("validate", ".")

    assert done.code == 2
    assert "which lacks test.tsv" in done.err
