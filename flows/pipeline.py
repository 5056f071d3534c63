"""The main job: validate, train `plain` and `eqn`, promote, annotate the inbox, publish, report.

python -m flows.pipeline                            on the embedded sample
EQN_GOEMOTIONS=DIR python -m flows.pipeline         on GoEmotions
"""

import sys
from pathlib import Path
from typing import NamedTuple

from prefect import flow, task
from prefect.types import NonNegativeInteger

from eqn.errors import UsageError
from eqn.exits import ending
from eqn.records import ReleaseRef
from flows.annotate import annotate
from flows.embedded import server_of
from flows.observation import observed_run
from flows.promote import promote
from flows.reports import show_figures, show_model
from flows.train import compare, fit
from flows.validate import validate

RECIPES = ("plain", "eqn")


class Outcome(NamedTuple):
    """What the main job leaves."""

    release: ReleaseRef | None
    """None when there was nothing to annotate."""
    figures: list[dict[str, str]]
    """The table of models and baselines."""
    data_docs: str
    """The quality gate's report on the corpus."""


@task
def stand_ready(directory: Path | None) -> bool:
    """Make the inbox on the first run; one in a bucket is its owner's."""
    from eqn.corpus.choice import choose_corpus, fill_inbox
    from eqn.corpus.remote import is_remote
    from eqn.settings import load_settings

    settings = load_settings()
    if is_remote(settings.inbox):
        return False
    return fill_inbox(Path(settings.inbox), choose_corpus(directory or settings.goemotions))


@flow(log_prints=True)
def pipeline(
    directory: Path | None = None,
    backbone: str = "minilm",
    seed: NonNegativeInteger = 0,
    dataset: str = "inbox",
    *,
    uncertainty: bool = False,
) -> Outcome:
    """Run the main job; what was done before on the same data is not done again.

    Args:
        directory: Folder with train.tsv, dev.tsv and test.tsv. Without one, the worker's EQN_GOEMOTIONS, else the
            embedded sample.
        backbone: The encoder to start from: minilm, tiny (for tests), a folder, or a BERT's name on the hub.
        seed: Seed of everything random.
        dataset: Name of the dataset that the inbox becomes.
        uncertainty: Whether each annotated row also says how sure the model is of it.

    """
    with observed_run("pipeline", dataset):
        validation = validate(directory)
        for recipe in RECIPES:
            model = fit(directory, validation, recipe, backbone, seed)
            show_model(model)
            promote(model.version, directory)
        figures = compare(directory)
        show_figures(figures)
        stand_ready(directory)
        return Outcome(annotate(dataset=dataset, uncertainty=uncertainty), figures, validation.data_docs)


def main() -> int:
    """Run the pipeline, against the embedded server unless another one is named, and say where to look."""
    from eqn.registry.resolution import resolve
    from eqn.settings import load_settings
    from eqn.terminal import show_outcome

    settings = load_settings()
    with server_of(settings):
        outcome = pipeline()
    if outcome.release is None:
        raise UsageError(
            f"the inbox {settings.inbox} is empty: nothing was annotated.",
            todo="Put files into it and run the same command again: finished work is kept.",
        )
    show_outcome(
        outcome.release, outcome.figures, data_docs=outcome.data_docs, model=resolve("champion", settings).path
    )
    return 0


if __name__ == "__main__":
    sys.exit(ending(main))
