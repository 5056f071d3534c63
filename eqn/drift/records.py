"""What was measured of a release's drift, as it is kept beside the release's other reports. It may be made again."""

import json
from typing import Any

from eqn.records import Drift, DriftComparison, DriftMeasure, as_json
from eqn.store.interface import ObjectStore

_FORMAT = 1


def drift_key(dataset: str, number: int) -> str:
    """Give the key under which the drift of release `number` is kept."""
    return f"{dataset}/reports/{number}/drift.json"


def write_drift(store: ObjectStore, drift: Drift) -> None:
    """Keep what was measured, in place of what was kept of the same release before."""
    content = json.dumps({"format": _FORMAT} | as_json(drift), indent=2, ensure_ascii=False) + "\n"
    store.put(drift_key(drift.dataset, drift.release), content.encode())


def read_drift(store: ObjectStore, dataset: str, number: int) -> Drift | None:
    """Give what was measured of release `number`; None when nothing was, or what is there cannot be read."""
    try:
        facts: dict[str, Any] = json.loads(store.get(drift_key(dataset, number)))
        if facts.pop("format") != _FORMAT:
            return None
        comparisons = tuple(_comparison(entry) for entry in facts.pop("comparisons"))
        drift = Drift(**facts | {"comparisons": comparisons, "notes": tuple(map(str, facts["notes"]))})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return drift if (drift.dataset, drift.release) == (dataset, number) else None


def _comparison(facts: dict[str, Any]) -> DriftComparison:
    measures = tuple(
        DriftMeasure(**measure | {"value": float(measure["value"]), "threshold": float(measure["threshold"])})
        for measure in facts["measures"]
    )
    return DriftComparison(**facts | {"measures": measures})
