"""The records that travel between stages."""

import dataclasses
import json

import pytest

from eqn.records import CorpusRef, Decision, Finding, ModelRef, ReleaseRef, Validation, as_json

VALIDATION = Validation(
    subject="inbox",
    digest="ab",
    rows=3,
    expectations=2,
    findings=(Finding("warning", "short texts", ("7",)),),
    data_docs="/docs/index.html",
)


def test_a_record_becomes_json_values_all_the_way_down() -> None:
    """Records inside tuples and mappings become lists and objects that json can write."""
    facts = as_json({"validation": VALIDATION, 1: (CorpusRef("c", "/c", "d", {"train": 5}), None, 0.5, True)})

    assert json.loads(json.dumps(facts)) == {
        "validation": {
            "subject": "inbox",
            "digest": "ab",
            "rows": 3,
            "expectations": 2,
            "findings": [{"severity": "warning", "what": "short texts", "ids": ["7"]}],
            "data_docs": "/docs/index.html",
        },
        "1": [{"name": "c", "path": "/c", "digest": "d", "rows": {"train": 5}}, None, 0.5, True],
    }


@pytest.mark.parametrize(("severities", "passed"), [([], True), (["warning"], True), (["warning", "critical"], False)])
def test_only_a_critical_finding_fails_a_validation(severities: list[str], *, passed: bool) -> None:
    """Warnings are reported and stop nothing."""
    findings = tuple(Finding(severity, "x") for severity in severities)

    assert dataclasses.replace(VALIDATION, findings=findings).passed is passed


def test_a_model_is_called_by_its_version_or_its_place() -> None:
    """People read the registered name where there is one."""
    assert str(ModelRef("/models/ab", "ab", "eqn", 3)) == "eqn version 3"
    assert str(ModelRef("/models/ab", "ab")) == "/models/ab"


@pytest.mark.parametrize(
    "record",
    [
        VALIDATION,
        ModelRef("/m", "ab"),
        Decision(promote=True, reasons=("better",), candidate=2, champion=1),
        ReleaseRef("inbox", 1, "/r", 3, 0),
    ],
)
def test_a_record_cannot_be_changed(record: object) -> None:
    """What one stage handed on stays what it was."""
    name = dataclasses.fields(record)[0].name  # type: ignore[arg-type]

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, name, None)
