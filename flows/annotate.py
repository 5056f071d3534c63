"""The flow `annotate`: annotate the inbox with the champion and publish the next release, if anything is new."""

from functools import partial

from prefect import flow, task

from eqn.records import ReleaseRef
from flows.reports import show_release, show_validation
from flows.retries import if_transient


@task(retries=3, retry_delay_seconds=10, retry_condition_fn=if_transient)
def publish(inbox: str | None, dataset: str, model: str, *, uncertainty: bool = False) -> ReleaseRef:
    """Annotate and publish; a rerun after a crash goes on where it stopped."""
    from eqn.release.annotate import annotate_inbox
    from eqn.settings import load_settings
    from eqn.terminal import Speed

    settings = load_settings()
    return annotate_inbox(
        settings,
        inbox or settings.inbox,
        dataset=dataset,
        model=model,
        uncertainty=uncertainty,
        watch=lambda rows: Speed(rows).lines(print),
        tell=partial(show_validation, key="inbox-validation"),
    )


@flow(log_prints=True)
def annotate(
    inbox: str | None = None, dataset: str = "inbox", model: str = "champion", *, uncertainty: bool = False
) -> ReleaseRef:
    """Annotate every file in `inbox` (default: the settings' one) into a release of `dataset`.

    With `uncertainty` its rows say how sure the model is of them.
    """
    release = publish(inbox, dataset, model, uncertainty=uncertainty)
    show_release(release)
    done = "already published as" if release.already_published else "published as"
    print(f"{dataset} {done} release {release.number}: {release.rows:,} rows, {release.quarantined:,} quarantined")
    return release
