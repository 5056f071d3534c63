"""What a behaviour test is made of, in the manner of CheckList (Ribeiro et al., https://aclanthology.org/2020.acl-main.442).

A capability is a promise about many cases: "at least 90 % of name swaps move no intensity by more than 0.1". A case is
one text, or an original and its variants; a judge says of the model's readings of these texts how far within the
promise, or beyond it, they are.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

_SHOWN = 96
"""Characters of the worst example that stand in the table; the failure's message has all of them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What a model makes of one text."""

    intensities: Mapping[str, float]
    """Of the 28 emotions, in [0, 1]."""
    labels: frozenset[str]
    """Emotions that reach their thresholds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """Texts that are judged together."""

    texts: tuple[str, ...]
    """One sentence, or an original and its variants."""
    emotion: str = ""
    """The emotion that the original shows; empty where the judge looks at all 28."""

    def __str__(self) -> str:
        return " -> ".join(map(repr, self.texts))


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of a case."""

    margin: float
    """How far within the promise the case is; negative when it breaks it."""
    told: str
    """What the model did, in short."""

    @property
    def passes(self) -> bool:
        """Whether the case keeps the promise."""
        return self.margin >= 0


Judge = Callable[[Case, Sequence[Reading]], Verdict]
"""Gets the readings of the case's texts, in their order."""


@dataclasses.dataclass(frozen=True, slots=True)
class Capability:
    """A promise about the share of some cases that a judge lets pass."""

    name: str
    promise: str
    """What the share is promised of: "name swaps move no intensity by more than 0.1"."""
    cases: tuple[Case, ...]
    judge: Judge
    least: float
    """The promised share, in [0, 1]: a model below it is not fit for use."""
    wanted: float = 0.0
    """The share that a user would want, where no model reaches it yet; else `least` is all that is wanted."""

    def __str__(self) -> str:
        wanted = f" ({_percent(self.wanted)} wanted)" if self.wanted else ""
        return f"at least {_percent(self.least)}{wanted} of {self.promise}"

    def measure(self, readings: Mapping[str, Reading]) -> "Outcome":
        """Judge every case by the readings of its texts."""
        verdicts = (self.judge(case, [readings[text] for text in case.texts]) for case in self.cases)
        return Outcome(self, tuple(verdicts))


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How well a model keeps a promise."""

    capability: Capability
    verdicts: tuple[Verdict, ...]
    """One for each case, in their order."""

    @property
    def rate(self) -> float:
        """The share of cases that pass, in [0, 1]."""
        return sum(verdict.passes for verdict in self.verdicts) / len(self.verdicts)

    @property
    def is_kept(self) -> bool:
        """Whether at least the promised share passes."""
        return self.rate >= self.capability.least

    @property
    def falls_short(self) -> bool:
        """Whether the promise is kept and yet a user would want more."""
        return self.is_kept and self.rate < self.capability.wanted

    def failing(self) -> list[str]:
        """Tell the cases that do not pass, the worst first."""
        judged = zip(self.capability.cases, self.verdicts, strict=True)
        failing = sorted((verdict.margin, f"{verdict.told}: {case}") for case, verdict in judged if not verdict.passes)
        return [told for _, told in failing]

    def summary(self) -> str:
        """Tell promise and rate in one line."""
        passed = f"{_percent(self.rate, decimals=1)} of {len(self.verdicts)} cases pass"
        return f"promised are {self.capability}; {passed}."

    def __str__(self) -> str:
        return "\n  ".join([f"{self.summary()} Those that do not, the worst first:", *self.failing()])


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Give a head, for each outcome a line with its rate, limits and worst case, and what the marks mean."""
    width = max(len(outcome.capability.name) for outcome in outcomes)
    yield f"{'capability':<{width}}  cases  passed  limit  wanted          worst example"
    for outcome in outcomes:
        capability = outcome.capability
        state = "short" if outcome.falls_short else "kept" if outcome.is_kept else "BROKEN"
        wanted = f"{capability.wanted:.0%}" if capability.wanted else ""
        worst = next(iter(outcome.failing()), "")
        worst = worst if len(worst) <= _SHOWN else f"{worst[: _SHOWN - 3]}..."
        figures = f"{len(outcome.verdicts):>5}  {outcome.rate:>6.1%}  {capability.least:>5.0%}  {wanted:>6}"
        yield f"{capability.name:<{width}}  {figures}  {state:<6}  {worst}".rstrip()
    yield "BROKEN: below the limit; short: above the limit, and below what is wanted."


def _percent(share: float, *, decimals: int = 0) -> str:
    return f"{100 * share:.{decimals}f} %"
