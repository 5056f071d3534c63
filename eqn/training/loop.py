"""The loop: one network, one set of targets, to the end. Knows nothing of recipes' stages or of where results go."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from eqn.errors import UsageError
from eqn.model.batching import BatchPlan, sorted_batches
from eqn.model.encoding import padded
from eqn.model.network import EmotionNetwork
from eqn.model.scoring import autocast
from eqn.training.checkpoint import Place, load_checkpoint, save_checkpoint
from eqn.training.distributed import Team
from eqn.training.order import epoch_batches
from eqn.training.progress import Event, Listener
from eqn.training.recipes import Recipe

_SECONDS_BETWEEN_CHECKPOINTS = 60.0
_STEPS_BETWEEN_EVENTS = 10
_AT_ONCE = BatchPlan(rows=1024, tokens=4096)
"""What is computed together; 64 rows of 64 tokens fit."""

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"bce": binary_cross_entropy_with_logits, "mse": mse_loss}
"""Each recipe's loss of outputs and targets, both (rows, 28): the mean over all cells."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Stage:
    """One training from start to end."""

    name: str
    network: EmotionNetwork
    ids: Sequence[list[int]]
    """Token ids of the rows."""
    targets: NDArray[np.float32]
    """(rows, 28) in [0, 1]."""
    recipe: Recipe
    seed: int
    precision: torch.dtype
    checkpoint: Path
    score: Callable[[], float] | None = None
    """Gives a score of the network as it is, higher is better; None trains to the end and takes what is there."""
    scored_by: Literal["dev", "validation"] = "dev"
    """What the score is: dev's macro-F1, or the negative loss on held-out training rows."""
    team: Team = dataclasses.field(default_factory=Team)
    """The processes that train this together; each has a stage of its own, with all the rows."""


def fit(stage: Stage, listener: Listener) -> Place:
    """Train `stage.network` in place; it ends with its best weights, in evaluation mode.

    Goes on from `stage.checkpoint` when there is one.

    Raises:
        UsageError: the loss is no number any more.

    """
    torch.manual_seed(stage.seed)
    run = _Run(stage)
    found = load_checkpoint(stage.checkpoint, stage.network, run.optimizer)
    place, best = found or (Place(), {})
    stage.team.agree(place.step, f"the step at which {stage.checkpoint} stands")
    saved = time.monotonic()
    stage.network.train()
    for step in range(place.step, run.steps):
        run.learn(step)
        place.step = step + 1
        due = stage.score is not None and run.check_due(place.step)
        if due:
            best = _check(stage, place, best, run.mean_loss())
        if due or place.step % _STEPS_BETWEEN_EVENTS == 0 or place.step == run.steps:
            listener(run.event(place, checked=due))
        if stage.team.leads and (due or time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS):
            save_checkpoint(stage.checkpoint, stage.network, run.optimizer, best, place)
            saved = time.monotonic()
    if best:
        stage.network.load_state_dict(best)
    stage.network.eval()
    return place


def _check(stage: Stage, place: Place, best: dict[str, Tensor], loss: float) -> dict[str, Tensor]:
    """Score the network, note it in `place`, and give the weights that are now the best."""
    assert stage.score is not None  # noqa: S101  for the type checker
    score = stage.team.from_leader(stage.score)
    place.history.append({"step": place.step, "score": score, "loss": loss})
    if score <= place.best_score:
        return best
    place.best_score, place.best_step = score, place.step
    return {name: tensor.detach().clone() for name, tensor in stage.network.state_dict().items()}


