"""The annotator: a model package that answers texts with intensities.

>>> annotator = eqn.load("champion")                                     # doctest: +SKIP
>>> annotator.annotate(["I can't stop smiling"])[["joy", "labels"]]      # doctest: +SKIP
>>> annotator.annotate(frame, text="body")                               # doctest: +SKIP
>>> for row in annotator.stream(line.rstrip() for line in sys.stdin):    # doctest: +SKIP
...     print(row["labels"])
"""

import collections
import contextlib
import dataclasses
import html
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eqn.annotation.tables import annotated, require_texts, texts_in
from eqn.annotation.uncertainty import CONFORMAL_COLUMN, ENTROPY_COLUMN, Uncertainty, conformal_of, uncertainty_of
from eqn.corpus.contract import INTENSITY_DECIMALS, LABELS_COLUMN, TEXT_COLUMN, TRUNCATED_COLUMN
from eqn.emotions import EMOTIONS
from eqn.errors import UsageError
from eqn.evaluation.conformal import Conformal
from eqn.model.package import Package, read_package

if TYPE_CHECKING:
    from eqn.model.back_ends import BackEnd, Computing
    from eqn.model.encoding import Encoded

GROUP = 8192
"""Texts that are encoded at once; the next group is encoded while one is computed."""


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

    def __repr__(self) -> str:
        return f"Annotation({len(self.labels):,} texts, {sum(self.truncated):,} truncated)"

    def rows(self, texts: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Give each text's annotation as plain values: text, the 28 intensities, labels, truncated.

        Where there is uncertainty, entropy and conformal follow.
        """
        # By way of float64: 0.9812 as float32 would read 0.9811999797821045.
        scores = np.round(self.scores.astype(np.float64), INTENSITY_DECIMALS).tolist()
        for row, text in enumerate(texts):
            said = {TEXT_COLUMN: text} | dict(zip(EMOTIONS, scores[row], strict=True))
            said |= {LABELS_COLUMN: self.labels[row], TRUNCATED_COLUMN: self.truncated[row]}
            if self.uncertainty is not None:
                said[ENTROPY_COLUMN] = round(float(self.uncertainty.entropy[row]), INTENSITY_DECIMALS)
                said[CONFORMAL_COLUMN] = self.uncertainty.conformal[row]
            yield said


_Groups = Generator[tuple[list[str], Annotation], None, None]
"""Texts and their annotation, group by group."""


class Annotator:
    """Annotates texts with one model on one back end."""

    def __init__(self, package: Package, back_end: "BackEnd") -> None:
        self.package = package
        self._back_end = back_end
        # As float32, like the scores: 0.35 would else be above a score of 0.35.
        self._thresholds = np.array([package.thresholds[name] for name in EMOTIONS], dtype=np.float32)

    def __repr__(self) -> str:
        return f"Annotator({self.package.recipe.get('name')!r}, {self.package.digest[:12]}, {self._back_end.name!r})"

    def _repr_html_(self) -> str:
        """Show the model in a notebook."""
        macro_f1 = self.package.metrics.get("dev", {}).get("macro_f1")
        facts = {
            "model": self.package.recipe.get("name"),
            "digest": self.package.digest[:12],
            "back end": self.name,
            "longest text": f"{self.package.max_tokens} tokens",
            "macro F1 on dev": "not measured" if macro_f1 is None else f"{macro_f1:.3f}",
        }
        rows = (f"<tr><th>{name}</th><td>{html.escape(str(said))}</td></tr>" for name, said in facts.items())
        return f"<table>{''.join(rows)}</table>"

    @classmethod
    def load(cls, path: Path | str, *, back_end: str | None = None, threads: int | None = None) -> "Annotator":
        """Load the package in the directory `path` onto the best device here.

        `back_end` is one of `eqn.model.back_ends.NAMES`; without it the first of them that can be used here is
        taken. `threads` computes that many blocks of texts at once, as many as torch uses without it.

        Raises:
            ArtifactRefused: the package is not whole, or not one.
            UsageError: the back end cannot be used here, or not with this package.

        """
        from eqn.model.back_ends import BackEnd, assumed_back_end

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

    def pooled(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give the vector of each text that its intensities are made of, (texts, width)."""
        return self._back_end.pooled(texts)

    def annotation(
        self,
        texts: Sequence[str],
        *,
        uncertainty: bool = False,
        report: Callable[[int, int], None] | None = None,
    ) -> Annotation:
        """Annotate `texts`, with their uncertainty if wanted; `report(texts, tokens)` hears of each finished batch.

        Raises:
            TypeError: `texts` is one string, whose letters would be taken for texts, or some text is none.
            UsageError: `uncertainty` of a model that brings no limits for conformal sets.

        """
        return self.start(texts, uncertainty=uncertainty).result(report)

    def start(self, texts: Sequence[str], *, uncertainty: bool = False) -> "Pending":
        """Encode `texts` and start to annotate them; several may be under way. Raises what `annotation` raises."""
        texts = texts_in(texts)
        conformal = conformal_of(self.package) if uncertainty else None
        encoded = self._back_end.encode(texts)
        return Pending(self, encoded, self._back_end.start(encoded), conformal)

    def annotate(self, data: Any, *, text: str = TEXT_COLUMN, uncertainty: bool = False) -> Any:
        """Annotate what a notebook holds, and give the same with the annotation beside it.

        Texts in a list, tuple or pandas Series give a DataFrame: text, the 28 intensities, labels, truncated. A pandas
        DataFrame, a pyarrow Table or a datasets.Dataset, whose texts are in the column `text`, gives a new one: its own
        columns, then the 28 intensities, labels, truncated. Its own keep their names, but for those that would stand
        there twice (see `eqn.annotation.columns`). Needs the library of what is given, pandas for a list.

        With `uncertainty` the columns entropy and conformal follow, as `eqn.annotation.uncertainty` defines them.

        Raises:
            TypeError: `data` is nothing of this kind, or some text is none; their rows are named.
            UsageError: there is no such column, or `uncertainty` of a model that brings no limits.
            DataRefused: two columns would end up with one name.

        """
        return annotated(
            data,
            text,
            lambda texts: self._annotation_in_groups(texts, uncertainty=uncertainty),
            uncertainty=uncertainty,
        )

    def stream(self, texts: Iterable[str], *, batch: int = 1024, uncertainty: bool = False) -> Iterator[dict[str, Any]]:
        """Annotate texts as they come, in their order: text, the 28 intensities, labels, truncated of each.

        `batch` texts are read and computed together; while that is done the next ones are read, and no more than that
        is ever held. Whoever stops early (`close`) stops the computing.

        Raises:
            TypeError: `texts` is one string, or, once it is reached, a text is none.
            UsageError: `batch` is below 1, or `uncertainty` of a model that brings no limits.

        """
        if batch < 1:
            raise UsageError(f"expected a batch of at least 1 text, got {batch}.")
        if isinstance(texts, str):
            texts_in(texts)
        if uncertainty:
            conformal_of(self.package)
        return self._rows(self._groups(iter(texts), batch, uncertainty=uncertainty))

    @staticmethod
    def _rows(groups: _Groups) -> Generator[dict[str, Any], None, None]:
        with contextlib.closing(groups):
            for texts, done in groups:
                yield from done.rows(texts)

    def _annotation_in_groups(self, texts: list[str], *, uncertainty: bool) -> Annotation:
        if len(texts) <= GROUP:
            return self.annotation(texts, uncertainty=uncertainty)
        parts = [done for _, done in self._groups(iter(texts), GROUP, uncertainty=uncertainty)]
        return _joined(parts)

    def _groups(self, texts: Iterator[str], size: int, *, uncertainty: bool) -> _Groups:
        """Annotate texts in groups of `size`, the next one under way while one is waited for."""
        under_way: collections.deque[tuple[list[str], Pending]] = collections.deque()
        read = 0
        try:
            while group := require_texts(list(itertools.islice(texts, size)), first=read):
                read += len(group)
                under_way.append((group, self.start(group, uncertainty=uncertainty)))
                if len(under_way) > 1:
                    before, pending = under_way.popleft()
                    yield before, pending.result()
            while under_way:
                before, pending = under_way.popleft()
                yield before, pending.result()
        finally:  # nobody wants the rest
            for _, pending in under_way:
                pending.cancel()

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


def _joined(parts: Sequence[Annotation]) -> Annotation:
    """Put annotations, at least one, behind each other."""
    uncertainties = [part.uncertainty for part in parts if part.uncertainty is not None]
    return Annotation(
        scores=np.concatenate([part.scores for part in parts]),
        truncated=[mark for part in parts for mark in part.truncated],
        labels=[labels for part in parts for labels in part.labels],
        uncertainty=Uncertainty(
            entropy=np.concatenate([found.entropy for found in uncertainties]),
            conformal=[names for found in uncertainties for names in found.conformal],
        )
        if uncertainties
        else None,
    )
