"""The table that compares registered models with each other and with the baselines."""

from eqn.corpus.goemotions import Corpus
from eqn.evaluation.card import COMPARED, comparison_rows
from eqn.evaluation.evaluate import baseline_figures
from eqn.registry.champions import champion_of
from eqn.registry.versions import list_versions
from eqn.settings import Settings


def compared(settings: Settings, corpus: Corpus) -> list[dict[str, str]]:
    """Give the figures on test of every model trained on `corpus` and of the baselines, best macro-F1 first.

    A version that lacks one of the figures, as one registered by another EQN may, is left out.
    """
    rows = list_versions(settings)
    champion = champion_of(rows, settings)
    figures = {
        f"{row.recipe.get('name')}, version {row.version}{' (champion)' if row == champion else ''}": row.metrics[
            "test"
        ]
        for row in rows
        if row.corpus_digest == corpus.ref.digest and row.metrics["test"].keys() >= {*COMPARED.values(), "n"}
    }
    return comparison_rows(figures | dict(baseline_figures(corpus, cache=settings.home / "baselines")))
