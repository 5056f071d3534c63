"""The dataset card: README.md of a release, whose YAML head tells `datasets.load_dataset` which files are the data.

It holds no text and no column name of the input: whoever opens it in a browser meets nothing that a stranger wrote.
"""

import textwrap
from collections.abc import Mapping
from typing import Any

from eqn.annotation.uncertainty import COLUMN_MEANINGS, CONFORMAL_COLUMN, ENTROPY_COLUMN
from eqn.corpus.contract import VERSION
from eqn.emotions import EMOTIONS, MEANINGS
from eqn.release.described import Described
from eqn.release.reuse import arithmetic_of
from eqn.release.summary import Summary, shares


def dataset_card(plan: Described, summary: Summary) -> str:
    """Write the card in Markdown; the same job with the same rows always gets the same card."""
    quarantined = plan.rows - summary.rows
    return f"""---
language: en
tags: [emotion, eqn]
configs:
  - config_name: default
    data_files: data/*.parquet
---

# {plan.dataset}: 28 emotion intensities

{summary.rows:,} texts annotated by EQN. {quarantined:,} further rows could not be used: they are in `quarantine/`,
each with its reason. {summary.truncated:,} texts were longer than the model reads and are marked `truncated`;
{summary.unlabelled:,} texts reach no emotion's threshold and have no `labels`.
{_erased(plan)}
```python
import pandas

frame = pandas.read_parquet("data")         # in this directory
```

DuckDB, Polars and `datasets.load_dataset` read the same directory.

## Columns

| column | type | meaning |
|---|---|---|
| id | string | as given; else 16 hex digits of the text's sha256, a dash, and its occurrence in the file |
| text | string | as given |
| the input's others | as given | one named like an emotion became `gold_<emotion>`, one like ours `input_<name>` |
| truncated | bool | the text was longer than the model reads |
| admiration ... neutral | float32 | intensity in [0, 1], rounded to 4 decimals |
| labels | list of string | emotions whose intensity reaches the model's threshold for them, strongest first |
{_uncertainty(plan, summary)}
## What is in it

| emotion | meaning | mean intensity | share of texts labelled |
|---|---|---|---|
{_emotions(summary)}

Each release also has a page: `reports/<number>/index.html` in the dataset's folder. `eqn release report {plan.dataset}`
makes it again.

## Made by

Model digest `{plan.model.digest}`, job `{plan.job}`, contract version {VERSION}.
{_how(plan.options)}.
{_others(plan, summary)}
The intensities say how a text reads to a model trained on English comments from Reddit, not what its author feels. Do
not use them to judge people.
"""


def _erased(plan: Described) -> str:
    """Tell how many rows were erased, where any were."""
    if not plan.rows_erased:
        return ""
    return f"Of the rows in `quarantine/`, {plan.rows_erased:,} were erased on request: only their numbers are kept.\n"


def _uncertainty(plan: Described, summary: Summary) -> str:
    """Describe the two columns that are written on request, and what they promise."""
    if plan.promise is None:
        return ""
    rows = max(summary.rows, 1)
    told = (
        f"The mean entropy is {summary.entropy / rows:.4f} bits. A conformal set holds {summary.in_sets / rows:.2f} "
        f"emotions on average; empty sets: {summary.empty_sets:,}. {plan.promise} Both columns come from "
        "the intensities before they are rounded."
    )
    return f"""\
| entropy | float32 | {COLUMN_MEANINGS[ENTROPY_COLUMN]}; rounded to 4 decimals |
| conformal | list of string | {COLUMN_MEANINGS[CONFORMAL_COLUMN]} |

## Uncertainty

{textwrap.fill(told, 120)}
"""


def _others(plan: Described, summary: Summary) -> str:
    """Tell which texts this model, as it computes here, has not annotated."""
    others = plan.rows_of_others
    if not others:
        return ""
    own = summary.rows - sum(rows for _, _, rows in others)
    table = [
        f"| `{digest}` | {_how(arithmetic)} | {rows:,} | {rows / max(summary.rows, 1):.2%} |"
        for digest, arithmetic, rows in ((plan.model.digest, arithmetic_of(plan.options), own), *others)
    ]
    promised = (
        " What is said of the conformal sets holds for the texts of this model only: each model has its own limits."
        if plan.promise is not None and any(digest != plan.model.digest for digest, _, _ in others)
        else ""
    )
    told = (
        "Not all texts were annotated in this way: of files that did not change, an earlier release's annotation was "
        f"kept. Intensities and labels of different models should not be compared.{promised}"
    )
    rows = "\n".join(table)
    return f"""
{textwrap.fill(told, 120)}

| model digest | computed with | texts | share |
|---|---|---|---|
{rows}
"""


def _how(options: Mapping[str, Any]) -> str:
    # Not the columns' names: they are the user's.
    told = {name: value for name, value in sorted(options.items()) if not name.endswith("_column")}
    return "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in told.items())


def _emotions(summary: Summary) -> str:
    means, labelled = summary.mean(), shares(summary.labelled, summary.rows)
    return "\n".join(
        f"| {name} | {MEANINGS[name]} | {means[i]:.4f} | {labelled[i]:.2%} |" for i, name in enumerate(EMOTIONS)
    )
