"""The sentences of a page that say what was found. They are the headings: who reads only these knows the result."""

from eqn.emotions import EMOTIONS, INDEX
from eqn.pages.changes import Change
from eqn.pages.tally import BINS, Pair, Tally
from eqn.pages.wording import capitalised, counted, listed, percent
from eqn.records import Drift

NEUTRAL = "neutral"
TOLD = 3
"""Changes that a heading names."""


def by_share(tally: Tally) -> list[str]:
    """Give the emotions, the most frequent label first, of equals the stronger on average; neutral comes last."""
    return sorted(EMOTIONS, key=lambda name: (name == NEUTRAL, -tally.sums.share(name), -tally.sums.mean(name)))


def headline(tally: Tally) -> str:
    """Say which emotions are met most; neutral is none."""
    if not tally.sums.rows:
        return "No text of this release could be used"
    met = [name for name in by_share(tally) if tally.sums.labelled[INDEX[name]] and name != NEUTRAL]
    if not met:
        return "No emotion stands out in these texts"
    return f"{capitalised(listed(met[:2]))} {'are' if len(met) > 1 else 'is'} met most in these texts"


def overall(tally: Tally) -> str:
    """Say how many texts are positive, and how many negative."""
    if not tally.sums.rows:
        return "There is nothing to draw: no text was annotated"
    rows, groups = tally.sums.rows, tally.groups
    positive, negative = (percent(groups[group] / rows) for group in ("positive", "negative"))
    return f"{positive} of the texts carry a positive emotion, {negative} a negative one"


def strength(tally: Tally) -> str:
    """Say how many of all intensities are near 0."""
    low = int(tally.histogram[:, : BINS // 10].sum()) / max(int(tally.histogram.sum()), 1)
    return f"Strong feelings are the exception: {percent(low)} of all intensities are below 0.1"


def together(found: list[Pair]) -> str:
    """Say which emotions come together most, beyond chance."""
    if not found:
        return "No two emotions come together often enough to tell"
    first = found[0]
    return f"{capitalised(first.first)} and {first.second} come together {times(first.lift)} as often as by chance"


def times(factor: float) -> str:
    """Give a factor as people say it.

    >>> times(1.24), times(12.4)
    ('1.2 times', '12 times')
    """
    return f"{factor:.0f} times" if factor >= 10 else f"{factor:.1f} times"


def change(found: list[Change], previous: int) -> str:
    """Say what there is more and less of than in the release before."""
    told = [one for one in found if one.notable][:TOLD]
    more = [one.emotion for one in told if one.difference > 0]
    less = [one.emotion for one in told if one.difference < 0]
    said = [f"{word} {listed(names)}" for word, names in (("more", more), ("less", less)) if names]
    if not said:
        return f"As much of every emotion as in release {previous}, within chance"
    return f"{capitalised(', '.join(said))} than in release {previous}"


def drift(found: Drift) -> str:
    """Say how many measures are beyond their limits."""
    measures = [measure for comparison in found.comparisons for measure in comparison.measures]
    beyond = sum(measure.breached for measure in measures)
    if not measures:
        return "Nothing could be compared."
    if not beyond:
        return f"None of {counted(len(measures), 'measure')} is beyond its limit: the texts are of the same kind."
    return f"{beyond:,} of {counted(len(measures), 'measure')} {'is' if beyond == 1 else 'are'} beyond the limit."


def quarantine(rows_in: int, rows_quarantined: int) -> str:
    """Say how many rows could not be used."""
    if not rows_quarantined:
        return "Every row could be used"
    return f"{rows_quarantined:,} of {counted(rows_in, 'row')} could not be used"
