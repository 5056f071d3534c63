"""What people read on MLflow's pages about the registered model and its versions. Words only: nothing is read back."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from eqn.settings import Aliases

if TYPE_CHECKING:
    from eqn.model.package import Package

_SPLITS = ("dev", "test")


def of_model(aliases: Aliases) -> str:
    """Describe the registered model."""
    return (
        "28 emotion intensities for English text, each in [0, 1].\n\n"
        f"- `@{aliases.champion}` annotates. `eqn promote` and `eqn models rollback` change it.\n"
        f"- `@{aliases.challenger}` is the newest candidate that did not become champion.\n\n"
        "Load a version with `eqn.load`, or as a pyfunc model: texts in, 28 intensities out."
    )


def of_version(package: "Package") -> str:
    """Describe a version: a sentence for lists, then its figures and where it comes from."""
    figures = {split: package.metrics[split] for split in _SPLITS if "macro_f1" in package.metrics.get(split, {})}
    facts = [
        f"- recipe: {_word(str(package.recipe.get('name', 'unknown')))}; all of it in the tag `eqn.recipe`",
        f"- trained on: {_word(package.corpus['name'])}, {package.corpus['rows']['train']:,} rows",
        f"- encoder: {_word(package.backbone['name'])}",
        "- model card and figures: among the artifacts of the source run",
    ]
    return "\n\n".join([_headline(package, figures), *([_table(figures)] if figures else []), "\n".join(facts)])


def _headline(package: "Package", figures: Mapping[str, Mapping[str, float]]) -> str:
    """Give the words of which lists show the first ones."""
    told = ", ".join(f"{figures[split]['macro_f1']:.3f} on {split}" for split in figures)
    what = f"{_word(str(package.recipe.get('name', 'unknown')))} on {_word(package.corpus['name'])}"
    return f"Macro F1 {told}: {what}" if told else what


def _table(figures: Mapping[str, Mapping[str, float]]) -> str:
    from eqn.evaluation.card import figure_rows

    heads = ["figure", *figures]
    lines = [heads, ["---"] * len(heads), *([row[head] for head in heads] for row in figure_rows(figures))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _word(name: str) -> str:
    """Give a name that came from outside without what Markdown or HTML could take for an order."""
    return re.sub(r"[^\w.-]+", " ", name).strip()
