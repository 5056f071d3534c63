"""The four figures of a model on a split, as PNG images: what stands in its card and in MLflow.

Needs matplotlib; a machine that only trains may lack it, and there are no figures then. Nothing of matplotlib's state
is touched: no current figure, no settings. The same scores give the same bytes with the same matplotlib.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eqn.emotions import EKMAN, EMOTIONS
from eqn.errors import UsageError
from eqn.evaluation.arrays import Floats
from eqn.evaluation.calibration import BINS, reliability
from eqn.evaluation.metrics import Evaluation
from eqn.model.package import FIGURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _RED, _GREY = "#0072B2", "#D55E00", "#8A8A8A"
"""Colours that people with any colour vision tell apart: Okabe & Ito's, as the groups' below."""
_PALE = "#E4E4E4"
_GROUP_COLOURS = dict(
    zip(EKMAN, ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#0072B2", "#56B4E9", "#8A8A8A"), strict=True)
)
_DPI = 100
_COLUMNS = 7
_STRONG = 0.4
"""Correlations from which the colour is full."""
_SHARES = (0.01, 0.1, 0.5, 1.0)
"""Ticks of shares and scores on axes that show square roots."""


def draw_figures(
    gold: Floats, scores: Floats, evaluation: Evaluation, *, thresholds: Floats, model: str, split: str
) -> dict[str, bytes]:
    """Draw the figures of `scores` against `gold`, both (rows, 28), whose evaluation is given.

    `thresholds` (28,) are those of the labels; `model` and `split` stand in the titles. Gives PNG images by the names
    in `eqn.model.package.FIGURES`, or nothing where matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        return {}
    subject = f"{model} on {split} ({evaluation.n:,} rows)"
    drawn = (
        _emotions(evaluation, subject),
        _reliability(gold, scores, evaluation, subject),
        _intensities(gold, scores, thresholds, subject),
        _correlation(gold, scores, subject),
    )
    return {name: _png(figure) for name, figure in zip(FIGURES, drawn, strict=True)}


def require_drawable(directory: Path) -> None:
    """Check that figures can be drawn here and written to `directory`.

    Raises:
        UsageError: matplotlib is not installed, or something stands in the directory already.

    """
    if find_spec("matplotlib") is None:
        raise UsageError("figures need matplotlib, which is not installed.", todo="Run: pip install matplotlib")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageError(
            f"expected a new or empty directory for the figures; {directory} is none.", todo="Choose another --figures."
        )


