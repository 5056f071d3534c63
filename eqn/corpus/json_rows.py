r"""Rows of jsonl files: every line that is not blank is one JSON object.

The text must be a string. The id may be an integer, which is taken as its digits. Other keys become string columns, in
the order in which the file first has them: a string stays as it is, null or an absent key is null, and everything else
is its JSON text, with numbers as they were written. JSON is read by its standard: no NaN, no key twice in an object.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from eqn.corpus.columns import Column, Wanted, carried, refuse_missing
from eqn.corpus.contract import Reason
from eqn.corpus.lines import TextFile, blank, overlong, without_end
from eqn.corpus.rows import LINE_TOO_LONG, Fault, Row, faulty, good_or_faulty
from eqn.errors import DataRefused

MAX_COLUMNS = 2_000
"""A file with more different keys is no table; refusing it keeps memory bounded."""
MAX_DEPTH = 100
"""Objects and lists inside one another; far below where Python's own limit depends on the caller."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


class _Integer(_Number):
    """A number without fraction and exponent."""

    __slots__ = ()


class JsonRows:
    """One pass over a jsonl file."""

    def __init__(self, file: TextFile, wanted: Wanted) -> None:
        self.ids_given = False
        self.header: tuple[Column, ...] | None = None
        self._lines = file
        self._file = file.name
        self._wanted = wanted
        self._keys: dict[str, None] = {}
        self._objects = 0

    def __iter__(self) -> Iterator[Row]:
        """Give the rows, faulty ones too.

        Raises:
            DataRefused: the objects have too many different keys.

        """
        for line in self._lines:
            if overlong(line):
                yield Row(line, None, "", None, LINE_TOO_LONG)
            elif not blank(line):
                yield self._row(without_end(line))

    def columns(self) -> tuple[Column, ...]:
        """Give the other columns, once all rows were read.

        Raises:
            DataRefused: no line is an object, or none has the text column or an id column that was asked for.

        """
        import pyarrow as pa

        if not self._objects:
            raise DataRefused(
                f"{self._file}: expected a JSON object on every line; no line holds one.",
                todo="Save the file as JSON Lines, or give it the extension of what it is.",
            )
        refuse_missing(self._file, list(self._keys), self._wanted)
        others = [key for key in self._keys if key not in (self._wanted.text, self._wanted.id)]
        return carried(others, [pa.string()] * len(others))

    def stack(self, values: Sequence[Any], columns: Sequence[Column], /) -> list[Any]:
        """Turn the other keys of some rows into string arrays."""
        import pyarrow as pa

        return [pa.array([row.get(column.source) for row in values], pa.string()) for column in columns]

    def raw(self, row: Row) -> bytes:
        """Give the line."""
        return row.raw

    def _row(self, raw: bytes) -> Row:
        try:
            found = parse_object(raw)
            values = {key: _as_column(value) for key, value in found.items()}
        except UnicodeError:
            return faulty(raw, Reason.BAD_ENCODING, "the line is not UTF-8, or holds half of a surrogate pair")
        except RecursionError:
            return faulty(raw, Reason.BAD_JSON, f"objects or lists stand more than {MAX_DEPTH} deep in one another")
        except ValueError as error:
            return faulty(raw, Reason.BAD_JSON, str(error))
        self._note(found)
        text, identifier = found.pop(self._wanted.text, None), found.pop(self._wanted.id, None)
        values.pop(self._wanted.text, None)
        values.pop(self._wanted.id, None)
        fault = _kind_fault(text, identifier)
        if fault is not None:
            shown = str(identifier) if isinstance(identifier, str) else ""
            return Row(raw, shown or None, "", None, fault)
        return good_or_faulty(raw, None if identifier is None else str(identifier), text, values)

    def _note(self, found: Mapping[str, Any]) -> None:
        self._objects += 1
        self.ids_given = self.ids_given or self._wanted.id in found
        if not found.keys() <= self._keys.keys():
            self._keys.update(dict.fromkeys(found))
            if len(self._keys) > MAX_COLUMNS:
                raise DataRefused(
                    f"{self._file}: expected objects of one kind; they have more than {MAX_COLUMNS} different keys.",
                    todo="Put keys that differ from row to row into one nested object.",
                )


def parse_object(raw: bytes) -> dict[str, Any]:
    """Read one JSON object; its numbers come as they were written.

    Raises:
        UnicodeError: the bytes are not UTF-8, or a string holds half of a surrogate pair.
        ValueError: it is not one JSON object, or a key stands twice in an object.
        RecursionError: it nests deeper than Python can go.

    """
    found = _DECODER.decode(raw.decode("utf-8"))
    if not isinstance(found, dict):
        raise ValueError("the line is JSON, but not an object")  # noqa: TRY004  a fault of the line, not of the call
    if _SURROGATE.search(raw):
        # Only an escape can bring a lone surrogate into a string; a pair of them is one character and passes.
        for key, value in found.items():
            f"{key}{json_text(value)}".encode()
    return found


def json_text(value: Any, depth: int = 0) -> str:
    """Write a parsed value as JSON again, numbers as they were.

    Raises:
        RecursionError: it nests deeper than MAX_DEPTH.

    """
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict | list) and depth >= MAX_DEPTH:
        raise RecursionError
    if isinstance(value, dict):
        members = (f"{json_text(key)}: {json_text(inner, depth + 1)}" for key, inner in value.items())
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(json_text(inner, depth + 1) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _as_column(value: Any) -> str | None:
    return value if value is None or type(value) is str else json_text(value)


def _kind_fault(text: Any, identifier: Any) -> Fault | None:
    """Tell whether text or id is something else than it may be."""
    if text is None:
        return Fault(Reason.MISSING_TEXT, "the text is null or absent")
    if type(text) is not str:
        return Fault(Reason.NOT_TEXT, "the text is not a string")
    if identifier is not None and type(identifier) not in (str, _Integer):
        return Fault(Reason.NOT_TEXT, "the id is neither a string nor an integer")
    return None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_each_key_once, parse_int=_Integer, parse_float=_Number, parse_constant=_no_constant
)
