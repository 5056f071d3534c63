"""The table that compares registered models with each other and with the baselines."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from eqn.corpus.goemotions import Corpus, load_corpus
from eqn.emotions import EMOTIONS, MEANINGS
from eqn.evaluation.card import COMPARED
from eqn.evaluation.evaluate import baseline_figures
from eqn.records import ModelRef
from eqn.registry.champions import set_champion
from eqn.registry.comparison import compared
from eqn.registry.connection import connect
from eqn.registry.versions import list_versions
from eqn.settings import Settings

Register = Callable[..., ModelRef]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    folder = tmp_path / "small"
    folder.mkdir()
    for split in ("train", "dev", "test"):
        lines = [
            f"a comment of {split}: {MEANINGS[name]}\t{label}\t{split}-{label}\n" for label, name in enumerate(EMOTIONS)
        ]
        (folder / f"{split}.tsv").write_text("".join(lines), "utf-8")
    return load_corpus(folder)


@pytest.fixture
def registered(settings: Settings, trained: Register, corpus: Corpus) -> Register:
    """Give a function that registers a version of `corpus` with these figures on test."""
    client: Any = connect(settings)

    def register(figures: Mapping[str, float], *, recipe: str = "eqn", digest: str = corpus.ref.digest) -> ModelRef:
        model = trained(recipe=recipe)
        tags = {f"eqn.test.{name}": str(value) for name, value in figures.items()} | {"eqn.corpus_digest": digest}
        for name, value in tags.items():
            client.set_model_version_tag("eqn", str(model.version), name, value)
        return model

    return register


def figures_of(macro_f1: float) -> dict[str, float]:
    """Give a whole set of figures."""
    return dict.fromkeys(COMPARED.values(), 0.25) | {"macro_f1": macro_f1, "n": 28.0}


def test_models_and_baselines_stand_in_one_table(settings: Settings, registered: Register, corpus: Corpus) -> None:
    """Best macro-F1 first, the champion marked, every figure by its head."""
    registered(figures_of(0.999), recipe="eqn")
    registered(figures_of(0.998), recipe="plain")
    set_champion(2, settings)

    rows = compared(settings, corpus)
    baselines = baseline_figures(corpus, cache=settings.home / "baselines")
    assert [row["model"] for row in rows[:2]] == ["eqn, version 1", "plain, version 2 (champion)"]
    assert {row["model"] for row in rows[2:]} == set(baselines) == {"prior", "TF-IDF + logistic"}
    assert [row["macro F1"] for row in rows[:2]] == ["0.999", "0.998"]
    assert all("[" in row["macro F1"] and "[" in row["mAP"] and row["ECE"] != "-" for row in rows[2:])
    assert all(row.keys() == {"model", *COMPARED, "rows"} for row in rows)
    assert all(row["rows"] == "28" for row in rows)
    assert json.dumps(rows)


def test_only_models_of_the_same_corpus_are_compared(settings: Settings, registered: Register, corpus: Corpus) -> None:
    """Figures on other data say nothing."""
    registered(figures_of(0.999), digest="0" * 64)

    assert {row["model"] for row in compared(settings, corpus)} == {"prior", "TF-IDF + logistic"}


def test_a_version_of_an_earlier_eqn_is_shown_with_what_it_has(
    settings: Settings, registered: Register, corpus: Corpus
) -> None:
    """Version 0.1.0 measured no intervals and no calibration error."""
    older = {name: value for name, value in figures_of(0.999).items() if name != "ece"}
    registered(older)
    (version,) = list_versions(settings)
    assert "ece" not in version.metrics["test"]

    row = next(row for row in compared(settings, corpus) if row["model"] == "eqn, version 1")

    assert (row["macro F1"], row["mAP"], row["ECE"], row["rows"]) == ("0.999", "0.250", "-", "28")


def test_a_version_without_macro_f1_is_left_out(settings: Settings, registered: Register, corpus: Corpus) -> None:
    """One that was registered by other means does not break the table."""
    registered({})
    client: Any = connect(settings)
    client.set_model_version_tag("eqn", "1", "eqn.test", "{}")
    (row,) = list_versions(settings)

    assert "macro_f1" not in row.metrics["test"]
    assert {entry["model"] for entry in compared(settings, corpus)} == {"prior", "TF-IDF + logistic"}


def test_without_a_model_there_are_the_baselines(settings: Settings, corpus: Corpus) -> None:
    """What a first model will have to beat."""
    rows = compared(settings, corpus)

    best = [float(row["macro F1"].split()[0]) for row in rows]
    assert best == sorted(best, reverse=True)
    assert len(rows) == 2