def write_figures(figures: Mapping[str, bytes], directory: Path) -> None:
    """Write the images into `directory`, which is made if it is not there."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, image in figures.items():
        (directory / name).write_bytes(image)


def _emotions(evaluation: Evaluation, subject: str) -> "Figure":
    """Draw F1 with its interval, and average precision, as bars; the best emotion on top."""
    order = sorted(EMOTIONS, key=lambda name: evaluation.emotions.labels[name].f1)
    f1 = np.array([evaluation.emotions.labels[name].f1 for name in order])
    ends = np.array([(evaluation.f1_intervals[name].low, evaluation.f1_intervals[name].high) for name in order])
    precision = np.array([evaluation.average_precision[name] for name in order])
    figure = _figure(9.0, 9.2)
    axes = figure.add_axes((0.215, 0.06, 0.755, 0.87))
    places = np.arange(len(order))
    reach = np.maximum(np.stack([f1 - ends[:, 0], ends[:, 1] - f1]), 0)
    axes.barh(places + 0.2, f1, 0.4, color=_BLUE, label="F1, with its 95 % bootstrap interval")
    axes.errorbar(f1, places + 0.2, xerr=reach, fmt="none", ecolor="black", elinewidth=1, capsize=2)
    axes.barh(places - 0.2, np.nan_to_num(precision), 0.4, color=_RED, alpha=0.75, label="average precision")
    rows = [evaluation.emotions.labels[name].support for name in order]
    axes.set_yticks(places, [f"{name} ({count:,})" for name, count in zip(order, rows, strict=True)])
    axes.set(xlim=(0, 1), ylim=(-0.7, len(order) - 0.3), xlabel="F1 and average precision")
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=_PALE)
    _bare(axes)
    axes.legend(loc="lower right", framealpha=1)
    _title(figure, f"F1 and average precision of each emotion: {subject}", "in brackets: rows that carry the emotion")
    return figure


def _reliability(gold: Floats, scores: Floats, evaluation: Evaluation, subject: str) -> "Figure":
    """Draw, for each emotion, the share of a bin's rows that carry it against their mean score."""
    size = len(gold) / BINS

    def panel(axes: "Axes", column: int) -> None:
        bins = reliability(gold[:, column], scores[:, column])
        low, high = _wilson(bins.share, bins.rows)
        axes.plot((0, 1), (0, 1), color=_GREY, linewidth=1)
        axes.vlines(np.sqrt(bins.mean_score), np.sqrt(low), np.sqrt(high), color=_BLUE, linewidth=1)
        axes.scatter(
            np.sqrt(bins.mean_score), np.sqrt(bins.share), s=14 * bins.rows / size, color=_BLUE, zorder=3, clip_on=False
        )
        axes.text(0.05, 0.92, f"ECE {evaluation.calibration_error[EMOTIONS[column]]:.3f}", fontsize=8, va="top")
        axes.set(xlim=(0, 1), ylim=(0, 1))

    ticks = (np.sqrt(_SHARES), [f"{share:g}" for share in _SHARES])
    figure = _panels(panel, xticks=ticks, yticks=ticks)
    _title(
        figure,
        f"Reliability of the intensities: {subject}",
        f"share of rows that carry the emotion (up) against mean intensity (across), in bins of about {size:,.0f} rows "
        "(dot area: rows of the bin; bar: 95 % Wilson interval);\n"
        "on the grey line an intensity is a probability. Both axes show square roots, so that small shares can be "
        f"seen. Mean calibration error (ECE) {evaluation.ece:.4f}.",
    )
    return figure


def _intensities(gold: Floats, scores: Floats, thresholds: Floats, subject: str) -> "Figure":
    """Draw, for each emotion, the intensities of the rows that carry it over those of the others."""
    edges = np.linspace(0, 1, 26)
    top = 10 ** np.ceil(np.log10(max(len(gold), 10)))

    def panel(axes: "Axes", column: int) -> None:
        carried = gold[:, column] > 0
        for rows, colour, alpha in ((~carried, _GREY, 0.6), (carried, _RED, 0.35)):
            counts, _ = np.histogram(scores[rows, column], bins=edges)
            axes.stairs(counts, edges, fill=True, baseline=0.5, color=colour, alpha=alpha)
        axes.stairs(counts, edges, baseline=0.5, color=_RED, linewidth=1.2)
        axes.axvline(float(thresholds[column]), color="black", linewidth=1)
        axes.set(xlim=(0, 1), ylim=(0.5, top), yscale="log")
        axes.minorticks_off()

    powers = 10.0 ** np.arange(0, np.log10(top) + 1)
    figure = _panels(
        panel,
        xticks=([0, 0.5, 1], ["0", "0.5", "1"]),
        yticks=(powers, [f"{power:,.0f}" for power in powers]),
    )
    _title(
        figure,
        f"Intensities by label: {subject}",
        "rows (log) by intensity; orange: rows that carry the emotion, grey: the others; "
        "line: the threshold from which it counts as a label",
    )
    return figure


