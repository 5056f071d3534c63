"""What the commands share: the two outputs, and how models, corpora and stores are named."""

import json
from pathlib import Path
from typing import Any

import pytest

from eqn.commands.shared import corpus_in, package_of, print_json, say, store_at
from eqn.errors import ArtifactRefused, UsageError
from eqn.store.directory import DirectoryStore


def test_figures_that_are_no_numbers_become_null(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has neither NaN nor infinity; everything else is printed as it is."""
    print_json({"a": float("nan"), "b": [1.5, float("-inf"), {"c": float("inf")}], "d": "naïve", "e": None, "f": True})

    out = capsys.readouterr().out
    assert json.loads(out) == {"a": None, "b": [1.5, None, {"c": None}], "d": "naïve", "e": None, "f": True}
    assert "naïve" in out


def test_a_line_is_said_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """No markup, no emoji, no colour, no line break: what is printed can be copied."""
    line = f"[bold]/path/:smile:/{'x' * 300}/[/]\\"
    say(line)

    assert capsys.readouterr() == (line + "\n", "")


def test_a_package_is_read_without_settings(state: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with a package needs neither mlflow.yaml nor a registry."""
    monkeypatch.chdir(state.package.parent)

    assert package_of(state.package.name).digest == state.package.name


def test_a_directory_that_is_no_package_is_refused(elsewhere: Path) -> None:
    """It is there, and it is no model."""
    (elsewhere / "folder").mkdir()

    with pytest.raises(ArtifactRefused, match=r"eqn\.json is missing"):
        package_of("folder")


def test_the_settings_name_what_is_not_named(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EQN_STORE, else the state folder; EQN_GOEMOTIONS, else the sample."""
    home = store_at(None)
    monkeypatch.setenv("EQN_STORE", str(elsewhere / "team"))
    monkeypatch.setenv("EQN_GOEMOTIONS", str(elsewhere / "nowhere"))

    assert isinstance(home, DirectoryStore)
    assert home.root == elsewhere.with_name("home") / "releases"
    assert store_at(None).address("x") == str(elsewhere / "team" / "x")
    assert store_at("mine").address("x") == "mine/x"
    with pytest.raises(UsageError, match="nowhere"):
        corpus_in(None)
