"""Promises about training in several processes: two real ones on the CPU, started by torchrun."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch.distributed import TCPStore

from eqn.corpus.goemotions import Corpus
from eqn.emotions import EMOTIONS, MEANINGS
from eqn.errors import UsageError
from eqn.model.backbone import load_backbone
from eqn.model.package import read_package
from eqn.training.distributed import Team, joined, present_team
from eqn.training.recipes import PAPER, Recipe

CorpusWriter = Callable[..., Corpus]
CHILD = Path(__file__).with_name("one_of_many.py")
PROJECT = Path(__file__).parents[2]
STAGE_A, STAGE_B = "stage A fold 1 of 2", "stage B"

RECIPE = Recipe(
    name="two stages", folds=2, max_tokens=32, batch_size=16, epochs=1, least_steps=24, learning_rate=1e-3, checks=4,
    dropout=0.0,
)  # fmt: skip


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    err: str


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory, write_corpus: CorpusWriter) -> dict[str, Any]:
    """What is to be trained: 61 rows, which make batches of 16 and one of 13, and an encoder without dropout."""
    draw = np.random.default_rng(0)
    kinds = {17: "la", 2: "gr", 27: "one"}
    rows = []
    for number in range(61):
        label = list(kinds)[number % 3]
        words = [kinds[label] * int(draw.integers(1, 4)) for _ in range(draw.integers(2, 6))]
        rows.append((" ".join([*words, str(number)]), [label]))
    folder = tmp_path_factory.mktemp("backbone") / "bert"
    tiny = load_backbone("tiny", cache=folder, seed=0)
    tiny.encoder.save_pretrained(folder)
    tiny.tokenizer.save(str(folder / "tokenizer.json"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return {
        "corpus": write_corpus(rows).ref.path,
        "recipe": RECIPE.values(),
        "backbone": str(folder),
        "seed": 3,
    }


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT), "GLOO_SOCKET_IFNAME": "lo", **more}


def _torchrun(*command: str) -> Ended:
    """Let torchrun start two processes, in a process group of their own, and wait for them."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [*torchrun, *command], env=_environment(), capture_output=True, text=True, check=False, start_new_session=True
    )
    return Ended(done.returncode, done.stderr + done.stdout)


def _by_two(facts: dict[str, Any], folder: Path, **more: Any) -> Ended:
    """Train by two processes into `folder`."""
    (folder / "notes").mkdir(exist_ok=True, parents=True)
    told = {**facts, "out": str(folder / "model"), "notes": str(folder / "notes"), **more}
    return _torchrun(str(CHILD), json.dumps(told))


def _by_one(facts: dict[str, Any], folder: Path, **more: Any) -> Ended:
    """Train by one process into `folder`, as without torchrun."""
    (folder / "notes").mkdir(parents=True)
    told = {**facts, "out": str(folder / "model"), "notes": str(folder / "notes"), **more}
    done = subprocess.run(
        [sys.executable, str(CHILD), json.dumps(told)], env=_environment(), capture_output=True, text=True, check=False
    )
    return Ended(done.returncode, done.stderr)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def _events(folder: Path) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads((folder / "notes" / "events.json").read_text("utf-8"))
    return events


def _gradients(folder: Path, batch: int) -> dict[str, NDArray[np.float32]]:
    return dict(np.load(folder / "notes" / f"gradients-{batch}.npz"))


def test_two_processes_train_the_network_that_one_trains(tmp_path: Path, facts: dict[str, Any]) -> None:
    """Gradients of batches with even, odd and single rows, both stages' history, and the package at the end."""
    batches = [16, 13, 1]
    one, two = tmp_path / "one", tmp_path / "two"
    for ended in (_by_one(facts, one, batches=batches), _by_two(facts, two, batches=batches)):
        assert ended.code == 0, ended.err

    for batch in batches:
        alone, together = _gradients(one, batch), _gradients(two, batch)
        assert alone.keys() == together.keys()
        assert np.abs(alone["head.weight"]).max() > 1e-3
        for name, gradient in alone.items():
            np.testing.assert_allclose(together[name], gradient, rtol=1e-4, atol=1e-6, err_msg=f"{name} of {batch}")

    for figure, tolerance in (("stage", 0), ("step", 0), ("learning_rate", 0), ("loss", 1e-3), ("dev_score", 1e-6)):
        alone, together = (
            [event[figure] for event in _events(folder) if event[figure] is not None] for folder in (one, two)
        )
        assert len(alone) > 3
        assert together == (pytest.approx(alone, rel=tolerance) if tolerance else alone), figure

    expected, found = _weights(one), _weights(two)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-4)

    packages = [read_package(folder / "model") for folder in (one, two)]
    assert packages[0].training_key == packages[1].training_key
    assert packages[0].recipe == packages[1].recipe
    assert sorted(path.name for path in two.iterdir()) == ["model", "notes"]


