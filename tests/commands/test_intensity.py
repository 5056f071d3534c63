"""`eqn evaluate --intensity`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eqn.emotions import MEANINGS

Eqn = Callable[..., Any]


@pytest.fixture
def anger(elsewhere: Path) -> Path:
    """SemEval's layout, with a mystery row."""
    rows = [f"2018-En-{row}\t{meaning}\tanger\t0.{row:02}\n" for row, meaning in enumerate(MEANINGS.values())]
    mystery = "2018-En-mystery-1\tnobody scored this\tanger\t0.000\n"
    path = elsewhere / "anger.txt"
    path.write_text("ID\tTweet\tAffect Dimension\tIntensity Score\n" + "".join(rows) + mystery, "utf-8")
    return path


@pytest.fixture
def bank(elsewhere: Path) -> Path:
    """EmoBank's layout; the splits train and test share one text."""
    lines = ["id,split,V,A,D,text"]
    for row, meaning in enumerate(MEANINGS.values()):
        lines.append(f'{row}a,train,{1 + row / 10},{1 + row % 5},3,"{meaning}"')
        lines.append(f'{row}b,test,{1 + row / 9},{1 + row % 4},3,"{meaning}{" too" if row else ""}"')
    path = elsewhere / "bank.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_a_model_is_held_against_people(eqn: Eqn, state: Any, anger: Path) -> None:
    """A table without the mystery row, which is counted; it fits 80 columns."""
    done = eqn("evaluate", state.package, "--intensity", anger)

    assert done.code == 0
    assert "anger.txt (SemEval-2018), all rows: 28 texts" in done.out
    assert "left out: 1 SemEval's mystery rows" in done.out
    assert "zero-shot" in done.out
    assert [line.split()[:3] for line in done.out.splitlines() if line.startswith(" anger")] == [
        ["anger", readout, "28"] for readout in ("label", "group", "max")
    ]
    assert "probe" not in done.out
    assert max(len(line) for line in done.out.splitlines()) <= 80


def test_a_probe_stands_apart(eqn: Eqn, state: Any, bank: Path) -> None:
    """In a table of its own that names what it was fitted on; by default on train, measured on test."""
    done = eqn("evaluate", state.package, "--intensity", bank, "--probe", bank)

    zero_shot, _, probed = done.out.partition("probe (fitted on bank.csv, split train)")
    assert "bank.csv (EmoBank), split test: 28 texts" in zero_shot
    assert "mass" in zero_shot
    assert "arousal" not in zero_shot
    assert "arousal  probe" in probed
    assert "Not zero-shot" in probed
    assert "valence on 27 rows, arousal on 27 rows" in probed
    assert "1 rows were not fitted on" in probed


def test_machines_get_one_value(eqn: Eqn, state: Any, bank: Path, anger: Path) -> None:
    """With every figure, its interval and what was dropped; the same again each time."""
    call = ["evaluate", state.package, "--intensity", bank, "--probe", bank, "--json"]
    facts = eqn(*call).json()

    assert facts["model"] == state.package.name
    assert (facts["layout"], facts["split"], facts["texts"]) == ("EmoBank", "test", 28)
    assert facts["dropped"] == {"mystery": 0, "other_splits": 28, "unrated": 0}
    assert [one["readout"] for one in facts["zero_shot"]["all_rows"]] == ["mass", "mean"]
    (pearson,) = {one["pearson"]["value"] for one in facts["zero_shot"]["all_rows"] if one["readout"] == "mass"}
    assert -1 <= pearson <= 1
    assert [one["target"] for one in facts["probe"]["agreements"]["all_rows"]] == ["valence", "arousal"]
    assert (facts["probe"]["fitted_on"], facts["probe"]["left_out"]) == (["bank.csv"], 1)
    assert eqn(*call).json() == facts
    plain = eqn("evaluate", state.package, "--intensity", anger, "--json").json()
    assert (plain["probe"], plain["dropped"]["mystery"]) == (None, 1)


