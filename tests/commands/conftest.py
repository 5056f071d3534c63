"""A corpus, a state folder with two trained models, and a way to call `eqn` in this process."""

import contextlib
import dataclasses
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from eqn.cli import run
from eqn.emotions import EMOTIONS, MEANINGS
from eqn.training.recipes import PLAIN, RECIPES


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Give the one JSON value on standard output; anything else there is an error."""
        return json.loads(self.out)


Command = Callable[..., Done]


def call(*arguments: object) -> Done:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = run([str(argument) for argument in arguments])
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Splits in which every emotion stands twice in train, once in dev, once in test."""
    folder = tmp_path_factory.mktemp("data") / "small"
    folder.mkdir()
    for split, times in (("train", 2), ("dev", 1), ("test", 1)):
        lines = [
            f"{split} {time}: {MEANINGS[name]}\t{label}\t{split}-{time}-{label}\n"
            for time in range(times)
            for label, name in enumerate(EMOTIONS)
        ]
        (folder / f"{split}.tsv").write_text("".join(lines), "utf-8")
    return folder


QUICK = dataclasses.replace(PLAIN, name="quick", epochs=1, least_steps=8, learning_rate=1e-2, checks=1)
"""A recipe of a few steps beside the real ones: --recipe quick."""


@pytest.fixture(scope="module", autouse=True)
def quick_recipe() -> Iterator[None]:
    """The tests of commands know the quick recipe, those of other rooms do not."""
    torch.set_num_threads(1)  # small networks are faster so
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "quick", QUICK)
        yield


class State(NamedTuple):
    """A state folder with two registered models, the first one champion, and what the commands said on the way."""

    home: Path
    package: Path
    """The champion's package."""
    trained: list[Done]
    promoted: Done


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory, corpus_folder: Path) -> State:
    home = tmp_path_factory.mktemp("state") / "home"
    options = ["--data", corpus_folder, "--backbone", "tiny", "--recipe", "quick", "--json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQN_HOME", str(home))
        patch.setitem(RECIPES, "quick", QUICK)  # this fixture comes before the one above
        trained = [call("train", *options, "--seed", "0")]
        promoted = call("promote", "--data", corpus_folder, "--json")
        trained.append(call("train", *options, "--seed", "1"))
        champion = next(row for row in call("models", "list", "--json").json() if "champion" in row["aliases"])
    return State(home, home / "models" / champion["digest"], trained, promoted)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty directory, with a state folder of its own that is not there yet."""
    for name in ("GOEMOTIONS", "INBOX", "STORE", "TRACKING_URI"):
        monkeypatch.delenv(f"EQN_{name}", raising=False)
    monkeypatch.setenv("EQN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # for those who start a process
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture(scope="session")
def eqn() -> Command:
    """Give the command line: `eqn("release", "list")` calls it and gives exit code, output and messages."""
    return call


@pytest.fixture
def with_models(state: State, monkeypatch: pytest.MonkeyPatch) -> State:
    """The state folder with models is the one in use."""
    monkeypatch.setenv("EQN_HOME", str(state.home))
    return state


@pytest.fixture
def letters(elsewhere: Path) -> Path:
    """A file of five rows, one of which is quarantined."""
    path = elsewhere / "letters.csv"
    path.write_text("id,text,author\n007,NA,ann\n008,thank you,bob\n009,so sad,bob\n010, ,bob\n011,wow,ann\n", "utf-8")
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    """Give every file below a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def files_below() -> Callable[[Path], dict[str, bytes]]:
    return snapshot
