"""How sure a model is of a text: predictive entropy, and the conformal set of emotions with its stated coverage.

Both come from the intensities before they are rounded. The entropy takes each of the 28 as the probability of a yes or
no: H(p) = -p log2 p - (1 - p) log2(1 - p) bits (Shannon, A Mathematical Theory of Communication, 1948, section 6),
averaged over the emotions. It is 0 where the model is certain of all of them, and 1 where each is a coin toss. The
limits of the sets are the package's own; see `eqn.evaluation.conformal`.
"""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eqn.corpus.contract import INTENSITY_DECIMALS
from eqn.emotions import EMOTIONS
from eqn.errors import UsageError
from eqn.evaluation.arrays import Floats
from eqn.evaluation.conformal import Conformal

if TYPE_CHECKING:
    from eqn.model.package import Package

ENTROPY_COLUMN = "entropy"
CONFORMAL_COLUMN = "conformal"
COLUMN_MEANINGS = {
    ENTROPY_COLUMN: "mean over the 28 emotions of the binary entropy of the intensity, in bits: 0 where the model is "
    "certain of all, 1 where each is a coin toss",
    CONFORMAL_COLUMN: "the text's conformal set: emotions whose intensity reaches the model's limit for them, in the "
    "order of the columns",
}
"""The columns that are written on request, and what they hold."""


@dataclasses.dataclass(frozen=True, slots=True)
class Uncertainty:
    """How sure a model is of some texts, in their order."""

    entropy: NDArray[np.float32]
    """(texts,) in [0, 1] bits, rounded to 4 decimals."""
    conformal: list[list[str]]
    """The emotions in each text's conformal set, in canonical order."""


def uncertainty_of(scores: Floats, conformal: Conformal) -> Uncertainty:
    """Tell from intensities as the network gave them, `scores` (texts, 28), how sure it is."""
    entropy = np.round(mean_entropy(scores), INTENSITY_DECIMALS).astype(np.float32)
    sets = [[EMOTIONS[i] for i in np.flatnonzero(row)] for row in conformal.sets(scores)]
    return Uncertainty(entropy=entropy, conformal=sets)


def mean_entropy(scores: Floats) -> NDArray[np.float64]:
    """Give the mean binary entropy in bits, (texts,) in [0, 1], of probabilities `scores` (texts, 28)."""
    probability = np.asarray(scores, dtype=np.float64)
    bits: NDArray[np.float64] = 0.0 - _times_its_log(probability) - _times_its_log(1.0 - probability)
    return np.asarray(bits.mean(axis=1))


def conformal_of(package: "Package") -> Conformal:
    """Give the limits of the conformal sets that `package` brings.

    Raises:
        UsageError: it brings none.

    """
    if not package.conformal:
        raise UsageError(
            f"expected a model with limits for conformal sets, which the option uncertainty needs; {package.path} has "
            "none: it was trained by an earlier EQN, or imported without data.",
            todo="Train it again (or import it again with --data), or leave the option out.",
        )
    return Conformal(**package.conformal)


def promise(conformal: Conformal) -> str:
    """Say what the conformal sets promise, and for which emotions they promise nothing."""
    said = (
        f"Of the texts that carry an emotion, at least {100 * conformal.coverage:g} % have it in their set: on "
        "average over the rows that the limits come from, and for texts of the same kind."
    )
    if conformal.without:
        rare = ", ".join(conformal.without)
        said += f" Nothing is promised for {rare}: too few of those rows carry them, and no set holds them."
    return said


def _times_its_log(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give x log2 x, which is 0 at 0."""
    logs = np.zeros_like(share)
    np.log2(share, out=logs, where=share > 0)
    return share * logs
