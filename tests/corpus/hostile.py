"""What the reader promises of any bytes, checked on one file at a time, and ways to make valid files hostile.

checked(folder, "csv", content)         reads a file three ways and holds it against the promises of its format
mutated(random, contents)               one of some valid files after flips, cuts, splices, repeats and quote storms
"""

import collections
import gzip
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from eqn.corpus.contract import MAX_TEXT_CHARACTERS, Reason
from eqn.corpus.inputs import InputFile
from eqn.corpus.reader import FileScan, read_batches, scan
from eqn.errors import EqnError

FORMATS = ("csv", "tsv", "jsonl", "txt", "parquet")

Rows = list[tuple[object, ...]]
"""Taken rows: id, text, and the other columns."""
Refused = list[tuple[int, Reason, bytes]]
"""Quarantined rows: number, reason, and what is shown of them."""


def checked(folder: Path, form: str, content: bytes, *, compressed: bool = False) -> bool:
    """Read bytes as a file of the format and hold the outcome against every promise; tell whether it was taken.

    A file may be refused as a whole, but only by DataRefused, with its name and what was expected of it.
    """
    name = f"x.{form}.gz" if compressed else f"x.{form}"
    file = InputFile(str(folder / "x"), name, form, compressed=compressed)
    Path(file.path).write_bytes(content)
    refusal: EqnError | None = None
    try:
        scanned = scan(file)
    except EqnError as error:
        refusal = error
    if refusal is not None:
        assert refusal.exit_code == 3
        assert str(refusal).startswith(f"{name}: expected ")
        return False
    rows, refused = _read(file, scanned, 1000)
    assert _read(file, scanned, 1) == _read(file, scanned, 7) == (rows, refused)
    assert scanned.rows == scanned.accepted + sum(scanned.quarantined.values()) == len(rows) + len(refused)
    assert scanned.accepted == len(rows)
    assert dict(scanned.quarantined) == collections.Counter(reason for _, reason, _ in refused)
    assert all(type(reason) is Reason for _, reason, _ in refused)
    assert len({row[0] for row in rows}) == len(rows)
    plain = gzip.decompress(content) if compressed else content
    assert form == "parquet" or all(raw in plain for _, _, raw in refused)
    _PROMISES[form](plain, scanned, rows, refused)
    return True


def _read(file: InputFile, scanned: FileScan, batch_rows: int) -> tuple[Rows, Refused]:
    rows: Rows = []
    refused: Refused = []
    covered = 0
    for batch in read_batches(file, scanned, batch_rows=batch_rows):
        assert batch.first_row == covered + 1
        assert batch.rows == min(batch_rows, scanned.rows - covered) == batch.table.num_rows + len(batch.quarantined)
        covered += batch.rows
        columns = [column.to_pylist() for column in batch.table.columns]
        rows += zip(*columns, strict=True)
        refused += [(item.row, item.reason, item.raw) for item in batch.quarantined]
    assert covered == scanned.rows
    return rows, refused


def _acceptable(text: str) -> bool:
    return bool(text.strip()) and "\0" not in text and len(text) <= MAX_TEXT_CHARACTERS


def _lines(content: bytes) -> list[bytes]:
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    ended = [line.removesuffix(b"\r") for line in lines[:-1]] + lines[-1:]
    return [line for line in ended if line]


def _decodable(line: bytes) -> bool:
    return line.decode("utf-8", "replace").encode() == line


def _txt(content: bytes, scanned: FileScan, rows: Rows, _: Refused) -> None:
    """Every line that is text is taken, byte for byte, and all others are in quarantine."""
    lines = _lines(content)
    taken = [line.decode() for line in lines if _decodable(line) and _acceptable(line.decode())]
    assert [row[1] for row in rows] == taken
    assert scanned.rows == len(lines)


def _tsv(content: bytes, scanned: FileScan, rows: Rows, _: Refused) -> None:
    """Rows of the right width come out byte for byte; a plain split of the lines tells which these are."""
    header, *lines = [line.split(b"\t") for line in _lines(content)]
    place = header.index(b"text")
    identifier = header.index(b"id") if b"id" in header else None
    whole = [line for line in lines if len(line) == len(header) and _decodable(b"".join(line))]
    assert scanned.rows == len(lines)
    if identifier is None:
        texts = [line[place].decode() for line in whole]
        assert [row[1] for row in rows] == [text for text in texts if _acceptable(text)]
    else:
        pairs = {(line[identifier].decode(), line[place].decode()) for line in whole}
        assert {(row[0], row[1]) for row in rows} <= pairs


def _csv(content: bytes, scanned: FileScan, rows: Rows, _: Refused) -> None:
    """Ids, texts and other values stand in the file as they come out, but for quotes that are doubled there."""
    for row in rows:
        for value in row if scanned.ids_given else row[1:]:
            assert isinstance(value, str)
            assert value.encode() in content or value.replace('"', '""').encode() in content
    assert scanned.rows <= len(_lines(content))


def _jsonl(content: bytes, scanned: FileScan, rows: Rows, refused: Refused) -> None:
    """A row that is taken has the text and the id that its line has, as the standard library reads it."""
    lines = _lines(content)
    left_out = {row for row, _, _ in refused}
    taken = [json.loads(line) for number, line in enumerate(lines, start=1) if number not in left_out]
    assert scanned.rows == len(lines)
    assert [row[1] for row in rows] == [line["text"] for line in taken]
    if scanned.ids_given:
        assert [row[0] for row in rows] == [str(line["id"]) for line in taken]


