"""Promises about a whole training run: what stage B learns from, and what comes out."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eqn.corpus.goemotions import Corpus
from eqn.emotions import EMOTIONS
from eqn.errors import UsageError
from eqn.evaluation.evaluate import evaluate_package
from eqn.evaluation.halves import halves
from eqn.evaluation.metrics import mean_average_precision
from eqn.evaluation.tuning import tune
from eqn.model.backbone import load_backbone
from eqn.model.network import best_device
from eqn.model.package import FIGURES, Package, load_network, read_package
from eqn.model.scoring import Scorer
from eqn.training.loop import Stage
from eqn.training.progress import Event
from eqn.training.recipes import Recipe
from eqn.training.run import Order, train, training_key

CorpusWriter = Callable[..., Corpus]
OrderMaker = Callable[..., Order]
Stages = list[tuple[Stage, dict[str, torch.Tensor]]]


def test_a_training_gives_a_package_that_says_how_it_came_about(toy_order: OrderMaker) -> None:
    """Recipe, corpus, backbone, seed and key; thresholds and figures are those of its own scores on dev and test."""
    order = toy_order()
    package = train(order)
    assert package == read_package(order.out)
    assert package.recipe == order.recipe.values() | {"seed": 3}
    assert package.corpus == {"name": "toy", "digest": order.corpus.ref.digest, "rows": dict(order.corpus.ref.rows)}
    assert package.backbone["name"] == "tiny"
    assert package.training_key == training_key(
        order.recipe, corpus_digest=order.corpus.ref.digest, backbone_digest=package.backbone["digest"], seed=3
    )
    for split in ("dev", "test"):
        assert package.metrics[split] == evaluate_package(package, order.corpus, split).summary()


def test_what_dev_chooses_stands_in_the_package(toy_order: OrderMaker, trained_stages: Stages) -> None:
    """Stage B's network, asked again by hand: calibration, thresholds and limits are what `tune` makes of its outputs.

    The calibration is in the head, so that the package's intensities are the calibrated ones.
    """
    order = toy_order()
    package = train(order)
    stage, weights = trained_stages[-1]
    dev, texts = order.corpus.dev, order.corpus.dev.texts
    stage.network.load_state_dict(weights)
    tokenizer = load_backbone("tiny", cache=order.backbones, seed=0).tokenizer
    scorer = Scorer(stage.network, tokenizer, max_tokens=32, precision=stage.precision)
    tuned = tune(dev.ids, dev.targets(), scorer.outputs(scorer.encode(texts)), log_odds=True)
    assert [package.thresholds[name] for name in EMOTIONS] == tuned.thresholds.tolist()
    assert package.calibration == tuned.calibration_facts()
    assert package.conformal == tuned.conformal_facts()
    assert package.calibration["rows"] == len(halves(dev.ids).calibrating)

    assert tuned.recalibration is not None
    network, _ = load_network(package)
    exact, calibrated = (Scorer(one, tokenizer, max_tokens=32, precision=torch.float32) for one in (
        stage.network.cpu(), network
    ))  # fmt: skip
    expected = tuned.recalibration.intensities(exact.outputs(exact.encode(texts)))
    np.testing.assert_allclose(calibrated.scores(calibrated.encode(texts)), expected, atol=1e-5)
    assert np.abs(expected - exact.scores(exact.encode(texts))).max() > 0.01


def test_emoji_are_read_as_their_names_by_whoever_reads_the_package(toy_order: OrderMaker) -> None:
    """With emoji=true, and without it as one unknown token."""
    recipe = Recipe(name="toy", max_tokens=32, least_steps=4, epochs=1)
    for emoji, named in ((True, True), (False, False)):
        package = train(
            toy_order(recipe=dataclasses.replace(recipe, emoji=emoji), out=toy_order().out.with_name(f"{emoji}"))
        )
        _, tokenizer = load_network(package)
        seen, name = (tokenizer.encode(text).ids for text in ("so 😂", "so face with tears of joy"))
        assert (seen == name) == named


def test_a_package_holds_the_figures_that_its_card_shows(toy_order: OrderMaker, with_figures: None) -> None:
    """Four images, each embedded by its name; the same training draws the same bytes."""
    package = train(toy_order())
    again = train(toy_order(out=package.path.with_name("again")))
    card = (package.path / "README.md").read_text("utf-8")
    for name in FIGURES:
        assert (package.path / name).read_bytes().startswith(b"\x89PNG")
        assert f"({name})" in card
    assert again.digest == package.digest


def test_nothing_but_the_package_is_left(toy_order: OrderMaker) -> None:
    """The state for resuming is gone when it is no longer needed."""
    order = toy_order()
    train(order)
    assert [path.name for path in order.out.parent.iterdir()] == ["model"]


def test_what_can_be_learnt_is_learnt(toy_order: OrderMaker) -> None:
    """On letters that show the emotion the model is far above the prior."""
    recipe = dataclasses.replace(toy_order().recipe, least_steps=60)
    package = train(toy_order(recipe=recipe))
    assert package.metrics["test"]["brier_skill"] > 0.3
    assert package.metrics["test"]["map"] > 0.8  # over the three emotions that there are


def test_the_same_order_twice_gives_the_same_package(toy_order: OrderMaker, tmp_path: Path) -> None:
    """Same digest, which covers every byte of every file, wherever it is written; another seed gives another."""
    first = train(toy_order(out=tmp_path / "first"))
    second = train(toy_order(out=tmp_path / "elsewhere" / "second"))
    other = train(toy_order(out=tmp_path / "other", seed=4))
    assert first.digest == second.digest
    assert other.digest != first.digest


def test_the_baselines_stand_in_the_card(toy_order: OrderMaker) -> None:
    """What was measured beside the model is shown beside it."""
    package = train(toy_order())
    figures = package.metrics["test"] | {"macro_f1": 0.987}
    beside = train(toy_order(out=package.path.with_name("beside"), baselines={"a baseline": figures}))
    assert "| a baseline | 0.987 " in (beside.path / "README.md").read_text("utf-8")


def test_the_checkpoint_is_chosen_on_one_half_of_dev(toy_order: OrderMaker, tmp_path: Path) -> None:
    """Other labels on the calibrating rows change no check; on the choosing rows they do."""
    recipe = Recipe(name="plain", max_tokens=32, least_steps=12, epochs=1, checks=3)
    order, checks = toy_order(recipe=recipe), {}
    dev = order.corpus.dev
    parts = halves(dev.ids)
    for name, rows in (("none", []), ("calibrating", parts.calibrating), ("choosing", parts.choosing)):
        labels = [(5, 9) if row in rows else labels for row, labels in enumerate(dev.labels)]
        corpus = dataclasses.replace(order.corpus, dev=dataclasses.replace(dev, labels=tuple(labels)))
        heard: list[Event] = []
        train(dataclasses.replace(order, corpus=corpus, out=tmp_path / name), heard.append)
        checks[name] = [event.dev_score for event in heard if event.dev_score is not None]
    assert len(checks["none"]) == 3
    assert checks["calibrating"] == checks["none"]
    assert checks["choosing"] != checks["none"]


def test_a_checkpoint_is_scored_by_its_mean_average_precision(toy_order: OrderMaker, trained_stages: Stages) -> None:
    """What is heard of the best check is the figure of the weights that are kept, on the choosing rows."""
    order = toy_order(recipe=Recipe(name="plain", max_tokens=32, least_steps=4, epochs=1, checks=2))
    heard: list[Event] = []
    train(order, heard.append)
    ((stage, weights),) = trained_stages
    chosen = order.corpus.dev.part(halves(order.corpus.dev.ids).choosing)
    stage.network.load_state_dict(weights)
    tokenizer = load_backbone("tiny", cache=order.backbones, seed=0).tokenizer
    scorer = Scorer(stage.network, tokenizer, max_tokens=32, precision=stage.precision)
    scores = scorer.scores(scorer.encode(chosen.texts))
    best = max(event.dev_score for event in heard if event.dev_score is not None)
    assert mean_average_precision(chosen.targets(), scores) == pytest.approx(best, abs=1e-9)
    assert 0 < best < 1


def test_a_key_names_recipe_data_backbone_and_seed() -> None:
    """Each of them changes the key, every field of the recipe does, and equal facts give equal keys."""
    recipe = Recipe(name="toy")
    facts = {"corpus_digest": "c", "backbone_digest": "b", "seed": 0}
    key = training_key(recipe, **facts)
    assert training_key(Recipe(name="toy"), **facts) == key
    others = [
        training_key(recipe, **(facts | change))
        for change in ({"corpus_digest": "x"}, {"backbone_digest": "x"}, {"seed": 1})
    ]
    changed: dict[str, Any] = {
        "name": "other", "folds": 2, "expansion": 0.5, "blend": True, "teachers": 2, "rounds": 2,
        "drop_multiple_labels": True, "loss": "mse", "focus": 1.0, "label_smoothing": 0.1, "groups": 0.1, "r_drop": 0.1,
        "masking": 0.1, "pooling": "cls", "dropout": 0.2, "averaging": 0.9, "max_tokens": 64, "batch_size": 32,
        "epochs": 3, "epochs_of_stage_a": 1, "emoji": True, "least_steps": 400, "learning_rate": 1e-4,
        "final_rate": 0.1, "layer_decay": 0.9,
        "freeze_embeddings": True, "prototypes": 0.5, "pool": 1, "head_rate": 1.0, "warmup": 0.2, "weight_decay": 0.0,
        "clip": 2.0, "checks": 5, "validation_share": 0.2,
    }  # fmt: skip
    assert changed.keys() | {"bounded_targets"} == {field.name for field in dataclasses.fields(Recipe)}
    recipes = [dataclasses.replace(recipe, **{name: value}) for name, value in changed.items()]
    recipes.append(dataclasses.replace(recipe, loss="mse", bounded_targets=False))
    others += [training_key(other, **facts) for other in recipes]
    assert len({key, *others}) == 1 + len(others)


def test_a_key_does_not_depend_on_names_or_places(
    toy_order: OrderMaker, write_corpus: CorpusWriter, tmp_path: Path
) -> None:
    """The same rows in another folder, written to another place with baselines: the same key."""
    order = toy_order(recipe=dataclasses.replace(toy_order().recipe, least_steps=4))
    texts, labels = order.corpus.train.texts, order.corpus.train.labels
    again = write_corpus(list(zip(texts, labels, strict=True)))
    renamed = dataclasses.replace(again, ref=dataclasses.replace(again.ref, name="renamed"))
    first = train(order)
    second = train(dataclasses.replace(order, corpus=renamed, out=tmp_path / "b" / "c"))
    assert second.corpus["name"] == "renamed"
    assert second.training_key == first.training_key


def test_a_place_that_is_taken_is_refused_before_anything_is_trained(toy_order: OrderMaker) -> None:
    """Somebody's files, or a package of another training, stay as they are."""
    heard: list[Event] = []
    order = toy_order()
    order.out.mkdir()
    (order.out / "mine").write_text("mine", "utf-8")
    with pytest.raises(UsageError, match="expected a new directory"):
        train(order, heard.append)
    assert [path.name for path in order.out.parent.rglob("*")] == ["model", "mine"]
    elsewhere = toy_order(out=order.out.with_name("elsewhere"), recipe=dataclasses.replace(order.recipe, least_steps=4))
    package = train(elsewhere)
    with pytest.raises(UsageError, match="expected a new directory"):
        train(dataclasses.replace(elsewhere, seed=4), heard.append)
    assert read_package(elsewhere.out) == package
    assert not heard


