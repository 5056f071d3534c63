"""Promises of the Parquet reader."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eqn.corpus import parquet_rows
from eqn.corpus.columns import Wanted
from eqn.corpus.contract import MAX_TEXT_CHARACTERS, Reason
from eqn.corpus.inputs import InputFile
from eqn.corpus.parquet_rows import open_parquet
from eqn.corpus.reader import read_batches, scan
from eqn.errors import DataRefused

_NAMES = pa.dictionary(pa.int8(), pa.string())


def _file(path: Path, table: pa.Table, **options: Any) -> InputFile:
    path = path / "x.parquet"
    pq.write_table(table, path, **options)
    return InputFile(str(path), "x.parquet", "parquet", compressed=False)


def test_other_columns_keep_type_and_values(tmp_path: Path) -> None:
    """Numbers, times, nested values and nulls go on untouched, next to their own row."""
    others = {
        "n": pa.array([1, None, 3, 4], pa.int8()),
        "l": pa.array([[{"a": 1}], [], None, [{"a": None}]]),
        "t": pa.array([0, 1, 2, 3], pa.timestamp("us", "UTC")),
        "v": pa.array(["p", "q", "r", "s"], pa.string_view()),
    }
    table = pa.table({"t0": [0.5, 1.5, 2.5, 3.5], "id": list("abcd"), **others, "text": ["one", "", "three", "four"]})
    file = _file(tmp_path, table, row_group_size=2)
    scanned = scan(file)
    (batch,) = read_batches(file, scanned, batch_rows=9)
    kept = pa.array([0, 2, 3])
    assert [column.name for column in scanned.columns] == ["t0", *others]
    for name in ("t0", "n", "l", "t"):
        assert batch.table[name].type == table[name].type
        assert batch.table[name].to_pylist() == table[name].take(kept).to_pylist()
    assert batch.table["v"].to_pylist() == ["p", "r", "s"]
    assert batch.table["id"].to_pylist() == ["a", "c", "d"]


@pytest.mark.parametrize(
    "kind",
    [
        _NAMES,
        pa.list_(_NAMES),
        pa.large_list(_NAMES),
        pa.list_(_NAMES, 1),
        pa.struct([("name", _NAMES), ("n", pa.int8())]),
        pa.map_(pa.string(), _NAMES),
        pa.list_(pa.struct([("name", pa.list_(_NAMES))])),
    ],
    ids=str,
)
def test_a_dictionary_keeps_no_value_of_another_row(tmp_path: Path, kind: pa.DataType) -> None:
    """What stands in a row that is not taken must not go on in the dictionary of the others."""
    column = pa.array(map(partial(_holding, kind), "xyx"), kind)
    file = _file(tmp_path, pa.table({"id": list("abc"), "text": ["one", "", "three"], "d": column}))
    (batch,) = read_batches(file, scan(file), batch_rows=9)
    kept = batch.table["d"]
    assert "dictionary" not in str(kept.type)
    assert kept.to_pylist() == [column[0].as_py(), column[2].as_py()]


def test_a_dictionary_that_cannot_be_taken_apart_is_refused(tmp_path: Path) -> None:
    """Arrow casts nothing in list views."""
    column = pa.array([["x"], ["y"]], pa.list_view(_NAMES))
    file = _file(tmp_path, pa.table({"text": ["one", "two"], "d": column}))
    with pytest.raises(DataRefused) as refused:
        scan(file)
    assert "'d' has the type list_view<" in refused.value.faults[0]


def _holding(kind: pa.DataType, name: str) -> Any:
    """Give a value of this type in which `name` stands."""
    if pa.types.is_struct(kind):
        return {field.name: 1 if field.name == "n" else _holding(field.type, name) for field in kind}
    if pa.types.is_map(kind):
        return [("k", name)]
    return name if pa.types.is_dictionary(kind) else [_holding(kind.value_type, name)]


def test_batches_run_over_row_groups_and_reading_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch has the rows asked for, whatever pieces the file comes in."""
    monkeypatch.setattr(parquet_rows, "_BATCH_ROWS", 4)
    numbers = list(range(25))
    table = pa.table({"text": [f"t{number}" if number % 5 else "" for number in numbers], "n": numbers})
    file = _file(tmp_path, table, row_group_size=3)
    scanned = scan(file)
    for size in (1, 7, 25, 100):
        batches = list(read_batches(file, scanned, batch_rows=size))
        assert [batch.rows for batch in batches[:-1]] == [size] * (len(batches) - 1)
        assert [n for batch in batches for n in batch.table["n"].to_pylist()] == [n for n in numbers if n % 5]


