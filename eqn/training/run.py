"""A training run: corpus and recipe in, a verified model package out."""

import contextlib
import dataclasses
import fcntl
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from eqn.corpus.goemotions import Corpus, Split
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, UsageError
from eqn.evaluation.card import model_card
from eqn.evaluation.figures import draw_figures
from eqn.evaluation.final import split_to_report
from eqn.evaluation.halves import halves
from eqn.evaluation.int8 import OBSERVED, int8_facts
from eqn.evaluation.metrics import evaluate_scores, mean_average_precision
from eqn.evaluation.tuning import tune
from eqn.model.backbone import Backbone, backbone_digest, load_backbone
from eqn.model.batching import padded_width
from eqn.model.emoji import name_emoji
from eqn.model.encoding import Encoded, encode
from eqn.model.network import EmotionNetwork, Output, fast_precision
from eqn.model.package import Description, Package, read_package, require_free, write_package
from eqn.model.scoring import Scorer
from eqn.quality.out_of_fold import read_scores, write_scores
from eqn.store.new_file import require_new
from eqn.training.distributed import Team, present_team
from eqn.training.expansion import assign_folds, expand, hold_out, smooth, without_multiple_labels
from eqn.training.loop import Masks, Stage, fit
from eqn.training.objectives import objective
from eqn.training.progress import Listener, silent
from eqn.training.prototypes import start_from_names
from eqn.training.recipes import Recipe

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SOME = 2000
"""Training rows from which the mean answer of a network that is not trained yet is told."""
_KEPT_SCORES = "out-of-fold.npy"
"""In the folder for resuming: the out-of-fold scores that this training writes, or has written."""
_PROCEDURE = 2
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
    final: bool = True
    """Whether the test labels are read, for the one report at the end; an experiment leaves them sealed."""
    out_of_fold: Path | None = None
    """New file for the train rows' out-of-fold scores (see `eqn.quality.out_of_fold`); the recipe must have folds."""


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
        UsageError: `order.out`, `<out>.training` or `order.out_of_fold` is taken, there is no such backbone, or the
            recipe does not fit backbone or corpus.
        StoreUnavailable: the backbone cannot be fetched.
        ArtifactRefused: the state for resuming cannot be read.

    """
    corpus = order.corpus
    digest = backbone_digest(order.backbone, cache=order.backbones, seed=order.seed)
    key = training_key(order.recipe, corpus_digest=corpus.ref.digest, backbone_digest=digest, seed=order.seed)
    room = _room(order)
    finished = _finished(order.out, key, final=order.final)
    scored = order.out_of_fold is None or _is_written(order.out_of_fold, order, finished=finished is not None)
    if finished and scored:  # scores that are missing need another training
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
    backbone = load_backbone(order.backbone, cache=order.backbones, seed=order.seed, pooler=pooler)
    if order.recipe.emoji:
        name_emoji(backbone.tokenizer)
    return backbone


def _train(session: "_Session", key: str) -> Package:
    order, backbone = session.order, session.backbone
    corpus, recipe = order.corpus, order.recipe
    network = session.network()
    if order.out_of_fold:
        train_rows, digest = corpus.train, corpus.ref.digest
        scores_of_stage_a = session.stage_a.clip(0, 1)
        _write_array(session.room / _KEPT_SCORES, scores_of_stage_a)  # before the file, to know it again after a kill
        write_scores(order.out_of_fold, train_rows.ids, train_rows.texts, scores_of_stage_a, corpus_digest=digest)
    log_odds = network.output == "sigmoid"
    tuned = tune(corpus.dev.ids, corpus.dev.targets(), session.outputs(network, corpus.dev), log_odds=log_odds)
    if tuned.recalibration:
        network.recalibrate(*map(torch.from_numpy, (tuned.recalibration.scale, tuned.recalibration.shift)))
    prior = corpus.train.targets().mean(axis=0)
    reported = [split_to_report(corpus, name) for name in (("dev", "test") if order.final else ("dev",))]
    scores = {split.name: session.scores(network, split) for split in reported}
    evaluations = {
        split.name: evaluate_scores(split.targets(), scores[split.name], thresholds=tuned.thresholds, prior=prior)
        for split in reported
    }
    description = Description(
        thresholds=dict(zip(EMOTIONS, tuned.thresholds.tolist(), strict=True)),
        max_tokens=recipe.max_tokens,
        pooling=recipe.pooling,
        output=network.output,
        training_key=key,
        recipe=recipe.values() | {"seed": order.seed},
        backbone={"name": order.backbone, "digest": backbone.digest},
        corpus={"name": corpus.ref.name, "digest": corpus.ref.digest, "rows": dict(corpus.ref.rows)},
        metrics={name: evaluation.summary() for name, evaluation in evaluations.items()},
        calibration=tuned.calibration_facts(),
        conformal=tuned.conformal_facts(),
        int8=int8_facts(
            network, backbone.tokenizer, corpus.train.texts[:OBSERVED], corpus.dev,
            thresholds=tuned.thresholds, max_tokens=recipe.max_tokens,
        ),
    )  # fmt: skip
    shown = reported[-1]
    figures = draw_figures(
        shown.targets(), scores[shown.name], evaluations[shown.name],
        thresholds=tuned.thresholds, model=recipe.name, split=shown.name,
    )  # fmt: skip
    card = model_card(description, shown.name, evaluations[shown.name], order.baselines, tuple(figures))
    return write_package(order.out, network, backbone.tokenizer, description, card=card, figures=figures)


@dataclasses.dataclass(frozen=True, slots=True)
class _Check:
    """How a stage finds its best checkpoint: not at all, by dev's mAP, or by the loss on held-out rows."""

    score: Callable[[], float] | None = None
    scored_by: Literal["dev", "validation"] = "dev"