def test_a_recipe_that_does_not_fit_backbone_or_corpus_is_a_wrong_call(
    toy_order: OrderMaker, write_corpus: CorpusWriter, tmp_path: Path
) -> None:
    """More tokens than the encoder has positions, more folds than rows, too few rows to hold any out, nothing to hide
    words behind: all are named.
    """
    folder = tmp_path / "bert"
    tiny = load_backbone("tiny", cache=tmp_path, seed=0)
    tiny.encoder.save_pretrained(folder)
    tiny.tokenizer.save(str(folder / "tokenizer.json"))
    _shorten(folder, positions=30)
    _forget(folder, "[MASK]")
    recipe = dataclasses.replace(toy_order().recipe, folds=3, validation_share=0.1, masking=0.1)
    order = toy_order(recipe=recipe, backbone=str(folder), corpus=write_corpus([("a", [1]), ("b", [2])]))
    with pytest.raises(UsageError) as refusal:
        train(order)
    assert [fault.split(" ")[0] for fault in refusal.value.faults] == [
        "max_tokens",
        "masking",
        "folds",
        "validation_share",
    ]
    assert not order.out.exists()


def _shorten(folder: Path, *, positions: int) -> None:
    from safetensors.torch import load, save

    name = "embeddings.position_embeddings.weight"
    weights = load((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors").write_bytes(save(weights | {name: weights[name][:positions].clone()}))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": positions}), "utf-8")


def _forget(folder: Path, word: str) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    tokenizer["model"]["vocab"].pop(word, None)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")


@pytest.mark.gpu
def test_training_and_scoring_work_on_the_device(toy_order: OrderMaker) -> None:
    """20 steps on CUDA: the network is there, the package is whole, and the CPU answers what the device answers."""
    devices: set[str] = set()
    order = toy_order(recipe=Recipe(name="device", max_tokens=32, batch_size=16, epochs=1, least_steps=20, checks=2))
    assert best_device().type == "cuda"
    torch.cuda.reset_peak_memory_stats()
    package = train(order, lambda event: devices.add(f"{event.step} of {event.steps}"))
    assert devices == {"10 of 20", "20 of 20"}
    assert torch.cuda.max_memory_allocated() > 0
    scores = []
    for device in (torch.device("cuda"), torch.device("cpu")):
        network, tokenizer = load_network(package)
        scorer = Scorer(network.to(device), tokenizer, max_tokens=32, precision=torch.float32)
        scores.append(scorer.scores(scorer.encode(order.corpus.test.texts)))
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-3)
    assert isinstance(package, Package)
