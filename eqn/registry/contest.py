"""A candidate beside the champion, on the same rows: what a person looks at before saying yes or no.

Both are measured on the dev split of one corpus, whatever they were registered with. Nothing is decided here.
"""

from collections.abc import Mapping
from pathlib import Path

from eqn.corpus.goemotions import Corpus
from eqn.emotions import EMOTIONS
from eqn.evaluation.evaluate import Measured, measure_package
from eqn.evaluation.intervals import paired_difference
from eqn.records import Contest, EmotionContest, Gain, ModelRef
from eqn.registry.champions import leases_of, read_situation
from eqn.registry.promotion import DevMetrics, chosen_candidate
from eqn.registry.resolution import fetch
from eqn.registry.training_run import measure_on
from eqn.settings import Settings

_SPLIT = "dev"
"""The test split decides nothing."""


def hold_contest(candidate: int | None, settings: Settings, corpus: Corpus) -> Contest:
    """Measure the candidate (default: the challenger, else the newest version) and the champion on `corpus`.

    Raises:
        UsageError: there is no such version, or none at all.
        ArtifactRefused: the files of one of the two are not the ones that were registered.

    """
    situation = read_situation(leases_of(settings), settings)
    version = chosen_candidate(situation.rows, candidate, settings).version
    champion = situation.champion.version if situation.champion else None
    ours = _measured(version, settings, corpus)
    theirs = _measured(champion, settings, corpus) if champion and champion != version else None
    return Contest(
        candidate=version,
        champion=champion if theirs else None,
        corpus=corpus.ref.name,
        corpus_digest=corpus.ref.digest,
        rows=len(ours.gold),
        candidate_figures=ours.evaluation.summary(),
        champion_figures=theirs.evaluation.summary() if theirs else {},
        gains=_gains(ours, theirs) if theirs else {},
        emotions=_emotions(ours, theirs) if theirs else (),
    )


def figures_of(contest: Contest, corpus: Corpus) -> DevMetrics:
    """Give the measurement that `promote` needs: what the contest measured, and new figures of any other version."""
    known: dict[int | None, Mapping[str, float]] = {
        contest.candidate: contest.candidate_figures,
        contest.champion: contest.champion_figures,
    }
    measure = measure_on(corpus)

    def dev_metrics(model: ModelRef) -> Mapping[str, float]:
        return known.get(model.version) or measure(model)

    return dev_metrics


def _measured(version: int, settings: Settings, corpus: Corpus) -> Measured:
    from eqn.model.package import read_package

    return measure_package(read_package(Path(fetch(version, settings).path)), corpus, _SPLIT)


def _gains(ours: Measured, theirs: Measured) -> dict[str, Gain]:
    found = paired_difference(ours.gold, (ours.scores, ours.thresholds), (theirs.scores, theirs.thresholds))
    return {name: Gain(gain.value, gain.interval.low, gain.interval.high) for name, gain in found.items()}


def _emotions(ours: Measured, theirs: Measured) -> tuple[EmotionContest, ...]:
    pairs = [
        (name, ours.evaluation.emotions.labels[name], theirs.evaluation.emotions.labels[name]) for name in EMOTIONS
    ]
    compared = [EmotionContest(name, our.support, our.f1, their.f1) for name, our, their in pairs]
    return tuple(sorted(compared, key=lambda emotion: -emotion.gain))
