"""`eqn train` and `eqn evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eqn.commands.shared import DataDirectory, Json, corpus_in, out, package_of, people, print_json, say
from eqn.records import as_json

if TYPE_CHECKING:
    from eqn.evaluation.metrics import Evaluation

Recipe = Annotated[str, typer.Option(help="eqn: two stages, expanded labels. plain: one stage.")]
Backbone = Annotated[
    str, typer.Option(help="minilm, tiny, a directory, or the name of a BERT on the Hugging Face hub.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
Out = Annotated[Path | None, typer.Option(help="Only write the package, to this new directory.", show_default=False)]


def train(
    *,
    data: DataDirectory = None,
    recipe: Recipe = "eqn",
    backbone: Backbone = "minilm",
    seed: Seed = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Train a model. A killed training goes on where it stopped when the same command runs again.

    Without --out the data is validated, and the model is tracked and registered in MLflow. With --out its package is
    written there and nothing else is touched; with --data besides, torch and transformers suffice.

    Examples: eqn train --data goemotions; eqn train --data goemotions --recipe plain --seed 1 --out model
    """
    from eqn.evaluation.card import comparison_rows
    from eqn.terminal import table

    if out is None:
        where, metrics = _train_and_register(data, recipe, backbone=backbone, seed=seed)
        then = "eqn promote"
    else:
        where, metrics = _train_to(out, data, recipe, backbone=backbone, seed=seed)
        then = f'eqn annotate --model {out} --text "I can\'t stop smiling"'
    if json:
        print_json({"model": where, "metrics": as_json(metrics)})
        return
    rows = comparison_rows({f"{recipe} on {split}": figures for split, figures in metrics.items()})
    people.print(table(where, rows))
    say(f"Next: {then}")


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A package directory, a version, models:/..., or an alias.")
    ] = "champion",
    *,
    data: DataDirectory = None,
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    json: Json = False,
) -> None:
    """Evaluate a model on a split: precision, recall, F1, average precision, Brier.

    Example: eqn evaluate champion --data goemotions --split test
    """
    from eqn.evaluation.card import comparison_rows
    from eqn.evaluation.evaluate import evaluate_package
    from eqn.terminal import table

    package = package_of(model)
    evaluation = evaluate_package(package, corpus_in(data), split)
    if json:
        print_json(evaluation.summary() | {"evaluation": as_json(evaluation)})
        return
    out.print(table(f"{model} on {split}", comparison_rows({str(package.recipe.get("name")): evaluation.summary()})))
    out.print(table("each emotion", _emotion_rows(evaluation)))


Figures = dict[str, dict[str, float]]


def _train_and_register(data: Path | None, recipe: str, *, backbone: str, seed: int) -> tuple[str, Figures]:
    from eqn.quality.inputs import validated_corpus
    from eqn.registry.training_run import train_and_register
    from eqn.settings import load_settings
    from eqn.terminal import training_progress
    from eqn.training.recipes import recipe_named

    settings, chosen, corpus = load_settings(), recipe_named(recipe), corpus_in(data)
    validation = validated_corpus(corpus, docs=settings.data_docs)
    with training_progress(people) as listener:
        trained = train_and_register(
            settings, corpus, validation, chosen, backbone=backbone, seed=seed, listener=listener
        )
    if trained.reused:
        people.print(f"{trained.model} was trained by this recipe on this data before.", highlight=False)
    return str(trained.model), {split: dict(figures) for split, figures in trained.metrics.items()}


def _train_to(out: Path, data: Path | None, recipe: str, *, backbone: str, seed: int) -> tuple[str, Figures]:
    from eqn.terminal import training_progress
    from eqn.training.recipes import recipe_named
    from eqn.training.run import Order, train

    order = Order(
        corpus=corpus_in(data),
        recipe=recipe_named(recipe),
        backbone=backbone,
        seed=seed,
        out=out,
        backbones=_backbones(),
    )
    with training_progress(people) as listener:
        package = train(order, listener)
    return str(package.path), {split: dict(figures) for split, figures in package.metrics.items()}


def _backbones() -> Path:
    """Give the folder of fetched backbones, on a machine without the pipeline's packages too."""
    try:
        from eqn.settings import load_settings
    except ModuleNotFoundError:
        return Path.home() / ".cache" / "eqn" / "backbones"
    return load_settings().backbones


def _emotion_rows(evaluation: "Evaluation") -> list[dict[str, object]]:
    return [
        {
            "emotion": name,
            "rows": figures.support,
            "precision": f"{figures.precision:.3f}",
            "recall": f"{figures.recall:.3f}",
            "F1": f"{figures.f1:.3f}",
            "average precision": f"{evaluation.average_precision[name]:.3f}",
        }
        for name, figures in evaluation.emotions.labels.items()
    ]
