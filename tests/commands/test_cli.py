"""The command line as a whole: help, calls that cannot be taken, and how a process ends."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import eqn as package
from eqn.cli import app
from tests.small_disk import on_a_small_disk

Eqn = Callable[..., Any]

MAIN = [sys.executable, "-c", "from eqn.cli import main; main()"]

WITHOUT_THE_PIPELINE = """
import contextlib, dataclasses, io, json, sys
from importlib.machinery import PathFinder

class PoorFinder(PathFinder):
    missing = {"pydantic_settings", "pandas", "great_expectations", "mlflow", "sklearn", "prefect"}

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in cls.missing else super().find_spec(name, path, target)

sys.meta_path[:] = [PoorFinder if finder is PathFinder else finder for finder in sys.meta_path]

from eqn.cli import run
from eqn.training.recipes import PLAIN, RECIPES

RECIPES["quick"] = dataclasses.replace(PLAIN, name="quick", epochs=1, least_steps=2, checks=1)
ends = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
        ends.append((run(arguments), err.getvalue()))
print(json.dumps(ends))
"""


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give every command with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = [path for path, _ in commands(typer.main.get_command(app))]


def test_every_command_is_here() -> None:
    """The surface of the command line: a new command is added on purpose."""
    assert sorted(" ".join(path) for path in COMMANDS) == [
        *("annotate", "data corrected", "data fetch", "data show", "data votes", "evaluate", "import-checkpoint"),
        *("metrics serve", "metrics show", "models list", "models rollback", "promote", "quality label-issues"),
        *("release drift", "release erase", "release export", "release gc", "release list", "release path"),
        *("release reconcile", "release report", "release serve", "release show", "release verify", "store doctor"),
        *("store put", "train", "validate"),
    ]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(eqn: Eqn, path: tuple[str, ...]) -> None:
    """--help ends well, says what the command does, shows a call of this very command, and explains each option."""
    done = eqn(*path, "--help")

    assert (done.code, done.err) == (0, "")
    text = " ".join(done.out.split())
    assert re.search(rf"Examples?: (duckdb .*)?eqn {' '.join(path)}\b|eqn {' '.join(path)} inbox\)", text)
    assert eqn(*path, "-h").out == done.out
    options = re.findall(r"^  (?:-\w, )?--[\w-]+(?: \S+)?(.*)$", done.out, re.MULTILINE)
    assert len(options) >= 2


def test_every_command_speaks_to_machines() -> None:
    """Each one has --json."""
    for path, command in commands(typer.main.get_command(app)):
        assert "--json" in {name for option in command.params for name in option.opts}, path


def test_the_version_is_told(eqn: Eqn) -> None:
    """As one line."""
    assert eqn("--version") == (0, f"{package.__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["models"], ["release"], ["data"]])
def test_no_command_is_answered_with_help(eqn: Eqn, arguments: list[str]) -> None:
    """Whoever types too little sees what there is, and a script sees that nothing was done."""
    done = eqn(*arguments)

    assert done.code == 2
    assert "Commands:" in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["anotate"], "No such command 'anotate'"),
        (["release", "remove"], "No such command 'remove'"),
        (["annotate", "--txt", "hello"], "No such option: --txt"),
        (["annotate", "--text"], "--text"),
        (["release", "show"], "Missing argument"),
        (["train", "--seed", "zero"], "--seed"),
    ],
)
def test_an_unknown_word_is_told(eqn: Eqn, arguments: list[str], said: str) -> None:
    """Exit code 2, and one message that names it."""
    done = eqn(*arguments)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_any_directory_will_do(eqn: Eqn, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without mlflow.yaml and EQN_HOME in reach, the package's own settings serve, and the state is made here."""
    monkeypatch.delenv("EQN_HOME")

    assert eqn("models", "list", "--json").json() == []
    assert (elsewhere / ".eqn" / "mlflow" / "mlflow.db").is_file()


