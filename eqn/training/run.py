"""A training run: corpus and recipe in, a verified model package out."""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from eqn.corpus.goemotions import Corpus, Split
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, UsageError
from eqn.evaluation.card import model_card
from eqn.evaluation.metrics import evaluate_scores
from eqn.evaluation.thresholds import choose_thresholds, dev_score
from eqn.model.backbone import Backbone, backbone_digest, load_backbone
from eqn.model.batching import padded_width
from eqn.model.encoding import Encoded, encode
from eqn.model.network import EmotionNetwork, best_device, fast_precision
from eqn.model.package import Description, Package, read_package, require_free, write_package
from eqn.model.scoring import Scorer
from eqn.training.expansion import assign_folds, expand
from eqn.training.loop import Stage, fit
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

    The same order gives the same bytes with the same torch on the same kind of processor with as many threads; with
    another number of threads, sums are made in another order.

    Raises:
        UsageError: `order.out` or `<out>.training` is taken, there is no such backbone, or the recipe does not fit
            backbone or corpus.
        StoreUnavailable: the backbone cannot be fetched.
        ArtifactRefused: the state for resuming cannot be read.

    """
    corpus = order.corpus
    digest = backbone_digest(order.backbone, cache=order.backbones, seed=order.seed)
    key = training_key(order.recipe, corpus_digest=corpus.ref.digest, backbone_digest=digest, seed=order.seed)
    room = order.out.with_name(order.out.name + ".training")
    finished = _finished(order.out, key)
    if finished:
        if (room / "key").is_file() and (room / "key").read_text("utf-8") == key:
            shutil.rmtree(room)
        return finished
    require_free(order.out)
    backbone = load_backbone(order.backbone, cache=order.backbones, seed=order.seed)
    _require_fit(order, backbone)
    with _alone_in(room, key):
        package = _train(order, backbone, room, key, listener)
        shutil.rmtree(room)
    return package


def _train(order: Order, backbone: Backbone, room: Path, key: str, listener: Listener) -> Package:
    corpus = order.corpus
    session = _Session(order, backbone, room, listener)
    targets = corpus.train.targets()
    if order.recipe.folds:
        targets = expand(targets, session.predict_out_of_fold(targets), expansion=order.recipe.expansion)
    network = session.fit_final(targets)
    scores = {split.name: session.score(network, split) for split in (corpus.dev, corpus.test)}
    thresholds = choose_thresholds(corpus.dev.targets(), scores["dev"])
    prior = corpus.train.targets().mean(axis=0)
    evaluations = {
        split.name: evaluate_scores(split.targets(), scores[split.name], thresholds=thresholds, prior=prior)
        for split in (corpus.dev, corpus.test)
    }
    description = Description(
        thresholds=dict(zip(EMOTIONS, thresholds.tolist(), strict=True)),
        max_tokens=order.recipe.max_tokens,
        pooling=order.recipe.pooling,
        training_key=key,
        recipe=order.recipe.values() | {"seed": order.seed},
        backbone={"name": order.backbone, "digest": backbone.digest},
        corpus={"name": corpus.ref.name, "digest": corpus.ref.digest, "rows": dict(corpus.ref.rows)},
        metrics={name: evaluation.summary() for name, evaluation in evaluations.items()},
    )
    card = model_card(description, evaluations["test"], order.baselines)
    return write_package(order.out, network, backbone.tokenizer, description, card=card)


class _Session:
    """What the stages of one training share: encoded texts, device and precision."""

    def __init__(self, order: Order, backbone: Backbone, room: Path, listener: Listener) -> None:
        self.order, self.backbone, self.room, self.listener = order, backbone, room, listener
        self.device = best_device()
        self.precision = fast_precision(self.device)
        self.encoded = {split.name: self._encode(split) for split in (order.corpus.train, order.corpus.dev)}
        self._first_weights = {name: tensor.clone() for name, tensor in backbone.encoder.state_dict().items()}

    def predict_out_of_fold(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """Stage A: score every training row with a network that never saw it; (rows, 28)."""
        folds = self.order.recipe.folds
        assigned = assign_folds(self.order.corpus.train.texts, folds, self.order.seed)
        predicted = np.zeros_like(targets)
        for fold in range(folds):
            file = self.room / f"fold-{fold}.npy"
            held_out = np.flatnonzero(assigned == fold)
            if not file.is_file():
                seen = np.flatnonzero(assigned != fold)
                network = self._fit(f"stage A fold {fold + 1} of {folds}", seen, targets, seed=fold + 1)
                _write_array(file, self._scorer(network).scores(self._rows("train", held_out)))
            predicted[held_out] = _read_array(file)
        return predicted

    def fit_final(self, targets: NDArray[np.float32]) -> EmotionNetwork:
        """Train the network that is kept, on all rows, with its best checkpoint chosen on dev."""
        name = "stage B" if self.order.recipe.folds else "training"
        return self._fit(name, np.arange(len(targets)), targets, seed=0, dev=self.order.corpus.dev)

    def score(self, network: EmotionNetwork, split: Split) -> NDArray[np.float32]:
        """Score the texts of a split."""
        encoded = self.encoded.get(split.name) or self._encode(split)
        return self._scorer(network).scores(encoded)

    def _fit(
        self, name: str, rows: NDArray[np.int64], targets: NDArray[np.float32], *, seed: int, dev: Split | None = None
    ) -> EmotionNetwork:
        recipe = self.order.recipe
        torch.manual_seed(self.order.seed * 1000 + seed)  # the head's first weights
        self.backbone.encoder.load_state_dict(self._first_weights)
        network = EmotionNetwork(self.backbone.encoder, pooling=recipe.pooling, dropout=recipe.dropout)
        network.start_from(torch.from_numpy(targets[rows].mean(axis=0)))
        network.to(self.device)
        scorer = self._scorer(network)
        stage = Stage(
            name=name,
            network=network,
            ids=self._rows("train", rows).ids,
            targets=targets[rows],
            recipe=recipe,
            seed=self.order.seed * 1000 + seed,
            precision=self.precision,
            checkpoint=self.room / f"stage-{seed}.safetensors",
            score=(lambda: dev_score(dev.targets(), scorer.scores(self.encoded["dev"]))) if dev else None,
        )
        fit(stage, self.listener)
        return network

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
