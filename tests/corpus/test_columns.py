"""Promises of the choice of columns."""

import pytest

from eqn.corpus.columns import Layout, Wanted, carried, lay_out
from eqn.errors import DataRefused


def test_text_id_and_the_others_are_found_by_name() -> None:
    """Their order in the file does not matter."""
    assert lay_out("f", ["score", "text", "id"], Wanted()) == Layout(text=1, id=2, others=(0,))


def test_a_file_may_lack_the_id_column_of_the_default_name() -> None:
    """But not one that was asked for."""
    assert lay_out("f", ["text"], Wanted()).id is None
    with pytest.raises(DataRefused, match="'key' for the id"):
        lay_out("f", ["text", "id"], Wanted(id="key"))


def test_a_missing_column_is_refused_with_the_closest_name() -> None:
    """Every missing column stands in one sentence, with the names that came."""
    with pytest.raises(DataRefused) as caught:
        lay_out("f.csv", ["Comment_ID", " TEXT ", "x"], Wanted(id="commentid"))
    assert "'text' for the text and a column 'commentid' for the id" in str(caught.value)
    assert "it has 'Comment_ID', ' TEXT ', 'x'" in str(caught.value)
    assert "--text-column ' TEXT ' --id-column 'Comment_ID'" in str(caught.value)


def test_without_a_close_name_the_option_is_named() -> None:
    """A guess that makes no sense is not made, and long headers are cut."""
    with pytest.raises(DataRefused, match=r"and 11 more\.\nName the right one with --text-column"):
        lay_out("f", [f"q{number}" for number in range(31)], Wanted())


def test_repeated_names_are_refused() -> None:
    """Nobody can tell which of the two is meant."""
    with pytest.raises(DataRefused, match="'a', 'text' more than once"):
        lay_out("f", ["a", "text", "a", "text", "b"], Wanted())


def test_a_column_that_would_collide_gets_a_name_of_its_own() -> None:
    """`id` and `text` of the tables are ours; the file's other columns of these names are kept under another one."""
    names = [column.name for column in carried(["text", "input_text", "id", "a"], ["string"] * 4)]
    assert names == ["input_input_text", "input_text", "input_id", "a"]