class _Run:
    """The moving parts of one `fit`: optimizer, schedule, order of rows, and the running loss and speed."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.device = next(stage.network.parameters()).device
        self.lengths = [len(row) for row in stage.ids]
        self.batch = stage.recipe.batch_for(len(stage.ids))
        self.per_epoch = stage.recipe.steps_per_epoch(len(stage.ids))
        self.steps = self.per_epoch * stage.recipe.epochs_for(len(stage.ids))
        self.optimizer = _optimizer(stage.network, stage.recipe)
        self.pad = stage.network.encoder.config.pad_token_id or 0
        self._epoch, self._batches = -1, [[0]]
        self._losses: list[Tensor] = []
        self._loss = float("nan")
        self._texts, self._done, self._started = 0, 0, time.monotonic()

    def learn(self, step: int) -> None:
        """Take one step."""
        recipe, team = self.stage.recipe, self.stage.team
        if step // self.per_epoch != self._epoch:
            self._epoch = step // self.per_epoch
            self._batches = epoch_batches(
                self.lengths, self.batch, pool=recipe.pool, seed=(self.stage.seed, self._epoch)
            )
        rows = self._batches[step % self.per_epoch]
        part = team.part(rows)
        team.seed(self.stage.seed, step)
        self.optimizer.zero_grad(set_to_none=True)
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * learning_rate(step, self.steps, recipe)
        loss = torch.zeros((), device=self.device)
        # A batch of long rows is computed in pieces: the gradient is the same, the memory bounded.
        for piece in sorted_batches([self.lengths[row] for row in part], _AT_ONCE):
            loss += self._backward([part[position] for position in piece], share=len(piece) / len(rows))
        team.add_up([loss, *(_gradient(parameter) for parameter in self.stage.network.parameters())])
        torch.nn.utils.clip_grad_norm_(self.stage.network.parameters(), recipe.clip)
        self.optimizer.step()
        self._losses.append(loss)
        self._texts += len(rows)
        self._done += 1

    def _backward(self, rows: list[int], *, share: float) -> Tensor:
        """Add the gradient of `rows`, weighted by their share of the batch, and give their part of its loss."""
        ids, mask = padded([self.stage.ids[row] for row in rows], pad=self.pad, device=self.device)
        targets = torch.from_numpy(self.stage.targets[rows]).to(self.device)
        with autocast(self.device, self.stage.precision):
            outputs = self.stage.network(ids, mask)
        loss = share * LOSSES[self.stage.recipe.loss](outputs.float(), targets)
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        return loss.detach()

    def check_due(self, step: int) -> bool:
        """Tell whether a check is due after `step` steps: `checks` times, evenly, and at the end."""
        checks = self.stage.recipe.checks
        return step * checks // self.steps != (step - 1) * checks // self.steps

    def mean_loss(self) -> float:
        """Give the mean loss since this was last asked; the same again when there was no step between."""
        if self._losses:
            self._loss = float(torch.stack(self._losses).mean())
            self._losses.clear()
        if not np.isfinite(self._loss):
            raise UsageError(
                f"the loss of {self.stage.name} is no number any more.",
                todo=f"Lower the learning rate: {self.stage.recipe.learning_rate} is too high for this network.",
            )
        return self._loss

    def event(self, place: Place, *, checked: bool) -> Event:
        """Say where the run stands."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        return Event(
            stage=self.stage.name,
            step=place.step,
            steps=self.steps,
            epoch=place.step / self.per_epoch,
            loss=self.mean_loss(),
            learning_rate=self.optimizer.param_groups[0]["lr"],
            texts_per_second=self._texts / seconds,
            seconds_left=(self.steps - place.step) * seconds / self._done,
            dev_score=place.history[-1]["score"] if checked and self.stage.scored_by == "dev" else None,
            validation_loss=-place.history[-1]["score"] if checked and self.stage.scored_by == "validation" else None,
        )


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Give the learning rate of `step` (0 is the first): linear up over the warm-up, then linear down to 0."""
    warmup = round(recipe.warmup * steps)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * (steps - step) / max(1, steps - warmup)


def _gradient(parameter: Tensor) -> Tensor:
    """Give a parameter's gradient: zeros where this process had no row of the batch."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _optimizer(network: EmotionNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """Give AdamW: decay on matrices only (biases and layer norms are vectors), a higher rate for the new head."""
    groups = [
        {"params": [parameter for parameter in module.parameters() if (parameter.ndim > 1) is matrices],
         "weight_decay": recipe.weight_decay if matrices else 0.0, "rate": rate}
        for module, rate in ((network.encoder, 1.0), (network.head, recipe.head_rate))
        for matrices in (True, False)
    ]  # fmt: skip
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
