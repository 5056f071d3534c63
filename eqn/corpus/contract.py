"""The data contract: columns, ranges, bounds and the closed list of quarantine reasons.

This file is the one home of these facts. The Great Expectations suites, the Parquet schema, the cards and the docs
derive from it.
"""

import dataclasses
import enum

from eqn.emotions import EMOTIONS

VERSION = 1
"""Version of the `annotations` contract; part of every job's identity."""

SPLITS: tuple[str, ...] = ("train", "dev", "test")

INTENSITY_DECIMALS = 4
"""Intensities are rounded to this many decimals before anything is written."""

MAX_TEXT_CHARACTERS = 100_000
"""A longer text is quarantined: a document, not a comment. The model reads only its first tokens anyway."""

MAX_QUARANTINE_SHARE = 0.2
"""More quarantined rows than this share stop an annotation: the file is probably not what its name says."""

TRUNCATED_COLUMN = "truncated"
LABELS_COLUMN = "labels"
ID_COLUMN = "id"
TEXT_COLUMN = "text"
RESERVED_COLUMNS: frozenset[str] = frozenset({ID_COLUMN, TEXT_COLUMN, TRUNCATED_COLUMN, LABELS_COLUMN})


class Reason(enum.StrEnum):
    """Why a row is in quarantine. The list is closed: a reader may rely on it."""

    BAD_ENCODING = "bad_encoding"
    """The row is not valid UTF-8, or holds half of a surrogate pair."""
    CONTROL_CHARACTER = "control_character"
    """The text or id holds a NUL character."""
    RAGGED_ROW = "ragged_row"
    """The row has more or fewer fields than the header."""
    BAD_QUOTING = "bad_quoting"
    """A quoted field does not end, or goes on after its closing quote."""
    BAD_JSON = "bad_json"
    """The line is not a JSON object."""
    MISSING_TEXT = "missing_text"
    """There is no text: null, or the key is absent."""
    EMPTY_TEXT = "empty_text"
    """The text is empty or only white space."""
    NOT_TEXT = "not_text"
    """The text or id is a number, list or object, not a string."""
    MISSING_ID = "missing_id"
    """The file has an id column and this row's is empty or null."""
    TEXT_TOO_LONG = "text_too_long"
    """The text is longer than MAX_TEXT_CHARACTERS, or the raw row longer than the reader accepts."""
    REPEATED_ROW = "repeated_row"
    """The same id and the same text stood earlier in the file; that first one is kept."""
    CONFLICTING_ID = "conflicting_id"
    """The same id stands in the file with another text; none of them is kept."""
    ERASED = "erased"
    """The row was erased on request, see `eqn.release.erasure`; nothing of it is kept but its number."""


@dataclasses.dataclass(frozen=True, slots=True)
class CorpusBounds:
    """What training data must look like. Shares are of rows."""

    max_text_characters: int = 2_000
    """GoEmotions' longest text has 703 characters."""
    least_label_share: float = 0.0005
    """Each emotion must stand in at least this share of the training rows (grief, the rarest, has 0.0018)."""
    most_label_share: float = 0.60
    """No emotion may stand in more than this share (neutral, the commonest, has 0.33)."""
    most_labels_per_row: int = 6


BOUNDS = CorpusBounds()

KNOWN_ROWS: dict[str, dict[str, int]] = {
    "goemotions": {"train": 43_410, "dev": 5_426, "test": 5_427},
}
"""Row counts of corpora with official splits (GoEmotions: its README in github.com/google-research)."""

LABEL_IDS = range(len(EMOTIONS))
