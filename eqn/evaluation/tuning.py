"""What a trained network gets from dev: calibrated intensities, thresholds, and the limits of the conformal sets.

Dev's first half chooses the thresholds, its second half calibrates; see `eqn.evaluation.halves`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eqn.emotions import EMOTIONS
from eqn.evaluation.arrays import Floats
from eqn.evaluation.conformal import Conformal, fit_conformal
from eqn.evaluation.halves import halves
from eqn.evaluation.recalibration import Recalibration, fit_recalibration
from eqn.evaluation.thresholds import choose_calibrated_thresholds, choose_thresholds


@dataclasses.dataclass(frozen=True, slots=True)
class Tuned:
    """The choices of one network."""

    recalibration: Recalibration | None
    """None where the outputs are no log odds and stay as they are."""
    thresholds: NDArray[np.float64]
    """(28,)."""
    conformal: Conformal
    rows: int
    """Calibrating rows."""

    def calibration_facts(self) -> dict[str, Any]:
        """Give what a package says of its calibration."""
        if self.recalibration is None:
            return {}
        return {
            "method": "sigmoid(scale * output + shift), part of the head",
            "rows": self.rows,
            "scale": _by_emotion(self.recalibration.scale),
            "shift": _by_emotion(self.recalibration.shift),
        }

    def conformal_facts(self) -> dict[str, Any]:
        """Give what a package says of its conformal sets."""
        return dataclasses.asdict(self.conformal)


def tune(ids: Sequence[str], gold: Floats, outputs: Floats, *, log_odds: bool) -> Tuned:
    """Choose on dev: its `ids`, labels and the head's outputs, both (rows, 28).

    `log_odds` says that the outputs are the log odds of intensities; else they are clipped to be intensities.
    """
    parts = halves(ids)
    calibrating, choosing = parts.calibrating, parts.choosing
    if log_odds:
        recalibration = fit_recalibration(gold[calibrating], outputs[calibrating])
        scores = recalibration.intensities(outputs)
        thresholds = choose_calibrated_thresholds(gold[choosing], scores[choosing], like=scores)
    else:
        recalibration, scores = None, np.clip(outputs, 0, 1)
        thresholds = choose_thresholds(gold[choosing], scores[choosing])
    return Tuned(
        recalibration=recalibration,
        thresholds=thresholds,
        conformal=fit_conformal(gold[calibrating], scores[calibrating]),
        rows=len(calibrating),
    )


def _by_emotion(values: NDArray[np.float64]) -> Mapping[str, float]:
    return dict(zip(EMOTIONS, values.tolist(), strict=True))
