"""The one door to the test labels. Whoever opens it reports; nothing is chosen behind it.

Figures on rows that something was chosen by are too good. The corpus keeps the labels of its test split sealed
(`eqn.corpus.goemotions.Split`), and only this file opens them; a test of the architecture holds that. What was measured
on them is on record: `metrics["test"]` stands in a package's eqn.json and in its run in MLflow, and that run counts
every later evaluation of a registered model (`eqn.registry.final_reports`).
"""

from eqn.corpus.goemotions import Corpus, Split


def split_to_report(corpus: Corpus, name: str) -> Split:
    """Give a split with its labels, for a report.

    Raises:
        UsageError: there is no such split.

    """
    split = corpus.split(name)
    return split.opened() if split.sealed else split
