"""What several raters say together about each comment, and how far each rater agrees with the others.

    quality = rater_quality(read_judgements(paths), corpus.train.ids, scores)       # scores out of fold

cleanlab's CROWDLAB weighs raters and model for one question with one answer. A comment has 28 such questions, one for
each emotion: does it speak from this text? Each is asked by itself, and what comes out is put together here.

The consensus is the majority's; where raters are divided the out-of-fold scores decide. It is not CROWDLAB's own "best
quality" consensus, which lets the model overrule a single rater: most comments of GoEmotions have one rater here, the
emotions are rare, and it would drop most of what was labelled (of 500 votes for annoyance, 98 were left).

Only comments that several people rated tell raters apart. The figures say how many those are.
"""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused

if TYPE_CHECKING:  # importing this needs no numpy
    import numpy as np
    from numpy.typing import NDArray

    from eqn.corpus.judgements import Judgements


@dataclasses.dataclass(frozen=True, slots=True)
class Consensus:
    """What the raters of one comment say together."""

    id: str
    raters: int
    labels: tuple[str, ...]
    """The emotions that most of them chose; maybe none."""
    quality: float
    """In [0, 1]: how sure the least sure of the 28 answers is, from raters and scores together."""
    weakest: str
    """The emotion of that answer."""
    agreement: float | None
    """In [0, 1]: of the emotions that any of them chose, the mean share of raters who answer as the consensus does.

    None with one rater, or when nobody chose any.
    """


@dataclasses.dataclass(frozen=True, slots=True)
class Rater:
    """How one rater compares with the others."""

    rater: str
    comments: int
    """Comments that this person rated."""
    shared: int
    """Those that others rated too: what the rest of this record rests on, but for a part of `quality`."""
    quality: float | None
    """In [0, 1]: CROWDLAB's, mean of the 28 questions; None when nothing is shared.

    Nearly all answers are no, so that all raters' figures are high: they only compare raters.
    """
    confirmed: float | None
    """Of the labels this rater gave to shared comments, the share that another rater gave too. None without any."""


@dataclasses.dataclass(frozen=True, slots=True)
class RaterQuality:
    """The figures of some rater-level files, as far as there are scores of their comments."""

    comments: int
    """Comments that were rated and have scores."""
    shared: int
    """Those with several raters."""
    left_out: int
    """Rated comments without scores: those of other splits, and those that are in none."""
    consensus: tuple[Consensus, ...]
    """The least sure first."""
    raters: tuple[Rater, ...]
    """The lowest quality first; those of whom nothing is known last."""


def rater_quality(judgements: "Judgements", ids: Sequence[str], scores: "NDArray[Any]") -> RaterQuality:
    """Compare the raters of the comments that have scores. Needs cleanlab.

    Args:
        judgements: who chose what.
        ids: ids of the comments that have scores.
        scores: their out-of-fold scores, (ids, 28) in [0, 1].

    Raises:
        DataRefused: no comment with scores has several raters.

    """
    import numpy as np

    places = {name: place for place, name in enumerate(ids)}
    scored = np.array([name in places for name in judgements.ids], bool)
    kept, chosen = scored[judgements.comment], np.flatnonzero(scored)
    present, rater = np.unique(judgements.rater[kept], return_inverse=True)
    rated = _Rated(
        ids=[judgements.ids[place] for place in chosen],
        raters=[judgements.raters[place] for place in present],
        comment=np.searchsorted(chosen, judgements.comment[kept]),
        rater=rater,
        labels=judgements.labels[kept],
    )
    counts = rated.counts()
    if not (counts > 1).any():
        raise DataRefused(
            f"expected comments that several people rated; none of the {len(chosen):,} with scores has more than one.",
            todo="Give more of the rater-level files.",
        )
    own = scores[[places[name] for name in rated.ids]].astype(np.float64)
    answers = [_crowdlab(rated, label, own[:, label]) for label in range(len(EMOTIONS))]
    return RaterQuality(
        comments=len(chosen),
        shared=int((counts > 1).sum()),
        left_out=int((~scored).sum()),
        consensus=_consensus(rated, answers),
        raters=_raters(rated, answers),
    )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Rated:
    """The judgements of comments that have scores; only these comments, and only raters who judged one of them."""

    ids: list[str]
    raters: list[str]
    comment: "NDArray[np.int64]"
    """(judgements) place in `ids`."""
    rater: "NDArray[np.int64]"
    """(judgements) place in `raters`."""
    labels: "NDArray[np.bool_]"
    """(judgements, 28)"""

    def counts(self) -> "NDArray[np.int64]":
        """Give the number of raters of each comment."""
        import numpy as np

        return np.bincount(self.comment, minlength=len(self.ids))

    def votes(self) -> "NDArray[np.int64]":
        """Give the number of votes for each emotion, (comments, 28)."""
        import numpy as np

        votes = np.zeros((len(self.ids), len(EMOTIONS)), np.int64)
        np.add.at(votes, self.comment, self.labels)
        return votes


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """What CROWDLAB makes of one question."""

    label: "NDArray[np.bool_]"
    """(comments) the consensus."""
    quality: "NDArray[np.float64]"
    """(comments) how sure it is, in [0, 1]."""
    agreement: "NDArray[np.float64]"
    """(comments) share of the raters who answer so."""
    rater: "NDArray[np.float64]"
    """(raters) in [0, 1]; NaN for those who share no comment."""


