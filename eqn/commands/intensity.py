"""`eqn evaluate --intensity`: a model's intensities against people's scores."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from eqn.commands.shared import out, package_of, people, print_json, say
from eqn.records import as_json

if TYPE_CHECKING:
    from eqn.corpus.intensity_layouts import Intensities
    from eqn.evaluation.correlations import Correlation
    from eqn.evaluation.intensity import Agreement, Agreements, IntensityFigures, Probed
    from eqn.model.package import Package


def evaluate_intensity(
    model: str, files: Sequence[str], *, probe: Sequence[str], split: str | None, json: bool
) -> None:
    """Print how `model` agrees with the scores in `files`; with `probe`, also after fitting on the scores there."""
    from eqn.corpus.intensity_files import load_intensities
    from eqn.evaluation.intensity import measure_intensity
    from eqn.evaluation.probe import fitting_for
    from eqn.terminal import annotation_progress

    data = load_intensities(files, split=split)
    fitting = fitting_for(data, load_intensities(probe, preferred="train")) if probe else None
    package = package_of(model)
    texts = len(data.texts) + (len(fitting.texts) if fitting else 0)
    with annotation_progress(people, texts) as report:
        figures = measure_intensity(package, data, fitting, report=report)
    if json:
        print_json(_facts(package, data, figures))
        return
    for line in _description(data):
        say(line)
    say("")
    if figures.zero_shot.all_rows:
        _print_agreements(f"{model} against people, zero-shot", figures.zero_shot)
    if figures.probed:
        _print_probed(data, figures.probed)
    elif unread := sorted(data.gold.keys() - {one.target for one in figures.zero_shot.all_rows}):
        say(f"{', '.join(unread)}: cannot be read off the 28 intensities; --probe fits it on other scored texts.")


def _facts(package: "Package", data: "Intensities", figures: "IntensityFigures") -> dict[str, object]:
    return {
        "model": package.digest,
        "files": list(data.files),
        "layout": data.layout.name,
        "split": data.split,
        "texts": len(data.texts),
        "texts_with_several_raters": data.several_raters,
        "dropped": {"mystery": data.mystery, "other_splits": data.other_splits, "unrated": data.unrated},
        "left_out": list(data.useless),
        "zero_shot": as_json(figures.zero_shot),
        "probe": as_json(figures.probed),
    }


def _description(data: "Intensities") -> Iterator[str]:
    rows = "all rows" if data.split == "all" else f"split {data.split}"
    yield f"{', '.join(data.files)} ({data.layout.name}), {rows}: {len(data.texts):,} texts"
    dropped = {
        "SemEval's mystery rows, which have no scores": data.mystery,
        "rows of other splits": data.other_splits,
        "rows that nobody labelled": data.unrated,
    }
    if any(dropped.values()):
        yield "left out: " + ", ".join(f"{count:,} {what}" for what, count in dropped.items() if count)
    if data.useless:
        yield f"left out, since every row has the same share: {', '.join(data.useless)}"
    if data.several_raters is not None:
        yield f"{data.several_raters:,} of the texts have two or more raters; a single rater's share is 0 or 1."
        yield "Nothing follows from these figures: such shares tell little of strength, and models that were trained"
        yield "on GoEmotions have seen its comments."


def _print_agreements(title: str, agreements: "Agreements") -> None:
    from eqn.terminal import table

    out.print(table(title, _table_rows(agreements.all_rows)))
    if agreements.upper_half:
        out.print(table("only rows with a score of at least 0.5", _table_rows(agreements.upper_half)))


def _print_probed(data: "Intensities", probed: "Probed") -> None:
    rows = "" if probed.split == "all" else f", split {probed.split}"
    _print_agreements(f"probe (fitted on {', '.join(probed.fitted_on)}{rows})", probed.agreements)
    fitted = ", ".join(f"{target} on {count:,} rows" for target, count in probed.rows.items())
    say(f"Not zero-shot: ridge regression on the 28 intensities, fitted to people's scores: {fitted}.")
    if probed.left_out:
        say(f"{probed.left_out:,} rows were not fitted on, because their text is among those measured.")
    if len(probed.rows) < len(data.gold):
        say(f"Without scores to fit on: {', '.join(target for target in data.gold if target not in probed.rows)}.")


def _table_rows(agreements: "Sequence[Agreement]") -> list[dict[str, object]]:
    emotions = len({one.target for one in agreements}) - 1
    return [
        {
            "target": f"mean of {emotions}" if one.target == "mean" else one.target,
            "readout": one.readout,
            "rows": one.rows,
            "Pearson": _shown(one.pearson),
            "Spearman": _shown(one.spearman),
        }
        for one in agreements
    ]


def _shown(correlation: "Correlation") -> str:
    from eqn.evaluation.card import with_interval

    return with_interval(correlation.value, correlation.interval) if math.isfinite(correlation.value) else "-"
