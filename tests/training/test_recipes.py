"""Promises about recipes: arithmetic without a model."""

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqn.errors import UsageError
from eqn.training.recipes import EQN, PLAIN, RECIPES, Recipe, recipe_named

BAD: dict[str, Any] = {
    "folds": 1, "expansion": 1.5, "pooling": "max", "dropout": 1.0, "max_tokens": 7, "batch_size": 0, "epochs": 0,
    "least_steps": 0, "learning_rate": 0.0, "head_rate": -1.0, "warmup": 2.0, "weight_decay": -0.1, "clip": 0.0,
    "checks": 0,
}  # fmt: skip
"""A value that does not fit, for every field but the name."""


def test_all_faults_of_a_recipe_are_named_at_once() -> None:
    """One refusal with one line for each field, which shows the value."""
    assert BAD.keys() | {"name"} == {field.name for field in dataclasses.fields(Recipe)}
    with pytest.raises(UsageError) as refusal:
        Recipe(name="bad", **BAD)
    assert [fault.split(" must be ")[0] for fault in refusal.value.faults] == list(BAD)
    assert all(fault.endswith(f"got {BAD[fault.split()[0]]!r}") for fault in refusal.value.faults)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    "name", ["expansion", "dropout", "learning_rate", "head_rate", "warmup", "weight_decay", "clip"]
)
def test_what_is_no_number_fits_no_field(name: str) -> None:
    """NaN is neither within a range nor above a bound."""
    with pytest.raises(UsageError, match=f"{name} must be"):
        Recipe(name="bad", **{name: float("nan")})


def test_values_at_their_bounds_fit() -> None:
    """The bounds themselves are allowed."""
    Recipe(name="low", folds=0, expansion=0, dropout=0, max_tokens=8, batch_size=1, epochs=1, warmup=0, weight_decay=0)
    Recipe(name="high", folds=2, expansion=1, max_tokens=512, warmup=1)


def test_the_two_recipes_differ_in_their_stages_alone() -> None:
    """`plain` is what `eqn` is compared with: everything but the folds is the same."""
    assert {"eqn": EQN, "plain": PLAIN} == RECIPES
    assert (EQN.folds, PLAIN.folds) == (2, 0)
    assert dataclasses.replace(EQN, name="plain", folds=0) == PLAIN


def test_a_recipe_is_found_by_its_name_and_can_be_changed() -> None:
    """The changed one is another value; the named one stays as it was."""
    assert recipe_named("eqn") is not recipe_named("eqn", epochs=5)
    assert recipe_named("eqn", epochs=5) == dataclasses.replace(EQN, epochs=5)
    assert EQN.epochs == 2


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("best", {}, "among eqn, plain; got 'best'"),
        ("eqn", {"epoch": 3, "lr": 1}, "no field epoch, lr"),
        ("eqn", {"epochs": 0}, "epochs must be at least 1, got 0"),
    ],
)
def test_what_no_recipe_knows_is_a_wrong_call(name: str, changes: dict[str, Any], named: str) -> None:
    """An unknown recipe, unknown fields, and a value that does not fit."""
    with pytest.raises(UsageError, match=re.escape(named)):
        recipe_named(name, **changes)


def test_the_values_are_the_fields_by_name() -> None:
    """What is written into a package builds the same recipe again."""
    assert Recipe(**EQN.values()) == EQN


@pytest.mark.parametrize(
    ("rows", "batch", "per_epoch", "epochs"),
    [
        (43_410, 64, 679, 2),  # GoEmotions: 2 x 679 steps are enough
        (984, 16, 62, 9),  # the sample: 500 / 62 is a little more than 8
        (4_096, 64, 64, 8),
        (2_048, 32, 64, 8),
        (60, 16, 4, 125),
        (1, 16, 1, 500),
    ],
)
def test_a_small_corpus_gets_smaller_batches_and_more_epochs(
    rows: int, batch: int, per_epoch: int, epochs: int
) -> None:
    """Worked by hand for the default recipe: 64 rows per step at most, 16 at least, and 500 steps or two epochs."""
    assert EQN.batch_for(rows) == batch
    assert EQN.steps_per_epoch(rows) == per_epoch
    assert EQN.epochs_for(rows) == epochs


@settings(deadline=None)
@given(rows=st.integers(1, 100_000), batch=st.integers(1, 128), epochs=st.integers(1, 5), least=st.integers(1, 2000))
def test_there_are_never_fewer_steps_or_epochs_than_asked_for(rows: int, batch: int, epochs: int, least: int) -> None:
    """And not an epoch more than that needs; a batch is never larger than the recipe says."""
    recipe = Recipe(name="any", batch_size=batch, epochs=epochs, least_steps=least)
    per_epoch, passes = recipe.steps_per_epoch(rows), recipe.epochs_for(rows)
    assert recipe.batch_for(rows) <= batch
    assert (per_epoch - 1) * recipe.batch_for(rows) < rows <= per_epoch * recipe.batch_for(rows)
    assert passes >= epochs
    assert per_epoch * passes >= least
    assert passes == epochs or per_epoch * (passes - 1) < least
