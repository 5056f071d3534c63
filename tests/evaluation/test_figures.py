"""Promises about the figures: real images, always the same bytes, nothing of matplotlib's state touched."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eqn.emotions import EMOTIONS
from eqn.errors import UsageError
from eqn.evaluation.figures import correlations, draw_figures, require_drawable, write_figures
from eqn.evaluation.metrics import evaluate_scores
from eqn.model.package import FIGURES

HALVES = np.full(28, 0.5)


def drawn(seed: int = 0, *, rows: int = 60) -> dict[str, bytes]:
    """Draw the figures of random scores; grief stands in no row, and pride has one score for all."""
    draw = np.random.default_rng(seed)
    gold = (draw.random((rows, 28)) < 0.2).astype(np.float32)
    gold[:, EMOTIONS.index("grief")] = 0
    scores = draw.random((rows, 28)).astype(np.float32)
    scores[:, EMOTIONS.index("pride")] = 0.25
    evaluation = evaluate_scores(gold, scores, thresholds=HALVES, prior=HALVES, resamples=20)
    return draw_figures(gold, scores, evaluation, thresholds=HALVES, model="toy", split="test")


@pytest.fixture(scope="module")
def figures() -> dict[str, bytes]:
    return drawn()


def test_there_are_the_four_images_that_a_package_may_hold(figures: dict[str, bytes]) -> None:
    """PNG, of a size that is read on a page, of many colours, without a date or the name of a program."""
    assert tuple(figures) == FIGURES
    for name, content in figures.items():
        image: Any = Image.open(io.BytesIO(content))
        assert image.format == "PNG"
        assert 700 < image.width < 1500, name
        assert 700 < image.height < 1500, name
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50, name
        assert image.info.keys() <= {"dpi"}
        assert len(content) < 150_000


def test_the_same_scores_give_the_same_bytes(figures: dict[str, bytes]) -> None:
    """And others give others, in every image."""
    again, other = drawn(), drawn(1)
    assert again == figures
    assert all(other[name] != figures[name] for name in FIGURES)


def test_drawing_leaves_matplotlib_as_it_was(figures: dict[str, bytes]) -> None:
    """A notebook's own figures and settings are nobody else's business."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    drawn(2, rows=1)  # a single row, too, can be drawn
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_without_matplotlib_there_are_no_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Training goes on; who asks for figures is told."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # Python's own mark of a module that cannot be imported
    assert drawn() == {}
    with pytest.raises(UsageError, match="matplotlib"):
        require_drawable(tmp_path / "new")


def test_figures_are_written_where_nothing_stands(tmp_path: Path, figures: dict[str, bytes]) -> None:
    """Into a new or empty directory: a package that they were written into would no longer be what it says it is."""
    for folder in (tmp_path / "new" / "one", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        require_drawable(folder)
        write_figures(figures, folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == figures
        with pytest.raises(UsageError, match="expected a new or empty directory"):
            require_drawable(folder)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="expected a new or empty directory"):
        require_drawable(tmp_path / "file")


def test_correlations_equal_numpys() -> None:
    """Where a column never varies there is none, and no warning."""
    values = np.random.default_rng(3).random((50, 28)).astype(np.float32)
    np.testing.assert_allclose(correlations(values), np.corrcoef(values.T.astype(float)), atol=1e-12)
    values[:, 4] = 0.1
    found = correlations(values)
    assert np.isnan(found[4]).all()
    assert np.isnan(found[:, 4]).all()
    assert np.isfinite(np.delete(np.delete(found, 4, axis=0), 4, axis=1)).all()
