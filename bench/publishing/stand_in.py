"""An engine that computes nothing, for jobs whose time or memory is to be that of everything but the model."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from eqn.annotation.annotator import Annotation
from eqn.annotation.columns import annotated_table
from eqn.annotation.shards import ROWS
from eqn.emotions import EMOTIONS

if TYPE_CHECKING:
    import pyarrow as pa

    from eqn.annotation.engine import Report

_LABELS = 1.2
"""Labels of a row, on average: as many as GoEmotions' comments have."""


class StandIn:
    """An engine that computes nothing: it gives intensities that were drawn before, the same ones for each shard."""

    in_flight = 2

    def __init__(self) -> None:
        draw = np.random.default_rng(0)
        self._scores = draw.random((ROWS, len(EMOTIONS)), dtype=np.float32).round(4)
        labels = draw.random((ROWS, len(EMOTIONS))) < _LABELS / len(EMOTIONS)
        self._labels = [[EMOTIONS[place] for place in np.flatnonzero(row)] for row in labels]

    def start(self, rows: "pa.Table", schema: "pa.Schema", *, uncertainty: bool) -> "Ready":  # noqa: ARG002  an engine's
        """Give the annotated shard at once."""
        number = len(rows)
        done = Annotation(self._scores[:number], [False] * number, self._labels[:number])
        return Ready(annotated_table(rows, done, schema))


@dataclasses.dataclass(frozen=True, slots=True)
class Ready:
    """A shard that is annotated already."""

    rows: "pa.Table"

    def table(self, report: "Report") -> "pa.Table":
        """Give it."""
        report(len(self.rows), 0)
        return self.rows

    def cancel(self) -> None:
        """Have nothing to let go of."""
