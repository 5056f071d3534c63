"""The annotator: a model package that answers texts with intensities.

>>> annotator = Annotator.load(Path("model"))                          # doctest: +SKIP
>>> annotator.annotate(["I can't stop smiling"])[["joy", "labels"]]    # doctest: +SKIP
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eqn.annotation.uncertainty import CONFORMAL_COLUMN, ENTROPY_COLUMN, Uncertainty, conformal_of, uncertainty_of
from eqn.corpus.contract import INTENSITY_DECIMALS
from eqn.emotions import EMOTIONS
from eqn.model.package import Package, load_network, read_package

if TYPE_CHECKING:
    import pandas as pd

    from eqn.model.scoring import Scorer


@dataclasses.dataclass(frozen=True, slots=True)
class Annotation:
    """Intensities of some texts, in their order."""

    scores: NDArray[np.float32]
    """(texts, 28) in [0, 1], rounded to 4 decimals."""
    truncated: list[bool]
    """Whether the text was longer than the model reads."""
    labels: list[list[str]]
    """Emotions whose intensity reaches their threshold, strongest first."""
    uncertainty: Uncertainty | None = None
    """Where it was asked for."""


class Annotator:
    """Annotates texts with one model on one device."""

    def __init__(self, package: Package, scorer: "Scorer") -> None:
        self.package = package
        self._scorer = scorer
        # As float32, like the scores: 0.35 would else be above a score of 0.35.
        self._thresholds = np.array([package.thresholds[name] for name in EMOTIONS], dtype=np.float32)

    def __repr__(self) -> str:
        return (
            f"Annotator({self.package.recipe.get('name')!r}, {self.package.digest[:12]}, {self.options['precision']})"
        )

    @classmethod
    def load(cls, path: Path | str) -> "Annotator":
        """Load the package in the directory `path` onto the best device here.

        Raises:
            ArtifactRefused: the package is not whole, or not one.

        """
        from eqn.model.network import best_device, fast_precision
        from eqn.model.scoring import Scorer

        package = read_package(Path(path))
        network, tokenizer = load_network(package)
        device = best_device()
        network.to(device)
        scorer = Scorer(network, tokenizer, max_tokens=package.max_tokens, precision=fast_precision(device))
        return cls(package, scorer)

    @property
    def options(self) -> dict[str, Any]:
        """Give what, beside text and model, can move a score's last digits; part of a job's identity."""
        return {
            "back_end": f"torch {self._scorer.device.type}",
            "precision": str(self._scorer.precision).removeprefix("torch."),
            "batches": str(self._scorer.plan),
        }

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give the intensities of `texts`, (texts, 28) in [0, 1], rounded to 4 decimals."""
        return self.annotation(texts).scores

    def annotation(
        self,
        texts: Sequence[str],
        *,
        uncertainty: bool = False,
        report: Callable[[int, int], None] | None = None,
    ) -> Annotation:
        """Annotate `texts`, with their uncertainty if wanted; `report(texts, tokens)` hears of each finished batch.

        Raises:
            TypeError: `texts` is one string, whose letters would be taken for texts.
            UsageError: `uncertainty` of a model that brings no limits for conformal sets.

        """
        if isinstance(texts, str):
            raise TypeError(f"expected a list of texts, got one string; annotate([{texts[:20]!r}...]) is meant")
        conformal = conformal_of(self.package) if uncertainty else None
        encoded = self._scorer.encode(texts)
        exact = self._scorer.scores(encoded, report=report)
        scores = np.round(exact, INTENSITY_DECIMALS)
        return Annotation(
            scores=scores,
            truncated=encoded.truncated,
            labels=self._labels(scores),
            uncertainty=uncertainty_of(exact, conformal) if conformal else None,
        )

    def annotate(self, texts: Sequence[str], *, uncertainty: bool = False) -> "pd.DataFrame":
        """Annotate `texts` into a DataFrame: text, the 28 intensities, labels, truncated. Needs pandas.

        With `uncertainty` the columns entropy and conformal follow, as `eqn.annotation.uncertainty` defines them.
        Raises what `annotation` raises.
        """
        import pandas as pd

        done = self.annotation(texts, uncertainty=uncertainty)
        frame = pd.DataFrame(done.scores, columns=list(EMOTIONS))
        frame.insert(0, "text", list(texts))
        frame = frame.assign(labels=done.labels, truncated=done.truncated)
        if done.uncertainty is None:
            return frame
        found = {ENTROPY_COLUMN: done.uncertainty.entropy, CONFORMAL_COLUMN: done.uncertainty.conformal}
        return frame.assign(**found)

    def _labels(self, scores: NDArray[np.float32]) -> list[list[str]]:
        passing = scores >= self._thresholds
        return [
            sorted((EMOTIONS[i] for i in np.flatnonzero(flags)), key=lambda name: -row[EMOTIONS.index(name)])
            for flags, row in zip(passing, scores, strict=True)
        ]
