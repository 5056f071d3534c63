"""Rows of Parquet files. The other columns never become Python values: they keep their type and stay in Arrow.

Parquet does not promise that its strings are UTF-8, and pyarrow does not check it. Text and id are therefore taken as
bytes and decoded row by row, and the other columns are validated.
"""

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any

from eqn.corpus.arrow_values import as_bytes, as_ids, broken_rows, carried_type, holds_dictionary, is_string
from eqn.corpus.columns import Column, Wanted, carried, lay_out
from eqn.corpus.contract import Reason
from eqn.corpus.inputs import InputFile
from eqn.corpus.rows import Row, faulty, good_or_faulty
from eqn.errors import DataRefused, UsageError

_BATCH_ROWS = 1_024
_BUFFER_BYTES = 1024 * 1024


@contextlib.contextmanager
def open_parquet(file: InputFile, wanted: Wanted) -> Iterator["ParquetRows"]:
    """Open a Parquet file for one pass.

    Raises:
        UsageError: it cannot be opened.
        DataRefused: it is not Parquet, or lacks a column of the right type.

    """
    try:
        handle = Path(file.path).open("rb")  # noqa: SIM115  closed below; what goes wrong inside is no fault of opening
    except OSError as error:
        raise UsageError(f"{file.name}: the file cannot be opened ({error.strerror}).") from error
    with handle:
        yield ParquetRows(file.name, handle, wanted)


