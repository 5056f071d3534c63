"""Promises about recipes: arithmetic without a model."""

import dataclasses
import doctest
import re
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqn.errors import UsageError
from eqn.training import recipes
from eqn.training.recipes import EQN, PAPER, PLAIN, RECIPES, Recipe, recipe_named, recipe_with

BAD: dict[str, Any] = {
    "folds": -1, "expansion": 1.5, "teachers": 0, "rounds": 0, "bounded_targets": False, "loss": "mae", "focus": -0.5,
    "label_smoothing": 1.0, "groups": -0.1, "r_drop": -1.0, "masking": 1.0, "pooling": "max", "dropout": 1.0,
    "averaging": 1.0, "max_tokens": 7, "batch_size": 0, "epochs": 0, "epochs_of_stage_a": -1, "least_steps": 0,
    "learning_rate": 0.0, "final_rate": 1.1, "layer_decay": 0.0, "prototypes": -1.0, "pool": 0, "head_rate": -1.0,
    "warmup": 2.0, "weight_decay": -0.1, "clip": 0.0, "checks": 0, "validation_share": 0.6,
}  # fmt: skip
"""A value that does not fit, for every field but the name and what may be on or off."""
SWITCHES = {"blend", "drop_multiple_labels", "emoji", "freeze_embeddings"}


def test_all_faults_of_a_recipe_are_named_at_once() -> None:
    """One refusal with one line for each field, which shows the value."""
    assert BAD.keys() | SWITCHES | {"name"} == {field.name for field in dataclasses.fields(Recipe)}
    with pytest.raises(UsageError) as refusal:
        Recipe(name="bad", **BAD)
    assert sorted(fault.split(" must be ")[0] for fault in refusal.value.faults) == sorted(BAD)
    assert all(fault.endswith(f"got {BAD[fault.split()[0]]!r}") for fault in refusal.value.faults)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    "name",
    [name for name, kind in get_type_hints(Recipe).items() if kind is float],
)
def test_what_is_no_number_fits_no_field(name: str) -> None:
    """NaN is neither within a range nor above a bound, in any field that is a number."""
    with pytest.raises(UsageError, match=f"{name} must be"):
        Recipe(name="bad", **{name: float("nan")})


def test_values_at_their_bounds_fit() -> None:
    """The bounds themselves are allowed."""
    Recipe(name="low", folds=0, expansion=0, dropout=0, max_tokens=8, batch_size=1, epochs=1, warmup=0, weight_decay=0)
    Recipe(name="high", folds=2, expansion=1, max_tokens=512, warmup=1, validation_share=0.5)
    Recipe(name="unbounded", bounded_targets=False, loss="mse", pool=1, head_rate=1e-9)
    Recipe(name="none of it", focus=0, label_smoothing=0, groups=0, r_drop=0, masking=0, averaging=0, final_rate=0)
    Recipe(name="all of it", teachers=1, rounds=1, final_rate=1, layer_decay=1, label_smoothing=0.99, averaging=0.999)


@pytest.mark.parametrize("changes", [{"groups": 0.1}, {"r_drop": 0.1}, {"prototypes": 0.1}])
def test_what_needs_probabilities_does_not_go_with_squared_errors(changes: dict[str, float]) -> None:
    """Outputs that are no log odds have no group's probability, no divergence and no prior to start from."""
    with pytest.raises(UsageError, match=f"{next(iter(changes))} must be at least 0; 0 with the loss mse, got 0.1"):
        Recipe(name="bad", loss="mse", **changes)
    for loss in ("bce", "focal", "asymmetric"):
        Recipe(name="good", loss=loss, **changes)  # type: ignore[arg-type]


def test_plain_is_one_stage_and_eqn_two() -> None:
    """`plain`, with which `eqn` is compared, is the fields as they come; `eqn` differs in these, and in no others."""
    assert {"eqn": EQN, "plain": PLAIN, "paper": PAPER} == RECIPES
    assert Recipe(name="plain") == PLAIN
    assert PLAIN.folds == 0
    differing = {
        "name": "eqn", "folds": 2, "blend": True, "expansion": 0.5, "epochs": 3, "epochs_of_stage_a": 2,
        "freeze_embeddings": True, "prototypes": 3.0, "head_rate": 2.0,
    }  # fmt: skip
    assert {name: value for name, value in EQN.values().items() if value != PLAIN.values()[name]} == differing


def test_stage_a_may_have_epochs_of_its_own() -> None:
    """Nothing else of its recipe is another; without a number of its own it has that of stage B."""
    recipe = Recipe(name="two", folds=2, epochs=5, epochs_of_stage_a=3)
    assert recipe.of_stage_a() == dataclasses.replace(recipe, epochs=3)
    assert dataclasses.replace(recipe, epochs_of_stage_a=0).of_stage_a().epochs == 5
    assert EQN.of_stage_a().epochs == 2


