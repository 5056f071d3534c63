"""Promises about recalibration: it finds what it should, never turns a ranking around, and lowers the error."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from eqn.emotions import EMOTIONS
from eqn.evaluation.calibration import calibration_error
from eqn.evaluation.recalibration import RIDGE, Recalibration, fit_recalibration, sigmoid
from eqn.model.backbone import load_backbone
from eqn.model.network import EmotionNetwork

Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]


def _drawn(
    outputs: NDArray[np.float64], *, scale: NDArray[np.float64], shift: NDArray[np.float64], seed: int = 0
) -> NDArray[np.float32]:
    """Draw labels by the probabilities that a map makes of outputs."""
    draw = np.random.default_rng(seed)
    return (draw.random(outputs.shape) < 1 / (1 + np.exp(-(scale * outputs + shift)))).astype(np.float32)


@st.composite
def _any_arrays(draw: st.DrawFn) -> Arrays:
    """Labels and outputs of every kind: random, told apart without error, all or none there, constant, far out."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.integers(0, 80))
    spread = random.choice([0.0, 0.1, 2.0, 30.0], 28)
    outputs = random.normal(random.choice([-5.0, 0.0, 3.0], 28), spread, (rows, 28)).astype(np.float32)
    random_labels = random.random((rows, 28)) < random.choice([0.0, 0.05, 0.5, 1.0], 28)
    apart = {"random": random_labels, "apart": outputs > 0, "turned around": outputs < 0}
    kinds = random.choice(draw(st.sampled_from([["random"], ["apart"], ["turned around"], list(apart)])), 28)
    gold = np.stack([apart[kind][:, i] for i, kind in enumerate(kinds)], axis=1)
    return gold.astype(np.float32), outputs


def test_the_sigmoid_is_exact_and_never_overflows() -> None:
    """As by its definition where that can be computed; 0 and 1 at the ends, without a warning."""
    values = np.linspace(-30, 30, 601)
    np.testing.assert_allclose(sigmoid(values), 1 / (1 + np.exp(-values)), atol=1e-15)
    with np.errstate(all="raise"):
        ends = sigmoid(np.float32([-1e30, -800, 0, 800, 1e30]))
    assert ends.dtype == np.float64
    assert ends.tolist() == [0, 0, 0.5, 1, 1]


def test_known_maps_are_found_again() -> None:
    """40,000 rows, a scale from 0.7 to 1.4 and a shift from -1 to 1 for each emotion: both within a tenth."""
    draw = np.random.default_rng(1)
    scale, shift = np.linspace(0.7, 1.4, 28), draw.permutation(np.linspace(-1, 1, 28))
    outputs = draw.normal(-0.5, 1.5, (40_000, 28))
    found = fit_recalibration(_drawn(outputs, scale=scale, shift=shift), outputs)
    np.testing.assert_allclose(found.scale, scale, atol=0.1)
    np.testing.assert_allclose(found.shift, shift, atol=0.1)


def test_outputs_that_are_calibrated_stay_as_they_are() -> None:
    """Scale 1 and shift 0, nearly."""
    outputs = np.random.default_rng(2).normal(-1, 2, (20_000, 28))
    found = fit_recalibration(_drawn(outputs, scale=np.ones(28), shift=np.zeros(28)), outputs)
    np.testing.assert_allclose(found.scale, 1, atol=0.08)
    np.testing.assert_allclose(found.shift, 0, atol=0.08)


def test_without_ridge_each_map_is_that_of_logistic_regression() -> None:
    """scikit-learn's, fitted without penalty on one emotion at a time."""
    outputs = np.random.default_rng(3).normal(0, 1, (400, 28))
    gold = _drawn(outputs, scale=np.full(28, 0.7), shift=np.full(28, -1.0), seed=3)
    found = fit_recalibration(gold, outputs, ridge=0.0)
    for i in range(28):
        expected = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(outputs[:, [i]], gold[:, i])
        assert found.scale[i] == pytest.approx(expected.coef_[0, 0], abs=1e-4)
        assert found.shift[i] == pytest.approx(expected.intercept_[0], abs=1e-4)


def _slope(found: Recalibration, common: Recalibration, arrays: Arrays, ridge: float) -> NDArray[np.float64]:
    """Give the slope of log loss and ridge at the maps that were found, (28, 2): 0 where they are the best."""
    gold, outputs = arrays
    off = found.intensities(outputs) - gold
    slope = np.stack([(off * outputs).sum(axis=0), off.sum(axis=0)], axis=1)
    distance = np.stack([found.scale - common.scale, found.shift - common.shift], axis=1)
    return np.asarray(slope + ridge * distance)


