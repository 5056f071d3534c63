"""The list of erased rows: digests of ids and texts that must not come out of any file again.

A row is on the list when its id or its text is, exactly as given. A row that is in quarantine anyway need not have been
read as a whole: there each field of the raw row is held against the texts, and where it could not be taken apart, so
that nobody knows which field is the id, against the ids as well. A text that stands inside another one, or of which the
quarantine keeps only the beginning, is not found.
"""

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from eqn.corpus.contract import Reason
from eqn.corpus.csv_rows import split_quoted
from eqn.corpus.quarantine import MAX_RAW_BYTES


@dataclasses.dataclass(frozen=True, slots=True)
class ErasureList:
    """Digests of erased ids and texts, each with the number of the record that erased it first, from 1 on."""

    ids: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """By the sha256, in hex, of the id in UTF-8."""
    texts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """By the sha256, in hex, of the text in UTF-8."""

    def __bool__(self) -> bool:
        return bool(self.ids or self.texts)

    @property
    def digest(self) -> str:
        """Identify what is on the list."""
        return hashlib.sha256(json.dumps([sorted(self.ids), sorted(self.texts)]).encode()).hexdigest()

    def records_of(self, identifier: str | None, text: str) -> list[int]:
        """Give the records that erased a row; none for most rows."""
        found = [self.texts.get(digest_of(text), 0)] if self.texts else []
        if self.ids and identifier is not None:
            found.append(self.ids.get(digest_of(identifier), 0))
        return list(filter(None, found))

    def records_of_refused(self, identifier: str | None, raw: bytes, reason: str) -> list[int]:
        """Give the records that erased a row which is in quarantine for this `reason`."""
        digests = {digest_of(field) for field in _fields(raw[:MAX_RAW_BYTES])}
        found = [self.texts.get(digest, 0) for digest in digests]
        if identifier is not None:
            found.append(self.ids.get(digest_of(identifier), 0))
        elif reason in _UNREAD:
            found += [self.ids.get(digest, 0) for digest in digests]
        return list(filter(None, found))


_UNREAD = {
    Reason.BAD_ENCODING,
    Reason.RAGGED_ROW,
    Reason.BAD_QUOTING,
    Reason.BAD_JSON,
    Reason.NOT_TEXT,
    Reason.TEXT_TOO_LONG,
}
"""Reasons that may stand for a row of which no field is known, not even the id."""
NOTHING_ERASED = ErasureList()
"""The list of whoever never erased anything."""


def digest_of(words: str) -> str:
    """Give the digest that stands for an id or a text."""
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()


def _fields(raw: bytes) -> Iterator[str]:
    """Give whatever may be an id or a text in a raw row, of any format."""
    line = raw.decode("utf-8", "replace")
    yield line
    yield from line.split("\t")
    yield from line.split(",")
    with contextlib.suppress(csv.Error):
        for record in csv.reader(io.StringIO(line, newline="")):
            yield from record
    with contextlib.suppress(ValueError):  # where a lone CR stands in a field, which csv takes for the end of a line
        yield from (field.decode("utf-8", "replace") for field in split_quoted(raw.rstrip(b"\r\n")))
    with contextlib.suppress(ValueError, RecursionError):
        yield from _words(json.loads(line))


def _words(value: Any) -> Iterator[str]:
    """Give the strings and whole numbers in a JSON value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _words(item)
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)
    elif isinstance(value, str | int):
        yield str(value)