def test_a_bad_settings_file_is_told(eqn: Eqn, elsewhere: Path) -> None:
    """Exit code 2, with the file and what is wrong in it."""
    (elsewhere / "mlflow.yaml").write_text("experiment: 3\nsurprise: yes\n")
    done = eqn("models", "list")

    assert done.code == 2
    assert str(elsewhere / "mlflow.yaml") in done.err
    assert "surprise" in done.err


@pytest.mark.parametrize("command", [["validate", "letters.csv"], ["models", "list"]])
def test_a_state_folder_that_cannot_be_is_told(
    eqn: Eqn, letters: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Below a file no folder can be made: exit code 5, with the place, and no traceback."""
    monkeypatch.setenv("EQN_HOME", str(letters / "home"))
    done = eqn(*command)

    assert done.code == 5, done.err
    assert str(letters) in done.err
    assert "Traceback" not in done.err


def test_without_the_pipelines_packages_models_still_work(
    state: Any, corpus_folder: Path, letters: Path, elsewhere: Path
) -> None:
    """With torch alone one can train to a directory, evaluate and annotate a text; the rest names the extra."""
    model = str(state.package)
    works = [
        ["annotate", "--model", model, "--text", "hello"],
        ["evaluate", model, "--data", str(corpus_folder)],
        ["train", "--data", str(corpus_folder), "--recipe", "quick", "--backbone", "tiny", "--out", "new"],
    ]
    needs = [
        ["models", "list"],
        ["validate", str(letters)],
        ["annotate", str(letters), "--dataset", "x", "--model", model],
        ["train", "--data", str(corpus_folder)],
        ["promote", "--data", str(corpus_folder)],
        ["release", "list"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_PIPELINE, json.dumps(works + needs)],
        capture_output=True,
        text=True,
        check=True,
    )

    ends = json.loads(done.stdout)
    assert [code for code, _ in ends] == [0] * len(works) + [2] * len(needs), ends
    for _, err in ends[len(works) :]:
        assert "pip install 'eqn[pipeline]'" in err
        assert "Traceback" not in err
    assert (elsewhere / "new" / "model.safetensors").is_file()


def test_ctrl_c_ends_a_training_that_a_rerun_resumes(corpus_folder: Path, elsewhere: Path) -> None:
    """Exit code 130 and one sentence; no half-written package is left, but the place to go on from is."""
    options = ["train", "--data", str(corpus_folder), "--recipe", "plain", "--backbone", "tiny", "--out", "new"]
    process = subprocess.Popen(
        [*MAIN, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has them, and their children, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)

    assert first.startswith("training: step ")
    assert process.returncode == 130
    assert err.splitlines()[-1] == "eqn: interrupted. Run the same command again: finished work is kept."
    assert "Traceback" not in err
    assert out == ""
    assert [path.name for path in elsewhere.iterdir()] == ["new.training"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_early_is_no_failure(
    corpus_folder: Path, monkeypatch: pytest.MonkeyPatch, unbuffered: str
) -> None:
    """`eqn data show --json | head -1` ends in silence, whether Python keeps its output back or not."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    command = [*MAIN, "data", "show", "--json", "--data", str(corpus_folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None

    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=300) == 0


def test_a_full_disk_is_exit_code_6(state: Any, letters: Path, elsewhere: Path) -> None:
    """Publishing onto a disk of 16 KB: the place is named, and there is no traceback."""
    disk = elsewhere / "disk"
    disk.mkdir()
    options = ["annotate", "letters.csv", "--dataset", "x", "--out", "disk", "--model", str(state.package)]
    done = on_a_small_disk(disk, "16k", [*MAIN, *options])

    assert done.returncode == 6, done.stderr
    assert "expected room to write disk/x/files/" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_installed_command_is_this_one() -> None:
    """`eqn` stands beside the interpreter, and answers."""
    script = Path(sys.executable).with_name("eqn")
    if not script.is_file():
        pytest.skip("NOT RUN: the package is on the path, not installed")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, env=dict(os.environ))

    assert done.stdout == f"{package.__version__}\n"
