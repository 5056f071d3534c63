"""Which failures are tried again: those that their class calls transient."""

from typing import Any

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from eqn.errors import Transient


def if_transient(task: Task[Any, Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001  Prefect's shape
    """Tell Prefect to retry after errors marked `Transient` only: bad data and refusals stay what they are."""
    try:
        state.result()
    except BaseException as error:  # noqa: BLE001  whatever it was, it is only looked at
        return isinstance(error, Transient) and not error.lasting
    return False