class _Session:
    """What the stages of one training share: encoded texts, device, precision, and the processes that train."""

    def __init__(self, order: Order, backbone: Backbone, listener: Listener, team: Team) -> None:
        self.order, self.backbone, self.listener, self.team = order, backbone, listener, team
        self.room = _room(order)
        self.device = team.device
        self.precision = fast_precision(self.device)
        dev = order.corpus.dev
        self.choosing = dev.part(halves(dev.ids).choosing)
        """Dev's half by which a checkpoint is chosen."""
        self.stage_a = np.zeros((0, len(EMOTIONS)), dtype=np.float32)
        """What stage A's last round made of the training rows, (rows, 28)."""
        self.encoded = {"train": self._encode(order.corpus.train), "choosing": self._encode(self.choosing)}
        self._first_weights = {name: tensor.clone() for name, tensor in backbone.encoder.state_dict().items()}

    def network(self) -> EmotionNetwork:
        """Train the network that is kept, in as many stages as the recipe has."""
        recipe, gold = self.order.recipe, self.order.corpus.train.targets()
        if recipe.drop_multiple_labels:
            gold = without_multiple_labels(gold)
        targets = gold
        if recipe.folds:
            for stage in range(recipe.rounds):
                self.stage_a = self._predict_train(targets, stage)
                targets = expand(
                    gold, self.stage_a,
                    expansion=recipe.expansion, bounded=recipe.bounded_targets, blend=recipe.blend,
                )  # fmt: skip
        name = "stage B" if recipe.folds else "training"
        return self._fit(name, np.arange(len(targets)), targets, seed=0, dev=self.choosing)

    def _predict_train(self, targets: NDArray[np.float32], stage: int) -> NDArray[np.float32]:
        """Stage A: score every training row with networks that never saw it, but with one fold; (rows, 28)."""
        folds, teachers = self.order.recipe.folds, self.order.recipe.teachers
        assigned = assign_folds(self.order.corpus.train.texts, folds, self.order.seed)
        predicted = np.zeros_like(targets)
        for teacher, fold in itertools.product(range(teachers), range(folds)):
            held_out = np.flatnonzero(assigned == fold)
            seen = held_out if folds == 1 else np.flatnonzero(assigned != fold)
            number = 1 + fold + folds * (teacher + teachers * stage)
            name = _stage_name(self.order.recipe, fold=fold, teacher=teacher, stage=stage)
            predicted[held_out] += self._predict_fold(name, number, seen, held_out, targets) / teachers
        return predicted

    def _predict_fold(
        self,
        name: str,
        number: int,
        seen: NDArray[np.int64],
        held_out: NDArray[np.int64],
        targets: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        recipe, file = self.order.recipe, self.room / f"fold-{number - 1}.npy"
        if not self.team.from_leader(file.is_file):
            network = self._fit(name, seen, targets, seed=number)
            if self.team.leads:
                scorer, rows = self._scorer(network), self._rows("train", held_out)
                _write_array(file, scorer.scores(rows) if recipe.bounded_targets else scorer.outputs(rows))
        return self.team.from_leader(lambda: _read_array(file))

    def scores(self, network: EmotionNetwork, split: Split) -> NDArray[np.float32]:
        """Score the texts of a split."""
        return self._scorer(network).scores(self._encoded(split))

    def outputs(self, network: EmotionNetwork, split: Split) -> NDArray[np.float32]:
        """Give the head's outputs for the texts of a split."""
        return self._scorer(network).outputs(self._encoded(split))

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
        if recipe.prototypes:
            some = [self.order.corpus.train.texts[row] for row in rows[:_SOME].tolist()]
            tokenizer = self.backbone.tokenizer
            start_from_names(network, tokenizer, some, length=recipe.prototypes, max_tokens=recipe.max_tokens)
        network.encoder.embeddings.word_embeddings.weight.requires_grad_(not recipe.freeze_embeddings)
        network.to(self.device)
        scorer = self._scorer(network)
        if recipe.validation_share:
            kept, held_out = hold_out(len(rows), recipe.validation_share, self.order.seed)
            check = self._validation(scorer, rows[held_out], targets)
            rows = rows[kept]
        elif dev is not None:
            check = _Check(lambda: mean_average_precision(dev.targets(), scorer.scores(self.encoded["choosing"])))
        stage = Stage(
            name=name,
            network=network,
            ids=self._rows("train", rows).ids,
            targets=smooth(targets[rows], recipe.label_smoothing),
            recipe=recipe if dev is not None else recipe.of_stage_a(),
            seed=self.order.seed * 1000 + seed,
            precision=self.precision,
            checkpoint=self.room / f"stage-{seed}.safetensors",
            score=check.score,
            scored_by=check.scored_by,
            team=self.team,
            masks=_masks(self.backbone.tokenizer),
        )
        fit(stage, self.listener)
        return network

    def _validation(self, scorer: Scorer, rows: NDArray[np.int64], targets: NDArray[np.float32]) -> "_Check":
        encoded, wanted = self._rows("train", rows), torch.from_numpy(targets[rows])
        loss = objective(self.order.recipe)
        return _Check(lambda: -float(loss(torch.from_numpy(scorer.outputs(encoded)), wanted)), "validation")

    def _encoded(self, split: Split) -> Encoded:
        return self.encoded["train"] if split.name == "train" else self._encode(split)

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


def _stage_name(recipe: Recipe, *, fold: int, teacher: int, stage: int) -> str:
    """Give what people read of a network of stage A, and MLflow takes as a name: no commas."""
    parts = [("fold", fold, recipe.folds), ("teacher", teacher, recipe.teachers), ("round", stage, recipe.rounds)]
    return " ".join(["stage A", *(f"{what} {at + 1} of {of}" for what, at, of in parts if of > 1)])


def _masks(tokenizer: "Tokenizer") -> Masks:
    special = [tokenizer.token_to_id(f"[{name}]") for name in ("PAD", "UNK", "CLS", "SEP", "MASK")]
    known = tuple(number for number in special if number is not None)
    return Masks(mask=tokenizer.token_to_id("[MASK]") or 0, special=known)


def _finished(out: Path, key: str, *, final: bool) -> Package | None:
    """Give the package that this very training wrote before it was killed, if it did."""
    try:
        package = read_package(out)
    except ArtifactRefused:
        return None
    return package if package.training_key == key and ("test" in package.metrics or not final) else None


def _is_written(file: Path, order: Order, *, finished: bool) -> bool:
    """Tell whether this training wrote `file`, its out-of-fold scores, before it ended or was killed.

    A finished training has not kept the scores: any of the same corpus are then taken for its own.

    Raises:
        UsageError: something else is there, or no file can be; it is not found out after hours of training.

    """
    there, kept = _scores_in(file, order.corpus), _room(order) / _KEPT_SCORES
    if there is not None and (np.array_equal(there, _read_array(kept)) if kept.is_file() else finished):
        return True
    require_new(file)
    return False


def _scores_in(file: Path, corpus: Corpus) -> NDArray[np.float32] | None:
    try:
        return read_scores(file).aligned(corpus)
    except (UsageError, ArtifactRefused):  # no such file, or another one
        return None


def _require_fit(order: Order, backbone: Backbone) -> None:
    recipe, positions = order.recipe, backbone.encoder.config.max_position_embeddings
    texts = len(set(order.corpus.train.texts))
    faults = []
    if padded_width(recipe.max_tokens) > positions:
        faults.append(f"max_tokens is {recipe.max_tokens}, and the backbone {backbone.name} has {positions} positions")
    if recipe.masking and backbone.tokenizer.token_to_id("[MASK]") is None:
        faults.append(
            f"masking is {recipe.masking}, and the backbone {backbone.name} has no [MASK] to hide words behind"
        )
    if recipe.folds > texts:
        faults.append(f"folds is {recipe.folds}, and {order.corpus.ref.name} has {texts} different training text(s)")
    if order.out_of_fold and recipe.folds < 2:
        faults.append(f"out-of-fold scores need 2 folds or more, and folds is {recipe.folds}")
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
