"""A challenger beside the champion, in words: the artifact, and the question above the form that a person answers."""

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact

from eqn.records import Contest, Decision, EmotionContest
from flows.reports import safe

_FIGURES = {"macro F1": "macro_f1", "mAP": "map", "micro F1": "micro_f1", "Brier": "brier"}
_MOST_EMOTIONS = 3


def show_contest(contest: Contest) -> None:
    """Publish the challenger beside the champion."""
    create_markdown_artifact(table_of(contest), key="champion-contest", description="Challenger and champion")


def table_of(contest: Contest) -> str:
    """Give a contest as Markdown."""
    ours, theirs = contest.candidate_figures, contest.champion_figures
    champion = f"version {contest.champion}" if contest.champion else "none"
    lines = [
        f"On the {contest.rows:,} rows of {safe(contest.corpus)}'s dev split:\n",
        f"| figure | challenger, version {contest.candidate} | champion, {champion} | difference | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for head, key in _FIGURES.items():
        gain = contest.gains.get(key)
        between = f"{gain.low:+.4f} to {gain.high:+.4f}" if gain else ""
        other = f"{theirs[key]:.4f} | {ours[key] - theirs[key]:+.4f}" if key in theirs else " | "
        lines.append(f"| {head} | {ours[key]:.4f} | {other} | {between} |")
    if contest.emotions:
        lines += ["", "F1 of each emotion, the largest gain first:\n"]
        lines += ["| emotion | rows | challenger | champion | difference |", "|---|---|---|---|---|"]
        lines += [
            f"| {emotion.emotion} | {emotion.rows} | {emotion.candidate:.3f} | {emotion.champion:.3f} "
            f"| {emotion.gain:+.3f} |"
            for emotion in contest.emotions
        ]
    return "\n".join(lines)


def question_about(contest: Contest, decision: Decision, *, days: int) -> str:
    """Give the words above the form. Prefect shows no tables there."""
    champion = f"instead of version {decision.champion}" if decision.champion else "as the first one"
    lines = [
        f"## Does version {decision.candidate} become champion, {champion}?\n",
        f"Measured on the {contest.rows:,} rows of {safe(contest.corpus)}'s dev split:\n",
        *(f"- {head} {_against(contest, key)}" for head, key in _FIGURES.items()),
    ]
    if contest.emotions:
        best, worst = contest.emotions[:_MOST_EMOTIONS], contest.emotions[::-1][:_MOST_EMOTIONS]
        lines.append(f"- F1 gains most on {_named(best)}; least on {_named(worst)}")
    lines.append("\nThe whole table is an artifact of this run, `champion-contest`.")
    lines.append(f"Without an answer within {days} days the champion stays, and this run ends as failed.\n")
    lines += [f"- {safe(reason)}" for reason in decision.reasons]
    return "\n".join(lines)


def _against(contest: Contest, key: str) -> str:
    """Give a figure of the challenger beside the champion's."""
    ours = contest.candidate_figures[key]
    if key not in contest.champion_figures:
        return f"{ours:.4f}"
    theirs, gain = contest.champion_figures[key], contest.gains.get(key)
    between = f", 95 % interval {gain.low:+.4f} to {gain.high:+.4f}" if gain else ""
    return f"{ours:.4f} against the champion's {theirs:.4f}: {ours - theirs:+.4f}{between}"


def _named(emotions: Sequence[EmotionContest]) -> str:
    return ", ".join(f"{emotion.emotion} ({emotion.gain:+.3f})" for emotion in emotions)
