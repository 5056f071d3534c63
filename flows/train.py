"""The flow `train`: train a recipe on a validated corpus, track it, register it."""

from pathlib import Path

from prefect import flow, task

from eqn.records import ModelRef, Validation
from flows.reports import show_figures
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
def train(directory: Path | None = None, recipe: str = "eqn", backbone: str = "minilm", seed: int = 0) -> ModelRef:
    """Train `recipe` on the corpus in `directory`; nothing is trained twice."""
    validation = validate(directory)
    model = fit(directory, validation, recipe, backbone, seed)
    show_figures(compare(directory))
    return model
