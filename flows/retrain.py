"""The flow `retrain`: a challenger trained on the data as it is now, beside the champion on the same rows.

Where the policy asks a person, the run is suspended and shows the comparison with a form. Whoever answers it starts
the flow from its first line again, perhaps days later and on another machine. So the challenger is remembered at the
run, by Prefect's server: nothing is trained twice, whatever the data have become. An answer counts for the pair that
was shown; when somebody else became champion meanwhile, the two are compared anew.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import prefect.runtime
from prefect import flow, task
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput, create_flow_run_input, read_flow_run_input
from prefect.types import NonNegativeInteger

from eqn.errors import Conflict
from eqn.records import Answer, Contest, Decision
from eqn.settings import Settings, load_settings
from flows.choices import Recipe
from flows.contests import question_about, show_contest
from flows.events import tell_decision
from flows.observation import observed_run
from flows.reports import show_decision, show_model
from flows.retries import if_transient
from flows.train import fit
from flows.validate import validate

Mode = Literal["as in mlflow.yaml", "automatic", "ask"]
"""Who carries a promotion out."""

_DAYS_TO_ANSWER = 7
_CHALLENGER = "challenger"
"""The name under which a run remembers the version that it trained."""


class Verdict(RunInput):
    """Does the challenger become champion?"""

    model_config: ClassVar[Any] = {"use_attribute_docstrings": True, "extra": "forbid"}

    decision: Literal["keep", "promote"]
    """promote: the challenger annotates from now on. keep: the champion stays; nobody is asked about this challenger
    again."""
    name: str
    """Who decides."""
    reason: str = ""
    """Why, in a sentence. It is kept with the model."""


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=if_transient)
def look_for_reasons(dataset: str) -> tuple[str, ...]:
    """Give what speaks for a new model: drift, new labelled data; one sentence each."""
    from eqn.drift.retraining import reasons_to_retrain

    return reasons_to_retrain(load_settings(), dataset)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=if_transient)
def compare(version: int, directory: Path | None) -> Contest:
    """Measure the challenger and the champion on the same dev split."""
    from eqn.corpus.choice import choose_corpus
    from eqn.registry.contest import hold_contest

    settings = load_settings()
    return hold_contest(version, settings, choose_corpus(directory or settings.goemotions))


@task(retries=3, retry_delay_seconds=5, retry_condition_fn=if_transient)
def decide(contest: Contest, directory: Path | None, mode: Mode) -> Decision:
    """Decide by the policy and carry it out, or hold it for a person."""
    from eqn.corpus.choice import choose_corpus
    from eqn.registry.contest import figures_of
    from eqn.registry.promotion import promote

    settings = _settings(mode)
    corpus = choose_corpus(directory or settings.goemotions)
    measure = figures_of(contest, corpus)
    return promote(contest.candidate, settings, dev_metrics_of=measure, measured_on=corpus.ref.digest)


@task(retries=3, retry_delay_seconds=5, retry_condition_fn=if_transient)
def carry_out(answer: Answer, contest: Contest, directory: Path | None, mode: Mode) -> Decision | None:
    """Do what a person said; None when another version became champion since the question."""
    from eqn.corpus.choice import choose_corpus
    from eqn.registry.contest import figures_of
    from eqn.registry.promotion import conclude

    settings = _settings(mode)
    corpus = choose_corpus(directory or settings.goemotions)
    measure = figures_of(contest, corpus)
    try:
        return conclude(answer, settings, dev_metrics_of=measure, measured_on=corpus.ref.digest)
    except Conflict as conflict:
        print(conflict.what)
        return None


@flow(log_prints=True)
def retrain(
    directory: Path | None = None,
    recipe: Recipe = "eqn",
    backbone: str = "minilm",
    seed: NonNegativeInteger = 0,
    dataset: str = "inbox",
    *,
    only_if_needed: bool = False,
    mode: Mode = "as in mlflow.yaml",
) -> Decision | None:
    """Train a challenger, compare it with the champion, and promote it by the policy or ask a person.

    Args:
        directory: Folder with train.tsv, dev.tsv and test.tsv. Without one, the worker's EQN_GOEMOTIONS, else the
            embedded sample.
        recipe: How to train. eqn: stage A expands the labels on which stage B trains. plain: on the labels as they are.
            paper: the published procedure.
        backbone: The encoder to start from: minilm, tiny (for tests), a folder, or a BERT's name on the hub.
        seed: Seed of everything random.
        dataset: Name of the dataset whose releases may have drifted.
        only_if_needed: Whether to end at once when neither drift nor new labelled data ask for a new model.
        mode: Who promotes a challenger that is better by the policy. automatic: this run. ask: a person; the run waits.

    """
    with observed_run("retrain", dataset):
        version = _remembered_challenger()
        if version is None:
            reasons = look_for_reasons(dataset)
            print("\n".join(reasons) or "Neither drift nor new labelled data ask for a new model.")
            if only_if_needed and not reasons:
                return None
            model = fit(directory, validate(directory), recipe, backbone, seed)
            show_model(model)
            version = model.version
            create_flow_run_input(_CHALLENGER, version)
        contest, decision = _judge(version, directory, mode)
    while decision.held and _can_wait():
        show_decision(decision)
        contest, decision = _ask(contest, decision, directory, mode)
    show_decision(decision)
    tell_decision(decision, load_settings().registry.registered_model)
    print("\n".join(decision.reasons))
    if decision.held:
        print(f"Say yes or no with: eqn promote {decision.candidate} --yes (or --no)")
    return decision


def _remembered_challenger() -> int | None:
    """Give the version that this run trained before it was suspended or lost."""
    return cast("int | None", read_flow_run_input(_CHALLENGER))


def _judge(version: int, directory: Path | None, mode: Mode) -> tuple[Contest, Decision]:
    contest = compare(version, directory)
    show_contest(contest)
    return contest, decide(contest, directory, mode)


def _can_wait() -> bool:
    """Tell whether this run can be suspended: Prefect must know how to start it again."""
    return prefect.runtime.deployment.id is not None and prefect.runtime.flow_run.parent_flow_run_id is None


def _ask(contest: Contest, decision: Decision, directory: Path | None, mode: Mode) -> tuple[Contest, Decision]:
    """Ask a person about the pair, and do what the answer says; the run ends here until it is answered."""
    form = Verdict.with_initial_data(description=question_about(contest, decision, days=_DAYS_TO_ANSWER))
    pair = f"{decision.candidate}-over-{decision.champion or 'none'}"
    verdict = suspend_flow_run(wait_for_input=form, timeout=_DAYS_TO_ANSWER * 24 * 3600, key=pair)
    answer = Answer(
        promote=verdict.decision == "promote",
        who=verdict.name,
        why=verdict.reason,
        candidate=decision.candidate,
        champion=decision.champion,
    )
    concluded = carry_out(answer, contest, directory, mode)
    return (contest, concluded) if concluded else _judge(decision.candidate, directory, mode)


def _settings(mode: Mode) -> Settings:
    settings = load_settings()
    if mode == "as in mlflow.yaml":
        return settings
    promotion = settings.registry.promotion.model_copy(update={"mode": mode})
    return settings.model_copy(update={"registry": settings.registry.model_copy(update={"promotion": promotion})})
