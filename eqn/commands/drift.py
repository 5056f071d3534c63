"""`eqn release drift`: how a release differs from the one before it and from its model's training data."""

from typing import TYPE_CHECKING, Annotated

import typer

from eqn.commands.shared import Dataset, Json, Number, Store, out, people, print_json, say, settings_at
from eqn.records import as_json

if TYPE_CHECKING:
    from eqn.records import Drift, DriftComparison

Against = Annotated[
    int | None,
    typer.Option(
        min=1, help="Release to compare with. Default: as drift.reference in mlflow.yaml says.", show_default=False
    ),
]
Every = Annotated[bool, typer.Option("--all", help="Show all measures, not only the largest of each comparison.")]

_SHOWN = 8


def drift(
    dataset: Dataset,
    number: Number = None,
    *,
    against: Against = None,
    every: Every = False,
    store: Store = None,
    json: Json = False,
) -> None:
    """Measure how far a release is from the one before it and from the data that its model was trained on.

    Intensities of each emotion, text length, vocabulary and embeddings; limits stand in mlflow.yaml. What was measured
    is kept in the release's reports, but not what --against shows.

    Example: eqn release drift inbox 3 --against 1
    """
    from eqn.drift.measure import measure_drift

    settings = settings_at(store)
    people.print("Reading the release and what it is compared with ...", highlight=False)
    found = measure_drift(settings, dataset, number, against=against)
    if json:
        print_json(as_json(found) | {"breaches": list(found.breaches)})
    else:
        _show(found, every=every)


def _show(found: "Drift", *, every: bool) -> None:
    from eqn.terminal import printable

    breached = sum(measure.breached for comparison in found.comparisons for measure in comparison.measures)
    verdict = f"{breached} measures beyond their limits" if breached else "no measure beyond its limit"
    if not found.comparisons:
        verdict = "nothing could be compared"
    say(f"{found.dataset} release {found.release}, {found.rows:,} rows: {verdict}.")
    for comparison in found.comparisons:
        _show_comparison(comparison, every=every)
    for note in found.notes:
        say(printable(note))


def _show_comparison(comparison: "DriftComparison", *, every: bool) -> None:
    from eqn.terminal import table

    largest = sorted(comparison.measures, key=lambda measure: -measure.value / max(measure.threshold, 1e-9))
    breached = sum(measure.breached for measure in largest)
    shown = largest if every else largest[: max(_SHOWN, breached)]
    rows = [
        {
            "property": measure.name,
            "distance": f"{measure.value:.3f}",
            "limit": f"{measure.threshold:.3f}",
            "": "drift" if measure.breached else "",
            "what changed": measure.detail,
        }
        for measure in shown
    ]
    out.print(table(f"beside {comparison.against}, {comparison.rows:,} rows", rows))
    if len(shown) < len(largest):
        say(f"{len(largest) - len(shown)} more are smaller; --all shows them.\n")
