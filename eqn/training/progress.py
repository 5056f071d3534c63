"""What training tells while it runs. A listener gets events; it may draw a bar, log to MLflow, or write a line."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One step, or one check."""

    stage: str
    """`stage A fold 1 of 2`, `stage B`, or `training` where there is one stage."""
    step: int
    """Steps finished in this stage."""
    steps: int
    """Steps of this stage."""
    epoch: float
    """Passes over the rows so far."""
    loss: float
    """Mean loss since the last event."""
    learning_rate: float
    texts_per_second: float
    seconds_left: float
    """Of this stage, at the present speed."""
    dev_score: float | None = None
    """Dev's mean average precision, at a check."""
    validation_loss: float | None = None
    """Loss on the held-out training rows, at a check of a recipe that holds some out."""


Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """Hear nothing."""
