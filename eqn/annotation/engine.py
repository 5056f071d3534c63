"""Engines: who annotates the shards of a job. The shard function is one, so that every engine writes the same bytes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from eqn.annotation.shards import StartedShard, start_shard

if TYPE_CHECKING:
    import pyarrow as pa

    from eqn.annotation.annotator import Annotator

Report = Callable[[int, int], None]
"""Hears of annotated rows and their tokens."""


class Running(Protocol):
    """A shard that is being annotated."""

    def table(self, report: Report) -> "pa.Table":
        """Wait for the annotated shard."""

    def cancel(self) -> None:
        """Let go of it: nobody waits for it any more."""


class Engine(Protocol):
    """Annotates shards, several at once."""

    @property
    def in_flight(self) -> int:
        """Give how many shards are worth having under way: more only cost memory."""

    def start(self, rows: "pa.Table", schema: "pa.Schema", *, uncertainty: bool) -> Running:
        """Start to annotate the rows of a shard into a table of `schema`; see `eqn.annotation.shards`."""


class LocalEngine:
    """Annotates in this process, on all threads of its back end."""

    in_flight = 2
    """One is computed while the one after it is read and encoded, and the one before it is written."""

    def __init__(self, annotator: "Annotator") -> None:
        self._annotator = annotator

    def start(self, rows: "pa.Table", schema: "pa.Schema", *, uncertainty: bool) -> StartedShard:
        """Start to annotate a shard."""
        return start_shard(rows, schema, self._annotator, uncertainty=uncertainty)
