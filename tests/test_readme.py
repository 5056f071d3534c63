"""What the README says is what the project does."""

import re
from pathlib import Path

import typer.main

from eqn.cli import app
from eqn.emotions import MEANINGS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_each_emotion_is_explained() -> None:
    """The README's table holds the names and meanings that the library holds."""
    table = dict(re.findall(r"^\| (\w+) \| (.+) \|$", README, flags=re.MULTILINE))

    assert {name: table.get(name) for name in MEANINGS} == MEANINGS


def test_each_command_exists() -> None:
    """Every `eqn ...` line of the README names a command that is there."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    named = set(re.findall(r"(?:^|^\$ |`)eqn ([a-z][\w-]*)", README, flags=re.MULTILINE))

    assert {"annotate", "release", "evaluate", "train"} <= named
    assert named <= set(commands)


def test_each_make_target_exists() -> None:
    """Every `make ...` of the README is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"make (\w+)", README)) & set(re.findall(r"`make (\w+)`", README)) | {"run"}

    assert named >= {"run", "ui", "test", "help"}
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in named)


def test_each_linked_file_exists() -> None:
    """No link of the README leads nowhere in the project."""
    links = re.findall(r"\]\(((?!https?://)[^)]+)\)", README)

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
