"""The flow `annotate`: annotate the inbox with the champion and publish the next release, if anything is new.

What follows a release (how it drifted, its page) is derived from it: the release stands whatever becomes of that, and a
flow run in which it went wrong says so, and how to do it again.
"""

from functools import partial
from typing import Any

from prefect import State, flow, task

from eqn.errors import EqnError
from eqn.records import Drift, ReleaseRef
from flows.choices import NewModel
from flows.events import tell_drift
from flows.observation import observed_run
from flows.progress import annotation_progress
from flows.reports import show_drift, show_release, show_validation
from flows.retries import if_transient


@task(retries=3, retry_delay_seconds=10, retry_condition_fn=if_transient)
def publish(
    inbox: str | None, dataset: str, model: str, *, uncertainty: bool = False, new_model: NewModel = "everything"
) -> ReleaseRef | None:
    """Annotate and publish; a rerun after a crash goes on where it stopped. None when the inbox is empty."""
    from eqn.release.annotate import annotate_inbox
    from eqn.settings import load_settings
    from eqn.telemetry.run import current_run

    settings = load_settings()
    return annotate_inbox(
        settings,
        inbox or settings.inbox,
        dataset=dataset,
        model=model,
        uncertainty=uncertainty,
        new_model=new_model,
        watch=annotation_progress,
        tell=partial(show_validation, key="inbox-validation"),
        stage=current_run().stage,
    )


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=if_transient)
def drift(dataset: str, number: int) -> Drift:
    """Compare the release with the one before and with the training data."""
    from eqn.drift.measure import measure_drift
    from eqn.settings import load_settings
    from eqn.telemetry.run import current_run

    with current_run().stage("drift"):
        measured = measure_drift(load_settings(), dataset, number)
    current_run().drift(measured)
    return measured


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=if_transient)
def page(dataset: str, number: int) -> str:
    """Write the release's page; gives its address."""
    from eqn.pages.publish import publish_page
    from eqn.settings import load_settings
    from eqn.store.interface import open_store
    from eqn.telemetry.run import current_run

    with current_run().stage("page"):
        return publish_page(open_store(load_settings().store), dataset, number)


@task(retries=2, retry_delay_seconds=10, retry_condition_fn=if_transient)
def known_page(dataset: str, number: int) -> str:
    """Give the address of the release's page if everything that follows the release was done before, else nothing."""
    from eqn.drift.records import read_drift
    from eqn.pages.publish import page_key
    from eqn.settings import load_settings
    from eqn.store.interface import open_store

    store, key = open_store(load_settings().store), page_key(dataset, number)
    return store.address(key) if store.exists(key) and read_drift(store, dataset, number) else ""


@flow(log_prints=True)
def annotate(
    inbox: str | None = None,
    dataset: str = "inbox",
    model: str = "champion",
    *,
    uncertainty: bool = False,
    new_model: NewModel = "everything",
) -> ReleaseRef | None:
    """Annotate every file in an inbox and publish the next release, if anything is new.

    Args:
        inbox: Folder or s3://bucket/prefix with the files. Without one, the inbox of the worker's settings (EQN_INBOX).
        dataset: Name of the dataset whose next release this becomes.
        model: Who annotates: champion, challenger, a registered version's number, or a package's folder.
        uncertainty: Whether each row also says how sure the model is of it.
        new_model: What is annotated when the model is another one than the last release's.

    """
    with observed_run("annotate", dataset):
        release = publish(inbox, dataset, model, uncertainty=uncertainty, new_model=new_model)
        if release is None:
            print("the inbox is empty: nothing to do")
            return None
        done = "already published as" if release.already_published else "published as"
        print(f"{dataset} {done} release {release.number}: {release.rows:,} rows, {release.quarantined:,} quarantined")
        address = known_page(dataset, release.number) if release.already_published else ""
        if address:
            show_release(release, page=address)
        else:
            _follow_up(release)
        return release


def _follow_up(release: ReleaseRef) -> None:
    """Do what follows the release, all of it.

    Raises:
        EqnError: something went wrong, of the class of the first fault; the release stands.

    """
    measured = drift(release.dataset, release.number, return_state=True)
    if measured.is_completed():
        found: Drift = measured.result()
        show_drift(found)
        tell_drift(found)
    written = page(release.dataset, release.number, return_state=True)
    show_release(release, page=written.result() if written.is_completed() else "")
    failed: tuple[State[Any], ...] = tuple(state for state in (measured, written) if not state.is_completed())
    faults = [state.result(raise_on_failure=False) for state in failed]
    if not faults:
        return
    kind = type(faults[0]) if isinstance(faults[0], EqnError) else EqnError
    raise kind(
        f"release {release.number} of {release.dataset!r} is published and stands, but what follows it was not done.",
        faults=[getattr(fault, "what", "") or f"{type(fault).__name__}: {fault}" for fault in faults],
        todo=f"Do it again with `eqn release drift {release.dataset} {release.number}` and "
        f"`eqn release report {release.dataset} {release.number}`; the next run of this flow tries again as well.",
    ) from faults[0]
