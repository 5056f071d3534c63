"""Promises of the csv and tsv readers."""

import csv
import io
import time
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqn.corpus import csv_rows
from eqn.corpus.contract import Reason
from eqn.corpus.csv_rows import csv_records, split_quoted, tsv_records
from eqn.corpus.rows import Fault


def _read(content: bytes) -> list[list[str] | Reason]:
    records = csv_records(content.splitlines(keepends=True) if b"\r" not in content else io.BytesIO(content))
    return [fields.reason if isinstance(fields, Fault) else fields for _, fields in records]


def test_quoted_fields_hold_commas_line_ends_and_quotes() -> None:
    """The worked example of RFC 4180, with both line ends inside a field."""
    assert _read(b'a,"b ""c"", d\r\ne\nf",\r\ng,h,i') == [["a", 'b "c", d\r\ne\nf', ""], ["g", "h", "i"]]


def test_quotes_inside_a_plain_field_are_characters() -> None:
    """Only a quote at the start of a field quotes it."""
    assert _read(b'1,say "hi" now\n2,5" x 6"\n') == [["1", 'say "hi" now'], ["2", '5" x 6"']]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'1,"open\n2,b\n3,c\n', [Reason.BAD_QUOTING, ["2", "b"], ["3", "c"]]),
        (b'1,5" pipe\n2,b\n3,6" pipe\n4,d\n', [["1", '5" pipe'], ["2", "b"], ["3", '6" pipe'], ["4", "d"]]),
        (b'1,"open\n2,b\n3,"c, d"\n', [Reason.BAD_QUOTING, ["2", "b"], ["3", "c, d"]]),
        (b'1,"a"b\n2,"c"\n', [Reason.BAD_QUOTING, ["2", "c"]]),
        (b'1,"\n', [Reason.BAD_QUOTING]),
    ],
)
def test_an_open_quote_costs_its_own_line_only(content: bytes, expected: list[list[str] | Reason]) -> None:
    """The lines behind it are read as if it were not there."""
    assert _read(content) == expected


def test_an_open_quote_is_given_up_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later quote does not make one record of everything between."""
    monkeypatch.setattr(csv_rows, "MAX_RECORD_LINES", 3)
    assert _read(b'1,"open\n2,b\n3,c\n4,d"\n') == [Reason.BAD_QUOTING, ["2", "b"], ["3", "c"], ["4", 'd"']]
    monkeypatch.setattr(csv_rows, "MAX_RECORD_LINES", 4)
    assert _read(b'1,"open\n2,b\n3,c\n4,d"\n') == [["1", "open\n2,b\n3,c\n4,d"]]
    monkeypatch.setattr(csv_rows, "MAX_RECORD_BYTES", 15)
    assert len(_read(b'1,"open\n2,b\n3,c\n4,d"\n')) == 4


def test_raw_bytes_of_a_bad_record_are_those_of_its_line() -> None:
    """Without the line end; a record of several lines shows all of them."""
    assert [raw for raw, _ in csv_records([b'1,"\xff\r\n', b'x"\r\n', b'2,"a"b\n'])] == [b'1,"\xff\r\nx"', b'2,"a"b']


def test_hostile_quotes_take_linear_time() -> None:
    """Open quotes on every line, and lines that fit to any state, do not make the reader go back again and again."""
    for line in (b'"\n', b'1,"open\n', b'"",a","x\n', b'""",\n', b'a"\n', b'""""",",\n'):
        start = time.perf_counter()
        rows = sum(1 for _ in csv_records(iter([line] * 30_000)))
        assert 0 < rows <= 30_000
        assert time.perf_counter() - start < 2, line


def test_one_bad_byte_costs_one_row() -> None:
    """Its row is of bad encoding, quoted or not; the neighbours are read."""
    assert _read(b'a\xff,1\n"b\xff",1\nc,1\n') == [Reason.BAD_ENCODING, Reason.BAD_ENCODING, ["c", "1"]]


def test_blank_lines_are_no_records() -> None:
    """A line with a space or a comma is one."""
    assert _read(b'\n\r\na\n\r\n \n"b\n\nc"\n\n') == [["a"], [" "], ["b\n\nc"]]


def test_tsv_knows_no_quotes() -> None:
    """Quotes and lone CRs are characters, TAB separates always."""
    lines = [b'"a\tb"\r\n', b"\n", b"c\rd\t\n", b"\xff\t\n"]
    fields = [fields for _, fields in tsv_records(lines)]
    assert fields[:2] == [['"a', 'b"'], ["c\rd", ""]]
    assert isinstance(fields[2], Fault)


_pieces = st.lists(st.sampled_from(['"', '""', ",", "a", " ", "\n", "é"]), max_size=12).map("".join)


@given(_pieces)
def test_splitting_agrees_with_the_standard_library(record: str) -> None:
    """Python's csv module in strict mode takes the same records and gives the same fields."""
    if not record or record.endswith("\n"):
        return
    try:
        expected = next(csv.reader([record], strict=True))
    except csv.Error:
        with pytest.raises(ValueError, match="quote"):
            split_quoted(record.encode())
    else:
        assert [field.decode() for field in split_quoted(record.encode())] == expected


_field = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | _pieces


@given(st.lists(st.tuples(_field, _field), max_size=8), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_the_standard_library_writes_comes_back(rows: list[tuple[str, str]], quoting: Literal[0, 1]) -> None:
    """Any characters at all, line ends of both kinds included."""
    file = io.StringIO(newline="")
    csv.writer(file, quoting=quoting).writerows(rows)
    records = csv_records(io.BytesIO(file.getvalue().encode()))
    assert [fields for _, fields in records] == [list(row) for row in rows]
