"""The model card: what a model is, how good it is beside the baselines, and what not to use it for."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from eqn.emotions import EMOTIONS, MEANINGS
from eqn.evaluation.calibration import BINS
from eqn.evaluation.intervals import Interval
from eqn.evaluation.metrics import Evaluation

if TYPE_CHECKING:
    from eqn.model.package import Description

_VOICES = {
    "goemotions": """\
- **Reddit's voice.** GoEmotions was taken from Reddit: casual, young, mostly male, North American. Formal, clinical,
  historical or spoken text, and other dialects, will be read less well, and the labels carry their raters' biases.
- **Rare emotions are weakly measured.** grief, relief, pride and nervousness have 6 to 23 test rows: one row moves
  their F1 by several points.
""",
    "sample": """\
- **For trying things out.** The embedded sample is small, and its comments were written for it: the figures say that
  the machinery works, not how well the model reads what people really write. Train on GoEmotions for that.
""",
}
"""What a corpus' own nature does to the models trained on it."""

_LIMITS = """\
- **English only.** The encoder and the training comments are English; other languages give numbers without meaning.
- **Not a judgement of people.** An intensity describes how a text reads, not what its author feels. Do not use it to
  assess individuals, for hiring, policing, credit, insurance or diagnosis.
"""


_FIGURES = {
    "emotions.png": "How well each emotion is found. One with a wide interval has few test rows: its place among the "
    "others says little.",
    "reliability.png": "Whether an intensity can be read as a probability: dots below the line promise more than the "
    "labels keep, dots above it less.",
    "intensities.png": "How well rows with a label are told from those without: orange left of the line is missed, "
    "grey right of it is called wrongly.",
    "correlation.png": "Which emotions go together: a pair that is red on the right and pale on the left is given "
    "together by the model where the raters mostly chose one of the two.",
}
"""How to read each image."""


def model_card(
    description: "Description",
    split: str,
    evaluation: Evaluation,
    baselines: Mapping[str, Mapping[str, float]],
    figures: Collection[str] = (),
) -> str:
    """Write the card in Markdown: the model's figures on a split, on test beside the baselines' by their names.

    `figures` are the names of the images that will stand beside the card; see `eqn.evaluation.figures`.
    """
    test = evaluation
    final = split == "test"
    recipe, corpus, backbone = description.recipe, description.corpus, description.backbone
    rows = corpus["rows"]
    return f"""---
language: en
license: apache-2.0
pipeline_tag: text-classification
tags: [emotion, goemotions, intensity]
---

# EQN, recipe `{recipe["name"]}` on `{corpus["name"]}`

Gives a text 28 emotion intensities in [0, 1]. BERT encoder `{backbone["name"]}`, {recipe["pooling"]} pooling, at most
{description.max_tokens} tokens. Trained on {rows["train"]:,} comments of `{corpus["name"]}`; one half of
{rows["dev"]:,} others chose the checkpoint and the thresholds, the other half {
        "calibrated the intensities" if description.calibration else "the limits of the conformal sets"
    }.
{_origin(final=final, rows=rows)}

## Figures on {split}

{_comparison({f"this model ({recipe['name']})": test.summary()} | (dict(baselines) if final else {}))}

A label counts as given when its intensity reaches that emotion's threshold, chosen on dev. The Brier skill compares
with always answering the shares of the training rows: 0 is no better, 1 is perfect. ECE is the expected calibration
error, 0 at best: how far intensities lie from the shares of rows that carry the label, in {BINS} bins of equally many
rows, averaged over the 28 emotions; "ECE of 10" takes 10 bins of equal width. They compare models, not emotions: a rare
emotion's is small of itself. In brackets: 95 % bootstrap intervals over these rows; they say what other rows would
change, not what another training would.

| groups | macro precision | macro recall | macro F1 | micro F1 |
|---|---|---|---|---|
{_group_rows(test)}

## Each emotion

| emotion | meaning | rows | threshold | precision | recall | F1 | average precision | ECE |
|---|---|---|---|---|---|---|---|---|
{_emotion_rows(description, test)}

{_meaning(description)}{_figure_section(figures)}## What not to use it for

{_LIMITS}{_VOICES.get(corpus["name"], "")}
## Use

```python
from eqn.annotation.annotator import Annotator

annotator = Annotator.load("path/to/this/directory")
print(annotator.annotate(["I can't stop smiling"]))
```

## Recipe

{_recipe_rows(recipe)}

Training data digest `{corpus["digest"]}`; backbone weights digest `{backbone["digest"]}`.
"""


def _origin(*, final: bool, rows: Mapping[str, int]) -> str:
    if final:
        return f"The figures below come from {rows['test']:,} that took no part."
    return "The figures below come from these rows as well, and are too good for that: the test labels were not read."


