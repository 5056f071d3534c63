"""Whether a candidate becomes champion. Pure: figures in, a decision with its reasons out.

All metrics are the dev split's; the test split decides nothing. Reading the figures and moving the alias is the work
of `eqn.registry.promotion`.

A policy that asks for a gain of 0.002 in macro_f1, a candidate with 0.412 and a champion with 0.400 give
"macro_f1 0.4120 against the champion's 0.4000: a gain of 0.012, enough where 0.002 is asked for."
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Protocol

from eqn.records import Decision

LOWER_IS_BETTER = frozenset({"brier"})

_ROUNDING = 1e-9
"""Differences below this are noise of binary fractions: 0.102 - 0.1 must count as a gain of 0.002."""


class Policy(Protocol):
    """What `eqn.settings.PromotionPolicy` offers; named here so that the rules need no settings."""

    @property
    def primary(self) -> str:
        """The metric that must improve; higher is better."""

    @property
    def least_gain(self) -> float:
        """By how much it must improve at least."""

    @property
    def guards(self) -> Mapping[Any, float]:
        """Per metric, by how much a candidate may be worse."""

    @property
    def least_train_share(self) -> float:
        """Least share of the champion's training rows."""


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """What one registered version brings to the comparison."""

    version: int
    metrics: Mapping[str, float]
    """The dev split's."""
    train_rows: int


@dataclasses.dataclass(frozen=True, slots=True)
class _Verdict:
    """One rule's outcome."""

    holds: bool
    sentence: str


def decide(candidate: Standing, champion: Standing | None, policy: Policy) -> Decision:
    """Decide whether `candidate` replaces `champion`, with one sentence for each rule, the deciding one first.

    Figures that are missing or no numbers never win: a tie, a NaN or a regression keeps the champion. A champion whose
    own primary figure is no number loses to any candidate whose figures are.
    """
    verdicts = _verdicts(candidate, champion, policy)
    promote = all(verdict.holds for verdict in verdicts)
    deciding_first = sorted(verdicts, key=lambda verdict: verdict.holds)
    return Decision(
        promote=promote,
        reasons=tuple(verdict.sentence for verdict in deciding_first),
        candidate=candidate.version,
        champion=champion.version if champion else None,
    )


def _verdicts(candidate: Standing, champion: Standing | None, policy: Policy) -> list[_Verdict]:
    """Apply the rules in the order of their weight; one that makes the others meaningless stands alone."""
    finite = _is_finite(candidate, policy)
    if not finite.holds:
        return [finite]
    if champion is None:
        return [_Verdict(holds=True, sentence=f"There is no champion yet, and {finite.sentence}")]
    theirs = _figure(champion, policy.primary)
    if not math.isfinite(theirs):
        lost = f"The champion's {policy.primary} is {theirs}, which is no result, and {finite.sentence}"
        return [_Verdict(holds=True, sentence=lost)]
    guards = [_is_not_worse(candidate, champion, name, allowed) for name, allowed in policy.guards.items()]
    return [_gains(candidate, champion, policy), *guards, _saw_enough(candidate, champion, policy)]


def _is_finite(candidate: Standing, policy: Policy) -> _Verdict:
    figures = {name: _figure(candidate, name) for name in (policy.primary, *policy.guards)}
    broken = [name for name, value in figures.items() if not math.isfinite(value)]
    shown = ", ".join(f"{name} {_shown(candidate, name)}" for name in broken or figures)
    if broken:
        return _Verdict(holds=False, sentence=f"The candidate has no result for {shown}.")
    return _Verdict(holds=True, sentence=f"the candidate's figures are finite: {shown}.")


def _gains(candidate: Standing, champion: Standing, policy: Policy) -> _Verdict:
    ours, theirs = _figure(candidate, policy.primary), _figure(champion, policy.primary)
    gain = ours - theirs
    # A tie keeps the champion even where the policy asks for no gain at all.
    holds = gain > _ROUNDING and gain >= policy.least_gain - _ROUNDING
    return _Verdict(
        holds=holds,
        sentence=f"{policy.primary} {ours:.4f} against the champion's {theirs:.4f}: a gain of {gain:.3g}, "
        f"{'enough' if holds else 'not enough'} where {policy.least_gain:g} is asked for.",
    )


def _is_not_worse(candidate: Standing, champion: Standing, name: str, allowed: float) -> _Verdict:
    ours, theirs = _figure(candidate, name), _figure(champion, name)
    if not math.isfinite(theirs):
        return _Verdict(holds=True, sentence=f"{name} {ours:.4f}; the champion has no result to compare it with.")
    loss = ours - theirs if name in LOWER_IS_BETTER else theirs - ours
    holds = loss <= allowed + _ROUNDING
    change = f"worse by {loss:.3g}" if loss > 0 else f"better by {-loss:.3g}" if loss < 0 else "the same"
    return _Verdict(
        holds=holds,
        sentence=f"{name} {ours:.4f} against the champion's {theirs:.4f}: {change}, "
        f"{'within' if holds else 'beyond'} the {allowed:g} that a candidate may lose.",
    )


def _saw_enough(candidate: Standing, champion: Standing, policy: Policy) -> _Verdict:
    holds = candidate.train_rows >= policy.least_train_share * champion.train_rows
    return _Verdict(
        holds=holds,
        sentence=f"Trained on {candidate.train_rows} rows against the champion's {champion.train_rows}: "
        f"{'at least' if holds else 'less than'} the share of {policy.least_train_share:g} that is asked for.",
    )


def _figure(standing: Standing, name: str) -> float:
    return standing.metrics.get(name, math.nan)


def _shown(standing: Standing, name: str) -> str:
    value = standing.metrics.get(name)
    if value is None:
        return "(missing)"
    return f"{value:.4f}" if math.isfinite(value) else f"({value})"
