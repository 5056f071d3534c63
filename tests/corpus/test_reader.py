"""Promises of the reader as a whole: two passes over a file that agree."""

import csv
import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eqn.corpus import reader
from eqn.corpus.columns import Wanted
from eqn.corpus.contract import Reason
from eqn.corpus.inputs import InputFile, find_inputs
from eqn.corpus.reader import Batch, read_batches, scan
from eqn.errors import DataRefused, UsageError


def _file(path: Path, content: bytes, name: str = "x.csv") -> InputFile:
    (path / name).write_bytes(content)
    return find_inputs([str(path / name)])[0]


def _batches(file: InputFile, batch_rows: int = 1000) -> list[Batch]:
    return list(read_batches(file, scan(file), batch_rows=batch_rows))


def test_a_scan_tells_what_a_file_holds(tmp_path: Path) -> None:
    """The worked example: digest, rows, columns in file order, and one reason for each row that is not taken."""
    content = b"score,id,text,who\n1.0,007,NA,a\n2,1e5, null ,b\n3,,x,c\n4,8,,d\n5,007,NA,e\n6,9\n"
    scanned = scan(_file(tmp_path, content))
    assert scanned.digest == hashlib.sha256(content).hexdigest()
    assert (scanned.rows, scanned.accepted, scanned.ids_given) == (6, 2, True)
    assert scanned.quarantined == {
        Reason.EMPTY_TEXT: 1,
        Reason.MISSING_ID: 1,
        Reason.RAGGED_ROW: 1,
        Reason.REPEATED_ROW: 1,
    }
    assert [(column.name, str(column.type)) for column in scanned.columns] == [("score", "string"), ("who", "string")]


def test_batches_give_the_rows_untouched_and_the_others_with_their_bytes(tmp_path: Path) -> None:
    """A batch covers a range of rows: those in its table, and those in its quarantine under their numbers."""
    content = b"score,id,text\n1.0,007,NA\n2,\xff,x\n3,9,  y \n4,9,z,\n"
    first, second = _batches(_file(tmp_path, content), batch_rows=3)
    assert first.table.to_pylist() == [
        {"id": "007", "text": "NA", "score": "1.0"},
        {"id": "9", "text": "  y ", "score": "3"},
    ]
    assert (first.first_row, first.rows, second.first_row, second.rows) == (1, 3, 4, 1)
    (bad,), (ragged,) = first.quarantined, second.quarantined
    assert (bad.row, bad.reason, bad.raw) == (2, Reason.BAD_ENCODING, b"2,\xff,x")
    assert (ragged.row, ragged.reason, ragged.raw) == (4, Reason.RAGGED_ROW, b"4,9,z,")
    assert ragged.detail == "4 field(s), the header has 3"
    assert second.table.schema == first.table.schema


def test_ids_of_a_file_without_them_come_from_its_texts(tmp_path: Path) -> None:
    """First 16 hex digits of the text's sha256, and the how manieth such text of the file it is."""
    digits = hashlib.sha256("é".encode()).hexdigest()[:16]
    file = _file(tmp_path, "text\né\n\né\n".encode())
    (batch,) = _batches(file)
    assert batch.table["id"].to_pylist() == [f"{digits}-1", f"{digits}-2"]
    assert not scan(file).ids_given


def test_gzip_reads_as_the_plain_file_does(tmp_path: Path) -> None:
    """Members one after the other too; only the digest differs."""
    content = b"id,text\n1,a\n2,b\n"
    plain = _file(tmp_path, content)
    packed = _file(tmp_path, gzip.compress(content[:9]) + gzip.compress(content[9:]), "x.csv.gz")
    assert _batches(packed)[0].table == _batches(plain)[0].table
    assert scan(packed).digest != scan(plain).digest


