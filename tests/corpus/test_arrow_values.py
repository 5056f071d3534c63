"""Promises about strings and types in Arrow."""

import pyarrow as pa
import pytest

from eqn.corpus.arrow_values import as_bytes, as_ids, broken_rows, carried_type, is_string

_BAD = pa.array([b"a", b"\xff", None]).view(pa.string())


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_strings_of_every_layout_give_their_bytes(kind: object) -> None:
    """Dictionaries of them too; null stays null."""
    array = pa.array(["é", None, ""], kind)
    assert is_string(array.type)
    assert as_bytes(array) == ["é".encode(), None, b""]


def test_dictionaries_of_strings_are_strings() -> None:
    """A column of few values is stored like that, and its numbers are nobody's business."""
    array = pa.array(["é", None, "é"]).dictionary_encode()
    assert is_string(array.type)
    assert as_ids(array) == ["é".encode(), None, "é".encode()]
    assert not is_string(pa.array([1]).dictionary_encode().type)
    assert not is_string(pa.binary())


def test_integers_give_their_digits() -> None:
    """The widest ones too."""
    assert as_ids(pa.array([2**64 - 1, None, 0], pa.uint64())) == [b"18446744073709551615", None, b"0"]


def test_a_string_that_is_not_utf8_breaks_its_row_only() -> None:
    """Whether it stands alone, in a list or in a dictionary."""
    assert as_bytes(_BAD) == [b"a", b"\xff", None]
    lists = pa.ListArray.from_arrays([0, 1, 2, 3], _BAD)
    dictionary = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), _BAD)
    for array in (_BAD, lists, dictionary):
        assert broken_rows(pa.record_batch([pa.array([1, 2, 3]), array], names=["n", "s"])) == {1}
    assert broken_rows(pa.record_batch([pa.array([1, 2, 3])], names=["n"])) == set()


def test_views_go_on_as_plain_types() -> None:
    """Every other type is carried along as it is."""
    assert carried_type(pa.string_view()) == pa.string()
    assert carried_type(pa.binary_view()) == pa.binary()
    assert carried_type(pa.list_(pa.int8())) == pa.list_(pa.int8())