@settings(deadline=None, max_examples=100)
@given(arrays=_any_arrays())
def test_every_map_is_the_best_between_its_rows_and_the_common_one(arrays: Arrays) -> None:
    """Whatever the labels: where the loss plus the ridge is flat, or the common map where the best one would fall."""
    found = fit_recalibration(*arrays)
    common = fit_recalibration(*arrays, ridge=1e15)  # nothing but the common map is left
    taken = (np.abs(found.scale - common.scale) < 1e-9) & (np.abs(found.shift - common.shift) < 1e-9)
    slope = _slope(found, common, arrays, RIDGE)
    np.testing.assert_allclose(slope[~taken], 0, atol=1e-4 * max(1, np.abs(arrays[1]).max(initial=0)))


@pytest.mark.parametrize("spread", [5, 30])
def test_steps_that_would_overshoot_are_shortened(spread: float) -> None:
    """Far outputs whose labels go against them: from a rising start the best map lies where the sigmoid is flat."""
    draw = np.random.default_rng(11)
    outputs = draw.normal(0, spread, (500, 28))
    gold = _drawn(outputs, scale=np.full(28, 1.0), shift=np.zeros(28))
    gold[:, 3] = (outputs[:, 3] < 0) ^ (draw.random(500) < 0.3)  # falls, but not without exceptions
    gold[:, 4] = 1 - gold[:, 4]
    for ridge in (1.0, RIDGE):
        found, common = (fit_recalibration(gold, outputs, ridge=size) for size in (ridge, 1e15))
        slope = _slope(found, common, (gold, outputs), ridge)
        risen = np.delete(np.arange(28), [3, 4])
        np.testing.assert_allclose(slope[risen], 0, atol=1e-4 * spread)
        for falling in (3, 4):
            assert found.scale[falling] == pytest.approx(common.scale[falling], abs=1e-6)


@settings(deadline=None, max_examples=100)
@given(arrays=_any_arrays(), ridge=st.sampled_from([1.0, RIDGE, 1e4]))
def test_no_map_falls(arrays: Arrays, ridge: float) -> None:
    """Also where labels go against the outputs, or are all the same: the ranking within an emotion stays."""
    found = fit_recalibration(*arrays, ridge=ridge)
    assert (found.scale > 0).all()
    assert np.isfinite(found.scale).all()
    assert np.isfinite(found.shift).all()
    rising = np.sort(arrays[1], axis=0)
    intensities = found.intensities(rising)
    assert (np.diff(intensities, axis=0) >= 0).all()
    assert ((intensities >= 0) & (intensities <= 1)).all()


def test_labels_that_are_told_apart_without_error_do_not_make_a_map_endless() -> None:
    """With every cell right the best scale of all would be infinite: 14 rows do not vouch for 1 in 10,000."""
    outputs = np.random.default_rng(4).choice([-0.5, 0.5], (14, 28)) * np.linspace(1, 2, 14)[:, None]
    found = fit_recalibration((outputs > 0).astype(np.float32), outputs)
    assert 1 < found.scale.min() <= found.scale.max() < 20
    scores = found.intensities(outputs)
    assert 1e-4 < scores.min() < 0.1
    assert 0.9 < scores.max() < 1 - 1e-4


def test_outputs_that_go_against_all_labels_are_left_alone() -> None:
    """No map that rises can help: nothing is learnt from them."""
    outputs = np.random.default_rng(5).normal(0, 1, (2000, 28))
    gold = _drawn(outputs, scale=np.full(28, -1.5), shift=np.zeros(28))
    found = fit_recalibration(gold, outputs, ridge=1e15)
    np.testing.assert_allclose(found.scale, 1, atol=1e-9)
    np.testing.assert_allclose(found.shift, 0, atol=1e-9)


