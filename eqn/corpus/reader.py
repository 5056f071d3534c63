"""The strict reader of users' files: one pass counts and decides, a second one gives the rows in batches.

    scan(file)            -> FileScan    digest, columns, how many rows are taken and how many not, and why
    read_batches(file)    -> Batch ...   the rows taken, as Arrow tables, and the others with their reasons

Nothing is ever coerced: an id `007` and a text `NA` come out as they went in. A row that cannot be taken goes to
quarantine with a reason of the contract's closed list; a file that cannot be taken is refused as a whole. For every
file the rows in are the rows taken plus the rows quarantined.

Rows on a list of erasures go to quarantine as well, with nothing but their number, whatever else is wrong with them.
They take part in the search for repeated ids all the same, so that every other row fares as if they were there. With
such a list a scan reads the file once more.

Memory holds one batch. For repeated ids a scan holds 8 bytes for every row of the file, 10 at the end, and where some
do repeat, 30 for every row that shares its id. What stays is 1 byte for every row of a file in which ids repeat; for a
file without ids 8 bytes for every text that occurs more than once, 16 while it is read; else nothing.
"""

import collections
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from eqn.corpus.columns import Column, Wanted
from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN, Reason
from eqn.corpus.csv_rows import HeaderedRows, csv_records, tsv_records
from eqn.corpus.erased import NOTHING_ERASED, ErasureList
from eqn.corpus.identity import Identity, IdentityGiver, IdentityScan, duplicates
from eqn.corpus.inputs import InputFile
from eqn.corpus.json_rows import JsonRows
from eqn.corpus.lines import TextFile
from eqn.corpus.parquet_rows import open_parquet
from eqn.corpus.quarantine import Quarantined, erased, quarantined
from eqn.corpus.rows import Fault, Row, RowReader
from eqn.corpus.txt_rows import TextRows
from eqn.errors import DataRefused, UsageError

_TEXT_FORMATS: Mapping[str, Callable[[TextFile, Wanted], RowReader]] = {
    "csv": functools.partial(HeaderedRows, split=csv_records),
    "tsv": functools.partial(HeaderedRows, split=tsv_records),
    "jsonl": JsonRows,
    "txt": TextRows,
}


@dataclasses.dataclass(frozen=True, slots=True)
class FileScan:
    """What one pass over a file learnt."""

    digest: str
    """sha256 of the bytes on disk."""
    rows: int
    """Data rows: accepted and quarantined together. Header and blank lines are no rows."""
    accepted: int
    quarantined: Mapping[Reason, int]
    """Rows that were not taken, by reason; only reasons that occurred."""
    columns: tuple[Column, ...]
    """The other columns, in file order."""
    identity: Identity
    """The decision about every id."""

    @property
    def ids_given(self) -> bool:
        """Whether the file has ids; else they are made from the texts."""
        return self.identity.given


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of a file."""

    first_row: int
    """Number of its first data row, from 1 on."""
    rows: int
    """Data rows it covers: those in the table and those quarantined."""
    table: Any
    """`pyarrow.Table` of the rows taken: id, text, then the other columns by the scan's names."""
    quarantined: tuple[Quarantined, ...]


def scan(
    file: InputFile,
    *,
    text_column: str = TEXT_COLUMN,
    id_column: str = ID_COLUMN,
    erasures: ErasureList = NOTHING_ERASED,
) -> FileScan:
    """Read `file` once, or once more where ids seem to repeat, and decide about every row.

    Raises:
        DataRefused: the file as a whole cannot be taken.
        UsageError: it cannot be opened or read.

    """
    rows, faults, identities = 0, collections.Counter[Reason](), IdentityScan()
    wanted = _wanted(text_column, id_column)
    with _opened(file, wanted) as (source, digest):
        for row in source:
            rows += 1
            if row.fault is not None:
                faults[row.fault.reason] += 1
            else:
                identities.note(row.id, row.text, given=source.ids_given)
        if not rows:
            raise DataRefused(
                f"{file.name}: expected at least one row of data; it has none.",
                todo="Take the file away, or give it rows.",
            )
        columns, given, whole = source.columns(), source.ids_given, digest()
    identity = identities.finish(given=given, again=lambda: _ids_and_texts(file, wanted, digest=whole))
    repeats = duplicates(identity)
    faults.update(repeats)
    if identities.missing:
        faults[Reason.MISSING_ID] += identities.missing
    accepted = identities.noted - sum(repeats.values())
    if erasures:
        good, others = _erased_by_fate(file, wanted, identity, erasures, digest=whole)
        accepted -= good
        faults.subtract(others)
        faults[Reason.ERASED] = good + others.total()
    counts = {reason: count for reason, count in sorted(faults.items()) if count}
    _conserve(file, rows, accepted, sum(counts.values()))
    return FileScan(whole, rows, accepted, counts, columns, identity)