def _meaning(description: "Description") -> str:
    """Say what an intensity means, and what the conformal sets promise."""
    calibration, conformal = description.calibration, description.conformal
    said = []
    if calibration:
        said.append(
            "## What an intensity means\n\nIntensities are calibrated: of the texts that get 0.8 for an emotion, about "
            "8 in 10 carry it for\nthe people who labelled them, in every emotion alike. Each emotion's map, "
            f"`{calibration['method']}`,\nwas fitted on {calibration['rows']:,} dev rows; it rises, so it changes no "
            "order within an emotion.\n\n"
        )
    if conformal:
        share = conformal["coverage"]
        rare = ", ".join(f"{name} ({conformal['rows'][name]})" for name in EMOTIONS if name not in conformal["limits"])
        without = f"Nothing is promised for {rare}:\ntoo few dev rows carry them, and no set holds them."
        said.append(
            f"## Conformal sets\n\nOf the texts that carry an emotion, {share:.0%} or more have it in their set, on "
            "average over the dev rows that\nset the limits (split conformal, for each emotion by itself). "
            + (without if rare else "")
            + "\n\n"
        )
    return "".join(said)


COMPARED = {
    "macro F1": "macro_f1",
    "micro F1": "micro_f1",
    "Ekman F1": "ekman_macro_f1",
    "sentiment F1": "sentiment_macro_f1",
    "mAP": "map",
    "Brier": "brier",
    "Brier skill": "brier_skill",
    "ECE": "ece",
    "ECE of 10": "ece_10",
}
"""What stands in a table of models: the column's head, and the figure's name in `Evaluation.summary`."""

_WITH_INTERVAL = ("macro_f1", "map")
_FOUR_DIGITS = ("brier", "ece", "ece_10")
_UNKNOWN = "-"


def comparison_rows(figures: Mapping[str, Mapping[str, float]]) -> list[dict[str, str]]:
    """Give one row of rounded figures for each model, best macro-F1 first, for any table.

    Macro F1 and mAP stand with their intervals. Each model must have its `macro_f1`; another figure that it lacks,
    because it was measured by an earlier EQN, is shown as `-`.
    """
    ordered = sorted(figures.items(), key=lambda item: -item[1]["macro_f1"])
    return [
        {"model": name}
        | {head: _cell(row, key) for head, key in COMPARED.items()}
        | {"rows": f"{row['n']:.0f}" if "n" in row else _UNKNOWN}
        for name, row in ordered
    ]


def figure_rows(figures: Mapping[str, Mapping[str, float]]) -> list[dict[str, str]]:
    """Give `comparison_rows` turned around, a row for each figure: for few models on a narrow terminal."""
    models = comparison_rows(figures)
    return [{"figure": head} | {model["model"]: model[head] for model in models} for head in (*COMPARED, "rows")]


def _cell(row: Mapping[str, float], key: str) -> str:
    if key not in row:
        return _UNKNOWN
    if key in _WITH_INTERVAL and f"{key}_low" in row and f"{key}_high" in row:
        return with_interval(row[key], Interval(row[f"{key}_low"], row[f"{key}_high"]))
    return f"{row[key]:.4f}" if key in _FOUR_DIGITS else f"{row[key]:.3f}"


def with_interval(figure: float, ends: Interval) -> str:
    """Give a figure as tables show it, its interval in brackets."""
    return f"{figure:.3f} [{ends.low:.3f}, {ends.high:.3f}]"


def _comparison(figures: Mapping[str, Mapping[str, float]]) -> str:
    rows = comparison_rows(figures)
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join(lines + ["| " + " | ".join(row.values()) + " |" for row in rows])


def _group_rows(test: Evaluation) -> str:
    groups = {"28 emotions": test.emotions, "Ekman's six and neutral": test.ekman, "sentiment": test.sentiment}
    return "\n".join(
        f"| {name} | {figures.macro_precision:.3f} | {figures.macro_recall:.3f} | {figures.macro_f1:.3f} "
        f"| {figures.micro_f1:.3f} |"
        for name, figures in groups.items()
    )


def _emotion_rows(description: "Description", test: Evaluation) -> str:
    lines = []
    for name in EMOTIONS:
        figures = test.emotions.labels[name]
        lines.append(
            f"| {name} | {MEANINGS[name]} | {figures.support} | {description.thresholds[name]:.2f} "
            f"| {figures.precision:.3f} | {figures.recall:.3f} "
            f"| {with_interval(figures.f1, test.f1_intervals[name])} "
            f"| {test.average_precision[name]:.3f} | {test.calibration_error[name]:.3f} |"
        )
    return "\n".join(lines)


def _figure_section(figures: Collection[str]) -> str:
    shown = [
        f"![{name.removesuffix('.png')}]({name})\n\n{how}\n\n" for name, how in _FIGURES.items() if name in figures
    ]
    return "".join(["## Figures\n\n", *shown]) if shown else ""


def _recipe_rows(recipe: Mapping[str, object]) -> str:
    return "\n".join(["| field | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in recipe.items())])
