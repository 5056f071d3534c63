"""Promises about correlations with people's scores: they are SciPy's, on the rows and on every draw of them."""

import weakref
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr

from eqn.evaluation import correlations, draws
from eqn.evaluation.correlations import Correlated, correlate, mean_of

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def made_up(rows: int, *, seed: int, decimals: int = 8) -> Pair:
    """Give scores and a readout that goes with them; few decimals make many ties."""
    draw = np.random.default_rng(seed)
    gold = draw.random(rows)
    return np.round(gold, decimals), np.round(5 * gold + draw.standard_normal(rows), decimals)


def one(gold: Any, readout: Any, **options: Any) -> Correlated:
    return correlate(np.asarray(gold), {"it": np.asarray(readout)}, draws_of="rows", **options)["it"]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rows", [3, 40, 400])
def test_both_coefficients_are_scipys(rows: int, seed: int) -> None:
    """With and without ties, and wherever the values lie."""
    gold, readout = made_up(rows, seed=seed, decimals=[8, 1, 0][seed % 3])
    if np.ptp(gold) == 0:
        gold[0] += 1
    readout = 1e4 + readout
    found = one(gold, readout, resamples=1)
    assert found.pearson == pytest.approx(pearsonr(gold, readout)[0], abs=1e-9)
    assert found.spearman == pytest.approx(spearmanr(gold, readout)[0], abs=1e-9)


def test_a_draws_coefficients_are_scipys_on_the_copied_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was drawn three times counts, and is ranked, as three equal rows."""
    gold, readout = made_up(60, seed=1, decimals=1)
    picked = [np.random.default_rng(number).integers(60, size=60) for number in range(8)]
    weights = np.stack([np.bincount(rows, minlength=60) for rows in picked], axis=1).astype(float)
    monkeypatch.setattr(correlations, "row_draws", lambda *_, **__: iter([weights[:, :5], weights[:, 5:]]))
    found = one(gold, readout)
    for number, rows in enumerate(picked):
        assert found.drawn_pearson[number] == pytest.approx(pearsonr(gold[rows], readout[rows])[0])
        assert found.drawn_spearman[number] == pytest.approx(spearmanr(gold[rows], readout[rows])[0])


def test_a_rising_transformation_changes_no_rank() -> None:
    """Spearman and its draws stay as they are, Pearson does not."""
    gold, readout = made_up(80, seed=2)
    plain, bent = one(gold, readout, resamples=20), one(gold, np.exp(readout), resamples=20)
    assert bent.spearman == plain.spearman
    np.testing.assert_array_equal(bent.drawn_spearman, plain.drawn_spearman)
    assert bent.pearson < plain.pearson - 0.05


def test_the_same_rows_give_the_same_intervals_however_many_draws_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last digit; rows of another name are drawn independently."""
    gold, readout = made_up(50, seed=3)
    first, again = one(gold, readout), one(gold, readout)
    monkeypatch.setattr(draws, "_BYTES", 7 * 50 * 8)
    pieces = one(gold, readout)
    assert first.figures() == again.figures()
    np.testing.assert_allclose(pieces.drawn_pearson, first.drawn_pearson, rtol=1e-12)
    np.testing.assert_allclose(pieces.drawn_spearman, first.drawn_spearman, rtol=1e-12)
    other = correlate(gold, {"it": readout}, draws_of="other rows")["it"]
    assert other.pearson == first.pearson
    assert (other.drawn_pearson != first.drawn_pearson).any()


def test_draws_are_held_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were counted are let go before many others are made."""
    gold, readout = made_up(50, seed=3)
    held: list[weakref.ref[Any]] = []

    def watched(*arguments: Any, **options: Any) -> Any:
        for weights in draws.row_draws(*arguments, **options):
            held.append(weakref.ref(weights))
            yield weights
            assert sum(weights_of() is not None for weights_of in held) <= 2

    monkeypatch.setattr(correlations, "row_draws", watched)
    monkeypatch.setattr(draws, "_BYTES", 7 * 50 * 8)
    one(gold, readout, resamples=70)
    assert len(held) == 10


def test_readouts_of_the_same_rows_are_measured_on_the_same_draws() -> None:
    """So that a readout and its negative mirror each other draw by draw."""
    gold, readout = made_up(50, seed=4)
    found = correlate(gold, {"up": readout, "down": -readout}, draws_of="rows", resamples=30)
    np.testing.assert_allclose(found["down"].drawn_pearson, -found["up"].drawn_pearson)
    np.testing.assert_allclose(found["down"].drawn_spearman, -found["up"].drawn_spearman)


def test_nineteen_of_twenty_intervals_hold_the_true_coefficient() -> None:
    """Of 80 samples from a known population, within the chance of 80: 95 % and 3 standard errors (7 points)."""
    truth = 0.6
    held = 0
    for number in range(80):
        draw = np.random.default_rng(number)
        gold = draw.standard_normal(200)
        readout = truth * gold + np.sqrt(1 - truth**2) * draw.standard_normal(200)
        pearson, _ = one(gold, readout, resamples=200).figures()
        held += pearson.interval.low <= truth <= pearson.interval.high
    assert 69 <= held <= 80


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9])
def test_a_constant_correlates_with_nothing(constant: float) -> None:
    """Its coefficient is no number, neither 0 nor what rounding makes of it; a draw without spread is left out."""
    gold, _ = made_up(30, seed=5)
    pearson, spearman = one(gold, np.full(30, constant), resamples=10).figures()
    assert np.isnan([pearson.value, pearson.interval.low, spearman.value, spearman.interval.high]).all()
    few = one([0.1, 0.1, 0.3], [1.0, 1.0, 2.0])
    assert (few.pearson, few.spearman) == pytest.approx((1, 1))
    assert 0.2 < np.isnan(few.drawn_pearson).mean() < 0.45  # (2/3)^3 + (1/3)^3 of the draws
    assert few.figures()[0].interval.low == pytest.approx(1)


def test_a_mean_is_taken_draw_by_draw() -> None:
    """Its interval is narrower than those of its independent parts."""
    parts = [correlate(*_named(made_up(150, seed=seed)), draws_of=str(seed))["it"] for seed in range(4)]
    mean = mean_of(parts)
    assert mean.pearson == pytest.approx(np.mean([part.pearson for part in parts]))
    np.testing.assert_allclose(mean.drawn_spearman, np.mean([part.drawn_spearman for part in parts], axis=0))
    widths = [ends.high - ends.low for ends in (part.figures()[0].interval for part in (mean, *parts))]
    assert widths[0] < 0.7 * min(widths[1:])


def _named(pair: Pair) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    return pair[0], {"it": pair[1]}
