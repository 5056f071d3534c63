"""Recipes: everything a training run depends on, as values. The fields' docstrings are the reference."""

import dataclasses
import math
from typing import Any, Literal

from eqn.errors import UsageError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A way to train a model."""

    name: str
    """How people call it."""
    folds: int = 0
    """Folds of stage A, whose out-of-fold predictions expand the labels; 0 trains on the given labels alone."""
    expansion: float = 1.0
    """What an unlabelled cell's target is of its out-of-fold prediction: 1 takes it whole, 0 ignores it."""
    pooling: Literal["mean", "cls"] = "mean"
    """How token states become one vector."""
    dropout: float = 0.1
    """Dropout before the head."""
    max_tokens: int = 128
    """Longer texts are cut to this many tokens, special tokens included."""
    batch_size: int = 64
    """Rows per step; a small corpus gets fewer (16 at least), so that an epoch has about 64 steps."""
    epochs: int = 2
    """Passes over the training rows of each stage; MiniLM overfits GoEmotions from the third on."""
    least_steps: int = 500
    """A small corpus gets more epochs, until there are at least this many steps."""
    learning_rate: float = 2e-4
    """Peak learning rate: linear warm-up to it, then linear decay to 0."""
    head_rate: float = 10.0
    """The head, which starts from nothing, learns this many times faster than the encoder."""
    warmup: float = 0.1
    """Share of the steps that warm up."""
    weight_decay: float = 0.01
    """Decoupled weight decay (AdamW), not applied to biases and layer norms."""
    clip: float = 1.0
    """Largest norm of a step's gradient."""
    checks: int = 4
    """How often stage B is evaluated on dev; the best of these checkpoints is kept."""

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be {rule}, got {getattr(self, name)!r}"
            for name, rule, fits in (
                ("folds", "0 (one stage) or 2 and more", self.folds == 0 or self.folds >= 2),
                ("expansion", "in [0, 1]", 0 <= self.expansion <= 1),
                ("pooling", "mean or cls", self.pooling in {"mean", "cls"}),
                ("dropout", "in [0, 1)", 0 <= self.dropout < 1),
                ("max_tokens", "in 8 ... 512", 8 <= self.max_tokens <= 512),
                ("batch_size", "at least 1", self.batch_size >= 1),
                ("epochs", "at least 1", self.epochs >= 1),
                ("least_steps", "at least 1", self.least_steps >= 1),
                ("learning_rate", "above 0", self.learning_rate > 0),
                ("head_rate", "above 0", self.head_rate > 0),
                ("warmup", "in [0, 1]", 0 <= self.warmup <= 1),
                ("weight_decay", "at least 0", self.weight_decay >= 0),
                ("clip", "above 0", self.clip > 0),
                ("checks", "at least 1", self.checks >= 1),
            )
            if not fits
        ]
        if faults:
            raise UsageError(f"the recipe {self.name!r} does not hold together.", faults=faults)

    def batch_for(self, rows: int) -> int:
        """Give the rows per step for a corpus of `rows` rows."""
        return min(self.batch_size, max(16, rows // 64))

    def epochs_for(self, rows: int) -> int:
        """Give the passes over `rows` rows."""
        return max(self.epochs, math.ceil(self.least_steps / self.steps_per_epoch(rows)))

    def steps_per_epoch(self, rows: int) -> int:
        """Give the steps of one pass over `rows` rows."""
        return math.ceil(rows / self.batch_for(rows))

    def values(self) -> dict[str, Any]:
        """Give the fields by name."""
        return dataclasses.asdict(self)


EQN = Recipe(name="eqn", folds=2)
"""EQN's two stages: stage A's out-of-fold predictions expand the labels on which stage B trains."""

PLAIN = Recipe(name="plain")
"""One stage on the labels as given, to compare with."""

RECIPES = {recipe.name: recipe for recipe in (EQN, PLAIN)}


def recipe_named(name: str, **changes: Any) -> Recipe:
    """Give the recipe called `name` with some fields changed.

    Raises:
        UsageError: no such recipe or field, or a value that does not fit.

    """
    if name not in RECIPES:
        raise UsageError(f"expected a recipe among {', '.join(sorted(RECIPES))}; got {name!r}.")
    unknown = sorted(changes.keys() - {field.name for field in dataclasses.fields(Recipe)})
    if unknown:
        raise UsageError(f"a recipe has no field {', '.join(unknown)}.")
    return dataclasses.replace(RECIPES[name], **changes)
