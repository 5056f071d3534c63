"""Rows that could not be used: why, in plain words, how many, and what some of them look like."""

import base64
import collections
import dataclasses
from typing import TYPE_CHECKING

from eqn.corpus.contract import MAX_TEXT_CHARACTERS, Reason

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLES = 3
"""Rows shown for each reason."""

WORDS: dict[Reason, str] = {
    Reason.BAD_ENCODING: "The bytes are not valid UTF-8 text",
    Reason.CONTROL_CHARACTER: "The text or the id holds a NUL character",
    Reason.RAGGED_ROW: "The row has more or fewer fields than its header",
    Reason.BAD_QUOTING: "A quoted field does not end, or goes on behind its quote",
    Reason.BAD_JSON: "The line is not a JSON object",
    Reason.MISSING_TEXT: "There is no text",
    Reason.EMPTY_TEXT: "The text is empty or only white space",
    Reason.NOT_TEXT: "The text or the id is something else than text",
    Reason.MISSING_ID: "The file has ids, but this row has none",
    Reason.TEXT_TOO_LONG: f"The text is longer than {MAX_TEXT_CHARACTERS:,} characters: a document, not a comment",
    Reason.REPEATED_ROW: "The same id with the same text stood in the file before; the first one is kept",
    Reason.CONFLICTING_ID: "The same id stands in the file with another text; neither is kept",
    Reason.ERASED: "The row was erased on request; nothing of it is kept",
}
"""Every reason in a sentence for people who read results."""

_RAW_CHARACTERS = 300


@dataclasses.dataclass(frozen=True, slots=True)
class Reject:
    """One row that could not be used."""

    file: str
    row: int
    """Its number among the file's data rows, from 1 on."""
    detail: str
    raw: str
    """Its beginning, as far as it can be read as text."""


class Rejects:
    """Collects them, part by part; memory is bounded."""

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        """Rows per reason."""
        self.samples: dict[str, list[Reject]] = {}
        """The first few of each reason."""

    def add(self, table: "pa.Table") -> None:
        """Take in one part of a quarantine."""
        reasons = table.column("reason").to_pylist()
        self.counts.update(reasons)
        for row, reason in enumerate(reasons):
            samples = self.samples.setdefault(reason, [])
            if len(samples) < SAMPLES:
                samples.append(_reject(table.slice(row, 1).to_pylist()[0]))

    @property
    def reasons(self) -> list[tuple[str, str, int, list[Reject]]]:
        """Reason, the same in words, rows and samples; the commonest first."""
        return [
            (reason, in_words(reason), count, self.samples[reason])
            for reason, count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        ]


def in_words(reason: str) -> str:
    """Give the sentence for a reason; one that this EQN does not know speaks for itself."""
    return WORDS[Reason(reason)] if reason in set(Reason) else reason.replace("_", " ").capitalize()


def _reject(row: dict[str, str | int]) -> Reject:
    try:
        raw = base64.b64decode(str(row["raw"])[: 8 * _RAW_CHARACTERS]).decode("utf-8", "replace")
    except ValueError:
        raw = ""
    return Reject(str(row["file"]), int(row["row"]), str(row["detail"]), raw[: _RAW_CHARACTERS * 2])
