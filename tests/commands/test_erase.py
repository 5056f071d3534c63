"""`eqn release erase`: what it asks, does, says and refuses."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Eqn = Callable[..., Any]


@pytest.fixture(scope="module")
def published(state: Any, eqn: Eqn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of two releases of `letters`, a page of the second one, and their inputs."""
    folder = tmp_path_factory.mktemp("published")
    letters, more = folder / "letters.csv", folder / "more.txt"
    letters.write_text("id,text\n007,NA\n008,thank you\n009,so sad\n010, \n011,wow\n")
    more.write_text("one\ntwo\nthank you\n")
    options = ["--dataset", "letters", "--out", folder / "store", "--model", state.package]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQN_HOME", str(folder / "home"))
        assert eqn("annotate", letters, *options).code == 0
        assert eqn("annotate", letters, more, *options).code == 0
        assert eqn("release", "drift", "letters", "--store", folder / "store").code == 0
        assert eqn("release", "report", "letters", "--store", folder / "store").code == 0
    return folder


@pytest.fixture
def own(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same for a test that changes it; its home is in use, and so is its store."""
    folder = shutil.copytree(published, tmp_path / "own")
    monkeypatch.setenv("EQN_HOME", str(folder / "home"))
    monkeypatch.setenv("EQN_STORE", str(folder / "store"))
    return folder


def test_rows_are_erased_and_it_is_told(eqn: Eqn, own: Path) -> None:
    """By id and text, from all releases: what was done, what is not reached; `show` and `list` tell of it."""
    digest = hashlib.sha256(b"thank you").hexdigest()
    before = {path.name for path in (own / "home" / "data_docs").iterdir()}
    done = eqn(
        *("release", "erase", "letters", "--id", "009", "--text-sha256", digest, "--id", "nobody"),
        *("--yes", "--by", "ann", "--reason", "asked"),
    )

    assert (done.code, done.out.count("letters.csv")) == (0, 3)
    assert "No row has the id nobody." in done.out
    assert "On record: erasure 1." in done.out
    assert "backups" in done.out
    assert before
    assert not any((own / "home" / "data_docs").iterdir())
    for number in ("1", "2"):
        assert eqn("release", "verify", "letters", number).code == 0
    assert "3 rows were erased on 2" in (shown := eqn("release", "show", "letters").out)
    assert "by ann (record 1): asked" in shown
    rows = eqn("release", "list", "letters", "--json").json()
    assert [(row["rows"], row["quarantined"], row["erased"]) for row in rows] == [(4, 4, 3), (2, 3, 2)]
    page = (own / "store/letters/reports/2/index.html").read_text()
    assert "thank you" not in page
    assert "so sad" not in page
    assert "wow" in page
    reports = own / "store/letters/reports"
    assert {path.name for path in (reports / "2").iterdir()} == {"index.html", "drift.json", "profile.json"}
    kept = "".join(path.read_text() for path in reports.rglob("*.*"))
    assert "so sad" not in kept
    assert kept.count("wow") > 1
    assert eqn("release", "export", "letters", "--out", own / "letters.csv.gz").code == 0


def test_a_rehearsal_changes_nothing(eqn: Eqn, own: Path, files_below: Callable[[Path], dict[str, bytes]]) -> None:
    """It says what would be erased, to people and to machines."""
    before = files_below(own / "store")
    said = eqn("release", "erase", "letters", "--id", "009", "--dry-run")
    facts = eqn("release", "erase", "letters", "--id", "009", "--id", "x", "--dry-run", "--json").json()

    assert "Nothing was changed." in said.out
    assert [(one["release"], one["rows"], one["inputs"]) for one in facts["releases"]] == [
        (1, 1, ["letters.csv"]),
        (2, 1, ["letters.csv"]),
    ]
    assert facts["not_found"] == ["the id x"]
    assert files_below(own / "store") == before


def test_without_a_terminal_it_wants_a_yes(
    eqn: Eqn, own: Path, files_below: Callable[[Path], dict[str, bytes]]
) -> None:
    """Exit code 2 with how many rows it would be, and nothing is changed."""
    before = files_below(own / "store")
    refused = eqn("release", "erase", "letters", "--id", "009")

    assert refused.code == 2
    assert "2 rows in 2 releases" in refused.err
    assert "--yes" in refused.err
    assert files_below(own / "store") == before


@pytest.mark.parametrize(("answer", "code", "erased"), [("y\n", 0, True), ("n\n", 0, False), ("", 130, False)])
def test_at_a_terminal_it_asks(
    eqn: Eqn, own: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, *, erased: bool
) -> None:
    """Neither a no nor the end of the input changes anything."""
    terminal = io.StringIO(answer)
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    done = eqn("release", "erase", "letters", "--id", "009")

    assert done.code == code
    assert (own / "store/letters/erasures/1.json").exists() == erased


def test_what_is_not_there_is_told_and_not_recorded(eqn: Eqn, own: Path) -> None:
    """Exit code 2 with how many rows were looked at; --record-only writes the record all the same."""
    refused = eqn("release", "erase", "letters", "--id", "404", "--yes")
    assert refused.code == 2
    assert "none of 13 rows" in refused.err
    assert not (own / "store/letters/erasures").exists()

    done = eqn("release", "erase", "letters", "--id", "404", "--yes", "--record-only", "--json")
    assert (done.code, done.json()["record"], done.json()["releases"]) == (0, 1, [])
    assert "404" not in (own / "store/letters/erasures/1.json").read_text()


def test_the_same_order_and_resume_find_nothing_left(eqn: Eqn, own: Path) -> None:
    """Both may be given again and again; there stays one record."""
    order = ["release", "erase", "letters", "--id", "009", "--yes", "--json"]
    first, again, resumed = eqn(*order), eqn(*order), eqn("release", "erase", "letters", "--resume", "--json")

    assert [len(one.json()["releases"]) for one in (first, again, resumed)] == [2, 0, 0]
    assert [one.json()["record"] for one in (first, again, resumed)] == [1, 1, 1]


def test_after_an_interruption_all_reports_are_made_anew(eqn: Eqn, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows any more which there were."""
    from eqn.release import erasure

    conclude = erasure._conclude

    def dies(store: Any, dataset: str, number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt
        conclude(store, dataset, number)

    with monkeypatch.context() as patch:
        patch.setattr(erasure, "_conclude", dies)
        assert eqn("release", "erase", "letters", "--id", "009", "--yes").code == 130
    reports = own / "store/letters/reports/2"
    assert not (reports / "index.html").exists()
    assert eqn("release", "erase", "letters", "--resume").code == 0
    assert "wow" in (reports / "index.html").read_text()
    assert (reports / "drift.json").exists()
    assert "so sad" not in "".join(path.read_text() for path in reports.iterdir())


def test_a_commit_that_is_reconciled_is_redacted(eqn: Eqn, own: Path) -> None:
    """Its run had read its inputs before the erasure: what became of it is told first."""
    from eqn.release.catalog import read_manifest
    from eqn.store.interface import open_store

    store = open_store(str(own / "store"))
    manifest = read_manifest(store, "letters", 2)
    key = f"letters/commits/{manifest.folder}/2-{manifest.commit_id}.json"
    store.put(key, manifest.to_bytes())
    store.delete("letters/releases/2.json")
    assert eqn("release", "erase", "letters", "--id", "009", "--yes").code == 7
    done = eqn("release", "reconcile", "letters")

    assert done.code == 0
    assert "the erasures are applied to it" in done.out
    assert "so sad" not in (own / "store/letters/reports/2/index.html").read_text()
    assert eqn("release", "verify", "letters", "2").code == 0
    assert eqn("release", "erase", "letters", "--resume", "--json").json()["releases"] == []


def test_rows_are_named_in_a_file(eqn: Eqn, own: Path) -> None:
    """An id on each line, or a text's digest; as a spreadsheet writes them, too."""
    names = own / "names.txt"
    names.write_bytes(f"\ufeff009\r\n\r\ntext-sha256:{hashlib.sha256(b'one').hexdigest()}\r\n".encode())
    done = eqn("release", "erase", "letters", "--from", names, "--yes", "--json").json()

    assert [(one["release"], one["rows"]) for one in done["releases"]] == [(1, 1), (2, 2)]
    assert done["inputs_that_hold_them"] == ["letters.csv", "more.txt"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either rows to erase or --resume"),
        (["--resume", "--id", "1"], "either rows to erase or --resume"),
        (["--text-sha256", "thank you", "--text-sha256", "ab"], "'ab' is no sha256"),
        (["--id", ""], "an id is empty"),
        (["--from", "nowhere.txt"], "nowhere.txt"),
        (["--resume", "--store", "nowhere"], "there is none"),
    ],
)
def test_an_order_that_cannot_be_taken_is_refused(eqn: Eqn, own: Path, arguments: list[str], said: str) -> None:
    """Exit code 2 and what is wrong with it."""
    refused = eqn("release", "erase", "letters", *arguments, "--yes")

    assert refused.code == 2
    assert said in refused.err
    assert "Traceback" not in refused.err


def test_a_damaged_release_is_named_and_the_others_are_done(eqn: Eqn, own: Path) -> None:
    """Exit code 8, and after its removal the erasure ends."""
    manifest = json.loads((own / "store/letters/releases/1.json").read_text())
    part = own / "store" / manifest["path"] / "data/part-00000.parquet"
    content = part.read_bytes()
    part.unlink()
    done = eqn("release", "erase", "letters", "--id", "009", "--yes", "--json")

    assert done.code == 8
    assert "part-00000" in done.err
    assert [one["release"] for one in done.json()["releases"]] == [2]
    part.write_bytes(content)
    resumed = eqn("release", "erase", "letters", "--resume", "--json")
    assert [one["release"] for one in resumed.json()["releases"]] == [1]
    assert resumed.code == 0