def _correlation(gold: Floats, scores: Floats, subject: str) -> "Figure":
    """Draw how the emotions go together: in the labels, and in the intensities."""
    figure = _figure(13.0, 7.6)
    group_of = {name: group for group, names in EKMAN.items() for name in names}
    colours = [_GROUP_COLOURS[group_of[name]] for name in EMOTIONS]
    places = np.arange(len(EMOTIONS))
    for left, what, values in ((0.115, "gold labels", gold), (0.525, "predicted intensities", scores)):
        axes = figure.add_axes((left, 0.22, 0.39, 0.65))
        axes.set_facecolor("#BBBBBB")  # seen on the diagonal, and where an emotion never varies
        shown = correlations(values)
        np.fill_diagonal(shown, np.nan)
        image = axes.imshow(np.ma.masked_invalid(shown), cmap="RdBu_r", vmin=-_STRONG, vmax=_STRONG, aspect="auto")
        axes.set_title(what, fontsize=11)
        axes.set_xticks(places, EMOTIONS, rotation=90, fontsize=9)
        axes.set_yticks(places, EMOTIONS if left < 0.5 else [""] * len(EMOTIONS), fontsize=9)
        axes.tick_params(length=0, pad=14)
        axes.scatter(places, np.full(len(places), 28.1), c=colours, marker="s", s=36, clip_on=False)
        axes.scatter(np.full(len(places), -1.1), places, c=colours, marker="s", s=36, clip_on=False)
        axes.set(xlim=(-0.5, 27.5), ylim=(27.5, -0.5))
    bar = figure.colorbar(image, cax=figure.add_axes((0.93, 0.22, 0.014, 0.65)), extend="both")
    bar.set_label("Pearson correlation over the rows")
    handles = [axes.scatter([], [], color=colour, marker="s", s=36) for colour in _GROUP_COLOURS.values()]
    figure.legend(handles, list(_GROUP_COLOURS), loc="lower center", ncols=len(handles), frameon=False)
    _title(
        figure,
        f"Which emotions go together: {subject}",
        "left among the labels, right among the intensities; red: together more often than by chance, blue: less; "
        "squares: the emotion's group after Ekman",
    )
    return figure


def correlations(values: Floats) -> Floats:
    """Give the Pearson correlations between the columns of `values`, (28, 28); NaN for a column that never varies."""
    centred = values - values.mean(axis=0, dtype=np.float64)
    spread = np.sqrt((centred**2).sum(axis=0))
    spread[np.ptp(values, axis=0) == 0] = np.nan
    found: Floats = (centred / spread).T @ (centred / spread)
    return found


def _wilson(share: Floats, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Give the 95 % interval of a share of so many rows (Wilson 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    reach = z / (1 + z**2 / rows) * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return np.clip(middle - reach, 0, 1), np.clip(middle + reach, 0, 1)


def _panels(
    draw: Callable[["Axes", int], None],
    *,
    xticks: tuple[Sequence[float] | Floats, list[str]],
    yticks: tuple[Sequence[float] | Floats, list[str]],
) -> "Figure":
    """Draw a panel for each emotion, all with the same ends, which are labelled at the left and the bottom."""
    rows = -(-len(EMOTIONS) // _COLUMNS)
    figure = _figure(12.0, 7.8)
    for column, name in enumerate(EMOTIONS):
        down, across = divmod(column, _COLUMNS)
        # Panels stand on whole pixels of the 1200 x 780: equal panels are then drawn alike, and pack well.
        place = ((60 + 162 * across) / 1200, (30 + 168 * (rows - 1 - down)) / 780, 144 / 1200, 135 / 780)
        axes = figure.add_axes(place)
        draw(axes, column)
        axes.set_title(name, fontsize=10, pad=3)
        # Lines in all panels, ticks in the outer ones alone: ticks take longer to draw than all the rest.
        axes.vlines(xticks[0], *axes.get_ylim(), color=_PALE, linewidth=0.8, zorder=0)
        axes.hlines(yticks[0], *axes.get_xlim(), color=_PALE, linewidth=0.8, zorder=0)
        axes.set_xticks(*(xticks if down == rows - 1 else ([], [])), fontsize=8)
        axes.set_yticks(*(yticks if across == 0 else ([], [])), fontsize=8)
        _bare(axes)
    return figure


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _title(figure: "Figure", title: str, how: str) -> None:
    """Say at the top what is seen, and below it how to read it."""
    figure.text(0.015, 0.985, title, fontsize=13, fontweight="bold", va="top")
    height = figure.get_size_inches()[1]
    figure.text(0.015, 0.985 - 0.27 / height, how, fontsize=9.5, va="top", color="#333333")


def _bare(axes: "Axes") -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _png(figure: "Figure") -> bytes:
    from PIL.Image import fromarray

    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # nothing is transparent
    image = io.BytesIO()
    fromarray(pixels).save(image, format="png", compress_level=9)
    return image.getvalue()