def _without_torchrun(facts: dict[str, Any], folder: Path, **more: Any) -> list[Ended]:
    """Start both processes as torchrun does, but let them end by themselves: it would stop one when the other fails."""
    (folder / "notes").mkdir()
    told = {**facts, "out": str(folder / "model"), "notes": str(folder / "notes"), **more}
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    meeting = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "WORLD_SIZE": "2",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, str(CHILD), json.dumps(told)],
            env=_environment(RANK=str(rank), LOCAL_RANK=str(rank), **meeting),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    return [Ended(process.wait(), err) for process, (_, err) in [(p, p.communicate()) for p in processes]]


def _said(ended: Sequence[Ended]) -> list[str]:
    return [line for process in ended for line in process.err.splitlines() if line.startswith("eqn: ")]


@pytest.mark.stack
@pytest.mark.parametrize(
    ("fails", "code", "said"),
    [
        ({"leader": [STAGE_B, 10]}, 6, "No space left"),
        ({"follower": [STAGE_A, 5]}, 8, "a follower's own fault"),
    ],
)
def test_an_error_in_one_process_ends_both_with_one_message(
    tmp_path: Path, facts: dict[str, Any], fails: dict[str, Any], code: int, said: str
) -> None:
    """Both have the exit code of the one that failed, which alone says why; nobody waits for the other."""
    ended = _without_torchrun(facts, tmp_path, fails=fails)

    assert [process.code for process in ended] == [code, code], ended
    (line,) = _said(ended)
    assert said in line
    assert not any("Traceback" in process.err for process in ended)
    assert not any("interpreter's own end" in process.err for process in ended)  # torch may abort it there
    assert not (tmp_path / "model").exists()


@pytest.mark.stack
def test_a_process_that_vanishes_ends_the_training_with_advice(tmp_path: Path, facts: dict[str, Any]) -> None:
    """A follower that the system killed says nothing; the leader does, and another run goes on."""
    leader, follower = _without_torchrun(facts, tmp_path, fails={"kill": [STAGE_B, 20]})

    assert (leader.code, follower.code) == (1, -signal.SIGKILL)
    assert _said([leader, follower]) == [
        "eqn: the other processes of this training cannot be reached any more; it does not go on without them."
    ]
    assert "goes on from the last checkpoint" in leader.err
    assert _by_two(facts, tmp_path).code == 0
    assert [(event["stage"], event["step"]) for event in _events(tmp_path)] == [(STAGE_B, 20), (STAGE_B, 24)]


@pytest.mark.stack
@pytest.mark.parametrize("recipe", [RECIPE, dataclasses.replace(PAPER, batch_size=16, max_tokens=32)])
def test_a_killed_training_of_two_processes_goes_on_and_ends_with_the_same_bits(
    tmp_path: Path, facts: dict[str, Any], recipe: Recipe
) -> None:
    """kill -9 for torchrun and both processes, with dropout in all of them: two processes go on."""
    with_dropout = {**facts, "backbone": "tiny", "recipe": dataclasses.replace(recipe, dropout=0.2).values()}
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert _by_two(with_dropout, undisturbed).code == 0
    assert _by_two(with_dropout, killed, fails={"all": [STAGE_B, 20]}).code == -signal.SIGKILL
    assert not (killed / "model").exists()
    ended = _by_two(with_dropout, killed)

    assert ended.code == 0, ended.err
    assert _events(killed)[0]["stage"] == STAGE_B
    assert _events(killed)[0]["step"] == 20
    assert read_package(killed / "model").digest == read_package(undisturbed / "model").digest


