"""A shard: some consecutive rows of one input file, annotated and written as Parquet. The same rows, the same bytes."""

import dataclasses
import io
from typing import TYPE_CHECKING

from eqn.annotation.columns import annotated_table

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from eqn.annotation.annotator import Annotator, Pending

ROWS = 8192
"""Input rows of a shard; part of every job's identity, because batches do not cross shards."""


@dataclasses.dataclass(frozen=True, slots=True)
class StartedShard:
    """A shard whose annotation was started."""

    rows: "pa.Table"
    schema: "pa.Schema"
    pending: "Pending"

    def table(self, report: "Callable[[int, int], None] | None" = None) -> "pa.Table":
        """Wait for the annotated table; `report(rows, tokens)` hears of each finished block."""
        return annotated_table(self.rows, self.pending.result(report), self.schema)

    def cancel(self) -> None:
        """Compute no more of it than was begun."""
        self.pending.cancel()


def start_shard(
    rows: "pa.Table", schema: "pa.Schema", annotator: "Annotator", *, uncertainty: bool = False
) -> StartedShard:
    """Start to annotate `rows` (id, text, other columns) into a table of `schema`, with the `uncertainty` or not."""
    return StartedShard(rows, schema, annotator.start(rows.column(1).to_pylist(), uncertainty=uncertainty))


def annotate_shard(
    rows: "pa.Table",
    schema: "pa.Schema",
    annotator: "Annotator",
    *,
    uncertainty: bool = False,
    report: "Callable[[int, int], None] | None" = None,
) -> "pa.Table":
    """Annotate a shard and wait for it; see `start_shard`."""
    return start_shard(rows, schema, annotator, uncertainty=uncertainty).table(report)


def parquet_bytes(table: "pa.Table") -> bytes:
    """Give `table` as a Parquet file; the same table gives the same bytes under the same pyarrow."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", version="2.6", write_page_checksum=True)
    return buffer.getvalue()


def parquet_table(content: bytes) -> "pa.Table":
    """Read what `parquet_bytes` wrote, with its page checksums verified.

    Raises:
        OSError, ValueError: it is not a whole Parquet file (pyarrow's errors are of these kinds).

    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(pa.BufferReader(content), page_checksum_verification=True)


def is_as_written(content: bytes, table: "pa.Table") -> bool:
    """Tell whether a file that was read as `table` is as it was written, also where no page's checksum covers it.

    The pyarrow at work here would write these very bytes again; what another one wrote cannot be held against that.
    `table` must be of the types that were written: reading renames what is inside lists.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    again = parquet_bytes(table)
    ours, theirs = (pq.read_metadata(pa.BufferReader(file)).created_by for file in (again, content))
    return content == again or ours != theirs
