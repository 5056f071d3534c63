"""The metrics: their names, what they mean, and which labels they carry. Labels are few words, never ids or texts."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Literal

OTHER = "other"
"""The label of everything that must not become a label of its own."""
NONE = "none"
"""The label of runs that are about no dataset."""
_NAME = re.compile(r"[a-z][a-z_ ]{0,39}")
_DATASET = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

Labels = Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Family:
    """One metric."""

    name: str
    """As Prometheus shows it, without the suffix of a counter or summary."""
    kind: Literal["counter", "summary", "gauge"]
    """Counters and summaries grow by what is added to them, a gauge is set."""
    labels: tuple[str, ...]
    meaning: str

    @property
    def samples(self) -> tuple[str, ...]:
        """Names of the samples that are kept of it."""
        suffixes = {"counter": ("_total",), "summary": ("_sum", "_count"), "gauge": ("",)}[self.kind]
        return tuple(self.name + suffix for suffix in suffixes)


FAMILIES = (
    Family("eqn_runs", "counter", ("dataset", "flow", "outcome"), "Runs that ended, by outcome."),
    Family("eqn_run_seconds", "summary", ("dataset", "flow"), "Duration of runs."),
    Family("eqn_stage_seconds", "summary", ("dataset", "flow", "stage"), "Duration of the stages of runs."),
    Family("eqn_last_stage_seconds", "gauge", ("dataset", "flow", "stage"), "Duration of a stage when it last ended."),
    Family("eqn_last_success_timestamp_seconds", "gauge", ("dataset", "flow"), "When a run last succeeded."),
    Family("eqn_runs_running", "gauge", ("dataset", "flow"), "Runs under way."),
    Family(
        "eqn_oldest_run_started_timestamp_seconds", "gauge", ("dataset", "flow"), "Start of the oldest run under way."
    ),
    Family("eqn_rows_annotated", "counter", ("dataset",), "Rows that a model annotated."),
    Family("eqn_tokens", "counter", ("dataset",), "Tokens of the annotated rows."),
    Family("eqn_rows_quarantined", "counter", ("dataset", "reason"), "Rows of new inputs put into quarantine."),
    Family(
        "eqn_last_quarantined_share", "gauge", ("dataset",), "Share of the latest new inputs' rows put into quarantine."
    ),
    Family("eqn_last_texts_per_second", "gauge", ("dataset",), "Speed of the stage `annotate` when it last ended."),
    Family("eqn_releases_published", "counter", ("dataset",), "Releases published."),
    Family("eqn_last_release_number", "gauge", ("dataset",), "Number of the latest release seen."),
    Family("eqn_last_release_rows", "gauge", ("dataset",), "Rows of the latest release seen."),
    Family("eqn_last_release_timestamp_seconds", "gauge", ("dataset",), "When a release was last published."),
    Family("eqn_drift", "gauge", ("dataset", "against", "property"), "Distance of a property, 0 for no drift."),
    Family("eqn_drift_threshold", "gauge", ("dataset", "against", "property"), "Distance from where on it is drift."),
    Family("eqn_drift_breaches", "gauge", ("dataset",), "Properties beyond their threshold when drift was last told."),
    Family("eqn_telemetry_readable", "gauge", (), "1 while the kept metrics can be read."),
)
"""Every metric there is."""


def name_label(name: str) -> str:
    """Give the name of a flow, stage, reason or property as a label; anything unlike such a name is `other`."""
    return name if _NAME.fullmatch(name) else OTHER


def dataset_label(name: str) -> str:
    """Give the name of a dataset as a label: `none` for no name, `other` for one that cannot be a name."""
    return (name if _DATASET.fullmatch(name) else OTHER) if name else NONE