@pytest.fixture(scope="module")
def command(write_corpus: CorpusWriter) -> list[str]:
    """`eqn train` for torchrun, on a corpus that keeps the contract: every emotion is there."""
    rows = {split: [(f"{split} {row % 2}: {MEANINGS[EMOTIONS[row // 2]]}", [row // 2]) for row in range(56)]
            for split in ("train", "other")}  # fmt: skip
    folder = write_corpus(rows["train"], rows["other"]).ref.path
    eqn = str(Path(sys.executable).with_name("eqn"))
    changes = ["least_steps=8", "epochs=1", "checks=2"]
    options = [part for change in changes for part in ("--set", change)]
    return [eqn, "train", "--data", folder, "--backbone", "tiny", *options]


@pytest.mark.stack
def test_the_command_under_torchrun_says_everything_once(tmp_path: Path, command: list[str]) -> None:
    """One progress, one table, one package that is whole; again, it is only named; a wrong call is refused once."""
    out = str(tmp_path / "model")
    first, again = _torchrun(*command, "--out", out), _torchrun(*command, "--out", out)

    assert (first.code, again.code) == (0, 0), first.err
    assert first.err.count("stage B: step 8 of 8") == 1
    assert first.err.count("macro F1") == first.err.count("Next: eqn annotate") == 1
    package = read_package(Path(out))
    assert package.recipe["least_steps"] == 8
    assert "step" not in again.err
    assert again.err.count("Next: eqn annotate") == 1

    wrong = _torchrun(*command, "--out", out, "--recipe", "nope")
    assert wrong.err.count("eqn: ") == 1
    assert "expected a recipe among" in wrong.err
    assert "exitcode  : 2" in wrong.err


@pytest.mark.stack
def test_a_model_that_two_processes_trained_is_registered_once(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process validates, tracks and registers; the other one takes part in the training alone."""
    monkeypatch.setenv("EQN_HOME", str(tmp_path / "home"))
    ended = _torchrun(*command, "--json")

    assert ended.code == 0, ended.err
    assert ended.err.count('"model": "eqn version 1"') == 1
    eqn = [str(Path(sys.executable).with_name("eqn")), "models", "list", "--json"]
    listed = subprocess.run(eqn, capture_output=True, text=True, check=True, env=_environment())
    (row,) = json.loads(listed.stdout)
    assert row["digest"] == read_package(tmp_path / "home" / "models" / row["digest"]).digest


PROGRAM = """
import atexit, sys
from eqn.training.distributed import leave

atexit.register(print, ", at its end", end="")
def talk():
    print("said", end="")
    print("told", end="", file=sys.stderr)
    {ending}
leave(talk)
"""


def _left(ending: str, team: dict[str, str], stdout: int = subprocess.PIPE) -> tuple[int, str | None, str]:
    """Run the program to its end, with its output kept back until then."""
    command = [sys.executable, "-c", PROGRAM.format(ending=ending)]
    environment = _environment(PYTHONUNBUFFERED="", **team)
    done = subprocess.run(command, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


ONE_OF_TWO = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}


@pytest.mark.parametrize(
    ("ending", "code"),
    [("return 0", 0), ("return 6", 6), ("raise SystemExit(6)", 6), ("sys.exit()", 0)],
)
def test_a_process_of_a_team_ends_without_the_interpreters_own_end(ending: str, code: int) -> None:
    """There, torch's threads may abort it: also where `joined` ends it for another one's failure. Nothing is lost."""
    assert _left(ending, ONE_OF_TWO) == (code, "said", "told")


def test_a_process_by_itself_ends_as_every_program() -> None:
    """What waits for the interpreter's end is done."""
    assert _left("return 6", {}) == (6, "said, at its end", "told")


def test_a_process_of_a_team_keeps_its_exit_code_where_nobody_reads_its_output() -> None:
    """No traceback says that the reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    left = _left("return 6", ONE_OF_TWO, stdout=writer)
    os.close(writer)
    assert left == (6, None, "told")


@given(rows=st.lists(st.integers(0, 99), unique=True, max_size=40), size=st.integers(1, 9))
def test_every_row_of_a_batch_is_computed_by_exactly_one_process(rows: list[int], size: int) -> None:
    """Also where there are fewer rows than processes; no process has two rows more than another."""
    parts = [Team(rank=rank, size=size).part(rows) for rank in range(size)]
    assert sorted(row for part in parts for row in part) == sorted(rows)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def _draws(team: Team, *, step: int) -> list[float]:
    torch.manual_seed(5)
    team.seed(7, step)
    drawn: list[float] = torch.rand(3).tolist()
    return drawn


def test_every_process_draws_its_own_dropout_at_every_step() -> None:
    """The leader goes on in its own stream; the others' draws differ by step and rank, and can be repeated."""
    torch.manual_seed(5)
    untouched = torch.rand(3).tolist()
    assert _draws(Team(), step=1) == _draws(Team(size=2), step=2) == untouched
    others = [_draws(Team(rank=rank, size=3), step=step) for rank in (1, 2) for step in (1, 2)]
    assert len({*map(tuple, others), tuple(untouched)}) == 5
    assert _draws(Team(rank=1, size=3), step=1) == others[0]


@pytest.fixture
def like_torchrun(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables that torchrun sets, for one process of two, but not where the others are."""
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_process_that_torchrun_did_not_start_is_by_itself(like_torchrun: pytest.MonkeyPatch) -> None:
    """It waits for nobody: without the variables, and where torchrun started a single process."""
    assert present_team() == Team()  # nothing was joined yet
    like_torchrun.setenv("WORLD_SIZE", "1")
    with joined() as team:
        assert team == Team() == present_team()
    like_torchrun.delenv("LOCAL_RANK")
    like_torchrun.setenv("WORLD_SIZE", "2")
    with joined() as team:
        assert team == Team()
        assert team.leads
        assert team.from_leader(lambda: 7) == 7
    total = torch.ones(2)
    team.add_up([total])
    assert total.tolist() == [1, 1]


@pytest.mark.usefixtures("like_torchrun")
def test_processes_that_cannot_find_each_other_are_a_wrong_call() -> None:
    """The message names torchrun."""
    with pytest.raises(UsageError, match="torchrun --nproc-per-node"), joined():
        pass
