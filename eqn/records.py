"""Frozen records that travel between the stages. Plain values only: no tensors, no tables, no open files."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class CorpusRef:
    """A labelled corpus in a directory with the files train.tsv, dev.tsv and test.tsv."""

    name: str
    """`goemotions`, `sample`, or the directory's name."""
    path: str
    digest: str
    """sha256 over the three files' digests: the corpus' identity."""
    rows: Mapping[str, int]
    """Rows per split."""


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One expectation that did not hold."""

    severity: str
    """`critical` stops the run, `warning` is reported."""
    what: str
    """What was expected and what came, in one sentence."""
    ids: tuple[str, ...] = ()
    """The failing rows' ids, the first ones if there are very many; `what` says how many break it and how many are
    listed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Validation:
    """What the quality gate found in one corpus or inbox."""

    subject: str
    """Name of what was validated."""
    digest: str
    """Digest of what was validated."""
    rows: int
    expectations: int
    findings: tuple[Finding, ...]
    data_docs: str
    """Path of the index page of the Data Docs."""

    @property
    def passed(self) -> bool:
        """True when no critical expectation failed."""
        return not any(finding.severity == "critical" for finding in self.findings)


@dataclasses.dataclass(frozen=True, slots=True)
class ModelRef:
    """A model package on this machine, and where it came from."""

    path: str
    """Directory of the package."""
    digest: str
    """Digest of the package: the model's identity."""
    name: str = ""
    """Registered model's name, or that of the model in the box; empty for a bare directory."""
    version: int = 0
    """Registered version, 0 where there is none."""

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" if self.version else self.name or self.path


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """Whether a candidate becomes champion, and why."""

    promote: bool
    reasons: tuple[str, ...]
    """One sentence for each rule that was applied, the deciding one first."""
    candidate: int
    """The candidate's registered version."""
    champion: int | None
    """The champion's registered version when the decision was made; None when there was none."""
    held: bool = False
    """The policy would promote the candidate, and waits for a person to say so; `promote` is False then."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a person decided about a promotion."""

    promote: bool
    who: str
    """The person's name, as given."""
    why: str
    """In the person's words; may be empty."""
    candidate: int
    champion: int | None
    """The champion that the person compared the candidate with; None when there was none."""
    when: str = ""
    """In UTC, ISO 8601; empty until it is written down."""


@dataclasses.dataclass(frozen=True, slots=True)
class Gain:
    """By how much a figure of a candidate is above the champion's, on the same rows."""

    value: float
    low: float
    """Lower end of the 95 % interval, by paired bootstrap over the rows."""
    high: float


@dataclasses.dataclass(frozen=True, slots=True)
class EmotionContest:
    """A candidate beside the champion on one emotion."""

    emotion: str
    rows: int
    """Rows that carry it."""
    candidate: float
    """F1."""
    champion: float
    """F1."""

    @property
    def gain(self) -> float:
        """By how much the candidate's F1 is above the champion's."""
        return self.candidate - self.champion


@dataclasses.dataclass(frozen=True, slots=True)
class Contest:
    """A candidate beside the champion, both measured on the dev split of one corpus."""

    candidate: int
    """Registered version."""
    champion: int | None
    """Registered version; None when there is no champion, or the candidate is it."""
    corpus: str
    corpus_digest: str
    rows: int
    """Rows of the dev split."""
    candidate_figures: Mapping[str, float]
    """By the short names that stand in tables and in the registry."""
    champion_figures: Mapping[str, float]
    """The same; empty without a champion."""
    gains: Mapping[str, Gain]
    """Of `macro_f1` and `map`; empty without a champion."""
    emotions: tuple[EmotionContest, ...]
    """The largest gain first; empty without a champion."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReleaseRef:
    """One published release of an annotated dataset."""

    dataset: str
    number: int
    path: str
    """Where its folder stands, as the store gives it to readers."""
    rows: int
    quarantined: int
    already_published: bool = False
    """True when this work had been published before and nothing was written."""


@dataclasses.dataclass(frozen=True, slots=True)
class DriftMeasure:
    """How far one property of a release is from that of what it is compared with."""

    name: str
    """An emotion, `text length`, `vocabulary`, `embedding` ..."""
    measure: str
    """The distance's name."""
    value: float
    """0 for equal distributions."""
    threshold: float
    """From where on it counts as drift."""
    detail: str = ""
    """What changed, in words where there are any to say; they may come from texts."""

    @property
    def breached(self) -> bool:
        """True when the distance is beyond its threshold."""
        return self.value > self.threshold


@dataclasses.dataclass(frozen=True, slots=True)
class DriftComparison:
    """A release beside one thing that it is compared with."""

    against: str
    """`release 3`, or `training data`."""
    rows: int
    """Rows of that."""
    measures: tuple[DriftMeasure, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Drift:
    """How a release differs from the reference release and from what its model was trained on."""

    dataset: str
    release: int
    rows: int
    comparisons: tuple[DriftComparison, ...]
    notes: tuple[str, ...] = ()
    """What could not be compared, and why; one sentence each."""

    @property
    def breaches(self) -> tuple[str, ...]:
        """One sentence for each measure beyond its threshold."""
        return tuple(
            f"{measure.name}: {measure.measure} {measure.value:.3f} from {comparison.against}, "
            f"where {measure.threshold:g} is the limit"
            for comparison in self.comparisons
            for measure in comparison.measures
            if measure.breached
        )


def as_json(record: Any) -> Any:
    """Turn a record, or records inside lists and mappings, into JSON values."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {field.name: as_json(getattr(record, field.name)) for field in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {str(key): as_json(value) for key, value in record.items()}
    if isinstance(record, list | tuple):
        return [as_json(value) for value in record]
    return record
