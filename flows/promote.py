"""The flow `promote`: let a candidate become champion if the policy says so."""

from pathlib import Path

from prefect import flow, task

from eqn.records import Decision
from flows.reports import show_decision
from flows.retries import if_transient


@task(retries=3, retry_delay_seconds=5, retry_condition_fn=if_transient)
def decide(version: int | None, directory: Path | None) -> Decision:
    """Decide about a registered version and carry it out."""
    from eqn.corpus.choice import choose_corpus
    from eqn.registry.promotion import promote
    from eqn.registry.training_run import measure_on
    from eqn.settings import load_settings

    settings = load_settings()
    corpus = choose_corpus(directory or settings.goemotions)
    return promote(version, settings, dev_metrics_of=measure_on(corpus), measured_on=corpus.ref.digest)


@flow(log_prints=True)
def promote(version: int | None = None, directory: Path | None = None) -> Decision:
    """Promote `version` (default: the challenger) if it beats the champion."""
    decision = decide(version, directory)
    show_decision(decision)
    print(decision.reasons[0])
    return decision
