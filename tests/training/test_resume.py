"""Promises about interruptions: a training that was stopped or killed ends as if nothing had happened."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eqn.errors import ArtifactRefused, UsageError
from eqn.model.package import Package, write_package
from eqn.training import loop, run
from eqn.training.progress import Event, Listener
from eqn.training.run import Order, train

OrderMaker = Callable[..., Order]
FOLD_1, FOLD_2, STAGE_B = "stage A fold 1 of 2", "stage A fold 2 of 2", "stage B"


class Stopped(Exception):
    """Raised by a listener."""


def _stop_at(stage: str, step: int, heard: list[Event]) -> Listener:
    def listen(event: Event) -> None:
        heard.append(event)
        if (event.stage, event.step) == (stage, step):
            raise Stopped

    return listen


@pytest.fixture(scope="module")
def undisturbed_digest(tmp_path_factory: pytest.TempPathFactory, order_at: OrderMaker) -> str:
    """The digest of the package that a training gives when nobody disturbs it."""
    return train(order_at(tmp_path_factory.mktemp("undisturbed") / "model")).digest


@pytest.fixture
def every_step_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint and an event at every step, instead of every minute and every ten steps."""
    monkeypatch.setattr(loop, "_SECONDS_BETWEEN_CHECKPOINTS", -1.0)
    monkeypatch.setattr(loop, "_STEPS_BETWEEN_EVENTS", 1)


@pytest.mark.parametrize(
    ("stage", "step"), [(FOLD_1, 1), (FOLD_1, 7), (FOLD_2, 1), (FOLD_2, 9), (STAGE_B, 4), (STAGE_B, 18), (STAGE_B, 24)]
)
@pytest.mark.usefixtures("every_step_kept")
def test_a_stopped_training_goes_on_and_ends_with_the_same_bits(
    tmp_path: Path, toy_order: OrderMaker, undisturbed_digest: str, stage: str, step: int
) -> None:
    """Stopped anywhere, in either stage: the second run starts at the very step that was lost, and ends the same."""
    order = toy_order()
    first: list[Event] = []
    with pytest.raises(Stopped):
        train(order, _stop_at(stage, step, first))
    assert not order.out.exists()
    second: list[Event] = []
    package = train(order, second.append)
    assert (second[0].stage, second[0].step) == (stage, step)
    assert len(first) - 1 + len(second) == 2 * 24 + 24
    assert package.digest == undisturbed_digest
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.usefixtures("every_step_kept")
def test_a_training_that_is_stopped_again_and_again_ends_with_the_same_bits(
    tmp_path: Path, toy_order: OrderMaker, undisturbed_digest: str
) -> None:
    """Four stops, one after another."""
    order = toy_order()
    for stage, step in ((FOLD_1, 5), (FOLD_1, 6), (FOLD_2, 20), (STAGE_B, 12)):
        with pytest.raises(Stopped):
            train(order, _stop_at(stage, step, []))
    assert train(order).digest == undisturbed_digest


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"averaging": 0.9}, 1),
        ({"averaging": 0.9}, 7),
        ({"averaging": 0.9}, 16),
        ({"r_drop": 1.0, "dropout": 0.3}, 7),
        ({"masking": 0.3}, 7),
        ({"averaging": 0.99, "r_drop": 0.5, "masking": 0.2, "layer_decay": 0.8, "loss": "focal", "groups": 0.3,
          "freeze_embeddings": True, "final_rate": 0.2, "label_smoothing": 0.1}, 11),
    ],
    ids=["the first step of a mean", "a mean", "a mean at its end", "R-Drop", "masking", "all at once"],
)  # fmt: skip
@pytest.mark.usefixtures("every_step_kept")
def test_what_a_recipe_adds_survives_a_stop(
    tmp_path: Path, toy_order: OrderMaker, changes: dict[str, Any], step: int
) -> None:
    """A running mean, second passes and hidden words: stopped between two checks, the package has the same bits."""
    recipe = dataclasses.replace(toy_order().recipe, folds=0, least_steps=16, checks=2, **changes)
    undisturbed = train(toy_order(recipe=recipe, out=tmp_path / "undisturbed"))
    plain = train(toy_order(recipe=dataclasses.replace(toy_order().recipe, folds=0, least_steps=16, checks=2),
                            out=tmp_path / "plain"))  # fmt: skip
    order = toy_order(recipe=recipe)
    with pytest.raises(Stopped):
        train(order, _stop_at("training", step, []))
    second: list[Event] = []
    package = train(order, second.append)
    assert second[0].step == step
    assert package.digest == undisturbed.digest
    assert _weights_digest(package) != _weights_digest(plain)  # the recipe does make a difference