def test_what_cannot_be_read_is_said(eqn: Eqn, state: Any, bank: Path) -> None:
    """Arousal beside valence is left out with a word; the split can be chosen."""
    done = eqn("evaluate", state.package, "--intensity", bank, "--split", "train")

    assert done.code == 0
    assert "split train: 28 texts" in done.out
    assert "arousal: cannot be read off the 28 intensities; --probe fits it" in done.out


def test_votes_of_raters_are_measured_without_a_claim(eqn: Eqn, state: Any, elsewhere: Path) -> None:
    """The table of `eqn data votes` goes in as it is, and the number of texts with several raters is said."""
    names = ",".join(MEANINGS)
    lines = [f"text,id,rater_id,example_very_unclear,{names}"]
    for row, meaning in enumerate(MEANINGS.values()):
        votes = ",".join("1" if column == row else "0" for column in range(28))
        lines += [f'"{meaning}",c{row},{rater},False,{votes}' for rater in range(1 + (row < 5))]
    (elsewhere / "raters.csv").write_text("\n".join(lines) + "\n", "utf-8")
    assert eqn("data", "votes", "raters.csv", "--out", "votes.parquet").code == 0
    done = eqn("evaluate", state.package, "--intensity", "votes.parquet")

    assert done.code == 0
    assert "votes.parquet (vote shares), all rows: 28 texts" in done.out
    assert "5 of the texts have two or more raters" in done.out
    assert "Nothing follows from these figures" in done.out
    assert "mean of 28" in done.out
    raw = eqn("evaluate", state.package, "--intensity", "raters.csv")
    assert (raw.code, raw.out) == (3, "")
    assert "`eqn data votes`" in raw.err


def test_a_wrong_file_is_refused_with_all_its_faults(eqn: Eqn, state: Any, elsewhere: Path) -> None:
    """Exit code 3, before anything is scored."""
    (elsewhere / "bad.csv").write_text("text,emotion,score\na,joy,lots\nb,bliss,3\nc,joy,\n", "utf-8")
    (elsewhere / "flat.csv").write_text("text,emotion,score\na,fear,1\nb,fear,1\nc,fear,1\n", "utf-8")
    done = eqn("evaluate", state.package, "--intensity", "bad.csv", "--intensity", "flat.csv")

    assert (done.code, done.out) == (3, "")
    for fault in (
        "bad.csv, row 1: expected a number for joy, got 'lots'",
        "bad.csv, row 2: expected an emotion, valence or arousal in 'emotion'; got 'bliss'",
        "bad.csv, row 3: expected a number for joy, got nothing",
        "fear: all 3 scores are 1; nothing correlates with a constant",
    ):
        assert fault in done.err
    assert "Traceback" not in done.err
    assert "annotating" not in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--intensity", "nowhere.csv"], 2, "nowhere.csv: no such file or folder"),
        (["--intensity", "bank.csv", "--against", "1", "--data", "x"], 2, "without --data, --against"),
        (["--probe", "bank.csv"], 2, "expected --intensity beside --probe"),
        (["--intensity", "bank.csv", "--split", "prod"], 3, "expected rows of the split 'prod'; there are"),
        (["--intensity", "bank.csv", "--probe", "bank.csv", "--split", "all"], 3, "there are too few"),
        (["--intensity", "arousal.csv"], 2, "arousal cannot be read off the 28 intensities"),
    ],
)
def test_a_call_that_cannot_be_taken_says_why(
    eqn: Eqn, state: Any, bank: Path, arguments: list[str], code: int, said: str
) -> None:
    """One message, no traceback, nothing on standard output."""
    bank.with_name("arousal.csv").write_text("text,arousal\na,1\nb,2\nc,3\n")
    done = eqn("evaluate", state.package, *arguments)

    assert (done.code, done.out) == (code, "")
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
