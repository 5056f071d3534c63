"""Progress: a bar on Prefect's pages and lines in the log while a flow annotates."""

import time
from collections.abc import Callable
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

_SECONDS_BETWEEN_UPDATES = 5.0


def annotation_progress(rows: int, *, every: float = _SECONDS_BETWEEN_UPDATES) -> Callable[[int, int], None]:
    """Give a report on `rows` rows; the bar moves every so many seconds, and at the end.

    A bar that cannot be drawn, since the server is away for a moment, ends no run.
    """
    from httpx import HTTPError

    from eqn.telemetry.run import current_run
    from eqn.terminal import Speed

    run, speed = current_run(), Speed(rows)
    lines = speed.lines(print)

    def write(done: int, tokens: int) -> None:
        run.rows(done, tokens)
        lines(done, tokens)

    if not rows:
        return write
    try:
        bar = create_progress_artifact(0.0, key="annotation-progress", description=f"{rows:,} rows to annotate")
    except HTTPError:
        return write
    last = time.monotonic()

    def report(done: int, tokens: int) -> None:
        nonlocal last
        write(done, tokens)
        now = time.monotonic()
        if now - last >= every or speed.rows >= rows:
            last = now
            try:
                share = min(100.0, 100.0 * speed.rows / rows)
                update_progress_artifact(cast(UUID, bar), share, description=f"annotated {speed}")
            except HTTPError as error:
                print(f"the progress bar was not updated: {type(error).__name__}")

    return report
