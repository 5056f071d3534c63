"""Where a flow reports when nobody named a Prefect server: an embedded one, with its state in EQN's state folder."""

import contextlib
import logging
from collections.abc import Iterator

from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_RESULTS_DEFAULT_SERIALIZER,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from eqn.errors import EqnError
from eqn.settings import Settings

_RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


@contextlib.contextmanager
def server_of(settings: Settings) -> Iterator[None]:
    """Run what is inside against the server of PREFECT_API_URL, or an embedded one that ends with this process."""
    with _without_tracebacks_of_users_errors():
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


@contextlib.contextmanager
def _without_tracebacks_of_users_errors() -> Iterator[None]:
    """Keep Prefect from logging a traceback for an error whose message already says everything."""
    loggers = [logging.getLogger(name) for name in _RUN_LOGGERS]
    for logger in loggers:
        logger.addFilter(_shortened)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_shortened)


def _shortened(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], EqnError):
        record.exc_info = None
    return True
