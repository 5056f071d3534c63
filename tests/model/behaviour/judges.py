"""Judges of cases: what invariance, direction and minimum functionality mean in figures."""

from collections.abc import Sequence

from tests.model.behaviour.capability import Case, Judge, Reading, Verdict


def moves_at_most(limit: float, *, but: str = "") -> Judge:
    """Let a pair pass when no intensity, `but`'s aside, differs by more than `limit`."""

    def judge(_: Case, readings: Sequence[Reading]) -> Verdict:
        moved, told = _largest_move(*readings, but=but)
        return Verdict(limit - moved, told)

    return judge


def moves_more_than(limit: float) -> Judge:
    """Let a pair pass when some intensity differs by more than `limit`: the opposite of `moves_at_most`."""

    def judge(_: Case, readings: Sequence[Reading]) -> Verdict:
        moved, told = _largest_move(*readings)
        return Verdict(moved - limit, told)

    return judge


def keeps_labels(*, but: str = "") -> Judge:
    """Let a pair pass when both texts have the same labels, `but` aside."""

    def judge(_: Case, readings: Sequence[Reading]) -> Verdict:
        before, after = (reading.labels - {but} for reading in readings)
        return Verdict(-float(len(before ^ after)), f"{_listed(before)}, then {_listed(after)}")

    return judge


def rises_by(step: float) -> Judge:
    """Let a pair pass when the emotion's intensity rises by `step` or more; a negative step tolerates a fall."""

    def judge(case: Case, readings: Sequence[Reading]) -> Verdict:
        before, after = (reading.intensities[case.emotion] for reading in readings)
        return Verdict(after - before - step, f"{case.emotion} {before:.2f} -> {after:.2f}")

    return judge


def falls_by(step: float) -> Judge:
    """Let a pair pass when the emotion's intensity falls by `step` or more."""

    def judge(case: Case, readings: Sequence[Reading]) -> Verdict:
        before, after = (reading.intensities[case.emotion] for reading in readings)
        return Verdict(before - after - step, f"{case.emotion} {before:.2f} -> {after:.2f}")

    return judge


def rises_on_average(step: float, *, high: float) -> Judge:
    """Let a case pass when the variants' mean intensity of the emotion rises by `step`, or is at least `high`.

    An intensity of 0.98 says "as strong as it gets" already: its last hundredth has no direction.
    """

    def judge(case: Case, readings: Sequence[Reading]) -> Verdict:
        before, *variants = (reading.intensities[case.emotion] for reading in readings)
        after = sum(variants) / len(variants)
        margin = max(after - before - step, after - high)
        return Verdict(margin, f"{case.emotion} {before:.2f} -> {after:.2f} on average")

    return judge


def among_strongest(places: int) -> Judge:
    """Let a sentence pass when its emotion is among the `places` strongest."""

    def judge(case: Case, readings: Sequence[Reading]) -> Verdict:
        (reading,) = readings
        ranked = sorted(reading.intensities, key=lambda name: -reading.intensities[name])
        # Equals rank behind all of each other: a model that answers every text alike must not win by the alphabet.
        place = sum(value >= reading.intensities[case.emotion] for value in reading.intensities.values())
        return Verdict(float(places - place), f"{case.emotion} has place {place}, {ranked[0]} the first")

    return judge


def has_label(*, most: int) -> Judge:
    """Let a sentence pass when its emotion is among its labels, which are `most` at most: naming all is no reading."""

    def judge(case: Case, readings: Sequence[Reading]) -> Verdict:
        (reading,) = readings
        intensity, found = reading.intensities[case.emotion], len(reading.labels)
        margin = intensity - 1 if case.emotion not in reading.labels else 0.0 if found <= most else -1.0
        return Verdict(margin, f"{case.emotion} {intensity:.2f}, {_listed(reading.labels)}")

    return judge


def mostly(judge: Judge, *, share: float) -> Judge:
    """Let several sentences pass when `judge` lets `share` of them pass, one by one."""

    def judged(case: Case, readings: Sequence[Reading]) -> Verdict:
        verdicts = [
            judge(Case((text,), case.emotion), [reading]) for text, reading in zip(case.texts, readings, strict=True)
        ]
        passed = sum(verdict.passes for verdict in verdicts)
        return Verdict(passed / len(verdicts) - share, f"{case.emotion} in {passed} of {len(verdicts)}")

    return judged


def _largest_move(before: Reading, after: Reading, *, but: str = "") -> tuple[float, str]:
    moves = {name: abs(after.intensities[name] - value) for name, value in before.intensities.items() if name != but}
    name = max(moves, key=lambda name: moves[name])
    return moves[name], f"{name} {before.intensities[name]:.2f} -> {after.intensities[name]:.2f}"


def _listed(labels: frozenset[str]) -> str:
    return f"labelled {', '.join(sorted(labels)) or 'nothing'}"
