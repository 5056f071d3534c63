"""Strangers' text on a page: what browsers would obey or hide is made visible, and long texts are cut.

Escaping of markup is not done here: every template escapes all it prints.
"""

import re
from typing import Any
from unicodedata import category

MARK = "\N{REPLACEMENT CHARACTER}"
"""Stands for characters that would be obeyed or not be seen."""

_OBEYED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_KEPT = "\n\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Joiners hold emoji and letters of many scripts together."""
_MARKS = re.compile(f"{MARK}+")
_BLANK_LINES = re.compile(r"\n\s*\n\s*")
_STACKED = re.compile(
    r"([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{4})"
    r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)
"""Accents on one letter: from the fifth on they only climb over the lines above."""


def shown(text: str) -> str:
    r"""Give `text` with a mark in place of controls, turns of direction, invisible and unassigned characters.

    >>> shown("a\x00\x1bb\u202ec")
    'a�b�c'
    """
    marked = "".join(
        MARK if category(one) in _OBEYED and one not in _KEPT else one for one in text.replace("\r\n", "\n")
    )
    return _STACKED.sub(r"\1", _MARKS.sub(MARK, marked))


def shown_value(value: Any) -> Any:
    """Give `shown` of a plain text; anything else, and markup of our own, as it is."""
    return shown(value) if type(value) is str else value


def excerpt(text: str, characters: int) -> str:
    """Give the beginning of `text`, at most so many characters, cut between words where one ends nearby.

    >>> excerpt("one two three", 9), excerpt("short", 9)
    ('one two …', 'short')
    """
    text = _BLANK_LINES.sub("\n", text.strip())
    beginning = text if len(text) <= characters else text[: _end_of_word(text, characters - 1)]
    return beginning if len(beginning) == len(text) else f"{beginning}…"


def halves(text: str, characters: int) -> tuple[str, str]:
    """Cut `text` in two: a beginning of at most so many characters, and the rest, which is empty for a short text.

    >>> halves("one two three", 9), halves("short", 9)
    (('one two ', 'three'), ('short', ''))
    """
    end = len(text) if len(text) <= characters else _end_of_word(text, characters)
    return text[:end], text[end:]


def _end_of_word(text: str, characters: int) -> int:
    """Give where to cut: behind the last space of so many characters, if it is in their second half."""
    space = text.rfind(" ", characters // 2, characters)
    return space + 1 if space >= 0 else characters
