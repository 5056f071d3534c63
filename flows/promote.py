"""The flow `promote`: let a candidate become champion if the policy says so."""

from pathlib import Path

from prefect import flow, task
from prefect.types import PositiveInteger

from eqn.records import Decision
from eqn.settings import load_settings
from flows.events import tell_decision
from flows.observation import observed_run
from flows.reports import show_comparison, show_decision
from flows.retries import if_transient

_FIGURES = {
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "map": "mAP",
    "brier": "Brier score",
    "ece": "calibration error",
}


@task(retries=3, retry_delay_seconds=5, retry_condition_fn=if_transient)
def decide(version: int | None, directory: Path | None) -> Decision:
    """Decide about a registered version and carry it out."""
    from eqn.corpus.choice import choose_corpus
    from eqn.registry.promotion import promote
    from eqn.registry.training_run import measure_on

    settings = load_settings()
    corpus = choose_corpus(directory or settings.goemotions)
    return promote(version, settings, dev_metrics_of=measure_on(corpus), measured_on=corpus.ref.digest)


@task(retries=2, retry_delay_seconds=5, retry_condition_fn=if_transient)
def figures_of(decision: Decision) -> list[dict[str, str]]:
    """Give the registered dev figures of the candidate and of the champion that it was held against."""
    from eqn.registry.versions import list_versions

    rows = {row.version: row.metrics["dev"] for row in list_versions(load_settings())}
    heads = {f"candidate, version {decision.candidate}": rows.get(decision.candidate, {})}
    if decision.champion is not None:
        heads[f"champion, version {decision.champion}"] = rows.get(decision.champion, {})
    return [
        {"figure": words} | {head: f"{figures[name]:.4f}" if name in figures else "" for head, figures in heads.items()}
        for name, words in _FIGURES.items()
    ]


@flow(log_prints=True)
def promote(version: PositiveInteger | None = None, directory: Path | None = None) -> Decision:
    """Promote a registered version if it beats the champion.

    Args:
        version: The candidate's registered number. Without one, the challenger.
        directory: Folder with train.tsv, dev.tsv and test.tsv, on whose dev split both are measured where their figures
            are of different data. Without one, the worker's EQN_GOEMOTIONS, else the embedded sample.

    """
    with observed_run("promote"):
        decision = decide(version, directory)
        show_decision(decision)
        if decision.champion != decision.candidate:
            show_comparison(figures_of(decision))
        tell_decision(decision, load_settings().registry.registered_model)
        print(decision.reasons[0])
        return decision
