"""What a stranger's text may not do on a page."""

import doctest
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqn.pages import safe_text
from eqn.pages.safe_text import MARK, excerpt, shown, shown_value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("\u202egnp.exe", f"{MARK}gnp.exe"),
        ("a\u2066b\u2069c", f"a{MARK}b{MARK}c"),
        ("pass\u200bword\ufeff", f"pass{MARK}word{MARK}"),
        ("\x00\x01\x1b[31m", f"{MARK}[31m"),
        ("line\r\nline\ttab", "line\nline\ttab"),
        ("half \ud83d", f"half {MARK}"),
        ("👨‍👩‍👧 नमस्ते می‌خواهم", "👨‍👩‍👧 नमस्ते می‌خواهم"),
        ("مرحبا עולם", "مرحبا עולם"),
        ("tag \U000e0041\U000e0042", f"tag {MARK}"),
    ],
)
def test_what_is_obeyed_or_hidden_becomes_visible(text: str, expected: str) -> None:
    """Direction, controls, invisible characters and half characters; scripts and emoji stay as they are."""
    assert shown(text) == expected


def test_letters_carry_a_few_accents_only() -> None:
    """A tower of accents covers the lines above; four are left."""
    assert shown("e" + "\u0301" * 200 + "nd") == "e" + "\u0301" * 4 + "nd"


@given(st.text())
def test_any_text_can_be_written_and_turns_nothing(text: str) -> None:
    made = shown(text)

    assert made.encode().decode() == made
    assert {category(one) for one in made if one not in "\n\t\u200c\u200d"}.isdisjoint({"Cc", "Cf", "Cs", "Co"})
    assert shown(made) == made


@given(st.text(max_size=300), st.integers(2, 100))
def test_an_excerpt_is_never_longer_than_asked(text: str, characters: int) -> None:
    assert len(excerpt(text, characters)) <= characters + 1


def test_values_that_are_no_text_pass() -> None:
    assert shown_value(3) == 3
    assert shown_value("a\x00") == f"a{MARK}"


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(safe_text).failed == 0
