"""Observation: a flow run's log lines and figures carry its id and end with its outcome."""

import atexit
import contextlib
import gc
import logging
from collections.abc import Iterator

import prefect.runtime

from eqn.errors import EqnError

RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


@contextlib.contextmanager
def observed_run(flow: str, dataset: str = "") -> Iterator[None]:
    """Observe what is inside as a run of `flow`; what it calls finds that run by `eqn.telemetry.run.current_run`."""
    from eqn.settings import load_settings
    from eqn.telemetry.logs import configure_logging
    from eqn.telemetry.run import observed

    by_worker = prefect.runtime.deployment.id is not None
    if by_worker:  # Prefect logs the error after this has ended, and then the process ends
        for name in RUN_LOGGERS:
            logging.getLogger(name).addFilter(without_users_traceback)
        atexit.register(gc.freeze)  # the last collections, over all that Prefect holds, would take two seconds
    configure_logging("info" if by_worker else "warning")  # a person who started it reads the flow's own lines
    with observed(load_settings(), flow=flow, dataset=dataset, run_id=prefect.runtime.flow_run.id or ""):
        yield


def without_users_traceback(record: logging.LogRecord) -> bool:
    """Take the traceback from the record of an error whose message already says everything; none is dropped."""
    if record.exc_info and isinstance(record.exc_info[1], EqnError):
        record.exc_info = None
    return True
