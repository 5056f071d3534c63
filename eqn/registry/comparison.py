"""The table that compares registered models with each other and with the baselines."""

from eqn.corpus.goemotions import Corpus
from eqn.evaluation.card import comparison_rows
from eqn.evaluation.evaluate import baseline_figures
from eqn.registry.champions import champion_of
from eqn.registry.versions import list_versions
from eqn.settings import Settings


def compared(settings: Settings, corpus: Corpus) -> list[dict[str, str]]:
    """Give the figures on test of every model trained on `corpus` and of the baselines, best macro-F1 first.

    A version without macro-F1 on test is left out. One that was registered by an earlier EQN may lack other figures.
    """
    rows = list_versions(settings)
    champion = champion_of(rows, settings)
    figures = {
        f"{row.recipe.get('name')}, version {row.version}{' (champion)' if row == champion else ''}": row.metrics[
            "test"
        ]
        for row in rows
        if row.corpus_digest == corpus.ref.digest and "macro_f1" in row.metrics["test"]
    }
    return comparison_rows(figures | dict(baseline_figures(corpus, cache=settings.home / "baselines")))