@pytest.mark.promise(21)
@pytest.mark.parametrize(
    "after",
    [
        b"id,text,k\n1,a,x\n2,c,y\n",
        b"id,text,k\n1,a,x\n2,b,y\n3,c,z\n",
        b"id,text,k\n1,a,x\n",
        b"text,id,k\n1,a,x\n2,b,y\n",
        b"id,text,k,more\n1,a,x,y\n",
        b"id,text\n1,a\n2,b\n",
        b"text,k\na,x\nb,y\n",
        b"",
    ],
)
def test_a_file_that_changes_between_the_passes_is_refused(tmp_path: Path, after: bytes) -> None:
    """Whatever the change is, the reading does not end well."""
    file = _file(tmp_path, b"id,text,k\n1,a,x\n2,b,y\n")
    scanned = scan(file)
    Path(file.path).write_bytes(after)
    with pytest.raises(DataRefused):
        list(read_batches(file, scanned, batch_rows=1))


@pytest.mark.promise(21)
def test_a_file_that_changes_while_its_repeats_are_looked_at_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan that reads twice reads the same file, or decides nothing."""
    file, opened = _file(tmp_path, b"id,text\n1,a\n1,a\n"), reader._opened
    contents = iter([b"id,text\n1,a\n1,a\n", b"id,text\n1,a\n1,b\n"])

    def changing(file: InputFile, wanted: Wanted) -> Any:
        Path(file.path).write_bytes(next(contents))
        return opened(file, wanted)

    monkeypatch.setattr(reader, "_opened", changing)
    with pytest.raises(DataRefused, match="changed since then"):
        scan(file)


def test_repeats_are_found_behind_rows_that_turn_out_to_lack_an_id(tmp_path: Path) -> None:
    """The second look counts the rows with an id, as the first one and the reading do."""
    rows = ['{"text": "a"}', '{"id": "1", "text": "a"}', '{"id": "1"}', '{"text": "c"}', '{"id": 2, "text": "d"}']
    rows += ['{"id": "1", "text": "a"}', '{"id": "2", "text": "e"}', '{"id": "3", "text": "a"}']
    file = _file(tmp_path, "\n".join(rows).encode(), "x.jsonl")

    (batch,) = _batches(file)

    assert batch.table["id"].to_pylist() == ["1", "3"]
    assert [(item.row, item.reason) for item in batch.quarantined] == [
        (1, Reason.MISSING_ID),
        (3, Reason.MISSING_TEXT),
        (4, Reason.MISSING_ID),
        (5, Reason.CONFLICTING_ID),
        (6, Reason.REPEATED_ROW),
        (7, Reason.CONFLICTING_ID),
    ]
    assert scan(file).accepted == 2


@pytest.mark.parametrize("content", [b"id,text\n1,a\n2,b\n", b"text\na\nb\n"])
def test_a_scan_without_repeats_keeps_nothing_of_its_rows(tmp_path: Path, content: bytes) -> None:
    """What is kept for the whole run is the same for two rows and for a million."""
    identity = scan(_file(tmp_path, content)).identity
    assert (identity.verdicts, identity.repeated) == (b"", b"")


def test_values_that_cannot_be_are_usage_errors(tmp_path: Path) -> None:
    """One column for two purposes, a batch without rows."""
    file = _file(tmp_path, b"id,text\n1,a\n")
    with pytest.raises(UsageError, match="two different columns"):
        scan(file, text_column="id")
    with pytest.raises(UsageError, match="at least 1 row"):
        list(read_batches(file, scan(file), batch_rows=0))


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)


@pytest.mark.promise(20)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(_text, _text.filter(str.strip), _text), min_size=1, max_size=12, unique_by=lambda row: row[0])
)
def test_rows_written_as_csv_come_back_as_they_were(tmp_path: Path, rows: list[tuple[str, str, str]]) -> None:
    """Round trip over any characters: commas, quotes, line ends, spaces, what looks like a number or like nothing."""
    with (tmp_path / "x.csv").open("w", encoding="utf-8", newline="") as target:
        csv.writer(target).writerows([("id", "text", "more"), *rows])
    file = InputFile(str(tmp_path / "x.csv"), "x.csv", "csv", compressed=False)
    (batch,) = _batches(file)
    assert [tuple(row.values()) for row in batch.table.to_pylist()] == rows
    assert not batch.quarantined
