"""Rows of Parquet files. The other columns never become Python values: they keep their type and stay in Arrow.

Parquet does not promise that its strings are UTF-8, and pyarrow does not check it. Text and id are therefore taken as
bytes and decoded row by row, and the other columns are validated.
"""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from eqn.corpus.columns import Column, Wanted, carried, lay_out
from eqn.corpus.contract import Reason
from eqn.corpus.inputs import InputFile
from eqn.corpus.rows import Row, faulty, good_or_faulty
from eqn.errors import DataRefused, UsageError

_BATCH_ROWS = 1_024
_BUFFER_BYTES = 1024 * 1024


class ParquetRows:
    """One pass over a Parquet file: a context that opens it."""

    def __init__(self, file: InputFile, wanted: Wanted) -> None:
        self._file = file
        self._wanted = wanted
        self._open = contextlib.ExitStack()
        self.ids_given = False
        self.header: tuple[Column, ...] | None = None

    def __enter__(self) -> Self:
        """Open the file and read its schema.

        Raises:
            UsageError: it cannot be opened.
            DataRefused: it is not Parquet, or lacks a column of the right type.

        """
        import pyarrow.parquet as pq

        try:
            self._handle = self._open.enter_context(Path(self._file.path).open("rb"))
        except OSError as error:
            raise UsageError(f"{self._file.name}: the file cannot be opened ({error.strerror}).") from error
        with self._translated():
            if not self._handle.read(1):
                raise DataRefused(f"{self._file.name}: expected rows; the file is empty.")
            self._parquet = pq.ParquetFile(self._handle, buffer_size=_BUFFER_BYTES, pre_buffer=False)
            schema = self._parquet.schema_arrow
            names = schema.names
        self._layout = lay_out(self._file.name, names, self._wanted)
        self.ids_given = self._layout.id is not None
        types = [_carried_type(schema.types[index]) for index in self._layout.others]
        self.header = carried([names[index] for index in self._layout.others], types)
        self._refuse_types(schema)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._open.close()

    def __iter__(self) -> Iterator[Row]:
        """Give the rows, faulty ones too; the values of a row are the batch it is in and its place there."""
        layout = self._layout
        for batch in self._batches():
            texts = _as_bytes(batch.column(layout.text))
            ids = itertools.repeat(None) if layout.id is None else _as_ids(batch.column(layout.id))
            with self._translated():
                others = self._others(batch)
                broken = _broken_rows(others)
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
        """Give the sha256 of the file on disk."""
        with self._translated():
            self._handle.seek(0)
            return hashlib.file_digest(self._handle, "sha256").hexdigest()

    def _batches(self) -> Iterator[Any]:
        with self._translated():
            yield from self._parquet.iter_batches(batch_size=_BATCH_ROWS)

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

    def _refuse_types(self, schema: Any) -> None:
        import pyarrow as pa

        name, faults = self._file.name, []
        if not _is_string(text := schema.types[self._layout.text]):
            faults.append(f"the text column {self._wanted.text!r} has the type {text}, not string")
        if self._layout.id is not None:
            given = schema.types[self._layout.id]
            if not _is_string(given) and not pa.types.is_integer(given):
                faults.append(f"the id column {self._wanted.id!r} has the type {given}, neither string nor integer")
        for column in self.columns():
            with contextlib.suppress(pa.ArrowNotImplementedError):
                pa.array([], column.type).take(pa.array([], pa.int64()))
                continue
            faults.append(f"the column {column.source!r} has the type {column.type}, which cannot be carried along")
        if faults:
            raise DataRefused(
                f"{name}: expected columns of other types:", faults=faults, todo="Convert or drop these columns."
            )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataRefused(
                f"{self._file.name}: expected a whole Parquet file, as its name says; it cannot be read ({reason}).",
                todo="Write or fetch the file again.",
            ) from error


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


def _plain(array: Any) -> Any:
    import pyarrow as pa

    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _is_string(kind: Any) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _as_bytes(array: Any) -> list[bytes | None]:
    import pyarrow as pa

    values: list[bytes | None] = _plain(array).cast(pa.large_binary()).to_pylist()
    return values


def _as_ids(array: Any) -> list[bytes | None]:
    import pyarrow as pa

    if pa.types.is_integer(array.type):
        return [None if value is None else str(value).encode() for value in array.to_pylist()]
    return _as_bytes(array)


def _carried_type(kind: Any) -> Any:
    """Give the type in which a column goes on: its own, but for views, which Arrow cannot take rows from."""
    import pyarrow as pa

    if pa.types.is_string_view(kind):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(kind) else kind


def _broken_rows(batch: Any) -> set[int]:
    """Find the rows with a value that is not valid, such as a string that is not UTF-8."""
    import pyarrow as pa

    broken: set[int] = set()
    for array in batch.columns:
        try:
            array.validate(full=True)
        except pa.ArrowInvalid:
            plain = _plain(array)
            broken.update(place for place in range(len(plain)) if not _valid(plain, place))
    return broken


def _valid(array: Any, place: int) -> bool:
    import pyarrow as pa

    try:
        # A copy: a slice would be judged together with what stands around it.
        array.take(pa.array([place])).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
