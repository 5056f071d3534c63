"""Promises of the rules for one row."""

import pytest

from eqn.corpus.contract import MAX_TEXT_CHARACTERS, Reason
from eqn.corpus.rows import good_or_faulty


@pytest.mark.parametrize(
    "text", ["NA", "null", "None", "nan", " x ", "007", "\u200b", "\ufeffx", "x" * MAX_TEXT_CHARACTERS]
)
def test_a_text_stays_as_it_is(text: str) -> None:
    """What other readers take for a missing value or trim is text."""
    row = good_or_faulty(b"", " 1e5 ", text, ())
    assert (row.fault, row.text, row.id) == (None, text, " 1e5 ")


@pytest.mark.parametrize(
    ("text", "identifier", "reason"),
    [
        ("", "1", Reason.EMPTY_TEXT),
        (" \t\u3000\x85", "1", Reason.EMPTY_TEXT),
        ("a\0", "1", Reason.CONTROL_CHARACTER),
        ("a", "1\0", Reason.CONTROL_CHARACTER),
        ("x" * (MAX_TEXT_CHARACTERS + 1), "1", Reason.TEXT_TOO_LONG),
    ],
)
def test_a_row_that_breaks_a_rule_carries_its_reason(text: str, identifier: str, reason: Reason) -> None:
    """The id goes to quarantine with it."""
    row = good_or_faulty(b"", identifier, text, ())
    assert row.fault is not None
    assert (row.fault.reason, row.id) == (reason, identifier)


def test_an_empty_id_is_none() -> None:
    """Whether that is a fault depends on the file."""
    assert good_or_faulty(b"", "", "a", ()).id is None
