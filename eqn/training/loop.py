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

from eqn.errors import UsageError
from eqn.model.batching import BatchPlan, sorted_batches
from eqn.model.encoding import padded
from eqn.model.network import EmotionNetwork
from eqn.model.scoring import autocast
from eqn.training.averaging import Average
from eqn.training.checkpoint import Place, load_checkpoint, save_checkpoint
from eqn.training.distributed import Team
from eqn.training.objectives import disagreement, objective
from eqn.training.optimizer import learning_rate, make_optimizer
from eqn.training.order import epoch_batches
from eqn.training.progress import Event, Listener
from eqn.training.recipes import Recipe

_SECONDS_BETWEEN_CHECKPOINTS = 60.0
_STEPS_BETWEEN_EVENTS = 10
_AT_ONCE = BatchPlan(rows=1024, tokens=4096)
"""What is computed together; 64 rows of 64 tokens fit."""


@dataclasses.dataclass(frozen=True, slots=True)
class Masks:
    """What the recipe's `masking` needs to know of the tokenizer: ids."""

    mask: int = 0
    """The token behind which others are hidden."""
    special: tuple[int, ...] = ()
    """Tokens that are never hidden."""


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
    masks: Masks = dataclasses.field(default_factory=Masks)
    score: Callable[[], float] | None = None
    """Gives a score of the network as it is, higher is better; None trains to the end and takes what is there."""
    scored_by: Literal["dev", "validation"] = "dev"
    """What the score is: dev's mean average precision, or the negative loss on held-out training rows."""
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
    found = load_checkpoint(stage.checkpoint, stage.network, run.optimizer, average=run.average.weights)
    place, best = found or (Place(), {})
    stage.team.agree(place.step, f"the step at which {stage.checkpoint} stands")
    saved = time.monotonic()
    stage.network.train()
    for step in range(place.step, run.steps):
        run.learn(step)
        run.average.update(step)
        place.step = step + 1
        due = stage.score is not None and run.check_due(place.step)
        if due:
            best = _check(run, place, best)
        if due or place.step % _STEPS_BETWEEN_EVENTS == 0 or place.step == run.steps:
            listener(run.event(place, checked=due))
        if stage.team.leads and (due or time.monotonic() - saved > _SECONDS_BETWEEN_CHECKPOINTS):
            save_checkpoint(stage.checkpoint, stage.network, run.optimizer, best, place, average=run.average.weights)
            saved = time.monotonic()
    stage.network.load_state_dict(best or run.average.copy())
    stage.network.eval()
    return place


def _check(run: "_Run", place: Place, best: dict[str, Tensor]) -> dict[str, Tensor]:
    """Score the network that would be kept now, note it in `place`, and give the weights that are now the best."""
    assert run.stage.score is not None  # noqa: S101  for the type checker
    with run.average.in_place():
        score = run.stage.team.from_leader(run.stage.score)
    place.history.append({"step": place.step, "score": score, "loss": run.mean_loss()})
    if score <= place.best_score:
        return best
    place.best_score, place.best_step = score, place.step
    return run.average.copy()


class _Run:
    """The moving parts of one `fit`: optimizer, schedule, order of rows, and the running loss and speed."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.device = next(stage.network.parameters()).device
        self.lengths = [len(row) for row in stage.ids]
        self.batch = stage.recipe.batch_for(len(stage.ids))
        self.per_epoch = stage.recipe.steps_per_epoch(len(stage.ids))
        self.steps = self.per_epoch * stage.recipe.epochs_for(len(stage.ids))
        self.optimizer = make_optimizer(stage.network, stage.recipe)
        self.average = Average(stage.network, stage.recipe.averaging)
        self.objective = objective(stage.recipe)
        self.pad = stage.network.encoder.config.pad_token_id or 0
        self._epoch, self._batches, self._rate = -1, [[0]], 0.0
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
        self._rate = learning_rate(step, self.steps, recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * self._rate
        loss = torch.zeros((), device=self.device)
        # A batch of long rows is computed in pieces: the gradient is the same, the memory bounded.
        for piece in sorted_batches([self.lengths[row] for row in part], _AT_ONCE):
            loss += self._backward([part[position] for position in piece], share=len(piece) / len(rows))
        learning = [parameter for parameter in self.stage.network.parameters() if parameter.requires_grad]
        team.add_up([loss, *map(_gradient, learning)])
        torch.nn.utils.clip_grad_norm_(learning, recipe.clip)
        self.optimizer.step()
        self._losses.append(loss)
        self._texts += len(rows)
        self._done += 1

    def _backward(self, rows: list[int], *, share: float) -> Tensor:
        """Add the gradient of `rows`, weighted by their share of the batch, and give their part of its loss."""
        ids, mask = padded([self.stage.ids[row] for row in rows], pad=self.pad, device=self.device)
        targets = torch.from_numpy(self.stage.targets[rows]).to(self.device)
        if self.stage.recipe.masking:
            hidden = torch.rand(ids.shape, device=self.device) < self.stage.recipe.masking
            special = torch.tensor(self.stage.masks.special, device=self.device)
            ids = ids.masked_fill(hidden & ~torch.isin(ids, special), self.stage.masks.mask)
        loss = share * self._loss_of(ids, mask, targets)
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        return loss.detach()

    def _loss_of(self, ids: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
        """Give the mean loss of some rows; with R-Drop that of two passes, and their disagreement."""
        passes = []
        for _ in range(2 if self.stage.recipe.r_drop else 1):
            with autocast(self.device, self.stage.precision):
                passes.append(self.stage.network(ids, mask).float())
        losses = torch.stack([self.objective(outputs, targets) for outputs in passes])
        if len(passes) == 1:
            return losses[0]
        return losses.mean() + self.stage.recipe.r_drop * disagreement(passes[0], passes[1])

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
            learning_rate=self._rate,
            texts_per_second=self._texts / seconds,
            seconds_left=(self.steps - place.step) * seconds / self._done,
            dev_score=place.history[-1]["score"] if checked and self.stage.scored_by == "dev" else None,
            validation_loss=-place.history[-1]["score"] if checked and self.stage.scored_by == "validation" else None,
        )


def _gradient(parameter: Tensor) -> Tensor:
    """Give a parameter's gradient: zeros where this process had no row of the batch."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
