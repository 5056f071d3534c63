"""`eqn release`: what was published, where it is, and whether it is whole."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Eqn = Callable[..., Any]


@pytest.fixture(scope="module")
def store(state: Any, eqn: Eqn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two releases of `letters`, for tests that only look."""
    folder = tmp_path_factory.mktemp("published")
    letters, more = folder / "letters.csv", folder / "more.txt"
    letters.write_text("id,text\n007,NA\n008,thank you\n009,so sad\n010, \n011,wow\n")
    more.write_text("one\ntwo\n")
    options = ["--dataset", "letters", "--out", folder / "store", "--model", state.package]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQN_HOME", str(folder / "home"))
        assert eqn("annotate", letters, *options).code == 0
        assert eqn("annotate", letters, more, *options).code == 0
    return folder / "store"


@pytest.fixture
def own_store(store: Path, tmp_path: Path) -> Path:
    """A store that this test may harm."""
    return shutil.copytree(store, tmp_path / "own")


def test_releases_are_listed_newest_first(eqn: Eqn, store: Path) -> None:
    """For machines and for people."""
    rows = eqn("release", "list", "--store", store, "--json").json()
    table = eqn("release", "list", "letters", "--store", store)

    assert [(row["dataset"], row["release"], row["rows"], row["quarantined"]) for row in rows] == [
        ("letters", 2, 6, 1),
        ("letters", 1, 4, 1),
    ]
    assert (table.code, table.err) == (0, "")
    assert [line.split()[:2] for line in table.out.splitlines() if line.strip().startswith("letters")] == [
        ["letters", "2"],
        ["letters", "1"],
    ]


def test_an_empty_store_says_how_to_begin(eqn: Eqn) -> None:
    """No release is no error: people read what to do, machines an empty list."""
    assert eqn("release", "list").out == "No release yet. Publish one: eqn annotate FILE --dataset NAME\n"
    assert eqn("release", "list", "--json").json() == []


def test_a_release_is_shown_as_its_manifest(eqn: Eqn, store: Path) -> None:
    """Machines get the manifest itself; people its sums, inputs and files."""
    shown = eqn("release", "show", "letters", "1", "--store", store)

    assert eqn("release", "show", "letters", "1", "--store", store, "--json").json() == json.loads(
        (store / "letters/releases/1.json").read_text()
    )
    assert "5 rows in = 4 out + 1 quarantined" in shown.out
    assert "letters.csv" in shown.out
    assert "empty_text 1" in shown.out
    assert "data/part-00000.parquet" in shown.out


def test_the_latest_release_is_meant_unless_a_number_is_named(eqn: Eqn, store: Path) -> None:
    """`eqn release path` prints one line for other tools."""
    latest, second, first = (
        eqn("release", "path", "letters", *number, "--store", store) for number in ([], ["2"], ["1"])
    )

    assert latest == second
    assert latest.out != first.out
    assert (Path(latest.out.removesuffix("\n")) / "data/part-00001.parquet").is_file()
    assert eqn("release", "path", "letters", "--store", store, "--json").json() == {"path": latest.out.strip()}


def test_a_long_path_is_printed_on_one_line(eqn: Eqn, store: Path) -> None:
    """Paths are for copying: no line break is put in."""
    out = eqn("release", "path", "letters", "--store", store).out

    assert len(out) > 100
    assert out.count("\n") == 1


def test_a_whole_release_verifies(eqn: Eqn, store: Path) -> None:
    """Exit code 0, and how many files were read."""
    said = eqn("release", "verify", "letters", "--store", store)
    facts = eqn("release", "verify", "letters", "--store", store, "--json").json()

    assert said.code == 0
    assert facts == {"dataset": "letters", "release": 2, "files": facts["files"], "verified": True}
    assert f"all {facts['files']} files are as they were published" in said.out


@pytest.mark.parametrize("harm", ["flip", "remove"])
def test_a_changed_release_does_not(eqn: Eqn, own_store: Path, harm: str) -> None:
    """Exit code 8 and the file, whether a byte was changed or the file is gone; --json prints no success."""
    card = Path(eqn("release", "path", "letters", "--store", own_store).out.strip(), "README.md")
    content = card.read_bytes()
    card.unlink()
    if harm == "flip":
        card.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    done = eqn("release", "verify", "letters", "--store", own_store, "--json")

    assert (done.code, done.out) == (8, "")
    assert "README.md" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["show", "path", "verify"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["letters", "9"], "there are 1 to 2"),
        (["mails"], "there is none"),
        (["No such!"], "lower-case letters"),
        (["letters", "0"], "greater than or equal to 1"),
        (["letters", "two"], "valid integer"),
    ],
)
def test_a_release_that_is_not_there_is_told(
    eqn: Eqn, store: Path, command: str, arguments: list[str], said: str
) -> None:
    """Exit code 2, and what there is."""
    done = eqn("release", command, *arguments, "--store", store)

    assert done.code == 2
    assert said in done.err
    assert done.out == ""


def test_a_strangers_manifest_is_refused(eqn: Eqn, own_store: Path) -> None:
    """Exit code 8, with the place, and no traceback."""
    (own_store / "letters/releases/3.json").write_text('{"hello": "world"}')
    done = eqn("release", "show", "letters", "--store", own_store)

    assert done.code == 8
    assert "releases/3.json" in done.err
    assert "Traceback" not in done.err
