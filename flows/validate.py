"""The flow `validate`: hold a training corpus against the contract."""

from pathlib import Path

from prefect import flow, task

from eqn.records import Validation
from flows.observation import observed_run
from flows.reports import show_validation
from flows.retries import if_transient


@task(retries=2, retry_delay_seconds=5, retry_condition_fn=if_transient)
def check_corpus(directory: Path | None) -> Validation:
    """Validate the corpus in `directory` (default: the settings' one, else the embedded sample)."""
    from eqn.corpus.choice import choose_corpus
    from eqn.quality.inputs import validated_corpus
    from eqn.settings import load_settings

    settings = load_settings()
    return validated_corpus(choose_corpus(directory or settings.goemotions), docs=settings.data_docs)


@flow(log_prints=True)
def validate(directory: Path | None = None) -> Validation:
    """Validate a corpus; the run fails when a critical expectation does.

    Args:
        directory: Folder with train.tsv, dev.tsv and test.tsv. Without one, the worker's EQN_GOEMOTIONS, else the
            embedded sample.

    """
    from eqn.quality.gate import require

    with observed_run("validate"):
        validation = check_corpus(directory)
        show_validation(validation, key="corpus-validation")
        require(validation)
        return validation
