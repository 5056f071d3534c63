"""One process of a training in several, as torchrun starts them: `python one_of_many.py FACTS`, with FACTS in JSON.

Trains as `eqn train --out` does, in float32; the first process writes what its listener heard, and the gradients of
single steps, into the folder `facts["notes"]`.
"""

import atexit
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eqn.corpus.goemotions import load_corpus
from eqn.errors import ArtifactRefused
from eqn.exits import ending, translated
from eqn.model.backbone import load_backbone
from eqn.model.encoding import encode
from eqn.model.network import EmotionNetwork
from eqn.training import loop, run
from eqn.training.distributed import Team, joined, leave
from eqn.training.loop import Stage
from eqn.training.progress import Event
from eqn.training.recipes import Recipe
from eqn.training.run import Order, follow, train


def order_of(facts: dict[str, Any]) -> Order:
    """Give the order that `facts` describe."""
    return Order(
        corpus=load_corpus(Path(facts["corpus"]), name="toy"),
        recipe=Recipe(**facts["recipe"]),
        backbone=facts["backbone"],
        seed=facts["seed"],
        out=Path(facts["out"]),
        backbones=Path(facts["out"]).with_name("nothing-is-fetched"),
    )


def gradients(order: Order, team: Team, batch: int) -> dict[str, torch.Tensor]:
    """Give the gradient of the first batch of `batch` rows, and its loss, computed by the whole team."""
    backbone = load_backbone(order.backbone, cache=order.backbones, seed=order.seed)
    torch.manual_seed(1)
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.0)
    rows = order.corpus.train.texts[:batch]
    recipe = dataclasses.replace(order.recipe, clip=1e9)
    stage = Stage(
        name="a step",
        network=network.train(),
        ids=encode(backbone.tokenizer, rows, recipe.max_tokens).ids,
        targets=order.corpus.train.targets()[:batch],
        recipe=recipe,
        seed=0,
        precision=torch.float32,
        checkpoint=order.out,
        team=team,
    )
    step = loop._Run(stage)
    step.learn(0)
    found = {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}
    return found | {"loss": torch.tensor(step.mean_loss())}


def write_notes(facts: dict[str, Any], events: list[Event]) -> None:
    heard = [dataclasses.asdict(event) for event in events]
    Path(facts["notes"], "events.json").write_text(json.dumps(heard), "utf-8")


def kill_all() -> None:
    """Kill torchrun and all processes that it started, this one included, as when the machine goes down."""
    torchrun = os.getppid()
    processes = Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text("ascii").split()
    for process in (torchrun, *map(int, processes)):
        os.kill(process, signal.SIGKILL)


def main(facts: dict[str, Any]) -> int:
    torch.set_num_threads(1)
    run.fast_precision = lambda device: torch.float32  # bfloat16 would hide what is to be compared
    events: list[Event] = []
    fails, learn = facts.get("fails", {}), loop._Run.learn

    def listen(event: Event) -> None:
        events.append(event)
        if [event.stage, event.step] == fails.get("leader"):
            raise OSError(28, "No space left on device", "/somewhere")
        if [event.stage, event.step] == fails.get("all"):
            kill_all()

    def failing(self: Any, step: int) -> None:
        if not self.stage.team.leads and [self.stage.name, step] == fails.get("follower"):
            raise ArtifactRefused("a follower's own fault")
        if not self.stage.team.leads and [self.stage.name, step] == fails.get("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        learn(self, step)

    loop._Run.learn = failing  # type: ignore[method-assign]
    with joined() as team, translated():
        for batch in facts.get("batches", []):
            found = gradients(order_of(facts), team, batch)
            if team.leads:
                np.savez(Path(facts["notes"], f"gradients-{batch}.npz"), **found)
        if team.leads:
            train(order_of(facts), listen)
            write_notes(facts, events)
        else:
            follow()
    return 0


if __name__ == "__main__":
    atexit.register(print, "the interpreter's own end", file=sys.stderr)
    leave(lambda: ending(lambda: main(json.loads(sys.argv[1]))))
