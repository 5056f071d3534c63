"""`eqn train` and `eqn evaluate`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eqn.commands.shared import (
    DataDirectory,
    Json,
    backbones_folder,
    corpus_in,
    out,
    package_of,
    people,
    print_json,
    say,
)
from eqn.errors import EqnError, UsageError
from eqn.exits import complain
from eqn.records import as_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eqn.corpus.goemotions import Corpus
    from eqn.evaluation.intervals import Difference
    from eqn.evaluation.metrics import Evaluation
    from eqn.model.package import Package
    from eqn.training.recipes import Recipe as ChosenRecipe
    from eqn.training.run import Order

Recipe = Annotated[
    str, typer.Option(help="eqn: two stages, expanded labels. plain: one stage. paper: as the authors published it.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe; may be repeated."),
]
Backbone = Annotated[
    str, typer.Option(help="minilm, tiny, a directory, or the name of a BERT on the Hugging Face hub.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]
DevOnly = Annotated[
    bool,
    typer.Option("--dev-only", help="With --out: an experiment, measured on dev; the test labels are not read."),
]
OutOfFold = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --out: also write the train rows' out-of-fold scores of stage A to this new file, "
        "for eqn quality label-issues.",
        show_default=False,
    ),
]
Out = Annotated[Path | None, typer.Option(help="Only write the package, to this new directory.", show_default=False)]


def train(
    *,
    data: DataDirectory = None,
    recipe: Recipe = "eqn",
    changes: Changes = None,
    backbone: Backbone = "minilm",
    seed: Seed = 0,
    out: Out = None,
    dev_only: DevOnly = False,
    out_of_fold: OutOfFold = None,
    json: Json = False,
) -> None:
    """Train a model. A killed training goes on where it stopped when the same command runs again.

    Without --out the data is validated, and the model is tracked and registered in MLflow. With --out its package is
    written there and nothing else is touched; with --data besides, torch and transformers suffice.

    On several GPUs, torchrun starts the command: each process computes its part of every batch.

    Examples: eqn train --data goemotions; eqn train --data goemotions --recipe plain --seed 1 --out model;
    eqn train --recipe paper --backbone bert-base-cased --seed 42 --set drop_multiple_labels=true;
    torchrun --nproc-per-node 2 $(which eqn) train --data goemotions --out model
    """
    from eqn.evaluation.card import figure_rows
    from eqn.exits import translated
    from eqn.terminal import table
    from eqn.training.distributed import joined
    from eqn.training.recipes import recipe_with

    with joined() as team, translated():
        if not team.leads:
            _follow()
            return
        chosen = recipe_with(recipe, changes or [])
        if out is None and (dev_only or out_of_fold):
            raise UsageError("--dev-only and --out-of-fold go with --out: a registered model is measured on test.")
        if out is None:
            where, metrics = _train_and_register(data, chosen, backbone=backbone, seed=seed)
            then = "eqn promote"
        else:
            order = _order(out, data, chosen, backbone=backbone, seed=seed, final=not dev_only)
            where, metrics = _train_to(dataclasses.replace(order, out_of_fold=out_of_fold))
            then = f'eqn annotate --model {out} --text "I can\'t stop smiling"'
    if json:
        print_json({"model": where, "metrics": as_json(metrics)})
        return
    rows = figure_rows({f"{chosen.name} on {split}": figures for split, figures in metrics.items()})
    people.print(table(where, rows))
    say(f"Next: {then}")


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A package directory, a version, models:/..., or an alias.")
    ] = "champion",
    *,
    data: DataDirectory = None,
    split: Annotated[
        str | None,
        typer.Option(help="train, dev or test. Default: dev. With --intensity: see above.", show_default=False),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="A second model, for comparison on the same rows.", show_default=False)
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Draw the model's figures into this new directory.", show_default=False)
    ] = None,
    intensity: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Measure against people's scores in this file; may be repeated.", show_default=False
        ),
    ] = None,
    probe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="With --intensity: also fit a ridge regression on the scores in this file; may be repeated.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Evaluate a model on a split: precision, recall, F1, average precision, Brier, calibration error.

    The test split is for the report at the end: what is compared and chosen on dev stays a fair report on it. Who looks
    at it leaves a note: the run of a registered model says in MLflow when, on which corpus and how often.

    In brackets stand 95 % bootstrap intervals. With --against, the intervals of the differences say whether the rows
    tell the two models apart.

    With --intensity, the 28 intensities are correlated with people's scores of how strong an emotion is: files of
    SemEval-2018 (EI-reg, V-reg), EmoInt, EmoBank, `eqn data votes`, or any with the columns text, emotion and score, or
    text and valence or arousal. Of a file with a column `split`, the rows of --split are taken: by default test where
    there is such a split, else all; `all` takes every row. A probe is fitted on the split train where there is one,
    never on texts that are measured, and is reported apart.

    Examples: eqn evaluate champion --data goemotions --split test --against 1;
    eqn evaluate champion --intensity anger-gold.txt --intensity joy-gold.txt;
    eqn evaluate champion --intensity emobank.csv --split dev --probe emobank.csv
    """
    from eqn.commands.intensity import evaluate_intensity
    from eqn.evaluation.evaluate import measure_package
    from eqn.evaluation.figures import draw_figures, require_drawable, write_figures
    from eqn.evaluation.intervals import paired_difference

    if intensity or probe:
        _refuse_beside_intensity(intensity, data=data, against=against, figures=figures)
        evaluate_intensity(model, intensity or [], probe=probe or [], split=split, json=json)
        return
    split = split or "dev"
    if figures:
        require_drawable(figures)
    packages, corpus = _packages_by_name(model, against), corpus_in(data)
    measured = {name: measure_package(package, corpus, split) for name, package in packages.items()}
    if split == "test":
        _note_on_runs(packages.values(), corpus)
    (name, first), *others = measured.items()
    differences = {
        other: paired_difference(first.gold, (first.scores, first.thresholds), (second.scores, second.thresholds))
        for other, second in others
    }
    if figures:
        drawn = draw_figures(
            first.gold, first.scores, first.evaluation, thresholds=first.thresholds, model=name, split=split
        )
        write_figures(drawn, figures)
    evaluations = {key: found.evaluation for key, found in measured.items()}
    if json:
        print_json(_evaluation_facts(evaluations, differences))
    else:
        _print_evaluation(f"{model} on {split}", evaluations, differences)
        if figures:
            say(f"The figures are in {figures}")


