"""Tables of label issues, of consensus and of raters as files: csv, Parquet or jsonl, by the name's ending."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqn.errors import UsageError
from eqn.quality.label_issues import LabelIssue
from eqn.store.new_file import write_new

if TYPE_CHECKING:
    from eqn.corpus.goemotions import Split

Row = Mapping[str, Any]

ENDINGS = (".csv", ".parquet", ".jsonl")


def issue_rows(issues: Sequence[LabelIssue], split: "Split") -> list[Row]:
    """Give one row for each issue of `split`, with its text; `row` counts the split's rows from 1."""
    return [
        {
            "rank": rank,
            "quality": issue.quality,
            "id": split.ids[issue.row],
            "row": issue.row + 1,
            "text": split.texts[issue.row],
            "given": list(issue.given),
            "suggested": list(issue.suggested),
            "reasons": [str(change) for change in issue.changes],
        }
        for rank, issue in enumerate(issues, start=1)
    ]


def check_table(path: Path) -> None:
    """Check a file's ending before there is anything to write; raises UsageError."""
    if path.suffix not in ENDINGS:
        raise UsageError(f"expected a file name that ends in {', '.join(ENDINGS)}; got {path.name!r}.")


def write_table(path: Path, rows: Sequence[Row], *, escape: Callable[[str], str]) -> None:
    """Write rows with the same keys, at least one.

    Lists stay lists in Parquet and jsonl; in csv they are one cell, with `; ` between. There, cells that are no numbers
    go through `escape`, which makes them safe for spreadsheets, and stand in quotes; a missing value is an empty cell.

    Raises:
        UsageError: the name does not end as it must, or another file is there.
        StorageFull, StoreUnavailable: it could not be written.

    """
    check_table(path)
    write_new(path, {".csv": _csv, ".parquet": _parquet, ".jsonl": _jsonl}[path.suffix](rows, escape))


def _csv(rows: Sequence[Row], escape: Callable[[str], str]) -> bytes:
    lines = [rows[0].keys(), *([_cell(value, escape) for value in row.values()] for row in rows)]
    return "".join(",".join(line) + "\n" for line in lines).encode()


def _cell(value: Any, escape: Callable[[str], str]) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return repr(value)
    text = escape("; ".join(value) if isinstance(value, list) else value)
    # Always in quotes, not only around a comma: where spreadsheets split at semicolons, `a;=1` would become two cells.
    return '"' + text.replace('"', '""') + '"'


def _parquet(rows: Sequence[Row], _: Callable[[str], str]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist([dict(row) for row in rows]), buffer, compression="zstd")
    return buffer.getvalue()


def _jsonl(rows: Sequence[Row], _: Callable[[str], str]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode()