def test_integers_are_ids_as_their_digits_and_nulls_are_missing(tmp_path: Path) -> None:
    """Null texts and null ids go to quarantine."""
    table = pa.table({"id": pa.array([7, None, 9, 2**64 - 1], pa.uint64()), "text": ["a", "b", None, "d"]})
    file = _file(tmp_path, table)
    (batch,) = read_batches(file, scan(file), batch_rows=9)
    assert batch.table["id"].to_pylist() == ["7", "18446744073709551615"]
    assert [(item.row, item.reason, item.id) for item in batch.quarantined] == [
        (2, Reason.MISSING_ID, None),
        (3, Reason.MISSING_TEXT, "9"),
    ]


def test_a_row_in_quarantine_shows_id_and_text_as_json(tmp_path: Path) -> None:
    """Faults of text, repeats, and bytes that are not UTF-8, which are shown escaped."""
    text = pa.array([b"a", b"a", b" ", b"\xff", b"x" * (MAX_TEXT_CHARACTERS + 1), b"\0"]).view(pa.string())
    file = _file(tmp_path, pa.table({"id": ["1", "1", "2", "3", "4", "5"], "text": text}))
    scanned = scan(file)
    (batch,) = read_batches(file, scanned, batch_rows=9)
    assert batch.table["id"].to_pylist() == ["1"]
    assert [item.reason for item in batch.quarantined] == [
        Reason.REPEATED_ROW,
        Reason.EMPTY_TEXT,
        Reason.BAD_ENCODING,
        Reason.TEXT_TOO_LONG,
        Reason.CONTROL_CHARACTER,
    ]
    shown = [json.loads(item.raw) for item in batch.quarantined if not item.raw_truncated]
    assert [row["text"] for row in shown] == ["a", " ", "\\xff", "\0"]
    assert [row["id"] for row in shown] == ["1", "2", "3", "5"]


def test_a_bad_value_in_another_column_costs_its_row(tmp_path: Path) -> None:
    """Nothing that is not UTF-8 goes on in a string column."""
    other = pa.array([b"a", b"\xff"]).view(pa.string())
    file = _file(tmp_path, pa.table({"text": ["x", "y"], "other": other}))
    assert scan(file).quarantined == {Reason.BAD_ENCODING: 1}


def test_text_and_id_must_be_of_their_types(tmp_path: Path) -> None:
    """Every wrong one is told at once."""
    file = _file(tmp_path, pa.table({"text": [1], "id": [1.5], "v": pa.array([["a"]], pa.list_(pa.string_view()))}))
    with pytest.raises(DataRefused) as caught:
        scan(file)
    assert "'text' has the type int64" in str(caught.value)
    assert "'id' has the type double" in str(caught.value)


def test_a_file_that_is_written_to_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """Rows and digest come from two readings of the bytes, which must be the same bytes."""
    file = _file(tmp_path, pa.table({"text": ["a", "b"]}))
    with open_parquet(file, Wanted()) as rows:
        assert [row.text for row in rows] == ["a", "b"]
        Path(file.path).write_bytes(b"other")
        with pytest.raises(DataRefused, match="at rest"):
            rows.digest()


def test_what_is_no_whole_parquet_file_is_refused(tmp_path: Path) -> None:
    """Text, nothing, a cut file, no rows, and a page that does not match its checksum."""
    good = Path(_file(tmp_path, pa.table({"text": ["hello"] * 999}), write_page_checksum=True, compression="none").path)
    content = good.read_bytes()
    flipped = bytearray(content)
    flipped[content.index(b"hello") + 1] ^= 1
    for bad in (b"id,text\n1,a\n", b"", content[:-20], bytes(flipped)):
        good.write_bytes(bad)
        with pytest.raises(DataRefused):
            scan(InputFile(str(good), "x.parquet", "parquet", compressed=False))
    with pytest.raises(DataRefused, match="at least one row"):
        scan(_file(tmp_path, pa.table({"text": pa.array([], pa.string())})))
