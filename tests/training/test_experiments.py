"""Promises about experiments, whose test labels stay sealed, and about final trainings, which report on them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eqn.errors import UsageError
from eqn.model.package import FIGURES, read_package
from eqn.training.recipes import Recipe
from eqn.training.run import Order, train

OrderMaker = Callable[..., Order]


class Unread(tuple[tuple[int, ...], ...]):
    """Labels that nobody may look at."""

    __slots__ = ()

    def __iter__(self) -> Any:
        pytest.fail("the test labels were read")

    def __getitem__(self, row: Any) -> Any:
        pytest.fail("the test labels were read")


def test_an_experiment_never_reads_the_test_labels(toy_order: OrderMaker, with_figures: None) -> None:
    """With final=False they may be unreadable: there are figures, a card and images of dev, and none of test.

    A final order opens them, which shows that this test would notice.
    """
    order = toy_order()
    test = dataclasses.replace(order.corpus.test, labels=Unread(order.corpus.test.labels))
    order = dataclasses.replace(order, corpus=dataclasses.replace(order.corpus, test=test), final=False)
    package = train(order)
    assert package.metrics.keys() == {"dev"}
    card = (package.path / "README.md").read_text("utf-8")
    assert "## Figures on dev" in card
    assert "the test labels were not read" in card
    assert "## Figures on test" not in card
    assert {file.name for file in package.path.iterdir()} >= set(FIGURES)
    with pytest.raises(pytest.fail.Exception, match="the test labels were read"):
        train(dataclasses.replace(order, out=order.out.with_name("final"), final=True))


def test_an_experiment_gives_the_model_that_the_final_training_gives(toy_order: OrderMaker, tmp_path: Path) -> None:
    """The same weights, thresholds, calibration and figures on dev: only the report on test is added."""
    experiment = train(toy_order(out=tmp_path / "experiment", final=False))
    final = train(toy_order(out=tmp_path / "final"))
    for fact in ("thresholds", "calibration", "conformal", "training_key", "recipe"):
        assert getattr(experiment, fact) == getattr(final, fact), fact
    assert final.metrics == {**experiment.metrics, "test": final.metrics["test"]}
    assert (final.path / "model.safetensors").read_bytes() == (experiment.path / "model.safetensors").read_bytes()


def test_the_package_of_an_experiment_is_no_final_one(toy_order: OrderMaker) -> None:
    """Where one stands a final order is refused; it is not taken for a package with figures on test."""
    order = toy_order(recipe=Recipe(name="plain", max_tokens=32, least_steps=4, epochs=1), final=False)
    package = train(order)
    with pytest.raises(UsageError, match="expected a new directory"):
        train(dataclasses.replace(order, final=True))
    assert train(order) == read_package(order.out) == package
