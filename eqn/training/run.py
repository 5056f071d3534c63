"""A training run: corpus and recipe in, a verified model package out."""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from eqn.corpus.goemotions import Corpus, Split
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, UsageError
from eqn.evaluation.card import model_card
from eqn.evaluation.figures import draw_figures
from eqn.evaluation.metrics import evaluate_scores
from eqn.evaluation.thresholds import choose_thresholds, dev_score
from eqn.model.backbone import Backbone, backbone_digest, load_backbone
from eqn.model.batching import padded_width
from eqn.model.encoding import Encoded, encode
from eqn.model.network import EmotionNetwork, Output, fast_precision
from eqn.model.package import Description, Package, read_package, require_free, write_package
from eqn.model.scoring import Scorer
from eqn.training.distributed import Team, present_team
from eqn.training.expansion import assign_folds, expand, hold_out, without_multiple_labels
from eqn.training.loop import LOSSES, Stage, fit
from eqn.training.progress import Listener, silent
from eqn.training.recipes import Recipe

_PROCEDURE = 1
"""Raised when the code here changes what a recipe means: the same key then no longer names the same model."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be trained."""

    corpus: Corpus
    recipe: Recipe
    backbone: str
    seed: int
    out: Path
    """Directory of the package; must be free."""
    backbones: Path
    """Where fetched backbones are kept."""
    baselines: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    """Figures on test to show beside the model's in its card."""


def training_key(recipe: Recipe, *, corpus_digest: str, backbone_digest: str, seed: int) -> str:
    """Give the digest that identifies this recipe on this data: equal keys need no second training."""
    facts = [_PROCEDURE, recipe.values(), corpus_digest, backbone_digest, seed]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def train(order: Order, listener: Listener = silent) -> Package:
    """Train a model and write its package to `order.out`.

    State for resuming is kept beside it, in `<out>.training`, and removed at the end: after a kill, the same order goes
    on from its last checkpoint, or gives the package if it stands there already.

    The same order gives the same bytes with the same torch on the same kind of processor with as many threads and
    processes; with another number of them, sums are made in another order.

    Where torchrun started several processes, the first one calls this and the others `follow`.

    Raises:
        UsageError: `order.out` or `<out>.training` is taken, there is no such backbone, or the recipe does not fit
            backbone or corpus.
        StoreUnavailable: the backbone cannot be fetched.
        ArtifactRefused: the state for resuming cannot be read.

    """
    corpus = order.corpus
    digest = backbone_digest(order.backbone, cache=order.backbones, seed=order.seed)
    key = training_key(order.recipe, corpus_digest=corpus.ref.digest, backbone_digest=digest, seed=order.seed)
    room = _room(order)
    finished = _finished(order.out, key)
    if finished:
        if (room / "key").is_file() and (room / "key").read_text("utf-8") == key:
            shutil.rmtree(room)
        return finished
    require_free(order.out)
    backbone = _backbone(order)
    _require_fit(order, backbone)
    with _alone_in(room, key):
        session = _Session(order, backbone, listener, present_team())
        session.team.from_leader(lambda: order)
        package = _train(session, key)
        shutil.rmtree(room)
    return package


def follow() -> None:
    """Take part in every training that the first of torchrun's processes leads, until that one has no more."""
    team = present_team()
    while order := team.from_leader(_no_order):
        _Session(order, _backbone(order), silent, team).network()


def _no_order() -> Order | None:
    return None


def _room(order: Order) -> Path:
    return order.out.with_name(order.out.name + ".training")


def _backbone(order: Order) -> Backbone:
    pooler = order.recipe.pooling == "pooler"
    return load_backbone(order.backbone, cache=order.backbones, seed=order.seed, pooler=pooler)


