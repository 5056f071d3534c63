"""A collection of nasty files, each with its exact outcome: refused, or so many rows taken and refused by reason."""

import gzip
import io
import tarfile
import zipfile
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from eqn.corpus.contract import Reason

UNKNOWN = 2
"""Exit code for a file of no known kind."""
REFUSED = 3
"""Exit code for a file that is refused as a whole."""


class Nasty(NamedTuple):
    """A file, and what becomes of it."""

    about: str
    name: str
    content: bytes
    outcome: int | tuple[int, dict[Reason, int]]
    """An exit code, or rows taken and rows quarantined by reason."""


def _parquet(**columns: object) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target)
    return target.getvalue()


def _bad_strings() -> pa.Array:
    """Two strings, the second of which is not UTF-8."""
    return pa.Array.from_buffers(pa.string(), 2, pa.array([b"a", b"\xff"], pa.binary()).buffers())


def _zip() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a.csv", "id,text\n1,a\n")
    return target.getvalue()


def _tar(mode: Literal["w", "w:gz"]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:
        archive.addfile(tarfile.TarInfo("../../a.csv"))
    return target.getvalue()


_MEGABYTE = b"a" * 1_000_000
_PARQUET = _parquet(id=["1", "2"], text=["a", None])

FILES: list[Nasty] = [
    Nasty("texts like missing values", "a.csv", b"id,text\n1,NA\n2,null\n3,None\n4,nan\n", (4, {})),
    Nasty("ids like numbers", "a.csv", b"id,text\n01,a\n1,b\n1e5,c\n100000,d\n1.0,e\n", (5, {})),
    Nasty("a byte order mark", "a.csv", b"\xef\xbb\xbfid,text\n1,a\n", (1, {})),
    Nasty("CRLF and LF mixed", "a.csv", b"id,text\r\n1,a\n2,b\r\n", (2, {})),
    Nasty("CR inside a field", "a.csv", b"id,text\n1,a\rb\n", (1, {})),
    Nasty("CR alone", "a.csv", b"id,text\r1,a\r2,b\r", REFUSED),
    Nasty("blank lines everywhere", "a.csv", b"\n\nid,text\n\n1,a\n\r\n2,b\n\n", (2, {})),
    Nasty("no line end at the end", "a.csv", b"id,text\n1,a", (1, {})),
    Nasty("an open quote", "a.csv", b'id,text\n1,"a\n2,b\n3,c\n', (2, {Reason.BAD_QUOTING: 1})),
    Nasty("a quote that goes on", "a.csv", b'id,text\n1,"a"b\n2,c\n', (1, {Reason.BAD_QUOTING: 1})),
    Nasty("an inch", "a.csv", b'id,text\n1,5" pipe\n2,b\n', (2, {})),
    Nasty("ragged rows", "a.csv", b"id,text\n1\n2,a,b\n3,c\n", (1, {Reason.RAGGED_ROW: 2})),
    Nasty("one bad byte", "a.csv", b"id,text\n1,a\xff\n2,b\n", (1, {Reason.BAD_ENCODING: 1})),
    Nasty("Latin-1 in another column", "a.csv", b"id,text,x\n1,a,caf\xe9\n2,b,c\n", (1, {Reason.BAD_ENCODING: 1})),
    Nasty("NUL in a row", "a.csv", b"id,text,x\n1,a\0,\n2\0,b,\n3,c,\0\n", (1, {Reason.CONTROL_CHARACTER: 2})),
    Nasty("empty texts", "a.csv", b'id,text\n1,\n2,""\n3,  \n4,a\n', (1, {Reason.EMPTY_TEXT: 3})),
    Nasty("missing ids", "a.csv", b"id,text\n,a\n2,b\n", (1, {Reason.MISSING_ID: 1})),
    Nasty(
        "repeats and conflicts",
        "a.csv",
        b"id,text\n1,a\n1,a\n2,b\n2,c\n3,d\n",
        (2, {Reason.REPEATED_ROW: 1, Reason.CONFLICTING_ID: 2}),
    ),
    Nasty("a faulty row is no rival", "a.csv", b"id,text\n1,\n1,a\n", (1, {Reason.EMPTY_TEXT: 1})),
    Nasty("a text of a megabyte", "a.csv", b"id,text\n1," + _MEGABYTE + b"\n2,b\n", (1, {Reason.TEXT_TOO_LONG: 1})),
    Nasty(
        "a line of 9 megabytes", "a.tsv", b"id\ttext\n1\t" + 9 * _MEGABYTE + b"\n2\tb\n", (1, {Reason.TEXT_TOO_LONG: 1})
    ),
    Nasty("a bomb", "a.txt.gz", gzip.compress(b"a\n" + 50 * _MEGABYTE, 1), (1, {Reason.TEXT_TOO_LONG: 1})),
    Nasty("empty", "a.csv", b"", REFUSED),
    Nasty("a byte order mark alone", "a.txt", b"\xef\xbb\xbf", REFUSED),
    Nasty("blank lines alone", "a.jsonl", b"\n\r\n", REFUSED),
    Nasty("header only", "a.tsv", b"id\ttext\n", REFUSED),
    Nasty("repeated column", "a.csv", b"id,text,text\n1,a,b\n", REFUSED),
    Nasty("no text column", "a.csv", b"id,comment\n1,a\n", REFUSED),
    Nasty("no header", "a.tsv", b"my text\t3,27\ted01\n", REFUSED),
    Nasty("an open quote in the header", "a.csv", b'id,"text\n1,a\n', REFUSED),
    Nasty("a header that is not UTF-8", "a.csv", b"id,text,caf\xe9\n1,a,b\n", REFUSED),
    Nasty("UTF-16", "a.csv", "id,text\n1,a\n".encode("utf-16"), REFUSED),
    Nasty("UTF-16 without its mark", "a.txt", "some text\n".encode("utf-16-be"), REFUSED),
    Nasty("random bytes", "a.csv", bytes(range(256)) * 4, REFUSED),
    Nasty("Parquet named csv", "a.csv", _PARQUET, REFUSED),
    Nasty("csv named Parquet", "a.parquet", b"id,text\n1,a\n", REFUSED),
    Nasty("Parquet cut short", "a.parquet", _PARQUET[:-30], REFUSED),
    Nasty("gzip cut short", "a.csv.gz", gzip.compress(b"id,text\n1,a\n")[:-4], REFUSED),
    Nasty("csv named gzip", "a.csv.gz", b"id,text\n1,a\n", REFUSED),
    Nasty("quotes in tsv", "a.tsv", b'id\ttext\n1\t"a\n2\tb"\n', (2, {})),
    Nasty("Parquet with a null", "a.parquet", _PARQUET, (1, {Reason.MISSING_TEXT: 1})),
    Nasty(
        "JSON of many kinds",
        "a.jsonl",
        b'{"text": "a"}\n{"text": 1}\n{"text": null}\n{}\n[]\n{"text": "\\ud800"}\n{"text": "a"} x\n{"text": NaN}\n',
        (1, {Reason.NOT_TEXT: 1, Reason.MISSING_TEXT: 2, Reason.BAD_JSON: 3, Reason.BAD_ENCODING: 1}),
    ),
    Nasty("csv named jsonl", "a.jsonl", b"id,text\n1,a\n", REFUSED),
    Nasty("formulas", "a.csv", b"id,text\n1,=1+1\n2,+a\n3,@b\n4,-c\n", (4, {})),
    Nasty(
        "Windows-1252",
        "a.csv",
        "id,text\n1,caf\u00e9\n2,it\u2019s\n3,c\n".encode("cp1252"),
        (1, {Reason.BAD_ENCODING: 2}),
    ),
    Nasty("half of a surrogate pair as bytes", "a.txt", b"a\n\xed\xa0\x80\nb\n", (2, {Reason.BAD_ENCODING: 1})),
    Nasty(
        "UTF-16 from the second line on",
        "a.txt",
        b"a\n" + "bc\nd".encode("utf-16-le"),
        (1, {Reason.CONTROL_CHARACTER: 2}),
    ),
    Nasty("a byte order mark in the middle", "a.txt", b"a\n\xef\xbb\xbfb\n", (2, {})),
    Nasty("other line ends inside of texts", "a.txt", "a\u2028b\x0bc\x0c\x1c\x85d\n".encode(), (1, {})),
    Nasty("only foreign white space", "a.txt", "\u3000\u00a0\n \t\na\n".encode(), (1, {Reason.EMPTY_TEXT: 2})),
    Nasty(
        "the longest text and one more",
        "a.txt",
        b"a" * 100_000 + b"\n" + b"a" * 100_001,
        (1, {Reason.TEXT_TOO_LONG: 1}),
    ),
    Nasty("a storm of quotes", "a.csv", b"id,text\n" + b'"' * 99_999 + b"\n1,a\n", (1, {Reason.BAD_QUOTING: 1})),
    Nasty(
        "ten thousand open quotes",
        "a.csv",
        b"id,text\n" + b'1,"a\n' * 10_001,
        (0, {Reason.BAD_QUOTING: 10_001}),
    ),
    Nasty(
        "rows of one column in a file of two",
        "a.tsv",
        b"id\ttext\n" + b"a\n" * 99 + b"1\ta\n",
        (1, {Reason.RAGGED_ROW: 99}),
    ),
    Nasty("a header twice", "a.csv", b"id,text\n1,a\nid,text\n2,b\n", (3, {})),
    Nasty(
        "ids that differ in case, form and white space",
        "a.csv",
        "id,text\na,x\nA,x\na ,x\n\u00e9,x\ne\u0301,x\n".encode(),
        (5, {}),
    ),
    Nasty(
        "a key twice in an object", "a.jsonl", b'{"text": "a", "text": "b"}\n{"text": "c"}\n', (1, {Reason.BAD_JSON: 1})
    ),
    Nasty(
        "objects a thousand deep",
        "a.jsonl",
        b'{"text": "a", "k": ' + b"[" * 1000 + b"]" * 1000 + b'}\n{"text": "b"}\n',
        (1, {Reason.BAD_JSON: 1}),
    ),
    Nasty("a number of a million digits", "a.jsonl", b'{"text": "a", "id": ' + b"9" * 1_000_000 + b"}\n", (1, {})),
    Nasty(
        "a thousand thousand keys", "a.jsonl", b"".join(b'{"text": "a", "k%d": 1}\n' % n for n in range(2_001)), REFUSED
    ),
    Nasty("JSON in one list", "a.jsonl", b'[{"text": "a"},\n{"text": "b"}]\n', REFUSED),
    Nasty("gzip in gzip", "a.csv.gz", gzip.compress(gzip.compress(b"id,text\n1,a\n")), REFUSED),
    Nasty("gzip with something behind it", "a.csv.gz", gzip.compress(b"id,text\n1,a\n") + b"more", REFUSED),
    Nasty("gzip with a wrong checksum", "a.csv.gz", gzip.compress(b"id,text\n1,a\n")[:-8] + bytes(8), REFUSED),
    Nasty("zip named csv", "a.csv", _zip(), REFUSED),
    Nasty("tar named csv", "a.csv", _tar("w"), REFUSED),
    Nasty("a packed tar named csv.gz", "a.csv.gz", _tar("w:gz"), REFUSED),
    Nasty("zip", "a.zip", _zip(), UNKNOWN),
    Nasty("tar", "a.tar", _tar("w"), UNKNOWN),
    Nasty("a packed tar", "a.tar.gz", _tar("w:gz"), UNKNOWN),
    Nasty("a pickle", "a.pkl", b"\x80\x04.", UNKNOWN),
    Nasty("no extension", "README", b"id,text\n1,a\n", UNKNOWN),
    Nasty("Parquet without a footer", "a.parquet", b"PAR1" + bytes(100), REFUSED),
    Nasty("Parquet whose text is a number", "a.parquet", _parquet(text=[1, 2]), REFUSED),
    Nasty("Parquet whose footer claims to be huge", "a.parquet", _PARQUET[:-8] + b"\xff\xff\xff\x7fPAR1", REFUSED),
    Nasty(
        "Parquet with a string that is not UTF-8",
        "a.parquet",
        _parquet(text=_bad_strings()),
        (1, {Reason.BAD_ENCODING: 1}),
    ),
    Nasty("columns named like ours", "a.csv", b"id,text,labels,joy,truncated,../x\n1,a,b,c,d,e\n", (1, {})),
]
"""All of them."""