class ParquetRows:
    """One pass over an open Parquet file."""

    def __init__(self, name: str, handle: BufferedReader, wanted: Wanted) -> None:
        """Read the schema.

        Raises:
            DataRefused: the file is not Parquet, or lacks a column of the right type.

        """
        import pyarrow.parquet as pq

        self._name = name
        self._handle = handle
        self._state = _state(handle)
        with self._translated():
            if not handle.read(1):
                raise DataRefused(
                    f"{name}: expected rows; the file is empty.", todo="Take the file away, or give it rows."
                )
            self._parquet = pq.ParquetFile(
                handle, buffer_size=_BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True
            )
            schema = self._parquet.schema_arrow
            names = schema.names
        self._layout = lay_out(name, names, wanted)
        self.ids_given = self._layout.id is not None
        types = [carried_type(schema.types[index]) for index in self._layout.others]
        self.header: tuple[Column, ...] | None = carried([names[index] for index in self._layout.others], types)
        self._refuse_types(schema, wanted)

    def __iter__(self) -> Iterator[Row]:
        """Give the rows, faulty ones too; the values of a row are the batch it is in and its place there."""
        layout = self._layout
        for batch in self._batches():
            with self._translated():
                texts = as_bytes(batch.column(layout.text))
                ids = itertools.repeat(None) if layout.id is None else as_ids(batch.column(layout.id))
                others = self._others(batch)
                broken = broken_rows(others)
            for place, (text, identifier) in enumerate(zip(texts, ids, strict=False)):
                if place in broken:
                    yield _shown_faulty(identifier, text, Reason.BAD_ENCODING, "a value is not valid, or not UTF-8")
                else:
                    yield _row(identifier, text, (others, place))

    def columns(self) -> tuple[Column, ...]:
        """Give the other columns."""
        return self.header or ()

    def stack(self, values: Sequence[Any], columns: Sequence[Column], /) -> list[Any]:
        """Take the other columns of some rows out of their batches."""
        import pyarrow as pa

        if not columns:
            return []
        schema = pa.schema([pa.field(str(index), column.type) for index, column in enumerate(columns)])
        pieces = []
        for _, group in itertools.groupby(values, key=lambda value: id(value[0])):
            rows = list(group)
            places = [place for _, place in rows]
            pieces.append(rows[0][0].take(pa.array(places, pa.int64())))
        return list(pa.Table.from_batches(pieces, schema).columns)

    def raw(self, row: Row) -> bytes:
        """Give id and text as JSON, as a row of Parquet has no bytes of its own."""
        return row.raw or _shown(row.id, row.text)

    def digest(self) -> str:
        """Give the sha256 of the file on disk.

        Raises:
            DataRefused: the file was written to since it was opened, so that rows and digest may not belong together.

        """
        with self._translated():
            self._handle.seek(0)
            digest = hashlib.file_digest(self._handle, "sha256").hexdigest()
        if _state(self._handle) != self._state:
            raise DataRefused(
                f"{self._name}: expected a file at rest; it changed while it was read.",
                todo="Let nothing write to the file while it is read, and start again.",
            )
        return digest

    def _batches(self) -> Iterator[Any]:
        rows, promised = 0, self._parquet.metadata.num_rows
        with self._translated():
            for batch in self._parquet.iter_batches(batch_size=_BATCH_ROWS):
                rows += batch.num_rows
                yield batch
            if rows != promised:
                raise ValueError(f"its footer promises {promised} rows, {rows} came")

    def _others(self, batch: Any) -> Any:
        import pyarrow as pa

        columns = self.columns()
        arrays = [batch.column(index) for index in self._layout.others]
        arrays = [
            array if array.type == column.type else array.cast(column.type)
            for array, column in zip(arrays, columns, strict=True)
        ]
        names = [str(index) for index in range(len(columns))]
        return pa.record_batch(arrays, names=names)

    def _refuse_types(self, schema: Any, wanted: Wanted) -> None:
        import pyarrow as pa

        faults = []
        if not is_string(text := schema.types[self._layout.text]):
            faults.append(f"the text column {wanted.text!r} has the type {text}, not string")
        if self._layout.id is not None:
            given = schema.types[self._layout.id]
            if not is_string(given) and not pa.types.is_integer(given):
                faults.append(f"the id column {wanted.id!r} has the type {given}, neither string nor integer")
        for column in self.columns():
            with contextlib.suppress(pa.ArrowNotImplementedError):
                pa.array([], column.type).take(pa.array([], pa.int64()))
                if not holds_dictionary(column.type):  # as in a list view, out of which Arrow casts none
                    continue
            faults.append(f"the column {column.source!r} has the type {column.type}, which cannot be carried along")
        if faults:
            raise DataRefused(
                f"{self._name}: expected columns of other types:", faults=faults, todo="Convert or drop these columns."
            )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataRefused(
                f"{self._name}: expected a whole Parquet file, as its name says; it cannot be read ({reason}).",
                todo="Write or fetch the file again.",
            ) from error


def _state(handle: BufferedReader) -> tuple[int, int]:
    about = os.fstat(handle.fileno())
    return about.st_size, about.st_mtime_ns


def _row(identifier: bytes | None, text: bytes | None, values: Any) -> Row:
    try:
        given = None if identifier is None else identifier.decode("utf-8")
        if text is None:
            return _shown_faulty(identifier, text, Reason.MISSING_TEXT, "the text is null")
        row = good_or_faulty(b"", given, text.decode("utf-8"), values)
    except UnicodeDecodeError:
        return _shown_faulty(identifier, text, Reason.BAD_ENCODING, "the text or id is not UTF-8")
    # Showing a row costs more than reading it, so a good one is shown only if it turns out to be a repeat.
    return row if row.fault is None else row._replace(raw=_shown(given, text.decode("utf-8")))


def _shown_faulty(identifier: bytes | None, text: bytes | None, reason: Reason, detail: str) -> Row:
    raw = _shown(_readable(identifier), _readable(text))
    try:
        return faulty(raw, reason, detail, identifier=(identifier or b"").decode("utf-8"))
    except UnicodeDecodeError:
        return faulty(raw, reason, detail)


def _readable(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


def _shown(identifier: str | None, text: str | None) -> bytes:
    return json.dumps({"id": identifier, "text": text}, ensure_ascii=False).encode("utf-8")