def _train(session: "_Session", key: str) -> Package:
    order, backbone = session.order, session.backbone
    corpus, recipe = order.corpus, order.recipe
    network = session.network()
    scores = {split.name: session.score(network, split) for split in (corpus.dev, corpus.test)}
    thresholds = choose_thresholds(corpus.dev.targets(), scores["dev"])
    prior = corpus.train.targets().mean(axis=0)
    evaluations = {
        split.name: evaluate_scores(split.targets(), scores[split.name], thresholds=thresholds, prior=prior)
        for split in (corpus.dev, corpus.test)
    }
    description = Description(
        thresholds=dict(zip(EMOTIONS, thresholds.tolist(), strict=True)),
        max_tokens=recipe.max_tokens,
        pooling=recipe.pooling,
        output=network.output,
        training_key=key,
        recipe=recipe.values() | {"seed": order.seed},
        backbone={"name": order.backbone, "digest": backbone.digest},
        corpus={"name": corpus.ref.name, "digest": corpus.ref.digest, "rows": dict(corpus.ref.rows)},
        metrics={name: evaluation.summary() for name, evaluation in evaluations.items()},
    )
    test = evaluations["test"]
    figures = draw_figures(
        corpus.test.targets(), scores["test"], test, thresholds=thresholds, model=recipe.name, split="test"
    )
    card = model_card(description, test, order.baselines, tuple(figures))
    return write_package(order.out, network, backbone.tokenizer, description, card=card, figures=figures)


@dataclasses.dataclass(frozen=True, slots=True)
class _Check:
    """How a stage finds its best checkpoint: not at all, by dev's macro-F1, or by the loss on held-out rows."""

    score: Callable[[], float] | None = None
    scored_by: Literal["dev", "validation"] = "dev"


