"""`eqn data` and `eqn validate`."""

import hashlib
import io
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from eqn.corpus.download import Pin
from eqn.corpus.fetch import GOEMOTIONS
from eqn.emotions import EMOTIONS
from tests.corpus.file_server import FileServer, say, serving

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


@pytest.fixture
def mirror(corpus_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server with the small corpus, which is pinned in place of GoEmotions; `emotions.txt` is left out."""
    files = {path.name: path.read_bytes() for path in corpus_folder.iterdir()}
    for name, content in files.items():
        monkeypatch.setitem(GOEMOTIONS, name, Pin(len(content), hashlib.sha256(content).hexdigest()))
    monkeypatch.delitem(GOEMOTIONS, "emotions.txt")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(files) as server:
        yield server


def test_a_corpus_is_fetched_and_the_next_command_works(eqn: Eqn, mirror: FileServer, elsewhere: Path) -> None:
    """By default into the state folder; what is to be done next is printed and can be typed as it is."""
    done = eqn("data", "fetch", "--base-url", mirror.address)

    folder = elsewhere.parent / "home" / "goemotions"
    assert (done.code, done.err) == (0, "")
    assert done.out.count(" fetched\n") == 3
    assert f"Next: EQN_GOEMOTIONS={folder} make run\n" in done.out
    train = next(line for line in done.out.splitlines() if "eqn train" in line).partition("eqn train --data ")[2]
    assert eqn("data", "show", "--data", *shlex.split(train), "--json").json()["rows"]["train"] == 56


def test_a_second_fetch_asks_for_nothing(eqn: Eqn, mirror: FileServer, elsewhere: Path) -> None:
    """What is there is told, for people and machines; a directory with a blank in its name is quoted."""
    asked = ("data", "fetch", "--out", "my data", "--base-url", mirror.address)
    facts = eqn(*asked, "--json").json()
    again = eqn(*asked)

    assert (facts["directory"], facts["address"], facts["licence"]) == ("my data", mirror.address, "Apache-2.0")
    assert {file["name"]: file["downloaded"] for file in facts["files"]} == dict.fromkeys(mirror.files, True)
    assert len(mirror.asked) == 3
    assert again.out.count(" was there\n") == 3
    assert f"eqn train --data '{elsewhere}/my data'\n" in again.out


def test_a_pause_is_explained_on_the_other_output(
    eqn: Eqn, mirror: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output stays one JSON value."""
    mirror.instead["train.tsv"] = [say(503)]
    done = eqn("data", "fetch", "--base-url", mirror.address, "--json")

    assert [file["downloaded"] for file in done.json()["files"]] == [True] * 3
    assert done.err == "train.tsv: the server says 503 Service Unavailable; going on in 1 s\n"


def test_a_terminal_shows_how_far_each_file_is(eqn: Eqn, mirror: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar with bytes for each file, and the reason of a pause between them; the results stay apart."""
    screen = io.StringIO()
    monkeypatch.setattr("eqn.commands.data.people", Console(file=screen, force_terminal=True, width=100))
    mirror.instead["dev.tsv"] = [say(503)]

    done = eqn("data", "fetch", "--base-url", mirror.address, "--json")

    assert all(name in screen.getvalue() for name in mirror.files)
    size = len(mirror.files["dev.tsv"]) / 1000
    assert f"{size:.1f}/{size:.1f} kB" in screen.getvalue()
    assert "dev.tsv: the server says 503 Service Unavailable; going on in 1 s" in screen.getvalue()
    assert len(done.json()["files"]) == 3


def test_a_fetch_that_fails_is_told_in_a_sentence(eqn: Eqn, mirror: FileServer, elsewhere: Path) -> None:
    """Exit 2 for a file in the way and for an address, 5 for a server that has no such file, 8 for other content."""
    (elsewhere / "train.tsv").write_text("mine")
    taken = eqn("data", "fetch", "--out", ".", "--base-url", mirror.address)
    plain = eqn("data", "fetch", "--base-url", "http://example.org/")
    mirror.files["dev.tsv"] = b"other"
    other = eqn("data", "fetch", "--base-url", mirror.address)
    del mirror.files["dev.tsv"]
    lacking = eqn("data", "fetch", "--base-url", mirror.address)

    assert [done.code for done in (taken, plain, other, lacking)] == [2, 2, 8, 5]
    assert (elsewhere / "train.tsv").read_text() == "mine"
    assert "expected the https address of a folder" in plain.err
    assert "dev.tsv: expected " in other.err
    assert "the server says 404" in lacking.err
    assert not any("Traceback" in done.err for done in (taken, plain, other, lacking))


@pytest.fixture
def ratings(elsewhere: Path) -> Path:
    """Three ratings of two comments by two raters."""
    path = elsewhere / "ratings.csv"
    zeros = ",0" * (len(EMOTIONS) - 1)
    lines = [f"a,hello,1,False,1{zeros}", f"a,hello,2,False,0{zeros}", f"b,well,2,True,0{zeros}"]
    path.write_text("\n".join(["id,text,rater_id,example_very_unclear," + ",".join(EMOTIONS), *lines, ""]), "utf-8")
    return path


def test_ratings_become_shares(eqn: Eqn, ratings: Path, elsewhere: Path) -> None:
    """The table is written; the same figures for people and machines; a second call changes nothing."""
    said = eqn("data", "votes", ratings, "--out", "votes.parquet")
    facts = eqn("data", "votes", ratings, "--out", "votes.parquet", "--json").json()

    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("2 comments, 3 ratings by 2 raters; 1 say very unclear, 0 repeated rows left out\n")
    assert "raters per comment: 1 with 0, 1 with 2\n" in said.out
    assert "agreement 0.000 (Krippendorff's alpha" in said.out
    assert said.out.endswith("votes.parquet\n")
    assert (facts["comments"], facts["comments_by_raters"], facts["path"]) == (2, {"0": 1, "2": 1}, "votes.parquet")
    assert pq.read_table(elsewhere / "votes.parquet")["admiration"].to_pylist() == [0.5, None]


def test_ratings_that_cannot_be_right_are_refused(eqn: Eqn, ratings: Path, elsewhere: Path) -> None:
    """Exit 3 with the row; nothing is written; exit 2 where another file is in the way, or none is there."""
    (elsewhere / "taken.parquet").write_text("mine")
    taken = eqn("data", "votes", ratings, "--out", "taken.parquet")
    nowhere = eqn("data", "votes", "nowhere.csv", "--out", "votes.parquet")
    ratings.write_text(ratings.read_text().replace("hello,2,False,0", "hello,2,False,2"))
    refused = eqn("data", "votes", ratings, "--out", "votes.parquet")

    assert [done.code for done in (taken, nowhere, refused)] == [2, 2, 3]
    assert "ratings.csv, row 2: expected 0 or 1 in admiration, got '2'" in refused.err
    assert (elsewhere / "taken.parquet").read_text() == "mine"
    assert not (elsewhere / "votes.parquet").exists()


def test_the_help_tells_the_way_from_nothing_to_a_model(eqn: Eqn) -> None:
    """`eqn data --help` names the commands in the order in which they are used, one on each line."""
    lines = [line.strip() for line in eqn("data", "--help").out.splitlines()]
    steps = ["eqn data fetch", "eqn data show", "eqn validate", "eqn train", "eqn data votes", "eqn data corrected"]

    assert [next(step for step in steps if line.startswith(step)) for line in lines if line.startswith("eqn ")] == steps
