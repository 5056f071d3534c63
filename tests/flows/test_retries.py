"""Which failures Prefect tries again."""

import pytest
from prefect import flow, task

from eqn.errors import DataRefused, EqnError, StoreUnavailable
from eqn.settings import Settings
from flows.retries import if_transient


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(StoreUnavailable("away"), 3), (StoreUnavailable("no", lasting=True), 1), (DataRefused("bad"), 1)],
)
def test_only_transient_errors_are_tried_again(home: Settings, error: EqnError, attempts: int) -> None:
    """An unreachable store is asked three times; one that refuses the credentials, and bad data, once."""
    calls = []

    @task(retries=2, retry_condition_fn=if_transient)
    def failing() -> None:
        calls.append(1)
        raise error

    @flow
    def one() -> None:
        failing()

    with pytest.raises(type(error)):
        one()

    assert len(calls) == attempts
