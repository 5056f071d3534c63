"""Promises about the probe: a ridge regression that anybody can repeat."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from eqn.evaluation.probe import fit_probe


def test_a_linear_score_is_recovered() -> None:
    """On rows that it was not fitted on, whatever the features' scales."""
    draw = np.random.default_rng(0)
    z = draw.standard_normal((400, 28)) * np.geomspace(0.01, 100, 28) - 4
    gold = 0.3 * z[:, 5] - 20 * z[:, 0] + 2
    probe = fit_probe(z[:300], gold[:300])
    assert probe.weights.shape == (28,)
    np.testing.assert_allclose(probe.predict(z[300:]), gold[300:], atol=0.01 * gold.std())


def test_a_probe_is_ridge_regression_on_standardised_logits() -> None:
    """With the penalty that it says."""
    draw = np.random.default_rng(1)
    z, gold = draw.standard_normal((60, 28)) * 3 + 1, draw.random(60)
    probe = fit_probe(z, gold)
    scaler = StandardScaler().fit(z)
    expected = Ridge(alpha=probe.alpha).fit(scaler.transform(z), gold).predict(scaler.transform(z))
    np.testing.assert_allclose(probe.predict(z), expected, atol=1e-9)


def test_noise_is_shrunk_more_than_signal() -> None:
    """The penalty is chosen by rows left out: strong where the scores are chance, weak where they are not."""
    draw = np.random.default_rng(2)
    z = draw.standard_normal((80, 28))
    noise, signal = fit_probe(z, draw.random(80)), fit_probe(z, z[:, 3])
    assert noise.alpha > 100 * signal.alpha
    assert noise.predict(z).std() < 0.1


def test_the_same_rows_give_the_same_probe() -> None:
    """To the last digit; few rows and a constant emotion are no error."""
    draw = np.random.default_rng(3)
    z, gold = draw.standard_normal((6, 28)), draw.random(6)
    z[:, 7] = -13.8
    first, again = fit_probe(z, gold), fit_probe(z, gold)
    np.testing.assert_array_equal(first.weights, again.weights)
    assert (first.intercept, first.alpha) == (again.intercept, again.alpha)
    assert first.weights[7] == pytest.approx(0)
