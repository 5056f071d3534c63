"""Promises of the reader about any bytes whatsoever."""

import collections
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eqn.corpus.contract import MAX_TEXT_CHARACTERS, Reason
from eqn.corpus.inputs import InputFile
from eqn.corpus.reader import FileScan, read_batches, scan
from eqn.errors import EqnError

# A file that is refused is closed, too.
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")

_EXAMPLES = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

_Rows = list[tuple[str, ...]]
_Refused = list[tuple[int, Reason, bytes]]


def _bytes(*pieces: bytes, start: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Give bytes that are likely to reach deep: a good beginning, then pieces that mean something, then anything."""
    noise = st.sampled_from([b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", "é".encode(), b" ", b"a", b"1"])
    body = st.lists(noise | st.sampled_from(pieces) | st.binary(max_size=3), max_size=40).map(b"".join)
    return st.tuples(st.sampled_from(start), body).map(b"".join) | st.binary(max_size=60)


def _read(file: InputFile, scanned: FileScan, batch_rows: int) -> tuple[_Rows, _Refused]:
    rows: _Rows = []
    refused: _Refused = []
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


def _checked(path: Path, form: str, content: bytes) -> tuple[FileScan, _Rows, _Refused] | None:
    """Read bytes as a file of the format; None when it is refused as a whole, which any error of ours may do."""
    file = InputFile(str(path / "x"), f"x.{form}", form, compressed=False)
    Path(file.path).write_bytes(content)
    refusal: EqnError | None = None
    try:
        scanned = scan(file)
    except EqnError as error:
        refusal = error
    if refusal is not None:
        assert refusal.exit_code == 3
        assert str(refusal).startswith(f"x.{form}: expected ")
        return None
    rows, refused = _read(file, scanned, 1000)
    assert _read(file, scanned, 1) == _read(file, scanned, 7) == (rows, refused)
    assert scanned.rows == len(rows) + len(refused)
    assert scanned.accepted == len(rows)
    assert dict(scanned.quarantined) == collections.Counter(reason for _, reason, _ in refused)
    assert all(type(reason) is Reason for _, reason, _ in refused)
    assert all(raw in content for _, _, raw in refused)
    assert len({row[0] for row in rows}) == len(rows)
    return scanned, rows, refused


def _acceptable(text: str) -> bool:
    return bool(text.strip()) and "\0" not in text and len(text) <= MAX_TEXT_CHARACTERS


def _lines(content: bytes) -> list[bytes]:
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    ended = [line.removesuffix(b"\r") for line in lines[:-1]] + lines[-1:]
    return [line for line in ended if line]


def _decodable(line: bytes) -> bool:
    return line.decode("utf-8", "replace").encode() == line


@_EXAMPLES
@given(_bytes(b"text", start=(b"", b"a\n", b"\xef\xbb\xbfa\n")))
def test_txt(tmp_path: Path, content: bytes) -> None:
    """Every line that is text is taken, byte for byte, and all others are in quarantine."""
    if found := _checked(tmp_path, "txt", content):
        lines = _lines(content)
        taken = [line.decode() for line in lines if _decodable(line) and _acceptable(line.decode())]
        assert [row[1] for row in found[1]] == taken
        assert found[0].rows == len(lines)


@_EXAMPLES
@given(_bytes(b"\t", b"\t", b"\t", b"x\ty\n", b"1\ta\n", start=(b"", b"id\ttext\n", b"x\ttext\n", b"text\n")))
def test_tsv(tmp_path: Path, content: bytes) -> None:
    """Rows of the right width come out byte for byte; a plain split of the lines tells which these are."""
    if found := _checked(tmp_path, "tsv", content):
        header, *lines = [line.split(b"\t") for line in _lines(content)]
        place, given_ids = header.index(b"text"), b"id" in header
        whole = [line for line in lines if len(line) == len(header) and _decodable(b"".join(line))]
        texts = [line[place].decode() for line in whole if _acceptable(line[place].decode())]
        assert found[0].rows == len(lines)
        if not given_ids:
            assert [row[1] for row in found[1]] == texts
        for row in found[1]:
            assert not given_ids or [row[0].encode(), row[1].encode()] in [[line[0], line[place]] for line in whole]


@_EXAMPLES
@given(
    _bytes(
        *(b'"', b'"', b'""', b",", b",", b'","', b'1,"a"\n', b"1,a\n", b'2,"b\nc"\n'),
        start=(b"", b"id,text\n", b"x,text\n", b"text\n", b'"text","id"\r\n'),
    )
)
def test_csv(tmp_path: Path, content: bytes) -> None:
    """Ids and texts stand in the file as they come out, but for quotes that are doubled there."""
    if found := _checked(tmp_path, "csv", content):
        for row in found[1]:
            for value in row[1:] if not found[0].ids_given else row:
                assert value.encode() in content or value.replace('"', '""').encode() in content
        assert found[0].rows <= len(_lines(content))


@_EXAMPLES
@given(
    _bytes(
        *(b'{"text": "a"}\n', b'{"text": "b", "id": 1}\n', b'{"id": "', b'", "text": "', b'"}\n', b'{"text": ', b"}\n"),
        *(b"\\ud800", b"\\u0000", b"[", b"]", b'"k": ', b", ", b"1.50", b"null", b"NaN", b'"'),
        start=(b"", b'{"text": "a"}\n', b'{"text": "a", "id": "1"}\n'),
    )
)
def test_jsonl(tmp_path: Path, content: bytes) -> None:
    """A row that is taken has the text that its line has, as the standard library reads it."""
    if found := _checked(tmp_path, "jsonl", content):
        lines = _lines(content)
        refused = {row for row, _, _ in found[2]}
        taken = [json.loads(line) for number, line in enumerate(lines, start=1) if number not in refused]
        assert found[0].rows == len(lines)
        assert [row[1] for row in found[1]] == [line["text"] for line in taken]
        if found[0].ids_given:
            assert [row[0] for row in found[1]] == [str(line["id"]) for line in taken]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "txt", "parquet"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_pure_noise(tmp_path: Path, form: str, content: bytes) -> None:
    """Random bytes are refused or accounted for."""
    _checked(tmp_path, form, content)