def read_batches(
    file: InputFile,
    scanned: FileScan,
    *,
    text_column: str = TEXT_COLUMN,
    id_column: str = ID_COLUMN,
    erasures: ErasureList = NOTHING_ERASED,
    batch_rows: int,
) -> Iterator[Batch]:
    """Read `file` again, in batches of `batch_rows` rows; only the last one may cover fewer.

    The `erasures` must be those of the scan.

    What was read is to be trusted when the iterator has ended: only then is it sure that the file is the one scanned.

    Raises:
        DataRefused: the file has changed since its scan.
        UsageError: it cannot be opened or read, or `batch_rows` is not positive.

    """
    if batch_rows < 1:
        raise UsageError(f"expected batches of at least 1 row; got {batch_rows}.")
    reading = _Reading(scanned, erasures)
    with _opened(file, _wanted(text_column, id_column)) as (source, digest):
        if source.header not in (None, scanned.columns):
            raise _changed(file)
        for row in source:
            reading.take(row, source)
            if reading.in_batch == batch_rows:
                yield reading.batch(source)
        if reading.in_batch:
            yield reading.batch(source)
        if digest() != scanned.digest:
            raise _changed(file)
    _conserve(file, scanned.rows, reading.accepted, reading.quarantined)
    if reading.accepted != scanned.accepted:
        raise RuntimeError(f"{file.name}: the scan accepted {scanned.accepted} rows, the reading {reading.accepted}")


class _Reading:
    """Gathers rows into batches."""

    def __init__(self, scanned: FileScan, erasures: ErasureList) -> None:
        self._columns = scanned.columns
        self._erasures = erasures
        self._giver = IdentityGiver(scanned.identity)
        self._rows = 0
        self.accepted = 0
        self.quarantined = 0
        self._clear()

    def take(self, row: Row, source: RowReader) -> None:
        """Put one row where it belongs."""
        self._rows += 1
        self.in_batch += 1
        given = row.fault or self._giver.give(row.id, row.text)
        if self._erasures and _is_erased(row, given, source, self._erasures):
            self._refused.append(erased(self._rows))
        elif isinstance(given, Fault):
            self._refused.append(
                quarantined(
                    row=self._rows, reason=given.reason, detail=given.detail, identifier=row.id, raw=source.raw(row)
                )
            )
        else:
            self._ids.append(given)
            self._texts.append(row.text)
            self._values.append(row.values)

    def batch(self, source: RowReader) -> Batch:
        """Close the batch that was gathered, and begin the next one."""
        import pyarrow as pa

        arrays = [pa.array(self._ids, pa.string()), pa.array(self._texts, pa.string())]
        arrays += source.stack(self._values, self._columns)
        names = [ID_COLUMN, TEXT_COLUMN, *(column.name for column in self._columns)]
        rows = self.in_batch
        self.accepted += len(self._ids)
        self.quarantined += len(self._refused)
        batch = Batch(self._rows - rows + 1, rows, pa.table(arrays, names=names), tuple(self._refused))
        self._clear()
        return batch

    def _clear(self) -> None:
        self.in_batch = 0
        self._ids: list[str] = []
        self._texts: list[str] = []
        self._values: list[Any] = []
        self._refused: list[Quarantined] = []


def _ids_and_texts(file: InputFile, wanted: Wanted, *, digest: str) -> Iterator[tuple[str, str]]:
    """Read `file` again, for the rows that are good by themselves and have an id; refuse it when it is another now."""
    with _opened(file, wanted) as (source, now):
        for row in source:
            if row.fault is None and row.id is not None:
                yield row.id, row.text
        if now() != digest:
            raise _changed(file)


def _erased_by_fate(
    file: InputFile, wanted: Wanted, identity: Identity, erasures: ErasureList, *, digest: str
) -> tuple[int, collections.Counter[Reason]]:
    """Read `file` again and count its erased rows: those that would be taken, and the others by their reasons."""
    good, others, giver = 0, collections.Counter[Reason](), IdentityGiver(identity)
    with _opened(file, wanted) as (source, now):
        for row in source:
            given = row.fault or giver.give(row.id, row.text)
            if not _is_erased(row, given, source, erasures):
                continue
            if isinstance(given, Fault):
                others[given.reason] += 1
            else:
                good += 1
        if now() != digest:
            raise _changed(file)
    return good, others


def _is_erased(row: Row, given: str | Fault, source: RowReader, erasures: ErasureList) -> bool:
    """Tell whether a row is on the list; `given` is its id, or its fault."""
    if isinstance(given, Fault):
        refused = erasures.records_of_refused(row.id, source.raw(row), given.reason)
        return bool(refused or (row.text and erasures.records_of(row.id, row.text)))
    return bool(erasures.records_of(given, row.text))


@contextlib.contextmanager
def _opened(file: InputFile, wanted: Wanted) -> Iterator[tuple[RowReader, Callable[[], str]]]:
    if file.format == "parquet":
        with open_parquet(file, wanted) as parquet:
            yield parquet, parquet.digest
    else:
        with TextFile(file) as text:
            yield _TEXT_FORMATS[file.format](text, wanted), text.digest


def _wanted(text_column: str, id_column: str) -> Wanted:
    if text_column == id_column:
        raise UsageError(f"expected two different columns for text and id; got {text_column!r} for both.")
    return Wanted(text=text_column, id=id_column)


def _changed(file: InputFile) -> DataRefused:
    return DataRefused(
        f"{file.name}: expected the file as it was scanned; it has changed since then.",
        todo="Let nothing write to the file while it is read, and start again.",
    )


def _conserve(file: InputFile, rows: int, accepted: int, refused: int) -> None:
    if rows != accepted + refused:
        raise RuntimeError(f"{file.name}: {rows} rows in, but {accepted} accepted and {refused} quarantined")
