"""`eqn models` and `eqn promote`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Eqn = Callable[..., Any]


@pytest.fixture
def own_models(state: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with two models that this test may change."""
    home = tmp_path / "own"
    shutil.copytree(state.home, home)
    monkeypatch.setenv("EQN_HOME", str(home))
    return home


def test_models_are_listed_newest_first(eqn: Eqn, with_models: Any) -> None:
    """Machines get every fact; people a table."""
    rows = eqn("models", "list", "--json").json()
    table = eqn("models", "list")

    assert [(row["version"], row["aliases"]) for row in rows] == [(2, ["challenger"]), (1, ["champion"])]
    assert {"digest", "recipe", "corpus", "metrics", "created", "decision"} <= rows[0].keys()
    assert rows[1]["metrics"]["dev"]["macro_f1"] == with_models.trained[0].json()["metrics"]["dev"]["macro_f1"]
    assert (table.code, table.err) == (0, "")
    assert [line.split()[0] for line in table.out.splitlines() if "quick" in line] == ["2", "1"]


def test_without_a_model_it_says_how_to_get_one(eqn: Eqn) -> None:
    """No model is no error."""
    assert eqn("models", "list").out == "No model yet. Train one: eqn train\n"
    assert eqn("models", "list", "--json").json() == []


def test_the_first_model_was_promoted_with_its_reasons(state: Any) -> None:
    """The decision is one JSON value."""
    decision = state.promoted.json()

    assert (decision["promote"], decision["candidate"], decision["champion"]) == (True, 1, None)
    assert decision["reasons"]


def test_promoting_decides_and_says_why(eqn: Eqn, own_models: Path, corpus_folder: Path) -> None:
    """The challenger is compared with the champion; whichever wins, the reasons are told, and asking again agrees."""
    decision = eqn("promote", "--data", corpus_folder, "--json").json()
    said = eqn("promote", "2", "--data", corpus_folder)

    assert (decision["candidate"], decision["champion"]) == (2, 1)
    champion = next(row["version"] for row in eqn("models", "list", "--json").json() if "champion" in row["aliases"])
    assert champion == (2 if decision["promote"] else 1)
    assert said.code == 0
    assert said.out.startswith("Version 2 ")
    if not decision["promote"]:
        assert said.out == "\n".join(["Version 2 was not promoted:", *(f"  {r}" for r in decision["reasons"]), ""])


def test_an_earlier_champion_comes_back(eqn: Eqn, own_models: Path) -> None:
    """By its number, and then back again by none."""
    there = eqn("models", "rollback", "2", "--json").json()
    back = eqn("models", "rollback")

    assert there == {"before": 1, "after": 2}
    assert back.out == "Version 1 is champion now; before, it was version 2.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["models", "rollback", "7"], "no version 7"),
        (["models", "rollback", "0"], "greater than or equal to 1"),
        (["models", "rollback"], "no champion before"),
        (["promote", "7"], "found none"),
        (["promote", "0"], "greater than or equal to 1"),
        (["promote", "one"], "valid integer"),
    ],
)
def test_a_version_that_is_not_there_is_told(
    eqn: Eqn, with_models: Any, corpus_folder: Path, arguments: list[str], said: str
) -> None:
    """Exit code 2, the versions there are, and the champion stays."""
    options = ["--data", corpus_folder] if arguments[0] == "promote" else []
    done = eqn(*arguments, *options)

    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    rows = json.loads(eqn("models", "list", "--json").out)
    assert [row["version"] for row in rows if "champion" in row["aliases"]] == [1]