def _weights_digest(package: Package) -> str:
    return hashlib.sha256((package.path / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.usefixtures("every_step_kept")
def test_a_training_that_is_stopped_between_teachers_goes_on(tmp_path: Path, toy_order: OrderMaker) -> None:
    """In the third of eight networks of stage A: those that are done stay done, and the package is the same."""
    recipe = dataclasses.replace(toy_order().recipe, teachers=2, rounds=2, least_steps=8, checks=1)
    heard: list[Event] = []
    undisturbed = train(toy_order(recipe=recipe, out=tmp_path / "undisturbed"), heard.append)
    names = list(dict.fromkeys(event.stage for event in heard))
    assert len(names) == 2 * 2 * 2 + 1
    order, room = toy_order(recipe=recipe), tmp_path / "model.training"
    for number, step in ((2, 1), (5, 3)):
        with pytest.raises(Stopped):
            train(order, _stop_at(names[number], step, []))
        assert {path.name for path in room.glob("fold-*")} == {f"fold-{done}.npy" for done in range(number)}
    second: list[Event] = []
    assert train(order, second.append).digest == undisturbed.digest
    assert list(dict.fromkeys(event.stage for event in second)) == names[5:]
    assert second[0].step == 3


def test_checkpoints_at_dev_checks_are_enough(tmp_path: Path, toy_order: OrderMaker, undisturbed_digest: str) -> None:
    """With the usual checkpoints a run that is stopped after a check goes on from that check."""
    order = toy_order()
    with pytest.raises(Stopped):
        train(order, _stop_at(STAGE_B, 20, []))
    second: list[Event] = []
    assert train(order, second.append).digest == undisturbed_digest
    assert [(event.stage, event.step) for event in second] == [(STAGE_B, 20), (STAGE_B, 24)]


CHILD = """
import json, os, signal, sys
from pathlib import Path
import torch
from eqn.corpus.goemotions import load_corpus
from eqn.training.recipes import Recipe
from eqn.training.run import Order, train

def kill(event):
    if (event.stage, event.step) == ("stage B", 20):
        os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
facts = json.loads(sys.argv[1])
order = Order(
    corpus=load_corpus(Path(facts["corpus"]), name="toy"),
    recipe=Recipe(**facts["recipe"]),
    backbone="tiny",
    seed=facts["seed"],
    out=Path(facts["out"]),
    backbones=Path(facts["out"]),
)
train(order, kill)
"""


def test_a_killed_process_leaves_what_the_next_one_needs(
    tmp_path: Path, toy_order: OrderMaker, undisturbed_digest: str
) -> None:
    """A real kill -9 in stage B; another process goes on from the check before and gives the same package."""
    order = toy_order()
    facts = {
        "corpus": order.corpus.ref.path, "recipe": order.recipe.values(), "seed": order.seed, "out": str(order.out)
    }  # fmt: skip
    command = [sys.executable, "-c", CHILD, json.dumps(facts)]
    killed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = sorted(path.name for path in (tmp_path / "model.training").iterdir())
    assert left == ["fold-0.npy", "fold-1.npy", "key", "stage-0.safetensors"]
    assert not order.out.exists()
    second: list[Event] = []
    assert train(order, second.append).digest == undisturbed_digest
    assert second[0].step == 20


def test_a_training_killed_after_its_last_act_gives_its_package(
    tmp_path: Path, toy_order: OrderMaker, undisturbed_digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between the package and the tidying up: the next run finds the package, trains nothing, and tidies up."""
    order = toy_order()

    def write_and_stop(*facts: object, **more: object) -> Package:
        write_package(*facts, **more)  # type: ignore[arg-type]
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_package", write_and_stop)
        with pytest.raises(Stopped):
            train(order)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.training"]
    heard: list[Event] = []
    assert train(order, heard.append).digest == undisturbed_digest
    assert not heard
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_another_training_left_is_neither_gone_on_from_nor_lost(tmp_path: Path, toy_order: OrderMaker) -> None:
    """Another seed was stopped in the same place: the message says what to delete, and that one can still go on."""
    other = toy_order(seed=5)
    with pytest.raises(Stopped):
        train(other, _stop_at(STAGE_B, 20, []))
    heard: list[Event] = []
    with pytest.raises(UsageError, match=str(tmp_path / "model.training")):
        train(toy_order(), heard.append)
    assert not heard
    train(other, heard.append)
    assert [(event.stage, event.step) for event in heard] == [(STAGE_B, 20), (STAGE_B, 24)]


def test_somebodys_folder_is_no_place_for_state(tmp_path: Path, toy_order: OrderMaker) -> None:
    """Files that no training wrote are left alone; an empty folder, as after a kill in the first moment, is free."""
    room = tmp_path / "model.training"
    room.mkdir()
    (room / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(UsageError, match="it is another one"):
        train(toy_order())
    assert [path.read_text("utf-8") for path in room.iterdir()] == ["mine"]
    (room / "notes.txt").unlink()
    train(toy_order())
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_two_trainings_of_one_package_do_not_meet(toy_order: OrderMaker, undisturbed_digest: str) -> None:
    """While one is under way a second one of the same order is told so, and does not disturb the first."""
    order, refusals = toy_order(), []

    def listen(event: Event) -> None:
        if (event.stage, event.step) == (FOLD_2, 10):
            with pytest.raises(UsageError, match="under way in another process") as refusal:
                train(order)
            refusals.append(refusal)

    assert train(order, listen).digest == undisturbed_digest
    assert len(refusals) == 1


@pytest.mark.parametrize(("name", "stop"), [("stage-0.safetensors", (STAGE_B, 10)), ("fold-0.npy", (FOLD_2, 10))])
def test_a_damaged_state_is_refused_with_what_to_delete(
    tmp_path: Path, toy_order: OrderMaker, undisturbed_digest: str, name: str, stop: tuple[str, int]
) -> None:
    """Cut short, it is not gone on from and not silently thrown away; without the folder the training starts anew."""
    order = toy_order()
    with pytest.raises(Stopped):
        train(order, _stop_at(*stop, []))
    room = tmp_path / "model.training"
    os.truncate(room / name, (room / name).stat().st_size // 2)
    with pytest.raises(ArtifactRefused) as refusal:
        train(order)
    assert f"Delete {room}" in str(refusal.value)
    for path in room.iterdir():
        path.unlink()
    room.rmdir()
    assert train(order).digest == undisturbed_digest


def test_predictions_of_finished_folds_are_kept(tmp_path: Path, toy_order: OrderMaker) -> None:
    """What fold 1 answered stands on disk, for its 30 rows, while fold 2 is trained."""
    with pytest.raises(Stopped):
        train(toy_order(), _stop_at(FOLD_2, 10, []))
    kept = np.load(tmp_path / "model.training" / "fold-0.npy", allow_pickle=False)
    assert kept.shape == (30, 28)
    assert not (tmp_path / "model.training" / "fold-1.npy").exists()


def test_a_training_that_was_killed_after_its_out_of_fold_scores_knows_them_again(
    tmp_path: Path, toy_order: OrderMaker, undisturbed_digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their file is no obstacle to going on, unless somebody has put another one there."""
    order = toy_order(out_of_fold=tmp_path / "scores.parquet")

    def stopped(*_: object, **__: object) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(run, "write_package", stopped)
        with pytest.raises(Stopped):
            train(order)
    assert order.out_of_fold is not None
    written = order.out_of_fold.read_bytes()

    heard: list[Event] = []
    order.out_of_fold.write_bytes(b"somebody's")
    with pytest.raises(UsageError, match="there is one, and it stays as it is"):
        train(order, heard.append)
    assert heard == []

    order.out_of_fold.write_bytes(written)
    assert train(order).digest == undisturbed_digest
    assert order.out_of_fold.read_bytes() == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "scores.parquet"]
