"""The flow `train`: train a recipe on a validated corpus, track it, register it."""

from pathlib import Path

from prefect import flow, task
from prefect.types import NonNegativeInteger

from eqn.records import ModelRef, Validation
from flows.choices import Recipe
from flows.gpu import gpu_lock
from flows.observation import observed_run
from flows.reports import show_figures, show_model
from flows.retries import if_transient
from flows.validate import validate


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=if_transient)
def fit(directory: Path | None, validation: Validation, recipe: str, backbone: str, seed: int) -> ModelRef:
    """Train and register, or find the model that this recipe gave on this data before."""
    from eqn.corpus.choice import choose_corpus
    from eqn.registry.training_run import train_and_register
    from eqn.settings import load_settings
    from eqn.terminal import lines
    from eqn.training.recipes import recipe_named

    settings = load_settings()
    corpus = choose_corpus(directory or settings.goemotions)
    with gpu_lock():
        trained = train_and_register(
            settings, corpus, validation, recipe_named(recipe), backbone=backbone, seed=seed, listener=lines(print)
        )
    print(f"{trained.model}, recipe {recipe}: {'trained before' if trained.reused else 'registered'}")
    return trained.model


@task
def compare(directory: Path | None) -> list[dict[str, str]]:
    """Put all registered models of this corpus beside the baselines."""
    from eqn.corpus.choice import choose_corpus
    from eqn.registry.comparison import compared
    from eqn.settings import load_settings

    settings = load_settings()
    return compared(settings, choose_corpus(directory or settings.goemotions))


@flow(log_prints=True)
def train(
    directory: Path | None = None, recipe: Recipe = "eqn", backbone: str = "minilm", seed: NonNegativeInteger = 0
) -> ModelRef:
    """Train a recipe on a validated corpus and register the model; nothing is trained twice.

    Args:
        directory: Folder with train.tsv, dev.tsv and test.tsv. Without one, the worker's EQN_GOEMOTIONS, else the
            embedded sample.
        recipe: How to train. eqn: stage A expands the labels on which stage B trains. plain: on the labels as they are.
            paper: the published procedure.
        backbone: The encoder to start from: minilm, tiny (for tests), a folder, or a BERT's name on the hub.
        seed: Seed of everything random.

    """
    with observed_run("train"):
        validation = validate(directory)
        model = fit(directory, validation, recipe, backbone, seed)
        show_model(model)
        show_figures(compare(directory))
        return model
