r"""Rows of csv and tsv files: a header, then records of as many fields.

csv is RFC 4180 with a comma: a field in double quotes may hold commas, line ends and doubled quotes; in a field that
does not start with a quote, quotes are ordinary characters. tsv has no quoting at all: TAB between fields, a line end
between records. A lone CR is data in both, blank lines are no rows.

An open quote must not swallow the file. A record whose first line leaves a quoted field open is put together from lines
until its quotes are even, within a bound; when that fails, or what came together is not well quoted, only the FIRST
line goes to quarantine and reading goes on with the next one. Lines of odd quotes alone can open or close a record, so
every line is looked at twice at most.
"""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from eqn.corpus.columns import Column, Wanted, carried, lay_out
from eqn.corpus.contract import Reason
from eqn.corpus.lines import TextFile, blank, overlong, without_end
from eqn.corpus.rows import LINE_TOO_LONG, Fault, Row, good_or_faulty
from eqn.errors import DataRefused

MAX_RECORD_BYTES = 1024 * 1024
"""A record of several lines may have this many bytes."""
MAX_RECORD_LINES = 10_000
"""A record may have this many lines."""

_NOT_UTF8 = Fault(Reason.BAD_ENCODING, "the row is not UTF-8")

Record = tuple[bytes, list[str] | Fault]
"""The bytes of one record, and its fields or what is wrong with it."""
Split = Callable[[Iterable[bytes]], Iterator[Record]]


class HeaderedRows:
    """One pass over a csv or tsv file."""

    def __init__(self, file: TextFile, wanted: Wanted, split: Split) -> None:
        """Read the header.

        Raises:
            DataRefused: the file is not text, or its header is not usable.

        """
        import pyarrow as pa

        self._records = split(file)
        names = _header(file.name, self._records)
        self._layout = lay_out(file.name, names, wanted)
        self._width = len(names)
        self.ids_given = self._layout.id is not None
        others = [names[index] for index in self._layout.others]
        self.header: tuple[Column, ...] | None = carried(others, [pa.string()] * len(others))

    def __iter__(self) -> Iterator[Row]:
        """Give the rows, faulty ones too."""
        width, text, identifier, others = self._width, self._layout.text, self._layout.id, self._layout.others
        for raw, fields in self._records:
            if isinstance(fields, Fault):
                yield Row(raw, None, "", None, fields)
            elif len(fields) != width:
                detail = f"{len(fields)} field(s), the header has {width}"
                yield Row(raw, None, "", None, Fault(Reason.RAGGED_ROW, detail))
            else:
                given = None if identifier is None else fields[identifier]
                yield good_or_faulty(raw, given, fields[text], [fields[index] for index in others])

    def columns(self) -> tuple[Column, ...]:
        """Give the other columns."""
        return self.header or ()

    def stack(self, values: Sequence[Any], columns: Sequence[Column], /) -> list[Any]:
        """Turn the other fields of some rows into string arrays."""
        import pyarrow as pa

        return [pa.array([row[index] for row in values], pa.string()) for index in range(len(columns))]

    def raw(self, row: Row) -> bytes:
        """Give the row as it stands in the file."""
        return row.raw


def csv_records(lines: Iterable[bytes]) -> Iterator[Record]:
    r"""Split csv.

    >>> [fields for _, fields in csv_records([b'7,"a ""b""\n', b'c, d"\n'])]
    [['7', 'a "b"\nc, d']]
    """
    supply = iter(lines)
    ahead: collections.deque[bytes] = collections.deque()
    while line := ahead.popleft() if ahead else next(supply, b""):
        if blank(line):
            continue
        if overlong(line):
            yield line, LINE_TOO_LONG
        elif b'"' in line:
            yield _quoted(line, ahead, supply)
        else:
            # Most rows of most files: no quotes, so every comma separates.
            yield _split_plain(without_end(line), ",")


def tsv_records(lines: Iterable[bytes]) -> Iterator[Record]:
    """Split tsv."""
    for line in lines:
        if overlong(line):
            yield line, LINE_TOO_LONG
        elif not blank(line):
            yield _split_plain(without_end(line), "\t")