def _crowdlab(rated: _Rated, label: int, scores: "NDArray[np.float64]") -> _Answer:
    import numpy as np
    from cleanlab.multiannotator import get_label_quality_multiannotator

    table = np.full((len(rated.ids), len(rated.raters)), np.nan)
    table[rated.comment, rated.rater] = rated.labels[:, label]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about raters who share no comment, and emotions that nobody chose
        found = get_label_quality_multiannotator(
            table,
            np.stack([1 - scores, scores], axis=1),
            consensus_method="majority_vote",
            return_detailed_quality=False,
            verbose=False,
        )
    comments, raters = found["label_quality"], found["annotator_stats"].sort_index()
    return _Answer(
        label=comments["consensus_label"].to_numpy().astype(bool),
        quality=comments["consensus_quality_score"].to_numpy(),
        agreement=comments["annotator_agreement"].to_numpy(),
        rater=raters["annotator_quality"].to_numpy(),
    )


def _consensus(rated: _Rated, answers: Sequence[_Answer]) -> tuple[Consensus, ...]:
    import numpy as np

    labels = np.stack([answer.label for answer in answers], axis=1)
    quality = np.stack([answer.quality for answer in answers], axis=1)
    agreement = np.stack([answer.agreement for answer in answers], axis=1)
    counts, chosen, worst = rated.counts(), rated.votes() > 0, quality.argmin(axis=1)
    agreement = np.where(chosen, agreement, np.nan)
    return tuple(
        Consensus(
            id=rated.ids[place],
            raters=int(counts[place]),
            labels=tuple(EMOTIONS[label] for label in np.flatnonzero(labels[place])),
            quality=float(quality[place, worst[place]]),
            weakest=EMOTIONS[worst[place]],
            agreement=float(np.nanmean(agreement[place])) if counts[place] > 1 and chosen[place].any() else None,
        )
        for place in quality.min(axis=1).argsort(kind="stable")
    )


def _raters(rated: _Rated, answers: Sequence[_Answer]) -> tuple[Rater, ...]:
    import numpy as np

    shared = rated.counts()[rated.comment] > 1
    confirmed = rated.labels & (rated.votes()[rated.comment] > 1)

    def per_rater(amounts: "NDArray[Any]") -> "NDArray[Any]":
        return np.bincount(rated.rater, amounts, minlength=len(rated.raters))

    comments, several = per_rater(np.ones(len(shared))), per_rater(shared)
    given, agreed = per_rater(shared * rated.labels.sum(axis=1)), per_rater(shared * confirmed.sum(axis=1))
    quality = np.stack([answer.rater for answer in answers], axis=1).mean(axis=1)
    found = (
        Rater(
            rater=name,
            comments=int(comments[place]),
            shared=int(several[place]),
            quality=float(quality[place]) if several[place] else None,
            confirmed=float(agreed[place] / given[place]) if given[place] else None,
        )
        for place, name in enumerate(rated.raters)
    )
    return tuple(sorted(found, key=lambda one: (one.quality is None, one.quality or 0.0, one.rater)))
