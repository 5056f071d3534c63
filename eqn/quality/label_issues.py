"""Training rows whose labels are probably wrong, ranked, each with the labels that it should rather have. Pure.

    issues = find_label_issues(corpus.train.targets(), scores)      # scores out of fold: see out_of_fold.py

Which labels are doubtful is confident learning's verdict, as cleanlab gives it for each emotion by itself: a row that
has an emotion and scores like the rows without it, or the other way round. It knows how high the rows of each emotion
score on average, so an emotion that models find hard is not doubted everywhere.

What is done with these verdicts suits 28 sparse labels, 1.2 in a row:

- A row's quality is the geometric mean of two: its least credible label (the score as a share of what rows with this
  label score on average, at most 1) and its likeliest missing one (1 - score). A row comes first when something speaks
  against a label and for another. cleanlab's own average over all labels puts rows with many labels first; without the
  share, rare emotions come first, whose every score is low.
- A row keeps at least one label: where nothing would be left, the emotion that scores highest stands in.

The list is to be read from its top by a person. It is no list of errors: how many there are is not known from scores.
"""

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from eqn.emotions import EMOTIONS

if TYPE_CHECKING:  # importing this needs no numpy
    import numpy as np
    from numpy.typing import NDArray

Change = Literal["remove", "add", "stand-in"]


@dataclasses.dataclass(frozen=True, slots=True)
class LabelChange:
    """One label that a row should lose or get."""

    label: str
    change: Change
    """`stand-in`: it is added only because no label would be left, and it scores highest."""
    score: float
    """The row's out-of-fold score for it, in [0, 1]."""
    typical: float
    """What the rows that have this label score on average, in [0, 1]."""

    def __str__(self) -> str:
        compared = f"scores {self.score:.2f}, rows with it {self.typical:.2f} on average"
        if self.change == "stand-in":
            return f"{self.label}: no other is left, and it scores highest, {self.score:.2f}"
        return f"{'not ' * (self.change == 'remove')}{self.label}: {compared}"


@dataclasses.dataclass(frozen=True, slots=True)
class LabelIssue:
    """A row whose labels are doubtful. Labels stand in canonical order."""

    row: int
    """Its place in the split, from 0."""
    quality: float
    """In [0, 1]: the lower, the more doubtful."""
    given: tuple[str, ...]
    suggested: tuple[str, ...]
    """Never the same as `given`; at least one."""
    scores: tuple[float, ...]
    """Of the suggested labels, in [0, 1]."""
    changes: tuple[LabelChange, ...]


def find_label_issues(targets: "NDArray[Any]", scores: "NDArray[Any]") -> tuple[LabelIssue, ...]:
    """Find the rows whose labels are doubtful, the most doubtful ones first. Needs cleanlab.

    Args:
        targets: the labels, (rows, 28) of 0 and 1, at least one in each row.
        scores: out-of-fold scores of the same rows, (rows, 28) in [0, 1].

    Raises:
        ValueError: the arrays are not as they must be.

    """
    import numpy as np

    if targets.shape != scores.shape or targets.ndim != 2 or targets.shape[1] != len(EMOTIONS):
        raise ValueError(f"expected two arrays of {len(EMOTIONS)} columns; got {targets.shape} and {scores.shape}")
    if not (np.isin(targets, (0, 1)).all() and ((scores >= 0) & (scores <= 1)).all()):
        raise ValueError("expected targets of 0 and 1, and scores in [0, 1]")
    given, scores = targets.astype(bool), scores.astype(np.float64)
    if not given.any(axis=1).all():
        raise ValueError("expected at least one label in each row")
    doubted, typical = _verdicts(given, scores)
    suggested: NDArray[np.bool_] = np.logical_xor(given, doubted)
    emptied: NDArray[np.bool_] = suggested.sum(axis=1) == 0
    suggested[emptied, scores[emptied].argmax(axis=1)] = True
    quality = _quality(given, scores, typical)
    changed = np.flatnonzero((given != suggested).any(axis=1))
    ranked = changed[quality[changed].argsort(kind="stable")]
    return tuple(
        LabelIssue(
            row=int(row),
            quality=float(quality[row]),
            given=_names(given[row]),
            suggested=_names(suggested[row]),
            scores=tuple(scores[row, suggested[row]].tolist()),
            changes=tuple(
                LabelChange(
                    label=EMOTIONS[label],
                    change="remove" if given[row, label] else "stand-in" if emptied[row] else "add",
                    score=float(scores[row, label]),
                    typical=float(typical[label]),
                )
                for label in np.flatnonzero(given[row] != suggested[row])
            ),
        )
        for row in ranked
    )


def _verdicts(given: "NDArray[np.bool_]", scores: "NDArray[np.float64]") -> "tuple[NDArray[np.bool_], NDArray[Any]]":
    """Give which labels are doubted, (rows, 28), and what the rows with each emotion score on average, (28)."""
    import numpy as np
    from cleanlab.count import get_confident_thresholds
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class

    doubted, typical = np.zeros_like(given), np.ones(len(EMOTIONS))
    varied = np.flatnonzero(given.any(axis=0) & ~given.all(axis=0))  # an emotion of no row, or of all, cannot be judged
    if len(varied):
        labels = [np.flatnonzero(row).tolist() for row in given[:, varied]]
        doubted[:, varied] = find_multilabel_issues_per_class(
            labels, scores[:, varied], filter_by="confident_learning", n_jobs=1
        )
        typical[varied] = get_confident_thresholds(labels, scores[:, varied], multi_label=True)[:, 1]
    return doubted, typical


def _quality(
    given: "NDArray[np.bool_]", scores: "NDArray[np.float64]", typical: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    """Give each row's quality, (rows) in [0, 1]."""
    import numpy as np

    worst_given = np.where(given, np.minimum(scores / typical, 1), 1).min(axis=1)
    worst_missing = np.where(given, 1, 1 - scores).min(axis=1)
    quality: NDArray[np.float64] = np.sqrt(worst_given * worst_missing)
    return quality


def _names(mask: "NDArray[np.bool_]") -> tuple[str, ...]:
    return tuple(name for name, chosen in zip(EMOTIONS, mask, strict=True) if chosen)