def _parquet(content: bytes, scanned: FileScan, rows: Rows, refused: Refused) -> None:
    """A row that is taken has the text and the id that pyarrow reads, and every row that it reads is accounted for."""
    table = pq.ParquetFile(pa.BufferReader(content)).read()
    left_out = {row for row, _, _ in refused}
    places = pa.array([place for place in range(len(table)) if place + 1 not in left_out], pa.int64())
    assert scanned.rows == len(table)
    for at, name in enumerate(("id", "text")):
        if name in table.column_names:
            found = table.column(name).take(places).to_pylist()
            assert [row[at] for row in rows] == [str(value) for value in found]


_PROMISES: Mapping[str, Callable[[bytes, FileScan, Rows, Refused], None]] = {
    "csv": _csv,
    "tsv": _tsv,
    "jsonl": _jsonl,
    "txt": _txt,
    "parquet": _parquet,
}


def _parquet_bytes(rows: int = 3, /, **columns: Sequence[object]) -> bytes:
    """Write columns without compression, so that damage reaches the values, in groups of `rows`."""
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target, row_group_size=rows, compression="none", use_dictionary=False)
    return target.getvalue()


_TEXTS = ["thank you", 'a "quoted", one', "NA", "naïve 日本 👩‍👧", "x" * 300, "=1+1", "fine", "fine"]
_NAMED = [(f"{number:03}", text) for number, text in enumerate(_TEXTS)]

VALID: Mapping[str, Sequence[bytes]] = {
    "csv": [
        b"id,text\n1,a\n2,b\n2,b\n3,\n",
        b'text,id,more\r\n"a ""b"", c",007,x\r\n"two\nlines",1e5,\r\nplain,8,"y,z"\r\n',
        ("text,who\n" + "".join(f'"{text.replace(chr(34), chr(34) * 2)}",ann\n' for text in _TEXTS)).encode(),
    ],
    "tsv": [
        b"id\ttext\n1\ta\n2\tb\n1\tc\n",
        ("text\tid\tjoy\n" + "".join(f"{text}\t{number}\t0\n" for number, text in _NAMED)).encode(),
        b"text\nNA\nnull\n\n  \nNA\n",
    ],
    "jsonl": [
        "".join(json.dumps({"id": number, "text": text}) + "\n" for number, text in _NAMED).encode(),
        "".join(json.dumps({"text": text, "k": [1.50, {"a": None}]}, ensure_ascii=False) + "\n" for text in _TEXTS)
        .encode(),
        b'{"text": "\\ud83d\\ude00", "id": 1}\n{"id": 1, "text": "\\u0041"}\n{"text": "no id"}\n',
    ],
    "txt": ["\n".join(_TEXTS).encode(), b"\xef\xbb\xbfa\r\nb\r\n\r\n", b"one\n\xc3\xa9\n\xe2\x82\xac\n"],
    "parquet": [
        _parquet_bytes(id=[number for number, _ in _NAMED], text=_TEXTS),
        _parquet_bytes(text=[*_TEXTS, None], stars=[*range(8), None], tags=[["a"], None, [], *[["b"]] * 6]),
        _parquet_bytes(id=[1, 2, 2, 3], text=["a", "b", "b", ""]),
        _parquet_bytes(30, id=[f"{number:05}" for number in range(30)], text=["déjà vu " * 8] * 30),
    ],
}  # fmt: skip
"""Valid files of each format."""

_TOKENS = (
    *(b'"', b'""', b'","', b'\n"', b",", b"\t", b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\\ud800", b"\\u0000", b"{", b"}", b"[[[[", b"NaN", b"1e999"),
    *(
        b"PAR1",
        b"\x1f\x8b",
        b"\x80\x80\x80\x80\x7f",
        b"\xff\xff\xff\x7f",
        b"id,text\n",
        b"id\ttext\n",
        b'{"text": "a"}\n',
    ),
)


def mutated(draw: random.Random, contents: Sequence[bytes]) -> bytes:
    """Take one of some files and change it one to four times."""
    content = bytearray(draw.choice(contents))
    for _ in range(draw.choice([1, 1, 2, 4])):
        draw.choice(_MUTATIONS)(draw, content, contents)
    return bytes(content)


def _place(draw: random.Random, content: bytearray) -> int:
    return draw.randint(0, len(content))


def _slice(draw: random.Random, content: Sequence[int]) -> slice:
    start = draw.randint(0, len(content))
    return slice(start, start + draw.choice([1, 2, 8, 64, 512]))


def _flip(draw: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    for _time in range(draw.choice([1, 1, 1, 8])):
        if content:
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def _cut(draw: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    del content[_place(draw, content) :]


def _remove(draw: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    del content[_slice(draw, content)]


def _repeat(draw: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    piece = content[_slice(draw, content)]
    place = _place(draw, content)
    content[place:place] = piece * draw.choice([1, 2, 50])


def _splice(draw: random.Random, content: bytearray, contents: Sequence[bytes]) -> None:
    other = draw.choice(contents)
    content[_slice(draw, content)] = other[_slice(draw, other)]


def _insert(draw: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    place = _place(draw, content)
    content[place:place] = draw.choice(_TOKENS)


def _overwrite(draw: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    token, place = draw.choice(_TOKENS), _place(draw, content)
    content[place : place + len(token)] = token


def _storm(draw: random.Random, content: bytearray, _: Sequence[bytes]) -> None:
    token = draw.choice(_TOKENS[:4])
    for _time in range(draw.choice([3, 30, 300])):
        place = _place(draw, content)
        content[place:place] = token


_MUTATIONS = (_flip, _flip, _overwrite, _overwrite, _cut, _remove, _repeat, _splice, _insert, _storm)
