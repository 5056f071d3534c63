"""One row of a user's file before its fate is known, and the rules its text and its id must keep.

A row that breaks a rule carries a `Fault`, whose reason is one of the contract's closed list. Rules that need the
other rows of the file (a repeated id) live in `identity`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from eqn.corpus.columns import Column
from eqn.corpus.contract import MAX_TEXT_CHARACTERS, Reason
from eqn.corpus.lines import MAX_LINE_BYTES


class Fault(NamedTuple):
    """Why a row cannot be taken."""

    reason: Reason
    detail: str


LINE_TOO_LONG = Fault(Reason.TEXT_TOO_LONG, f"the line has more than {MAX_LINE_BYTES} bytes")


class Row(NamedTuple):
    """One data row as its format's reader gives it."""

    raw: bytes
    """The bytes it was read from, without the line end; empty for Parquet."""
    id: str | None
    """As given; None when there is none."""
    text: str
    """As given; empty when the row has a fault."""
    values: Any
    """The other columns, in a form that the reader which made it can `stack`."""
    fault: Fault | None = None


class RowReader(Protocol):
    """One pass over one file, in file order; every format has one."""

    ids_given: bool
    """Whether the file has ids. In jsonl it turns true when the first one comes."""
    header: tuple[Column, ...] | None
    """The other columns where a header tells them at once, else None."""

    def __iter__(self) -> Iterator[Row]:
        """Give the rows, faulty ones too."""
        ...

    def columns(self) -> tuple[Column, ...]:
        """Give the other columns; right once all rows were read.

        Raises:
            DataRefused: the rows are over, and a column that was asked for did not come.

        """
        ...

    def stack(self, values: Sequence[Any], columns: Sequence[Column], /) -> list[Any]:
        """Turn the `values` of some rows into one Arrow array for each column."""
        ...

    def raw(self, row: Row) -> bytes:
        """Give the bytes that show a row in quarantine."""
        ...


def good_or_faulty(raw: bytes, identifier: str | None, text: str, values: Any) -> Row:
    """Make a row, with a fault where its text or id breaks a rule; an empty id counts as none."""
    identifier = identifier or None
    fault = _text_fault(text)
    if fault is None and identifier is not None and "\0" in identifier:
        fault = Fault(Reason.CONTROL_CHARACTER, "the id holds a NUL character")
    if fault is not None:
        return Row(raw, identifier, "", None, fault)
    return Row(raw, identifier, text, values)


def faulty(raw: bytes, reason: Reason, detail: str, *, identifier: str | None = None) -> Row:
    """Make a row that could not be read."""
    return Row(raw, identifier or None, "", None, Fault(reason, detail))


def _text_fault(text: str) -> Fault | None:
    if not text or text.isspace():
        return Fault(Reason.EMPTY_TEXT, "the text is only white space" if text else "the text is empty")
    if "\0" in text:
        return Fault(Reason.CONTROL_CHARACTER, "the text holds a NUL character")
    if len(text) > MAX_TEXT_CHARACTERS:
        return Fault(Reason.TEXT_TOO_LONG, f"{len(text)} characters; at most {MAX_TEXT_CHARACTERS} are taken")
    return None
