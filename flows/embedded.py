"""Where a flow reports when nobody named a Prefect server: an embedded one, with its state in EQN's state folder."""

import contextlib
from collections.abc import Iterator

from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_RESULTS_DEFAULT_SERIALIZER,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from eqn.settings import Settings


@contextlib.contextmanager
def server_of(settings: Settings) -> Iterator[None]:
    """Run what is inside against the server of PREFECT_API_URL, or an embedded one that ends with this process."""
    if PREFECT_API_URL.value():
        yield
        return
    settings.prefect_home.mkdir(parents=True, exist_ok=True)
    changes = {
        PREFECT_HOME: str(settings.prefect_home),
        PREFECT_SERVER_ANALYTICS_ENABLED: False,
        # The first start creates the database, which can take a minute on a busy machine.
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 180,
        PREFECT_RESULTS_DEFAULT_SERIALIZER: "json",  # the default would be pickle
    }
    with temporary_settings(updates=changes):
        yield
