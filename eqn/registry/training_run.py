"""A training that is remembered: tracked in MLflow step by step, registered at the end, and never done twice."""

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

from eqn.corpus.goemotions import Corpus
from eqn.errors import DataRefused
from eqn.evaluation.evaluate import baseline_figures, evaluate_package
from eqn.records import ModelRef, Validation
from eqn.registry import tracking
from eqn.registry.promotion import DevMetrics
from eqn.registry.versions import find, register
from eqn.settings import Settings
from eqn.training.progress import Event, Listener, silent
from eqn.training.recipes import Recipe


@dataclasses.dataclass(frozen=True, slots=True)
class Trained:
    """A registered model, and whether this call trained it."""

    model: ModelRef
    metrics: Mapping[str, Mapping[str, float]]
    """Figures per split."""
    reused: bool
    """The same recipe on the same data was registered before; nothing was trained."""


def train_and_register(
    settings: Settings,
    corpus: Corpus,
    validation: Validation,
    recipe: Recipe,
    *,
    backbone: str,
    seed: int,
    listener: Listener = silent,
) -> Trained:
    """Train `recipe` on a validated corpus and register the model, unless that was done before.

    A killed training goes on from its last checkpoint when it is called again.

    Raises:
        DataRefused: the corpus did not pass validation, or the validation is of other data.

    """
    from eqn.model.backbone import backbone_digest
    from eqn.model.package import FIGURES, read_package
    from eqn.quality.gate import require
    from eqn.training.run import Order, train, training_key

    require(validation)
    if validation.digest != corpus.ref.digest:
        raise DataRefused(
            f"expected the validation of {corpus.ref.name} as it is now; got that of {validation.subject}, "
            "whose digest is another.",
            todo="Validate the corpus again: it may have changed since.",
        )
    key = training_key(
        recipe,
        corpus_digest=corpus.ref.digest,
        backbone_digest=backbone_digest(backbone, cache=settings.backbones, seed=seed),
        seed=seed,
    )
    known = find(key, settings)
    if known is not None:
        return Trained(known, read_package(Path(known.path)).metrics, reused=True)
    order = Order(
        corpus=corpus,
        recipe=recipe,
        backbone=backbone,
        seed=seed,
        out=settings.models / key,
        backbones=settings.backbones,
        baselines=baseline_figures(corpus, cache=settings.home / "baselines"),
    )
    facts = recipe.values() | {"backbone": backbone, "seed": seed}
    with tracking.run(settings, recipe.name, params=facts, corpus=corpus.ref, validation=validation, key=key) as run:
        package = train(order, _tracked(run, listener))
        for split, figures in package.metrics.items():
            run.metrics({f"{split}/{name}": value for name, value in figures.items()}, step=0)
        for name in ("README.md", *FIGURES):  # the card shows the figures that stand beside it
            if (package.path / name).is_file():
                run.artifact(package.path / name)
        model = register(package.path, run.id, settings, validation_passed=validation.passed)
    place = settings.models / package.digest  # where a registered version is looked for before it is downloaded
    shutil.rmtree(place, ignore_errors=True)
    package.path.rename(place)
    return Trained(dataclasses.replace(model, path=str(place)), package.metrics, reused=False)


def measure_on(corpus: Corpus) -> DevMetrics:
    """Give the measurement that `promote` needs to compare models of different corpora: dev figures on `corpus`."""

    def dev_metrics(model: ModelRef) -> Mapping[str, float]:
        from eqn.model.package import read_package

        return evaluate_package(read_package(Path(model.path)), corpus, "dev").summary()

    return dev_metrics


def _tracked(run: tracking.Run, listener: Listener) -> Listener:
    """Give a listener that also writes each event to MLflow."""

    def listen(event: Event) -> None:
        figures = {"loss": event.loss, "learning_rate": event.learning_rate, "texts_per_second": event.texts_per_second}
        if event.dev_score is not None:
            figures["dev_map"] = event.dev_score
        if event.validation_loss is not None:
            figures["validation_loss"] = event.validation_loss
        run.metrics({f"{event.stage}/{name}": value for name, value in figures.items()}, step=event.step)
        listener(event)

    return listen
