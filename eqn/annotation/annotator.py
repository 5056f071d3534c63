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
from eqn.evaluation.conformal import Conformal
from eqn.model.package import Package, read_package

if TYPE_CHECKING:
    import pandas as pd

    from eqn.annotation.back_ends import BackEnd, Computing
    from eqn.model.encoding import Encoded


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
    """Annotates texts with one model on one back end."""

    def __init__(self, package: Package, back_end: "BackEnd") -> None:
        self.package = package
        self._back_end = back_end
        # As float32, like the scores: 0.35 would else be above a score of 0.35.
        self._thresholds = np.array([package.thresholds[name] for name in EMOTIONS], dtype=np.float32)

    def __repr__(self) -> str:
        return f"Annotator({self.package.recipe.get('name')!r}, {self.package.digest[:12]}, {self._back_end.name!r})"

    @classmethod
    def load(cls, path: Path | str, *, back_end: str | None = None, threads: int | None = None) -> "Annotator":
        """Load the package in the directory `path` onto the best device here.

        `back_end` is one of `eqn.annotation.back_ends.NAMES`; without it the first of them that can be used here is
        taken. `threads` computes that many blocks of texts at once, as many as torch uses without it.

        Raises:
            ArtifactRefused: the package is not whole, or not one.
            UsageError: the back end cannot be used here, or not with this package.

        """
        from eqn.annotation.back_ends import BackEnd, assumed_back_end

        package = read_package(Path(path))
        return cls(package, BackEnd(back_end or assumed_back_end(package), package, threads=threads))

    @property
    def name(self) -> str:
        """Give the name of the back end."""
        return self._back_end.name

    @property
    def options(self) -> dict[str, Any]:
        """Give what, beside text and model, can move a score's last digits; part of a job's identity."""
        return self._back_end.options

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
        return self.start(texts, uncertainty=uncertainty).result(report)

    def start(self, texts: Sequence[str], *, uncertainty: bool = False) -> "Pending":
        """Encode `texts` and start to annotate them; several may be under way. Raises what `annotation` raises."""
        if isinstance(texts, str):
            raise TypeError(f"expected a list of texts, got one string; annotate([{texts[:20]!r}...]) is meant")
        conformal = conformal_of(self.package) if uncertainty else None
        encoded = self._back_end.encode(texts)
        return Pending(self, encoded, self._back_end.start(encoded), conformal)

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

    def labels(self, scores: NDArray[np.float32]) -> list[list[str]]:
        """Give the emotions whose intensity reaches its threshold, strongest first, for each row of (texts, 28)."""
        passing = scores >= self._thresholds
        return [
            sorted((EMOTIONS[i] for i in np.flatnonzero(flags)), key=lambda name: -row[EMOTIONS.index(name)])
            for flags, row in zip(passing, scores, strict=True)
        ]


class Pending:
    """Texts that are being annotated."""

    def __init__(
        self, annotator: Annotator, encoded: "Encoded", blocks: "list[Computing]", conformal: Conformal | None
    ) -> None:
        self._annotator, self._encoded, self._blocks, self._conformal = annotator, encoded, blocks, conformal

    def result(self, report: Callable[[int, int], None] | None = None) -> Annotation:
        """Wait for the annotation; `report(texts, tokens)` hears of each block. After an error no more is computed."""
        exact = np.empty((len(self._encoded.ids), len(EMOTIONS)), dtype=np.float32)
        try:
            for computing in self._blocks:
                exact[computing.block.rows] = computing.future.result().numpy()
                if report:
                    report(len(computing.block.rows), computing.block.tokens)
        except BaseException:
            self.cancel()
            raise
        scores = np.round(exact, INTENSITY_DECIMALS)
        return Annotation(
            scores=scores,
            truncated=self._encoded.truncated,
            labels=self._annotator.labels(scores),
            uncertainty=uncertainty_of(exact, self._conformal) if self._conformal else None,
        )

    def cancel(self) -> None:
        """Compute no more blocks than those that were begun."""
        for computing in self._blocks:
            computing.future.cancel()
