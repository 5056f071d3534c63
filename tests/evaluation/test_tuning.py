"""Promises about what dev chooses: which half decides what, and what a package is told of it."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eqn.emotions import EMOTIONS
from eqn.evaluation.conformal import fit_conformal
from eqn.evaluation.halves import halves
from eqn.evaluation.recalibration import fit_recalibration, sigmoid
from eqn.evaluation.thresholds import choose_calibrated_thresholds, choose_thresholds
from eqn.evaluation.tuning import Tuned, tune

Dev = tuple[list[str], NDArray[np.float32], NDArray[np.float32]]


def _dev(rows: int = 600, seed: int = 0) -> Dev:
    """Ids, labels and outputs that exaggerate them."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(-2, 1.5, (rows, 28))
    gold = (draw.random((rows, 28)) < sigmoid(truth)).astype(np.float32)
    return [f"dev-{row}" for row in range(rows)], gold, (2 * truth + 1).astype(np.float32)


def _assert_same(one: Tuned, other: Tuned) -> None:
    np.testing.assert_allclose(one.thresholds, other.thresholds, atol=2e-4)
    assert (one.recalibration is None) == (other.recalibration is None)
    if one.recalibration and other.recalibration:
        np.testing.assert_allclose(one.recalibration.scale, other.recalibration.scale, rtol=1e-6)
        np.testing.assert_allclose(one.recalibration.shift, other.recalibration.shift, atol=1e-6)
    assert one.conformal.rows == other.conformal.rows
    assert one.conformal.limits == pytest.approx(other.conformal.limits)


def test_log_odds_are_calibrated_on_one_half_and_thresholds_chosen_on_the_other() -> None:
    """Step by step as the parts do it."""
    ids, gold, outputs = _dev()
    tuned, parts = tune(ids, gold, outputs, log_odds=True), halves(ids)
    recalibration = fit_recalibration(gold[parts.calibrating], outputs[parts.calibrating])
    assert tuned.recalibration is not None
    np.testing.assert_array_equal(tuned.recalibration.scale, recalibration.scale)
    np.testing.assert_array_equal(tuned.recalibration.shift, recalibration.shift)
    scores = recalibration.intensities(outputs)
    expected = choose_calibrated_thresholds(gold[parts.choosing], scores[parts.choosing], like=scores)
    np.testing.assert_array_equal(tuned.thresholds, expected)
    assert tuned.conformal == fit_conformal(gold[parts.calibrating], scores[parts.calibrating])
    assert tuned.rows == len(parts.calibrating)


def test_outputs_that_are_no_log_odds_stay_as_they_are() -> None:
    """Clipped to be intensities, with thresholds and sets of their own, and no calibration to tell of."""
    ids, gold, outputs = _dev()
    tuned, parts = tune(ids, gold, outputs / 5, log_odds=False), halves(ids)
    scores = np.clip(outputs / 5, 0, 1)
    assert tuned.recalibration is None
    assert tuned.calibration_facts() == {}
    np.testing.assert_array_equal(tuned.thresholds, choose_thresholds(gold[parts.choosing], scores[parts.choosing]))
    assert tuned.conformal == fit_conformal(gold[parts.calibrating], scores[parts.calibrating])


@pytest.mark.parametrize("log_odds", [True, False])
def test_the_labels_of_a_half_decide_nothing_of_the_others_part(*, log_odds: bool) -> None:
    """Other labels on the choosing rows leave calibration and limits as they are; on the others, own thresholds."""
    ids, gold, outputs = _dev()
    parts, before = halves(ids), tune(ids, gold, outputs, log_odds=log_odds)
    other = gold.copy()
    other[parts.choosing] = 1 - other[parts.choosing]
    after = tune(ids, other, outputs, log_odds=log_odds)
    assert after.calibration_facts() == before.calibration_facts()
    assert after.conformal == before.conformal
    assert np.abs(after.thresholds - before.thresholds).max() > 0.05
    if not log_odds:
        other = gold.copy()
        other[parts.calibrating] = 1 - other[parts.calibrating]
        np.testing.assert_array_equal(tune(ids, other, outputs, log_odds=False).thresholds, before.thresholds)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 80), log_odds=st.booleans())
def test_any_dev_split_can_be_tuned_and_the_order_of_its_rows_is_of_no_account(
    seed: int, rows: int, *, log_odds: bool
) -> None:
    """Also a single row; what comes out is in range."""
    ids, gold, outputs = _dev(rows, seed)
    tuned = tune(ids, gold, outputs, log_odds=log_odds)
    assert ((tuned.thresholds >= 0) & (tuned.thresholds <= 1)).all()
    assert all(0 <= limit <= 1 for limit in tuned.conformal.limits.values())
    order = np.random.default_rng(seed).permutation(rows)
    _assert_same(tune([ids[row] for row in order], gold[order], outputs[order], log_odds=log_odds), tuned)


def test_a_package_is_told_everything_in_plain_json() -> None:
    """Numbers by the emotions' names, and of how many rows they come."""
    ids, gold, outputs = _dev()
    gold[:, EMOTIONS.index("grief")] = 0
    tuned = tune(ids, gold, outputs, log_odds=True)
    calibration, conformal = tuned.calibration_facts(), tuned.conformal_facts()
    assert json.loads(json.dumps([calibration, conformal])) == [calibration, conformal]
    assert tuned.recalibration is not None
    assert calibration["rows"] == tuned.rows
    assert list(calibration["scale"].items()) == list(zip(EMOTIONS, tuned.recalibration.scale, strict=True))
    assert list(calibration["shift"].items()) == list(zip(EMOTIONS, tuned.recalibration.shift, strict=True))
    assert conformal.keys() == {"coverage", "limits", "rows"}
    assert conformal["limits"].keys() == set(EMOTIONS) - {"grief"}
    assert conformal["rows"]["grief"] == 0


def test_calibration_makes_exaggerated_outputs_honest() -> None:
    """Outputs of twice the true log odds and 1: scale a half, shift minus a half."""
    tuned = tune(*_dev(12_000), log_odds=True)
    assert tuned.recalibration is not None
    np.testing.assert_allclose(tuned.recalibration.scale, 0.5, atol=0.06)
    np.testing.assert_allclose(tuned.recalibration.shift, -0.5, atol=0.12)