def test_a_rare_emotion_is_drawn_to_the_common_map() -> None:
    """27 emotions agree on scale 0.5 and shift -1, one says 1.5 and 1.

    In 40,000 rows it is believed; in 16 it is not, and lies nearer to the common map than to its own.
    """
    draw = np.random.default_rng(6)
    outputs, scale, shift = draw.normal(0, 2, (40_000, 28)), np.full(28, 0.5), np.full(28, -1.0)
    scale[3], shift[3] = 1.5, 1.0
    gold = _drawn(outputs, scale=scale, shift=shift)
    often = fit_recalibration(gold, outputs)
    assert often.scale[3] == pytest.approx(1.5, abs=0.15)
    assert often.shift[3] == pytest.approx(1, abs=0.15)

    few = gold[:16], outputs[:16]
    common, own, between = (fit_recalibration(*few, ridge=ridge) for ridge in (1e15, 0.01, RIDGE))

    def distance(one: Recalibration, other: Recalibration) -> float:
        return float(np.hypot(one.scale[3] - other.scale[3], one.shift[3] - other.shift[3]))

    assert distance(own, common) > 1
    assert distance(between, common) < 0.2 * distance(between, own)


def test_an_emotion_that_no_row_carries_takes_the_common_scale_and_promises_little() -> None:
    """There is nothing to fit but that it is rare: it gets no more than the others would give it."""
    draw = np.random.default_rng(10)
    outputs = draw.normal(-2, 1, (500, 28))
    gold = _drawn(outputs, scale=np.ones(28), shift=np.zeros(28))
    gold[:, 5] = 0
    found = fit_recalibration(gold, outputs)
    others = np.delete(np.arange(28), 5)
    assert found.scale[5] == pytest.approx(found.scale[others].mean(), abs=0.5)
    assert found.shift[5] < found.shift[others].min()


def test_more_ridge_moves_maps_to_the_common_one() -> None:
    """Step by step, for every emotion."""
    draw = np.random.default_rng(7)
    outputs = draw.normal(0, 1, (300, 28))
    gold = _drawn(outputs, scale=draw.uniform(0.3, 3, 28), shift=draw.normal(0, 1, 28))
    maps = [fit_recalibration(gold, outputs, ridge=ridge) for ridge in (0.1, 1, 10, 100, 1e3, 1e15)]
    common = maps[-1]
    assert np.ptp(common.scale) < 1e-6
    far = [np.hypot(one.scale - common.scale, one.shift - common.shift) for one in maps]
    assert (np.diff(far, axis=0) <= 1e-9).all()
    assert far[0].max() > 0.5


def test_the_calibration_error_goes_down_and_the_ranking_stays() -> None:
    """Outputs that exaggerate threefold: fitted on one half of the rows, the error of the other half falls by far."""
    draw = np.random.default_rng(8)
    truth = draw.normal(-1.5, 1.5, (8000, 28))
    gold, outputs = _drawn(truth, scale=np.ones(28), shift=np.zeros(28)), 3 * truth + 0.5
    found = fit_recalibration(gold[:4000], outputs[:4000])
    before, after = sigmoid(outputs[4000:]), found.intensities(outputs[4000:])
    for i in range(28):
        assert calibration_error(gold[4000:, i], after[:, i]) < 0.4 * calibration_error(gold[4000:, i], before[:, i])
        assert (np.argsort(after[:, i], kind="stable") == np.argsort(outputs[4000:, i], kind="stable")).all()


def test_a_recalibrated_network_answers_as_the_map_does(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The head takes the map in: its outputs are scale * output + shift, and its intensities those of the map."""
    draw = np.random.default_rng(9)
    backbone = load_backbone("tiny", cache=tmp_path_factory.mktemp("nothing"), seed=0)
    torch.manual_seed(0)
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.0).eval()
    with torch.no_grad():
        network.head.weight.mul_(20)
    ids = torch.from_numpy(draw.integers(4, 100, (30, 12)))
    found = Recalibration(scale=draw.uniform(0.2, 3, 28), shift=draw.normal(0, 2, 28))
    with torch.inference_mode():
        outputs = network(ids, torch.ones_like(ids))
        expected = found.intensities(outputs.numpy())
    assert np.abs(expected - sigmoid(outputs.numpy())).max() > 0.2
    network.recalibrate(torch.from_numpy(found.scale), torch.from_numpy(found.shift))
    with torch.inference_mode():
        recalibrated = network(ids, torch.ones_like(ids))
    np.testing.assert_allclose(recalibrated.numpy(), found.scale * outputs.numpy() + found.shift, atol=1e-4)
    np.testing.assert_allclose(network.intensities(recalibrated).numpy(), expected, atol=1e-5)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert len(EMOTIONS) == len(network.head.bias)
