"""Rows of plain text files: every line that is not blank is one text. There are no ids and no other columns."""

from collections.abc import Iterator, Sequence
from typing import Any

from eqn.corpus.columns import Column, Wanted, refuse_missing
from eqn.corpus.contract import Reason
from eqn.corpus.lines import TextFile, blank, overlong, without_end
from eqn.corpus.rows import LINE_TOO_LONG, Row, faulty, good_or_faulty


class TextRows:
    """One pass over a txt file."""

    def __init__(self, file: TextFile, wanted: Wanted) -> None:
        """Take the lines of `file`, whose only column is the text, whatever name the caller has for it.

        Raises:
            DataRefused: an id column was asked for.

        """
        refuse_missing(file.name, [wanted.text], wanted)
        self.ids_given = False
        self.header: tuple[Column, ...] | None = ()
        self._lines = file

    def __iter__(self) -> Iterator[Row]:
        """Give the rows, faulty ones too."""
        for line in self._lines:
            if overlong(line):
                yield Row(line, None, "", None, LINE_TOO_LONG)
            elif not blank(line):
                raw = without_end(line)
                try:
                    yield good_or_faulty(raw, None, raw.decode("utf-8"), ())
                except UnicodeDecodeError:
                    yield faulty(raw, Reason.BAD_ENCODING, "the line is not UTF-8")

    def columns(self) -> tuple[Column, ...]:
        """Give the other columns: none."""
        return ()

    def stack(self, _values: Sequence[Any], _columns: Sequence[Column], /) -> list[Any]:
        """Give no arrays, as there are no other columns."""
        return []

    def raw(self, row: Row) -> bytes:
        """Give the line."""
        return row.raw