class _Session:
    """What the stages of one training share: encoded texts, device, precision, and the processes that train."""

    def __init__(self, order: Order, backbone: Backbone, listener: Listener, team: Team) -> None:
        self.order, self.backbone, self.listener, self.team = order, backbone, listener, team
        self.room = _room(order)
        self.device = team.device
        self.precision = fast_precision(self.device)
        self.encoded = {split.name: self._encode(split) for split in (order.corpus.train, order.corpus.dev)}
        self._first_weights = {name: tensor.clone() for name, tensor in backbone.encoder.state_dict().items()}

    def network(self) -> EmotionNetwork:
        """Train the network that is kept, in as many stages as the recipe has."""
        recipe, targets = self.order.recipe, self.order.corpus.train.targets()
        if recipe.drop_multiple_labels:
            targets = without_multiple_labels(targets)
        if recipe.folds:
            predicted = self._predict_train(targets)
            targets = expand(targets, predicted, expansion=recipe.expansion, bounded=recipe.bounded_targets)
        name = "stage B" if recipe.folds else "training"
        return self._fit(name, np.arange(len(targets)), targets, seed=0, dev=self.order.corpus.dev)

    def _predict_train(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """Stage A: score every training row with a network that never saw it, but with one fold; (rows, 28)."""
        folds = self.order.recipe.folds
        assigned = assign_folds(self.order.corpus.train.texts, folds, self.order.seed)
        predicted = np.zeros_like(targets)
        for fold in range(folds):
            held_out = np.flatnonzero(assigned == fold)
            seen = held_out if folds == 1 else np.flatnonzero(assigned != fold)
            predicted[held_out] = self._predict_fold(fold, seen, held_out, targets)
        return predicted

    def _predict_fold(
        self, fold: int, seen: NDArray[np.int64], held_out: NDArray[np.int64], targets: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        recipe, file = self.order.recipe, self.room / f"fold-{fold}.npy"
        if not self.team.from_leader(file.is_file):
            name = "stage A" if recipe.folds == 1 else f"stage A fold {fold + 1} of {recipe.folds}"
            network = self._fit(name, seen, targets, seed=fold + 1)
            if self.team.leads:
                scorer, rows = self._scorer(network), self._rows("train", held_out)
                _write_array(file, scorer.scores(rows) if recipe.bounded_targets else scorer.outputs(rows))
        return self.team.from_leader(lambda: _read_array(file))

    def score(self, network: EmotionNetwork, split: Split) -> NDArray[np.float32]:
        """Score the texts of a split."""
        encoded = self.encoded.get(split.name) or self._encode(split)
        return self._scorer(network).scores(encoded)

    def _fit(
        self, name: str, rows: NDArray[np.int64], targets: NDArray[np.float32], *, seed: int, dev: Split | None = None
    ) -> EmotionNetwork:
        recipe, check = self.order.recipe, _Check()
        torch.manual_seed(self.order.seed * 1000 + seed)  # the head's first weights
        self.backbone.encoder.load_state_dict(self._first_weights)
        output: Output = "clip" if recipe.loss == "mse" else "sigmoid"
        network = EmotionNetwork(self.backbone.encoder, pooling=recipe.pooling, dropout=recipe.dropout, output=output)
        if output == "sigmoid":
            network.start_from(torch.from_numpy(targets[rows].mean(axis=0)))
        network.to(self.device)
        scorer = self._scorer(network)
        if recipe.validation_share:
            kept, held_out = hold_out(len(rows), recipe.validation_share, self.order.seed)
            check = self._validation(scorer, rows[held_out], targets)
            rows = rows[kept]
        elif dev:
            check = _Check(lambda: dev_score(dev.targets(), scorer.scores(self.encoded["dev"])))
        stage = Stage(
            name=name,
            network=network,
            ids=self._rows("train", rows).ids,
            targets=targets[rows],
            recipe=recipe,
            seed=self.order.seed * 1000 + seed,
            precision=self.precision,
            checkpoint=self.room / f"stage-{seed}.safetensors",
            score=check.score,
            scored_by=check.scored_by,
            team=self.team,
        )
        fit(stage, self.listener)
        return network

    def _validation(self, scorer: Scorer, rows: NDArray[np.int64], targets: NDArray[np.float32]) -> "_Check":
        encoded, wanted = self._rows("train", rows), torch.from_numpy(targets[rows])
        loss = LOSSES[self.order.recipe.loss]
        return _Check(lambda: -float(loss(torch.from_numpy(scorer.outputs(encoded)), wanted)), "validation")

    def _encode(self, split: Split) -> Encoded:
        return encode(self.backbone.tokenizer, split.texts, self.order.recipe.max_tokens)

    def _rows(self, split: str, rows: NDArray[np.int64]) -> Encoded:
        encoded = self.encoded[split]
        return Encoded(
            ids=[encoded.ids[row] for row in rows.tolist()], truncated=[encoded.truncated[row] for row in rows.tolist()]
        )

    def _scorer(self, network: EmotionNetwork) -> Scorer:
        return Scorer(
            network, self.backbone.tokenizer, max_tokens=self.order.recipe.max_tokens, precision=self.precision
        )


def _finished(out: Path, key: str) -> Package | None:
    """Give the package that this very training wrote before it was killed, if it did."""
    try:
        package = read_package(out)
    except ArtifactRefused:
        return None
    return package if package.training_key == key else None


def _require_fit(order: Order, backbone: Backbone) -> None:
    recipe, positions = order.recipe, backbone.encoder.config.max_position_embeddings
    texts = len(set(order.corpus.train.texts))
    faults = []
    if padded_width(recipe.max_tokens) > positions:
        faults.append(f"max_tokens is {recipe.max_tokens}, and the backbone {backbone.name} has {positions} positions")
    if recipe.folds > texts:
        faults.append(f"folds is {recipe.folds}, and {order.corpus.ref.name} has {texts} different training text(s)")
    if recipe.validation_share and texts < 4:  # two for each fold, one to train on and one to hold out
        faults.append(f"validation_share needs 4 different training texts, and {order.corpus.ref.name} has {texts}")
    if faults:
        raise UsageError(f"the recipe {recipe.name!r} does not fit what it is to be used on.", faults=faults)


@contextlib.contextmanager
def _alone_in(room: Path, key: str) -> Iterator[None]:
    """Make the folder for resuming, and keep other processes out of it while this one trains.

    Raises:
        UsageError: the folder is somebody's or belongs to another training, or one is under way in it.

    """
    mark = room / "key"
    if not room.exists() or (room.is_dir() and not any(room.iterdir())):  # empty: killed before the mark was written
        room.mkdir(parents=True, exist_ok=True)
        mark.write_text(key, "utf-8")
    if not mark.is_file() or mark.read_text("utf-8") != key:
        raise UsageError(
            f"expected no folder {room}, or the one in which this very training was interrupted; it is another one.",
            todo="Delete it if it is not needed, or choose another --out.",
        )
    with mark.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"this very training is under way in another process, in {room}.", todo="Wait for it to end."
            ) from error
        yield


def _write_array(path: Path, array: NDArray[np.float32]) -> None:
    temporary = path.with_name(f".tmp-{path.name}")
    with temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    temporary.replace(path)


def _read_array(path: Path) -> NDArray[np.float32]:
    try:
        array: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtifactRefused(
            f"expected the predictions of a finished fold in {path}: {error}",
            todo=f"Delete {path.parent} and run again: training starts anew.",
        ) from error
    return array
