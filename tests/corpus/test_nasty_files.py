"""A collection of nasty files, each with its exact outcome: refused, or so many rows taken and refused by reason."""

import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eqn.corpus.contract import Reason
from eqn.corpus.inputs import find_inputs
from eqn.corpus.quarantine import quarantine_table
from eqn.corpus.reader import read_batches, scan
from eqn.errors import EqnError

_REFUSED = 3


def _parquet(**columns: object) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target)
    return target.getvalue()


_MEGABYTE = b"a" * 1_000_000
_PARQUET = _parquet(id=["1", "2"], text=["a", None])

_FILES: list[tuple[str, str, bytes, int | tuple[int, dict[Reason, int]]]] = [
    # What the table shows: description, file name, content, exit code or (rows taken, rows quarantined by reason).
    ("texts like missing values", "a.csv", b"id,text\n1,NA\n2,null\n3,None\n4,nan\n", (4, {})),
    ("ids like numbers", "a.csv", b"id,text\n01,a\n1,b\n1e5,c\n100000,d\n1.0,e\n", (5, {})),
    ("a byte order mark", "a.csv", b"\xef\xbb\xbfid,text\n1,a\n", (1, {})),
    ("CRLF and LF mixed", "a.csv", b"id,text\r\n1,a\n2,b\r\n", (2, {})),
    ("CR inside a field", "a.csv", b"id,text\n1,a\rb\n", (1, {})),
    ("CR alone", "a.csv", b"id,text\r1,a\r2,b\r", _REFUSED),
    ("blank lines everywhere", "a.csv", b"\n\nid,text\n\n1,a\n\r\n2,b\n\n", (2, {})),
    ("no line end at the end", "a.csv", b"id,text\n1,a", (1, {})),
    ("an open quote", "a.csv", b'id,text\n1,"a\n2,b\n3,c\n', (2, {Reason.BAD_QUOTING: 1})),
    ("a quote that goes on", "a.csv", b'id,text\n1,"a"b\n2,c\n', (1, {Reason.BAD_QUOTING: 1})),
    ("an inch", "a.csv", b'id,text\n1,5" pipe\n2,b\n', (2, {})),
    ("ragged rows", "a.csv", b"id,text\n1\n2,a,b\n3,c\n", (1, {Reason.RAGGED_ROW: 2})),
    ("one bad byte", "a.csv", b"id,text\n1,a\xff\n2,b\n", (1, {Reason.BAD_ENCODING: 1})),
    ("Latin-1 in another column", "a.csv", b"id,text,x\n1,a,caf\xe9\n2,b,c\n", (1, {Reason.BAD_ENCODING: 1})),
    ("NUL in a row", "a.csv", b"id,text,x\n1,a\0,\n2\0,b,\n3,c,\0\n", (1, {Reason.CONTROL_CHARACTER: 2})),
    ("empty texts", "a.csv", b'id,text\n1,\n2,""\n3,  \n4,a\n', (1, {Reason.EMPTY_TEXT: 3})),
    ("missing ids", "a.csv", b"id,text\n,a\n2,b\n", (1, {Reason.MISSING_ID: 1})),
    (
        "repeats and conflicts",
        "a.csv",
        b"id,text\n1,a\n1,a\n2,b\n2,c\n3,d\n",
        (2, {Reason.REPEATED_ROW: 1, Reason.CONFLICTING_ID: 2}),
    ),
    ("a faulty row is no rival", "a.csv", b"id,text\n1,\n1,a\n", (1, {Reason.EMPTY_TEXT: 1})),
    ("a text of a megabyte", "a.csv", b"id,text\n1," + _MEGABYTE + b"\n2,b\n", (1, {Reason.TEXT_TOO_LONG: 1})),
    ("a line of 9 megabytes", "a.tsv", b"id\ttext\n1\t" + 9 * _MEGABYTE + b"\n2\tb\n", (1, {Reason.TEXT_TOO_LONG: 1})),
    ("a bomb", "a.txt.gz", gzip.compress(b"a\n" + 50 * _MEGABYTE, 1), (1, {Reason.TEXT_TOO_LONG: 1})),
    ("empty", "a.csv", b"", _REFUSED),
    ("a byte order mark alone", "a.txt", b"\xef\xbb\xbf", _REFUSED),
    ("blank lines alone", "a.jsonl", b"\n\r\n", _REFUSED),
    ("header only", "a.tsv", b"id\ttext\n", _REFUSED),
    ("repeated column", "a.csv", b"id,text,text\n1,a,b\n", _REFUSED),
    ("no text column", "a.csv", b"id,comment\n1,a\n", _REFUSED),
    ("no header", "a.tsv", b"my text\t3,27\ted01\n", _REFUSED),
    ("an open quote in the header", "a.csv", b'id,"text\n1,a\n', _REFUSED),
    ("a header that is not UTF-8", "a.csv", b"id,text,caf\xe9\n1,a,b\n", _REFUSED),
    ("UTF-16", "a.csv", "id,text\n1,a\n".encode("utf-16"), _REFUSED),
    ("UTF-16 without its mark", "a.txt", "some text\n".encode("utf-16-be"), _REFUSED),
    ("random bytes", "a.csv", bytes(range(256)) * 4, _REFUSED),
    ("Parquet named csv", "a.csv", _PARQUET, _REFUSED),
    ("csv named Parquet", "a.parquet", b"id,text\n1,a\n", _REFUSED),
    ("Parquet cut short", "a.parquet", _PARQUET[:-30], _REFUSED),
    ("gzip cut short", "a.csv.gz", gzip.compress(b"id,text\n1,a\n")[:-4], _REFUSED),
    ("csv named gzip", "a.csv.gz", b"id,text\n1,a\n", _REFUSED),
    ("quotes in tsv", "a.tsv", b'id\ttext\n1\t"a\n2\tb"\n', (2, {})),
    ("Parquet with a null", "a.parquet", _PARQUET, (1, {Reason.MISSING_TEXT: 1})),
    (
        "JSON of many kinds",
        "a.jsonl",
        b'{"text": "a"}\n{"text": 1}\n{"text": null}\n{}\n[]\n{"text": "\\ud800"}\n{"text": "a"} x\n{"text": NaN}\n',
        (1, {Reason.NOT_TEXT: 1, Reason.MISSING_TEXT: 2, Reason.BAD_JSON: 3, Reason.BAD_ENCODING: 1}),
    ),
    ("csv named jsonl", "a.jsonl", b"id,text\n1,a\n", _REFUSED),
    ("formulas", "a.csv", b"id,text\n1,=1+1\n2,+a\n3,@b\n4,-c\n", (4, {})),
]


@pytest.mark.parametrize(
    ("name", "content", "expected"), [pytest.param(*row[1:], id=row[0].replace(" ", "-")) for row in _FILES]
)
def test_every_nasty_file_has_its_exact_outcome(
    tmp_path: Path, name: str, content: bytes, expected: int | tuple[int, dict[Reason, int]]
) -> None:
    """A file is refused with the exit code of refused data, or its rows are accounted for to the last one."""
    (tmp_path / name).write_bytes(content)
    (file,) = find_inputs([str(tmp_path)])
    if isinstance(expected, int):
        with pytest.raises(EqnError) as caught:
            scan(file)
        assert caught.value.exit_code == expected
        assert str(caught.value).startswith(f"{name}: expected ")
        return
    scanned = scan(file)
    assert (scanned.accepted, dict(scanned.quarantined)) == expected
    batches = list(read_batches(file, scanned, batch_rows=2))
    shown = [row for batch in batches for row in quarantine_table(name, batch.quarantined).to_pylist()]
    assert sum(batch.table.num_rows for batch in batches) == scanned.accepted
    assert {reason: [row["reason"] for row in shown].count(reason) for reason in scanned.quarantined} == expected[1]
