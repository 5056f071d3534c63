"""Recipes: everything a training run depends on, as values. The fields' docstrings are the reference."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_type_hints

from eqn.errors import UsageError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A way to train a model."""

    name: str
    """How people call it."""
    folds: int = 0
    """Folds of stage A, whose out-of-fold predictions expand the labels; 0 trains on the given labels alone, 1 lets
    stage A predict the very rows that it was trained on, as the published code does."""
    expansion: float = 1.0
    """What an unlabelled cell's target is of its prediction by stage A: 1 takes it whole, 0 ignores it."""
    blend: bool = False
    """Labelled cells move as well: a target is `expansion` of the prediction and the rest of the label, so that stage
    B's targets are as calibrated as stage A is; otherwise a labelled cell's target stays 1."""
    teachers: int = 1
    """Networks that stage A trains for each fold, with seeds of their own; their mean predicts."""
    rounds: int = 1
    """How often stage A is repeated, on the targets that the round before made."""
    bounded_targets: bool = True
    """Predictions are clipped to [0, 1] before they become targets; the published code takes them as they are."""
    drop_multiple_labels: bool = False
    """A row with several labels is trained as if it had none: the published code's defect, for comparison only."""
    loss: Literal["bce", "focal", "asymmetric", "mse"] = "bce"
    """Binary cross-entropy of sigmoids, as it is or with cells that are nearly right counting less (see
    `eqn.training.objectives`); or squared error of outputs without activation, clipped to be intensities."""
    focus: float = 2.0
    """How much less: the exponent of the focal and the asymmetric loss."""
    label_smoothing: float = 0.0
    """Share of each target that is replaced by the label's share of the training rows."""
    groups: float = 0.0
    """Weight of a second loss, on Ekman's groups and sentiment as they follow from the 28 emotions."""
    r_drop: float = 0.0
    """Weight of the disagreement between two passes with different dropout; above 0 each step costs two."""
    masking: float = 0.0
    """Share of the tokens that are hidden behind [MASK] at each step."""
    pooling: Literal["mean", "cls", "pooler"] = "mean"
    """How token states become one vector; `pooler` is BERT's own pooling layer on the first token."""
    dropout: float = 0.1
    """Dropout before the head."""
    averaging: float = 0.0
    """The kept weights are a running mean of those of all steps: what this share is of the old mean at each step. It
    grows towards this value, so that the first steps are soon forgotten. 0 keeps the weights of the step itself."""
    emoji: bool = False
    """Emoji are read as their names (see `eqn.model.emoji`); otherwise most are the same unknown token."""
    max_tokens: int = 128
    """Longer texts are cut to this many tokens, special tokens included."""
    batch_size: int = 64
    """Rows per step; a small corpus gets fewer (16 at least), so that an epoch has about 64 steps."""
    epochs: int = 2
    """Passes over the training rows of each stage; on bare labels MiniLM overfits GoEmotions from the third on."""
    epochs_of_stage_a: int = 0
    """The passes of stage A, if they are to be others."""
    least_steps: int = 500
    """A small corpus gets more epochs, until there are at least this many steps."""
    learning_rate: float = 2e-4
    """Peak learning rate: linear warm-up to it, then linear decay to `final_rate` of it."""
    final_rate: float = 0.0
    """Share of the peak learning rate at which the decay ends."""
    layer_decay: float = 1.0
    """Each layer of the encoder learns at this share of the rate of the one above it."""
    pool: int = 40
    """Batches that are drawn together and sorted by length, against padding; 1 draws each batch at random."""
    freeze_embeddings: bool = False
    """The word embeddings, half of MiniLM's weights, stay the backbone's: a model can then be kept as a small
    difference from it (see `eqn.model.delta`)."""
    prototypes: float = 0.0
    """Length of the head's first rows, which then point to the emotions' names (see `eqn.training.prototypes`); 0 draws
    them at random."""
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
    validation_share: float = 0.0
    """Share of the training rows that each stage holds out, to keep the checkpoint with the lowest loss on them; with 0
    stage B is evaluated on dev and stage A trains to its end."""

    def __post_init__(self) -> None:
        squared = self.loss == "mse"
        faults = [
            f"{name} must be {rule}, got {getattr(self, name)!r}"
            for name, rule, fits in (
                ("folds", "at least 0", self.folds >= 0),
                ("expansion", "in [0, 1]", 0 <= self.expansion <= 1),
                ("teachers", "at least 1", self.teachers >= 1),
                ("rounds", "at least 1", self.rounds >= 1),
                ("bounded_targets", "true, but with the loss mse", self.bounded_targets or squared),
                ("loss", "bce, focal, asymmetric or mse", self.loss in {"bce", "focal", "asymmetric", "mse"}),
                ("focus", "at least 0", self.focus >= 0),
                ("label_smoothing", "in [0, 1)", 0 <= self.label_smoothing < 1),
                ("groups", "at least 0; 0 with the loss mse", self.groups >= 0 and not (squared and self.groups)),
                ("r_drop", "at least 0; 0 with the loss mse", self.r_drop >= 0 and not (squared and self.r_drop)),
                ("masking", "in [0, 1)", 0 <= self.masking < 1),
                ("pooling", "mean, cls or pooler", self.pooling in {"mean", "cls", "pooler"}),
                ("dropout", "in [0, 1)", 0 <= self.dropout < 1),
                ("averaging", "in [0, 1)", 0 <= self.averaging < 1),
                ("max_tokens", "in 8 ... 512", 8 <= self.max_tokens <= 512),
                ("batch_size", "at least 1", self.batch_size >= 1),
                ("epochs", "at least 1", self.epochs >= 1),
                ("epochs_of_stage_a", "at least 0", self.epochs_of_stage_a >= 0),
                ("least_steps", "at least 1", self.least_steps >= 1),
                ("learning_rate", "above 0", self.learning_rate > 0),
                ("final_rate", "in [0, 1]", 0 <= self.final_rate <= 1),
                ("layer_decay", "in (0, 1]", 0 < self.layer_decay <= 1),
                ("pool", "at least 1", self.pool >= 1),
                (
                    "prototypes",
                    "at least 0; 0 with the loss mse",
                    self.prototypes >= 0 and not (squared and self.prototypes),
                ),
                ("head_rate", "above 0", self.head_rate > 0),
                ("warmup", "in [0, 1]", 0 <= self.warmup <= 1),
                ("weight_decay", "at least 0", self.weight_decay >= 0),
                ("clip", "above 0", self.clip > 0),
                ("checks", "at least 1", self.checks >= 1),
                ("validation_share", "in [0, 0.5]", 0 <= self.validation_share <= 0.5),
            )
            if not fits
        ]
        if faults:
            raise UsageError(f"the recipe {self.name!r} does not hold together.", faults=faults)

    def of_stage_a(self) -> "Recipe":
        """Give the recipe by which stage A's networks are trained."""
        return dataclasses.replace(self, epochs=self.epochs_of_stage_a or self.epochs)

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