def test_the_published_values_stand_in_the_recipe_of_that_name() -> None:
    """As the authors' eqn.py of 2025-06-26 has them; the seed 42 and bert-base-cased are arguments beside a recipe.

    What is not in it is off.
    """
    published = {
        "loss": "mse", "pooling": "pooler", "learning_rate": 1e-5, "warmup": 0.0, "clip": 1.0, "weight_decay": 0.0,
        "epochs": 5, "batch_size": 24, "max_tokens": 128, "dropout": 0.1, "validation_share": 0.1, "head_rate": 1.0,
        "folds": 1, "expansion": 1.0, "bounded_targets": False, "drop_multiple_labels": False, "pool": 1, "checks": 5,
        "least_steps": 1, "name": "paper",
    }  # fmt: skip
    of_ours = {
        "blend": False, "teachers": 1, "rounds": 1, "label_smoothing": 0.0, "groups": 0.0, "r_drop": 0.0,
        "masking": 0.0, "averaging": 0.0, "final_rate": 0.0, "layer_decay": 1.0, "freeze_embeddings": False,
        "prototypes": 0.0, "epochs_of_stage_a": 0, "emoji": False,
    }  # fmt: skip
    without_meaning = {"focus": 2.0}  # the squared error has no such exponent
    assert PAPER.values() == published | of_ours | without_meaning
    rows = 39_069  # 90 % of GoEmotions' training rows
    assert (PAPER.batch_for(rows), PAPER.epochs_for(rows)) == (24, 5)


@pytest.mark.parametrize("recipe", [EQN, PLAIN])
def test_our_own_recipes_keep_every_label_and_bounded_targets(recipe: Recipe) -> None:
    """What the published procedure does otherwise is an option that they do not take."""
    assert recipe.bounded_targets
    assert not recipe.drop_multiple_labels
    assert (recipe.loss, recipe.pool, recipe.validation_share) == ("bce", 40, 0.0)


def test_a_recipe_is_found_by_its_name_and_can_be_changed() -> None:
    """The changed one is another value; the named one stays as it was."""
    assert recipe_named("eqn") is not recipe_named("eqn", epochs=5)
    assert recipe_named("eqn", epochs=5) == dataclasses.replace(EQN, epochs=5) != EQN
    assert recipe_named("eqn") == EQN


@pytest.mark.parametrize(
    ("name", "changes", "named"),
    [
        ("best", {}, "among eqn, paper, plain; got 'best'"),
        ("eqn", {"epoch": 3, "lr": 1}, "no field epoch, lr"),
        ("eqn", {"epochs": 0}, "epochs must be at least 1, got 0"),
    ],
)
def test_what_no_recipe_knows_is_a_wrong_call(name: str, changes: dict[str, Any], named: str) -> None:
    """An unknown recipe, unknown fields, and a value that does not fit."""
    with pytest.raises(UsageError, match=re.escape(named)):
        recipe_named(name, **changes)


def test_texts_change_fields_of_every_type() -> None:
    """Numbers, words and truth values are read as the field's type wants them; nothing else changes."""
    texts = ["epochs=3", "learning_rate=1e-4", "bounded_targets=false", "loss=mse", "warmup=0", "name=mine", "folds=1",
             "blend=true", "teachers=2"]  # fmt: skip
    expected = dataclasses.replace(
        PLAIN, epochs=3, learning_rate=1e-4, bounded_targets=False, loss="mse", warmup=0.0, name="mine", folds=1,
        blend=True, teachers=2,
    )  # fmt: skip
    changed = recipe_with("plain", texts)
    assert changed == expected
    assert [type(value) for value in changed.values().values()] == [type(value) for value in PLAIN.values().values()]
    assert recipe_with("paper", ["drop_multiple_labels=true"]) == dataclasses.replace(PAPER, drop_multiple_labels=True)
    assert recipe_with("eqn", []) == EQN


def test_all_faulty_texts_are_named_at_once() -> None:
    """No field, no value, the wrong type, a number that is none, twice the same, and a value that does not fit."""
    texts = [
        "epochs", "epoch=3", "=3", "epochs=2.5", "clip=inf", "dropout=nan", "dropout=", "bounded_targets=True",
        "checks=2", "checks=3", "pooling=max", "batch_size=0", f"folds={'9' * 5000}",
    ]  # fmt: skip
    with pytest.raises(UsageError) as refusal:
        recipe_with("plain", texts)
    faults = [fault[:60] for fault in refusal.value.faults]
    assert faults[:11] == [
        "'epochs' is no FIELD=VALUE with a field of a recipe",
        "'epoch=3' is no FIELD=VALUE with a field of a recipe",
        "'=3' is no FIELD=VALUE with a field of a recipe",
        "epochs must be a whole number, got '2.5'",
        "clip must be a number, got 'inf'",
        "dropout must be a number, got 'nan'",
        "dropout must be a number, got ''",
        "bounded_targets must be true or false, got 'True'",
        "checks is set twice",
        f"folds must be a whole number, got '{'9' * 25}",
        "pooling must be mean, cls or pooler, got 'max'",
    ]
    assert faults[11:] == ["batch_size must be at least 1, got 0"]
    assert "drop_multiple_labels" in refusal.value.todo


def test_texts_for_an_unknown_recipe_are_refused() -> None:
    """The recipe's name is checked like that of any."""
    with pytest.raises(UsageError, match="among eqn, paper, plain; got 'best'"):
        recipe_with("best", ["epochs=3"])


def test_the_example_in_the_docstring_holds() -> None:
    """What the function shows is what it does."""
    assert doctest.testmod(recipes) == doctest.TestResults(failed=0, attempted=1)


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
    assert PLAIN.batch_for(rows) == batch
    assert PLAIN.steps_per_epoch(rows) == per_epoch
    assert PLAIN.epochs_for(rows) == epochs


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
