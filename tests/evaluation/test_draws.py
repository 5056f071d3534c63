"""Promises about the draws of a bootstrap."""

import numpy as np
import pytest

from eqn.evaluation import draws
from eqn.evaluation.draws import Number, row_draws


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_draw_counts_as_many_rows_as_there_are(dtype: type[Number]) -> None:
    """Each row at random, with replacement: about one in e is not drawn, and every row has the same chance."""
    (weights,) = row_draws(200, 400, seed=1, dtype=dtype)

    assert (weights.shape, weights.dtype) == ((200, 400), dtype)
    assert (weights.sum(axis=0) == 200).all()
    assert (weights == np.round(weights)).all()
    assert (weights == 0).mean() == pytest.approx(1 / np.e, abs=0.01)
    assert weights.mean(axis=1) == pytest.approx(np.ones(200), abs=0.25)  # five standard errors


def test_the_same_seed_gives_the_same_draws_however_many_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """In either precision; another seed gives others."""
    (whole,) = row_draws(50, 30, seed=[7, 8], dtype=np.float32)
    monkeypatch.setattr(draws, "_BYTES", 7 * 50 * 4)
    pieces = list(row_draws(50, 30, seed=[7, 8], dtype=np.float32))
    wide = list(row_draws(50, 30, seed=[7, 8], dtype=np.float64))

    assert [piece.shape[1] for piece in pieces] == [7, 7, 7, 7, 2]
    assert [piece.shape[1] for piece in wide] == [3] * 10
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
    np.testing.assert_array_equal(np.concatenate(wide, axis=1), whole)
    assert (next(row_draws(50, 30, seed=7, dtype=np.float32)) != whole[:, :7]).any()
