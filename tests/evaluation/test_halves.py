"""Promises about dev's two halves."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eqn.evaluation.halves import halves

_IDS = st.lists(st.text(max_size=6), unique=True, min_size=2, max_size=60)


def _choosing(ids: list[str]) -> set[str]:
    return {ids[row] for row in halves(ids).choosing}


@settings(deadline=None)
@given(ids=_IDS)
def test_every_row_is_in_one_half_and_no_half_is_empty(ids: list[str]) -> None:
    """For two rows or more; positions rise."""
    parts = halves(ids)
    assert sorted([*parts.choosing, *parts.calibrating]) == list(range(len(ids)))
    for part in (parts.choosing, parts.calibrating):
        assert len(part) > 0
        assert (np.diff(part) > 0).all()


@settings(deadline=None)
@given(ids=_IDS, seed=st.integers(0, 2**32))
def test_a_rows_half_does_not_depend_on_where_it_stands(ids: list[str], seed: int) -> None:
    """Rows in another order are in the same halves, also where there are but a few."""
    shuffled = np.random.default_rng(seed).permutation(np.array(ids, dtype=object)).tolist()
    assert _choosing(shuffled) == _choosing(ids)


def test_other_rows_do_not_move_a_row() -> None:
    """Of 1,000 rows each keeps its half when most of the others are left out."""
    ids = [f"dev-{number}" for number in range(1000)]
    chosen = _choosing(ids)
    assert _choosing(ids[::7]) == chosen & set(ids[::7])
    assert _choosing(["new", *ids]) - {"new"} == chosen


def test_halves_are_about_equal_and_follow_no_pattern() -> None:
    """Half of 5,426 rows within three standard deviations, whatever ids look like; half of the neighbours differ."""
    for form in ("ed{:05x}", "{}", "dev-{}"):
        parts = halves([form.format(number) for number in range(5426)])
        assert abs(len(parts.choosing) - 2713) < 3 * 36.9
        neighbours = (np.diff(parts.choosing) == 1).mean()
        assert 0.45 < neighbours < 0.55


def test_the_halves_of_these_rows_are_these() -> None:
    """Chosen rows stay chosen in a later version: packages that were made by them are compared with new ones."""
    assert halves([f"dev-{number}" for number in range(12)]).choosing.tolist() == [2, 4, 7, 8, 11]


def test_a_single_row_chooses() -> None:
    """There is nothing left to calibrate by; without any row both halves are empty."""
    for identifier in ("a", "b", "c", "d"):
        assert halves([identifier]).choosing.tolist() == [0]
        assert halves([identifier]).calibrating.tolist() == []
    assert [len(part) for part in (halves([]).choosing, halves([]).calibrating)] == [0, 0]