def split_quoted(record: bytes) -> list[bytes]:
    r"""Split one record of RFC 4180 into its fields; bytes, because its encoding is judged later.

    >>> split_quoted(b'7,"a ""b"", c",say "hi"')
    [b'7', b'a "b", c', b'say "hi"']

    Raises:
        ValueError: a quoted field does not end or goes on after its end, or a line end stands outside quotes.

    """
    fields, at = [], 0
    while True:
        if record.startswith(b'"', at):
            field, at = _quoted_field(record, at)
        else:
            end = record.find(b",", at)
            field, at = (record[at:], len(record)) if end < 0 else (record[at:end], end)
            if b"\n" in field:
                raise ValueError("a quote stands open in a field that does not start with one")
        fields.append(field)
        if at == len(record):
            return fields
        at += 1


def _quoted_field(record: bytes, start: int) -> tuple[bytes, int]:
    close = record.find(b'"', start + 1)
    while close >= 0 and record.startswith(b'"', close + 1):
        close = record.find(b'"', close + 2)
    if close < 0:
        raise ValueError("a quoted field does not end")
    if close + 1 < len(record) and not record.startswith(b",", close + 1):
        raise ValueError("a quoted field goes on after its closing quote")
    return record[start + 1 : close].replace(b'""', b'"'), close + 1


def _quoted(first: bytes, ahead: collections.deque[bytes], supply: Iterator[bytes]) -> Record:
    """Read the record that starts with the line `first`; lines it does not use stay in `ahead`."""
    try:
        lines = _gather(first, ahead, supply)
        raw = without_end(b"".join(lines))
        fields = split_quoted(raw)
    except ValueError as error:
        return without_end(first), Fault(Reason.BAD_QUOTING, str(error))
    for _ in lines[1:]:
        ahead.popleft()
    try:
        return raw, [field.decode("utf-8") for field in fields]
    except UnicodeDecodeError:
        return raw, _NOT_UTF8


def _stands_open(line: bytes) -> bool:
    """Tell whether a quoted field is open at the end of a record's first line.

    A quote opens a field only where the field starts: the inch mark in `5" pipe` is an ordinary character.
    """
    at = 0
    while True:
        if line.startswith(b'"', at):
            close = line.find(b'"', at + 1)
            while close >= 0 and line.startswith(b'"', close + 1):
                close = line.find(b'"', close + 2)
            if close < 0:
                return True
            at = close + 1
        at = line.find(b",", at) + 1
        if not at:
            return False


def _gather(first: bytes, ahead: collections.deque[bytes], supply: Iterator[bytes]) -> list[bytes]:
    """Collect lines until the quotes are even; what is read for that is kept in `ahead`."""
    lines, size, odd = [first], len(first), first.count(b'"') % 2 if _stands_open(first) else 0
    while odd:
        if len(lines) > len(ahead):
            line = next(supply, b"")
            if not line:
                raise ValueError("a quoted field does not end before the file does")
            ahead.append(line)
        line = ahead[len(lines) - 1]
        lines.append(line)
        size += len(line)
        odd ^= line.count(b'"') % 2
        if size > MAX_RECORD_BYTES or len(lines) > MAX_RECORD_LINES:
            raise ValueError(f"a quoted field does not end within {MAX_RECORD_BYTES} bytes or {MAX_RECORD_LINES} lines")
    return lines


def _split_plain(raw: bytes, separator: str) -> Record:
    try:
        return raw, raw.decode("utf-8").split(separator)
    except UnicodeDecodeError:
        return raw, _NOT_UTF8


def _header(file: str, records: Iterator[Record]) -> list[str]:
    raw, names = next(records, (b"", None))
    if names is None:
        raise DataRefused(
            f"{file}: expected a header and rows; the file has only blank lines.",
            todo="Take the file away, or give it rows.",
        )
    if isinstance(names, Fault):
        raise DataRefused(
            f"{file}: expected a header with the names of the columns; {names.detail} in {raw[:40]!r}.",
            todo="Save the file as UTF-8 text whose first row names the columns.",
        )
    return names