EQN = Recipe(
    name="eqn",
    folds=2,
    blend=True,
    expansion=0.5,
    epochs=3,
    epochs_of_stage_a=2,
    freeze_embeddings=True,
    prototypes=3.0,
    head_rate=2.0,
)
"""EQN's two stages: stage A's out-of-fold predictions and the labels make the targets on which stage B trains."""

PLAIN = Recipe(name="plain")
"""One stage on the labels as given, to compare with."""

PAPER = Recipe(
    name="paper",
    folds=1,
    bounded_targets=False,
    loss="mse",
    pooling="pooler",
    batch_size=24,
    epochs=5,
    least_steps=1,
    learning_rate=1e-5,
    pool=1,
    head_rate=1.0,
    warmup=0.0,
    weight_decay=0.0,
    checks=5,
    validation_share=0.1,
)
"""The published procedure, to compare with (arXiv 2411.06160; its authors' eqn.py as of 2025-06-26). Theirs
were the seed 42 and the backbone bert-base-cased. Liberties: padding to the batch's longest instead of 128 tokens, and
bfloat16. How scores become labels was not published: that is EQN's own way."""

RECIPES = {recipe.name: recipe for recipe in (EQN, PLAIN, PAPER)}


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


def recipe_with(name: str, assignments: Sequence[str]) -> Recipe:
    """Give the recipe called `name`, changed by texts such as `epochs=3` or `bounded_targets=false`.

    >>> recipe_with("plain", ["epochs=3", "pooling=cls"]) == recipe_named("plain", epochs=3, pooling="cls")
    True

    Raises:
        UsageError: no such recipe, or texts that change no field of it to a value that fits; all of them are named.

    """
    recipe, kinds = recipe_named(name), get_type_hints(Recipe)
    changes: dict[str, Any] = {}
    faults = []
    for assignment in assignments:
        field, equals, text = assignment.partition("=")
        kind, read = _READERS.get(kinds.get(field), _READERS[str])
        if not equals or field not in kinds:
            faults.append(f"{assignment!r} is no FIELD=VALUE with a field of a recipe")
        elif field in changes:
            faults.append(f"{field} is set twice")
        else:
            try:
                changes[field] = read(text)
            except (KeyError, ValueError, OverflowError):
                faults.append(f"{field} must be {kind}, got {text!r}")
    try:
        changed = dataclasses.replace(recipe, **changes)
    except UsageError as error:
        faults += error.faults
    if faults:
        raise UsageError(
            f"the recipe {name!r} cannot be changed in this way.",
            faults=faults,
            todo=f"A recipe's fields are {', '.join(kinds)}.",
        )
    return changed


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_READERS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    bool: ("true or false", {"true": True, "false": False}.__getitem__),
    int: ("a whole number", int),
    float: ("a number", _finite),
    str: ("a text", str),
}
"""How each type of field is called and read; what is none of these is one of a few words."""
