"""Quarantine as an output: rows that were not taken, why, and what they looked like."""

import base64
import dataclasses
from collections.abc import Sequence
from typing import Any

from eqn.corpus.contract import Reason

MAX_RAW_BYTES = 64 * 1024
"""Of a longer row, the first so many bytes are kept."""


@dataclasses.dataclass(frozen=True, slots=True)
class Quarantined:
    """One row that was not taken."""

    row: int
    """Its number among the data rows of its file, from 1 on; header and blank lines do not count."""
    reason: Reason
    detail: str
    """The reason in words, with what was found in this row."""
    id: str | None
    """The row's id, where one could be read."""
    raw: bytes
    """The row as it stands in the file, cut at MAX_RAW_BYTES; id and text as JSON for Parquet."""
    raw_truncated: bool = False
    """True when `raw` is only the beginning."""


def quarantined(*, row: int, reason: Reason, detail: str, identifier: str | None, raw: bytes) -> Quarantined:
    """Make a record that keeps no more of `raw` than the quarantine does."""
    return Quarantined(row, reason, detail, identifier, raw[:MAX_RAW_BYTES], len(raw) > MAX_RAW_BYTES)


def erased(row: int) -> Quarantined:
    """Make the record of an erased row, which keeps its number and nothing else."""
    return Quarantined(row, Reason.ERASED, "the row was erased on request; nothing of it is kept", None, b"")


def quarantine_schema() -> Any:
    """Give the Arrow schema of the quarantine's tables."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("file", pa.string(), nullable=False),
            pa.field("row", pa.int64(), nullable=False),
            pa.field("reason", pa.string(), nullable=False),
            pa.field("detail", pa.string(), nullable=False),
            pa.field("id", pa.string()),
            pa.field("raw", pa.string(), nullable=False),
            pa.field("raw_truncated", pa.bool_(), nullable=False),
        ]
    )


def quarantine_table(file_name: str, items: Sequence[Quarantined]) -> Any:
    """Turn quarantined rows of one file into a table; `raw` becomes base64, because it may be any bytes."""
    import pyarrow as pa

    columns = {
        "file": [file_name] * len(items),
        "row": [item.row for item in items],
        "reason": [item.reason.value for item in items],
        "detail": [item.detail for item in items],
        "id": [item.id for item in items],
        "raw": [base64.b64encode(item.raw[:MAX_RAW_BYTES]).decode("ascii") for item in items],
        "raw_truncated": [item.raw_truncated or len(item.raw) > MAX_RAW_BYTES for item in items],
    }
    return pa.table(columns, schema=quarantine_schema())
