"""Promises about the model card."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import yaml

from eqn.emotions import EMOTIONS, MEANINGS
from eqn.evaluation.card import COMPARED, comparison_rows, figure_rows, model_card
from eqn.evaluation.metrics import Evaluation, evaluate_scores
from eqn.model.package import FIGURES, Description

BASELINE = {
    "macro_f1": 0.111, "micro_f1": 0.222, "ekman_macro_f1": 0.333, "sentiment_macro_f1": 0.444, "map": 0.555,
    "brier": 0.0666, "brier_skill": -0.777, "n": 40.0,
}  # fmt: skip
"""As version 0.1.0 wrote them: without intervals and calibration error."""
DESCRIPTION = Description(
    thresholds={name: 0.11 + number / 50 for number, name in enumerate(EMOTIONS)},
    max_tokens=96,
    pooling="mean",
    training_key="f" * 64,
    recipe={"name": "toy", "pooling": "mean", "epochs": 2, "seed": 7},
    backbone={"name": "tiny", "digest": "b" * 64},
    corpus={"name": "readable", "digest": "c" * 64, "rows": {"train": 12_345, "dev": 678, "test": 40}},
    metrics={},
)


@pytest.fixture
def measured() -> Evaluation:
    """An evaluation in which one emotion stands in no row."""
    draw = np.random.default_rng(0)
    gold = (draw.random((40, 28)) < 0.2).astype(np.float32)
    gold[:, EMOTIONS.index("grief")] = 0
    return evaluate_scores(gold, draw.random((40, 28)), thresholds=np.full(28, 0.5), prior=gold.mean(axis=0))


@pytest.fixture
def shown_card(measured: Evaluation) -> str:
    return model_card(DESCRIPTION, "test", measured, {"a baseline": BASELINE})


def _tables(card: str) -> list[list[list[str]]]:
    """Give every Markdown table's rows of cells, without the line under its head."""
    tables: list[list[list[str]]] = [[]]
    for line in card.splitlines():
        if not line.startswith("|"):
            tables += [[]] if tables[-1] else []
        elif not line.startswith("|---"):
            tables[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    return [table for table in tables if table]


def test_the_card_shows_every_emotion_with_its_meaning_and_figures(shown_card: str, measured: Evaluation) -> None:
    """One row each, in canonical order, with the threshold and the figures of that emotion."""
    head, *rows = next(table for table in _tables(shown_card) if table[0][0] == "emotion")
    assert head[:4] == ["emotion", "meaning", "rows", "threshold"]
    assert [row[:2] for row in rows] == [[name, MEANINGS[name]] for name in EMOTIONS]
    for row in rows:
        name, figures = row[0], measured.emotions.labels[row[0]]
        expected = [DESCRIPTION.thresholds[name], figures.precision, figures.recall]
        assert int(row[2]) == figures.support
        assert [float(cell) for cell in row[3:6]] == pytest.approx(expected, abs=0.005)
        ends = measured.f1_intervals[name]
        assert row[6] == f"{figures.f1:.3f} [{ends.low:.3f}, {ends.high:.3f}]"
        assert float(row[8]) == pytest.approx(measured.calibration_error[name], abs=0.0005)


def test_an_emotion_that_no_row_carries_does_not_break_the_card(shown_card: str, measured: Evaluation) -> None:
    """Its average precision is not defined, and said so; the mean over the others is a number."""
    (line,) = [line for line in shown_card.splitlines() if line.startswith("| grief ")]
    assert line.split("|")[-3].strip() == "nan"
    assert math.isfinite(measured.map)
    assert shown_card.count("nan") == 1 + shown_card.count("finance")


def test_the_card_compares_the_model_with_the_baselines(shown_card: str, measured: Evaluation) -> None:
    """Best macro-F1 first, each figure under its own head."""
    head, *rows = next(table for table in _tables(shown_card) if table[0][0] == "model")
    assert head == ["model", *COMPARED, "rows"]
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["a baseline"] == ["0.111", "0.222", "0.333", "0.444", "0.555", "0.0666", "-0.777", "-", "-", "40"]
    ends = measured.intervals["macro_f1"]
    assert by_name["this model (toy)"][0] == f"{measured.emotions.macro_f1:.3f} [{ends.low:.3f}, {ends.high:.3f}]"
    ours = dict(zip(head[1:], by_name["this model (toy)"], strict=True))
    assert (ours["ECE"], ours["ECE of 10"]) == (f"{measured.ece:.4f}", f"{measured.ece_10:.4f}")
    assert ours["ECE"] != ours["ECE of 10"]
    best = [float(row[1].split()[0]) for row in rows]
    assert best == sorted(best, reverse=True)


def test_the_card_shows_the_groups_figures(shown_card: str, measured: Evaluation) -> None:
    """28 emotions, Ekman's groups and sentiments, each with its own figures."""
    _, *rows = next(table for table in _tables(shown_card) if table[0][0] == "groups")
    expected = [measured.emotions.macro_f1, measured.ekman.macro_f1, measured.sentiment.macro_f1]
    assert [float(row[3]) for row in rows] == pytest.approx(expected, abs=0.0005)


def test_the_card_says_where_the_model_comes_from_and_what_it_is_not_for(shown_card: str) -> None:
    """Data, backbone, recipe and digests; language, biases, and the people it must not judge."""
    for words in ("`readable`", "12,345 comments", "678 others", "`tiny`", "at most\n96 tokens", "c" * 64, "b" * 64):
        assert words in shown_card
    for words in ("English only", "Not a judgement of people", "diagnosis"):
        assert words in shown_card
    assert ["seed", "7"] in next(table for table in _tables(shown_card) if table[0][0] == "field")


def test_the_card_of_a_final_report_says_that_test_took_no_part(shown_card: str) -> None:
    """How many rows the figures come from, under the split's name."""
    assert "The figures below come from 40 that took no part." in shown_card
    assert "## Figures on test" in shown_card
    assert "dev" not in shown_card.split("## Figures on test", maxsplit=1)[0]


def test_the_card_of_an_experiment_says_that_its_figures_are_too_good(measured: Evaluation) -> None:
    """They are of rows that something was chosen by; the baselines, measured on test, do not stand beside them."""
    card = model_card(DESCRIPTION, "dev", measured, {"a baseline": BASELINE})
    assert "come from these rows as well, and are too good for that: the test labels were not read" in card
    assert "## Figures on dev" in card
    for words in ("took no part", "a baseline", "Figures on test"):
        assert words not in card
    _, *rows = next(table for table in _tables(card) if table[0][0] == "model")
    assert [row[0] for row in rows] == ["this model (toy)"]


CALIBRATED = dataclasses.replace(DESCRIPTION, calibration={"method": "a map", "rows": 1_339, "scale": {}, "shift": {}})


def test_the_card_says_what_an_intensity_means(measured: Evaluation) -> None:
    """Of a calibrated model, and on how many rows that rests; of any other it claims nothing of the kind."""
    card = " ".join(model_card(CALIBRATED, "test", measured, {}).split())
    for words in ("## What an intensity means", "about 8 in 10 carry it", "`a map`", "fitted on 1,339 dev rows"):
        assert words in card
    assert "the other half calibrated the intensities" in card
    other = model_card(DESCRIPTION, "test", measured, {})
    assert "What an intensity means" not in other
    assert "calibrated" not in other


@pytest.mark.parametrize("rare", [(), ("grief",), ("grief", "pride")])
def test_the_card_says_what_the_conformal_sets_promise(measured: Evaluation, rare: tuple[str, ...]) -> None:
    """The share, and by name and number of rows the emotions for which there is no promise."""
    limits = {name: 0.2 for name in EMOTIONS if name not in rare}
    rows = dict.fromkeys(EMOTIONS, 50) | {"grief": 4, "pride": 7}
    description = dataclasses.replace(DESCRIPTION, conformal={"coverage": 0.9, "limits": limits, "rows": rows})
    card = " ".join(model_card(description, "test", measured, {}).split())
    assert "## Conformal sets" in card
    assert "90% or more have it in their set" in card
    assert ("Nothing is promised for" in card) == bool(rare)
    for name, number in (("grief", 4), ("pride", 7)):
        assert (f"{name} ({number})" in card) == (name in rare)
    assert "Conformal" not in model_card(DESCRIPTION, "test", measured, {})


@pytest.mark.parametrize(
    ("corpus", "words"), [("goemotions", ("Reddit", "Rare emotions")), ("sample", ("For trying things out",))]
)
def test_the_card_says_what_its_corpus_does_to_a_model(
    measured: Evaluation, corpus: str, words: tuple[str, ...]
) -> None:
    """Whose voices the comments are, where that is known."""
    description = dataclasses.replace(DESCRIPTION, corpus={**DESCRIPTION.corpus, "name": corpus})

    card = model_card(description, "test", measured, {})

    assert all(word in card for word in words)


def test_the_cards_head_is_the_yaml_that_hubs_read(shown_card: str) -> None:
    """Language, licence and tags between the first two lines of dashes."""
    empty, head, _ = shown_card.split("---\n", 2)
    values: dict[str, Any] = yaml.safe_load(head)
    assert empty == ""
    assert (values["language"], values["license"], values["pipeline_tag"]) == (
        "en",
        "apache-2.0",
        "text-classification",
    )


def test_a_table_of_models_is_sorted_by_macro_f1() -> None:
    """The best model stands first, whatever order they came in."""
    figures = {name: BASELINE | {"macro_f1": f1} for name, f1 in (("b", 0.2), ("a", 0.1), ("c", 0.3))}
    assert [row["model"] for row in comparison_rows(figures)] == ["c", "b", "a"]


def test_a_table_shows_intervals_where_they_are_known() -> None:
    """Of macro F1 and mAP; a model that was measured without them stands in the same table, with a dash for the ECE."""
    ends = {"macro_f1_low": 0.1, "macro_f1_high": 0.1239, "map_low": 0.5, "map_high": 0.6, "micro_f1_low": 0.2}
    new, old = comparison_rows({"new": BASELINE | ends | {"ece": 0.01234, "ece_10": 0.004321}, "old": BASELINE})
    assert (new["macro F1"], new["mAP"], new["micro F1"]) == ("0.111 [0.100, 0.124]", "0.555 [0.500, 0.600]", "0.222")
    assert (old["macro F1"], old["mAP"], old["micro F1"]) == ("0.111", "0.555", "0.222")
    assert (new["ECE"], old["ECE"]) == ("0.0123", "-")
    assert (new["ECE of 10"], old["ECE of 10"]) == ("0.0043", "-")
    (least,) = comparison_rows({"least": {"macro_f1": 0.5}})
    assert set(least.values()) == {"least", "0.500", "-"}


def test_a_table_can_be_turned_around() -> None:
    """A row for each figure, a column for each model: the same cells."""
    figures = {name: BASELINE | {"macro_f1": f1} for name, f1 in (("a", 0.1), ("b", 0.2))}
    turned, rows = figure_rows(figures), comparison_rows(figures)
    assert [list(row) for row in turned] == [["figure", "b", "a"]] * len(turned)
    for model in rows:
        assert {row["figure"]: row[model["model"]] for row in turned} | {"model": model["model"]} == model


def test_the_card_embeds_the_figures_of_its_package(measured: Evaluation) -> None:
    """By relative name, each with how to read it; a card without figures has no such section, and names no file."""
    card = model_card(DESCRIPTION, "test", measured, {}, FIGURES)
    section = card.split("## Figures\n", 1)[1].split("\n## ", 1)[0]
    images = [line for line in section.splitlines() if line.startswith("!")]
    assert images == [f"![{name.removesuffix('.png')}]({name})" for name in FIGURES]
    explained = [part.strip() for part in section.split("![")[1:]]
    assert all(len(part.splitlines()[-1]) > 40 for part in explained)

    some = model_card(DESCRIPTION, "test", measured, {}, FIGURES[:1])
    assert (FIGURES[0] in some, FIGURES[1] in some) == (True, False)
    none = model_card(DESCRIPTION, "test", measured, {})
    assert "## Figures\n" not in none
    assert ".png" not in none
    assert card.replace("## Figures\n" + section + "\n", "") == none