Figures = dict[str, dict[str, float]]


def _follow() -> None:
    from eqn.training.run import follow

    follow()


def _train_and_register(data: Path | None, recipe: "ChosenRecipe", *, backbone: str, seed: int) -> tuple[str, Figures]:
    from eqn.quality.inputs import validated_corpus
    from eqn.registry.training_run import train_and_register
    from eqn.settings import load_settings
    from eqn.terminal import training_progress

    settings, corpus = load_settings(), corpus_in(data)
    validation = validated_corpus(corpus, docs=settings.data_docs)
    with training_progress(people) as listener:
        trained = train_and_register(
            settings, corpus, validation, recipe, backbone=backbone, seed=seed, listener=listener
        )
    if trained.reused:
        people.print(f"{trained.model} was trained by this recipe on this data before.", highlight=False)
    return str(trained.model), {split: dict(figures) for split, figures in trained.metrics.items()}


def _order(out: Path, data: Path | None, recipe: "ChosenRecipe", *, backbone: str, seed: int, final: bool) -> "Order":
    from eqn.training.run import Order

    return Order(
        corpus=corpus_in(data), recipe=recipe, backbone=backbone, seed=seed, out=out,
        backbones=backbones_folder(), final=final,
    )  # fmt: skip


def _train_to(order: "Order") -> tuple[str, Figures]:
    from eqn.terminal import training_progress
    from eqn.training.run import train

    with training_progress(people) as listener:
        package = train(order, listener)
    return str(package.path), {split: dict(figures) for split, figures in package.metrics.items()}


def _refuse_beside_intensity(intensity: list[str] | None, **others: object) -> None:
    """Refuse a probe without scores to measure on, and options that have no meaning beside --intensity."""
    if not intensity:
        raise UsageError("expected --intensity beside --probe: the scores that the probe is measured on.")
    given = [f"--{name}" for name, value in others.items() if value is not None]
    if given:
        raise UsageError(f"expected --intensity without {', '.join(given)}: it is a measurement of its own.")


def _packages_by_name(model: str, against: str | None) -> "dict[str, Package]":
    """Give one package or two by their recipes' names, with the digest's beginning where these are the same."""
    packages = [package_of(name) for name in (model, against) if name is not None]
    if len({package.digest for package in packages}) < len(packages):
        raise UsageError(f"expected another model than {model} to compare it with; {against} is the same one.")
    names = [str(package.recipe.get("name")) for package in packages]
    if len(set(names)) < len(names):
        names = [f"{name} {package.digest[:8]}" for name, package in zip(names, packages, strict=True)]
    return dict(zip(names, packages, strict=True))


def _note_on_runs(packages: "Iterable[Package]", corpus: "Corpus") -> None:
    """Note in MLflow that registered models were measured on test; where that fails people are told, and get figures.

    Where the pipeline is not installed no model is registered.
    """
    try:
        from eqn.registry.final_reports import note_evaluation
        from eqn.settings import load_settings

        settings = load_settings()
        for package in packages:
            note_evaluation(package.digest, corpus.ref.digest, settings)
    except ModuleNotFoundError:
        return
    except EqnError as error:
        complain(f"this evaluation on test could not be noted in MLflow, where models are registered: {error}")


def _evaluation_facts(
    evaluations: "dict[str, Evaluation]", differences: "dict[str, dict[str, Difference]]"
) -> dict[str, object]:
    """Give the first model's figures, and below `against` the other's and how far the first is above it."""
    facts: list[dict[str, object]] = [
        {"model": name, **evaluation.summary(), "evaluation": as_json(evaluation)}
        for name, evaluation in evaluations.items()
    ]
    for other in facts[1:]:
        facts[0]["against"] = other | {"difference": as_json(differences[str(other["model"])])}
    return facts[0]


def _print_evaluation(
    title: str, evaluations: "dict[str, Evaluation]", differences: "dict[str, dict[str, Difference]]"
) -> None:
    from eqn.evaluation.card import figure_rows
    from eqn.terminal import table

    first = next(iter(evaluations))
    out.print(table(title, figure_rows({name: evaluation.summary() for name, evaluation in evaluations.items()})))
    for other, found in differences.items():
        for head, key in (("macro F1", "macro_f1"), ("mAP", "map")):
            say(f"{head} of {first} minus that of {other}: {found[key]}")
        say("")
    out.print(table(f"each emotion by {first}; AP is average precision", _emotion_rows(evaluations[first])))


def _emotion_rows(evaluation: "Evaluation") -> list[dict[str, object]]:
    from eqn.evaluation.card import with_interval

    return [
        {
            "emotion": name,
            "rows": figures.support,
            "precision": f"{figures.precision:.3f}",
            "recall": f"{figures.recall:.3f}",
            "F1": with_interval(figures.f1, evaluation.f1_intervals[name]),
            "AP": f"{evaluation.average_precision[name]:.3f}",
            "ECE": f"{evaluation.calibration_error[name]:.3f}",
        }
        for name, figures in evaluation.emotions.labels.items()
    ]
