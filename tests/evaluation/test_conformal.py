"""Promises about conformal sets: how often they hold what they should, and for which emotions nothing is promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eqn.emotions import EMOTIONS
from eqn.evaluation.conformal import COVERAGE, Conformal, fit_conformal


def _carried(numbers: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
    """Give labels, (rows, 28), in which emotion i stands in the first `numbers[i]` rows."""
    return (np.arange(rows)[:, None] < numbers).astype(float)


@pytest.mark.parametrize(
    ("rows", "lowest"), [(0, None), (1, None), (8, None), (9, 1), (10, 1), (18, 1), (19, 2), (28, 2), (29, 3), (99, 10)]
)
def test_the_limit_is_the_kth_lowest_intensity_of_those_who_carry_the_emotion(rows: int, lowest: int | None) -> None:
    """k by hand for a coverage of 0.9: a tenth of the rows and one, rounded down. Other rows have no part in it."""
    scores = np.random.default_rng(rows).permutation(np.linspace(0.1, 0.9, rows))
    others = np.full((5, 28), 0.001)
    whole = np.concatenate([np.repeat(scores[:, None], 28, axis=1), others])
    found = fit_conformal(_carried(np.full(28, rows), rows + 5), whole)
    assert found.rows == dict.fromkeys(EMOTIONS, rows)
    if lowest is None:
        assert found.limits == {}
    else:
        assert found.limits == dict.fromkeys(EMOTIONS, float(np.sort(scores)[lowest - 1]))


@pytest.mark.parametrize(("coverage", "least"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_so_many_rows_are_needed_for_a_coverage(coverage: float, least: int) -> None:
    """One row less, and nothing can be promised."""
    for rows in (least - 1, least):
        found = fit_conformal(np.ones((rows, 28)), np.full((rows, 28), 0.5), coverage=coverage)
        assert found.coverage == coverage
        assert bool(found.limits) == (rows == least)


def test_an_emotion_without_a_promise_is_named_and_in_no_set() -> None:
    """8 rows of grief, 9 of joy: grief is in no set even at an intensity of 1."""
    numbers = np.full(28, 40)
    numbers[EMOTIONS.index("grief")] = 8
    numbers[EMOTIONS.index("pride")] = 0
    numbers[EMOTIONS.index("joy")] = 9
    draw = np.random.default_rng(0)
    found = fit_conformal(_carried(numbers, 40), draw.random((40, 28)))
    assert found.without == ("grief", "pride")
    assert found.limits.keys() == set(EMOTIONS) - {"grief", "pride"}
    assert (found.rows["grief"], found.rows["pride"], found.rows["joy"]) == (8, 0, 9)
    sets = found.sets(np.ones((3, 28)))
    assert [name for i, name in enumerate(EMOTIONS) if not sets[:, i].any()] == ["grief", "pride"]
    assert Conformal(0.9, {}, {}).without == EMOTIONS


def test_an_intensity_at_its_limit_is_in_the_set() -> None:
    """Each emotion by its own limit, whatever order the limits are listed in."""
    limits = {name: 0.3 + number / 100 for number, name in enumerate(EMOTIONS)}
    found = Conformal(0.9, dict(reversed(limits.items())), dict.fromkeys(EMOTIONS, 50))
    at = np.array([limits[name] for name in EMOTIONS])
    rows = np.stack([at, np.nextafter(at, 0), np.roll(at, -1), np.zeros(28), np.ones(28)])
    sets = found.sets(rows)
    assert sets.dtype == bool
    assert sets.sum(axis=1).tolist() == [28, 0, 27, 0, 28]


def test_rows_with_equal_intensities_stand_or_fall_together() -> None:
    """Of 20 rows, 5 share the lowest intensity: the limit, which is the second lowest, lets all of them in."""
    scores = np.repeat(np.r_[np.full(5, 0.2), np.linspace(0.3, 0.9, 15)][:, None], 28, axis=1)
    found = fit_conformal(np.ones((20, 28)), scores)
    assert found.limits == dict.fromkeys(EMOTIONS, 0.2)
    assert found.sets(scores).all()
    everything = fit_conformal(np.ones((20, 28)), np.zeros((20, 28)))
    assert everything.sets(np.zeros((2, 28))).all()


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32), rows=st.integers(0, 120), digits=st.integers(1, 6))
def test_of_the_rows_that_set_the_limits_all_but_a_tenth_reach_them(seed: int, rows: int, digits: int) -> None:
    """Ties and all: fewer than k of them are left out."""
    draw = np.random.default_rng(seed)
    gold = (draw.random((rows, 28)) < draw.random(28)).astype(np.float32)
    scores = np.round(draw.random((rows, 28)), digits)
    found = fit_conformal(gold, scores)
    left_out = ((gold > 0) & ~found.sets(scores)).sum(axis=0)
    for i, name in enumerate(EMOTIONS):
        if name in found.limits:
            assert left_out[i] < (found.rows[name] + 1) / 10
        else:
            assert found.rows[name] < 9


@pytest.mark.parametrize("coverage", [COVERAGE, 0.8])
def test_the_promise_is_kept_on_rows_of_the_same_kind_and_not_by_far(coverage: float) -> None:
    """400 divisions of the same rows into calibrating and new ones, 10 to 64 of each emotion in either.

    On average over the divisions the sets hold what they should at least as often as promised, and at most one row in
    n + 1 more often: for each emotion within what 400 divisions leave to chance, over all emotions much closer.
    """
    assert COVERAGE == 0.9
    draw, numbers = np.random.default_rng(0), np.arange(10, 66, 2)
    pools = [draw.beta(2, 5, 2 * n) ** power for n, power in zip(numbers, np.linspace(0.3, 3, 28), strict=True)]
    held = np.zeros(28)
    for _ in range(400):
        pools = [draw.permutation(pool) for pool in pools]
        calibrating = np.zeros((64, 28))
        for i, n in enumerate(numbers):
            calibrating[:n, i] = pools[i][:n]
        found = fit_conformal(_carried(numbers, 64), calibrating, coverage=coverage)
        new = [pool[n:] >= found.limits[name] for pool, n, name in zip(pools, numbers, EMOTIONS, strict=True)]
        held += np.array([reached.mean() for reached in new]) / 400
    assert (held >= coverage - 0.015).all()
    assert (held <= coverage + 1 / (numbers + 1) + 0.015).all()
    exact = 1 - np.floor((numbers + 1) * (1 - coverage) + 1e-9) / (numbers + 1)
    assert held.mean() == pytest.approx(exact.mean(), abs=0.003)


def test_the_promise_is_kept_for_each_emotion_and_not_on_average_over_them() -> None:
    """A rare emotion whose intensities are low has a limit of its own, far below that of a frequent one."""
    draw = np.random.default_rng(1)
    gold = (draw.random((4000, 28)) < np.geomspace(0.01, 0.3, 28)).astype(np.float32)
    height = np.linspace(0.05, 0.9, 28)
    scores = np.clip(gold * height * draw.random((4000, 28)) + 0.05 * draw.random((4000, 28)), 0, 1)
    found = fit_conformal(gold[:2000], scores[:2000])
    sets, carried = found.sets(scores[2000:]), gold[2000:] > 0
    share = (sets & carried).sum(axis=0) / carried.sum(axis=0)
    spread = 4 * np.sqrt(0.09 / carried.sum(axis=0) + 0.09 / gold[:2000].sum(axis=0))
    assert (np.abs(share - 0.9) <= spread).all()
    assert found.limits[EMOTIONS[0]] < 0.5 * found.limits[EMOTIONS[-1]]
