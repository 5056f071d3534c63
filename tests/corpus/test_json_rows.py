"""Promises of the jsonl reader."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqn.corpus.contract import Reason
from eqn.corpus.inputs import InputFile
from eqn.corpus.json_rows import json_text, parse_object
from eqn.corpus.reader import read_batches, scan
from eqn.errors import DataRefused


def _file(path: Path, *lines: str | bytes) -> InputFile:
    path = path / "x.jsonl"
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines) + b"\n")
    return InputFile(str(path), "x.jsonl", "jsonl", compressed=False)


def _outcomes(file: InputFile, **columns: Any) -> list[object]:
    """Give (id, text) of each row taken and the reason of each other one, in file order."""
    (batch,) = read_batches(file, scan(file, **columns), batch_rows=1000, **columns)
    found: dict[int, object] = {item.row: item.reason for item in batch.quarantined}
    taken = iter(batch.table.select(["id", "text"]).to_pylist())
    return [found.get(row) or tuple(next(taken).values()) for row in range(1, batch.rows + 1)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"id": "007", "text": " NA "}', ("007", " NA ")),
        ('{"id": 12345678901234567890123, "text": "x"}', ("12345678901234567890123", "x")),
        ('{"id": -0, "text": "x"}', ("-0", "x")),
        ('{"id": 1.0, "text": "x"}', Reason.NOT_TEXT),
        ('{"id": 1e5, "text": "x"}', Reason.NOT_TEXT),
        ('{"id": true, "text": "x"}', Reason.NOT_TEXT),
        ('{"id": null, "text": "x"}', Reason.MISSING_ID),
        ('{"id": "", "text": "x"}', Reason.MISSING_ID),
        ('{"text": "x"}', Reason.MISSING_ID),
        ('{"id": "a\\u0000", "text": "x"}', Reason.CONTROL_CHARACTER),
        ('{"id": "1", "text": 5}', Reason.NOT_TEXT),
        ('{"id": "1", "text": ["x"]}', Reason.NOT_TEXT),
        ('{"id": "1", "text": null}', Reason.MISSING_TEXT),
        ('{"id": "1"}', Reason.MISSING_TEXT),
        ('{"id": "1", "text": "\\n "}', Reason.EMPTY_TEXT),
        ('{"id": "1", "text": "\\ud800"}', Reason.BAD_ENCODING),
        ('{"id": "1", "text": "x", "k": [{"\\udc00": 1}]}', Reason.BAD_ENCODING),
        ('{"id": "1", "text": "\\ud83d\\ude00"}', ("1", "\U0001f600")),
        (b'{"id": "1", "text": "\xed\xa0\x80"}', Reason.BAD_ENCODING),
        (b'{"id": "1", "text": "\xff"}', Reason.BAD_ENCODING),
        ('{"id": "1", "id": "1", "text": "x"}', Reason.BAD_JSON),
        ('{"id": "1", "text": "x", "k": {"a": 1, "a": 2}}', Reason.BAD_JSON),
        ('{"id": "1", "text": "x", "k": NaN}', Reason.BAD_JSON),
        ('{"id": "1", "text": "x"} {}', Reason.BAD_JSON),
        ('{"id": "1", "text": "a\tb"}', Reason.BAD_JSON),
        ('["x"]', Reason.BAD_JSON),
        (" ", Reason.BAD_JSON),
        ('{"id": "1", "text": "x", "k": ' + "[" * 101 + "]" * 101 + "}", Reason.BAD_JSON),
        ('{"id": "1", "text": "x", "k": ' + "[" * 99_999, Reason.BAD_JSON),
        ('{"id": "1", "text": "x", "k": ' + "9" * 9_999 + "}", ("1", "x")),
    ],
)
def test_every_line_has_its_outcome(tmp_path: Path, line: str | bytes, expected: object) -> None:
    """Taken with nothing coerced, or in quarantine for its reason."""
    assert _outcomes(_file(tmp_path, '{"id": "first", "text": "y"}', line))[1] == expected


def test_other_keys_become_columns_in_order_of_appearance(tmp_path: Path) -> None:
    """Strings stay, null and absent are null, all else is JSON text with its numbers as written."""
    file = _file(
        tmp_path,
        '{"b": "007", "text": "x", "a": 1.10}',
        '{"text": "y", "c": {"k": [1E2, true, "\\u00e9"]}, "b": null}',
        '{"text": "z", "a": false}',
    )
    scanned = scan(file)
    (batch,) = read_batches(file, scanned, batch_rows=9)
    assert [column.name for column in scanned.columns] == ["b", "a", "c"]
    assert batch.table["b"].to_pylist() == ["007", None, None]
    assert batch.table["a"].to_pylist() == ["1.10", None, "false"]
    assert batch.table["c"].to_pylist() == [None, '{"k": [1E2, true, "é"]}', None]


def test_an_id_that_comes_late_makes_the_rows_before_lack_theirs(tmp_path: Path) -> None:
    """Whether a file has ids is one answer for the whole file."""
    file = _file(tmp_path, '{"text": "x"}', '{"text": "x"}', '{"text": "y", "id": 7}')
    assert _outcomes(file) == [Reason.MISSING_ID, Reason.MISSING_ID, ("7", "y")]
    assert scan(file).quarantined == {Reason.MISSING_ID: 2}
    repeats = _file(tmp_path, '{"text": "x"}', '{"text": "y", "id": 7}', '{"text": "y", "id": "7"}')
    assert _outcomes(repeats) == [Reason.MISSING_ID, ("7", "y"), Reason.REPEATED_ROW]
    only_null = _file(tmp_path, '{"text": "x"}', '{"text": null, "id": null}')
    assert _outcomes(only_null) == [Reason.MISSING_ID, Reason.MISSING_TEXT]


def test_the_names_of_text_and_id_can_be_chosen(tmp_path: Path) -> None:
    """The file's own `text` and `id` are then ordinary columns under another name."""
    file = _file(tmp_path, '{"id": 5, "text": "t", "body": "b", "key": "k"}')
    assert _outcomes(file, text_column="body", id_column="key") == [("k", "b")]
    assert [column.name for column in scan(file, text_column="body", id_column="key").columns] == [
        "input_id",
        "input_text",
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["id,text", "1,x"], "no line holds one"),
        (['{"txt": "x"}'], "Did you mean --text-column 'txt'"),
        ([f'{{"{number}": 1}}' for number in range(2001)], "more than 2000"),
    ],
)
def test_a_file_of_other_content_is_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    """No objects, no text in any of them, or a new key in every row."""
    with pytest.raises(DataRefused, match=message):
        scan(_file(tmp_path, *lines))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), _json, max_size=4), st.booleans())
def test_json_text_is_the_value_again(value: dict[str, object], ascii_only: bool) -> None:  # noqa: FBT001
    """Written again after parsing, a value is the same value, and its numbers are spelt as they were."""
    try:
        written = json.dumps(value, ensure_ascii=ascii_only).encode()
        parsed = parse_object(written)
    except UnicodeError:
        assert any("\ud800" <= character <= "\udfff" for character in json.dumps(value, ensure_ascii=False))
    else:
        assert json.loads(json_text(parsed)) == value
        assert json_text(parsed) == json.dumps(value, ensure_ascii=False)
