"""Reasons to train again: drift of what the champion annotated, and labelled data that it does not know."""

import dataclasses
import shutil
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from eqn.annotation.annotator import Annotator
from eqn.corpus.choice import sample_directory
from eqn.drift.measure import measure_drift
from eqn.drift.retraining import reasons, reasons_to_retrain
from eqn.records import CorpusRef, Drift, DriftComparison, DriftMeasure, ReleaseRef
from eqn.registry import tracking
from eqn.registry.champions import set_champion
from eqn.registry.versions import VersionRow, register
from eqn.release.catalog import read_manifest
from eqn.release.manifest import Manifest
from eqn.settings import Settings
from eqn.store.interface import open_store
from tests.drift.conftest import COMMENTS, OTHERS

Publish = Callable[..., ReleaseRef]

CORPUS = CorpusRef("corpus", "folder", "digest", {"train": 1000, "dev": 10, "test": 10})
CHAMPION = VersionRow(
    version=3,
    aliases=("champion",),
    digest="model",
    training_key="key",
    recipe={},
    backbone="tiny",
    corpus="corpus",
    corpus_digest="digest",
    train_rows=1000,
    metrics={},
    created=datetime(2026, 1, 1, tzinfo=UTC),
    champion_since="2026-01-01",
    champion_before=None,
    decision="",
    answer="",
)
DRIFT = Drift(
    "letters",
    7,
    500,
    (
        DriftComparison(
            "release 6", 500, (DriftMeasure("joy", "distance", 0.3, 0.1), DriftMeasure("fear", "d", 0, 0.1))
        ),
    ),
)


@pytest.fixture
def manifest(settings: Settings, publish_texts: Publish) -> Manifest:
    """A release by the model called `model`."""
    publish_texts(COMMENTS[:3])
    found = read_manifest(open_store(settings.store), "letters")
    return dataclasses.replace(found, model={**found.model, "digest": "model"})


def test_a_champion_that_knows_the_data_and_met_no_drift_will_do(manifest: Manifest) -> None:
    """With releases or without, measured or not."""
    calm = dataclasses.replace(DRIFT, comparisons=())

    assert reasons(CHAMPION, CORPUS, manifest, calm, least_new_rows=0) == ()
    assert reasons(CHAMPION, CORPUS, manifest, None, least_new_rows=0) == ()
    assert reasons(CHAMPION, CORPUS, None, None, least_new_rows=0) == ()


def test_each_breach_is_a_reason(manifest: Manifest) -> None:
    """If the champion annotated the release: what another model found says nothing of it."""
    drifted = reasons(CHAMPION, CORPUS, manifest, DRIFT, least_new_rows=0)
    other = dataclasses.replace(CHAMPION, digest="another")

    assert len(drifted) == 1
    assert drifted[0].startswith("Release 7 of letters drifted: joy: distance 0.300 from release 6")
    assert reasons(other, CORPUS, manifest, DRIFT, least_new_rows=0) == ()


@pytest.mark.parametrize(
    ("rows", "least_new_rows", "expected"),
    [
        (1000, 0, "as many rows as, but other content than,"),
        (1200, 0, "200 more rows than"),
        (1200, 200, "200 more rows than"),
        (1200, 201, ""),
        (1000, 1, ""),
        (999, 0, ""),
    ],
)
def test_new_labelled_data_is_a_reason(rows: int, least_new_rows: int, expected: str) -> None:
    """If it is as much more as the policy wants; less of it is no progress."""
    corpus = dataclasses.replace(CORPUS, digest="new", rows={**CORPUS.rows, "train": rows})

    found = reasons(CHAMPION, corpus, None, None, least_new_rows=least_new_rows)

    assert len(found) == bool(expected)
    assert expected in "".join(found)


def test_the_same_data_is_no_reason_whatever_its_rows() -> None:
    """The digest decides."""
    champion = dataclasses.replace(CHAMPION, train_rows=1)

    assert reasons(champion, CORPUS, None, None, least_new_rows=0) == ()


def test_the_first_champion_has_to_be_trained(settings: Settings) -> None:
    """Nothing is there yet: no registry, no release."""
    assert reasons_to_retrain(settings, "letters") == ("Nobody is champion yet.",)


def test_the_reasons_come_from_the_registry_the_corpus_and_the_last_release(
    settings: Settings, publish_texts: Publish, annotators: tuple[Annotator, Annotator]
) -> None:
    """A champion of the embedded sample, releases by it, and then a corpus with one row more."""
    with tracking.run(settings, "a run") as run:
        version = register(annotators[0].package.path, run.id, settings, validation_passed=True).version
    set_champion(version, settings)
    publish_texts(COMMENTS[:150])
    measure_drift(settings, "letters")
    assert reasons_to_retrain(settings, "letters") == ()

    publish_texts(OTHERS)
    drift = measure_drift(settings, "letters")
    assert len(reasons_to_retrain(settings, "letters")) == len(drift.breaches) > 0

    more = settings.home / "more"
    shutil.copytree(sample_directory(), more)
    with (more / "train.tsv").open("a", encoding="utf-8") as file:
        file.write("one more comment\t17\tnew-1\n")
    grown = reasons_to_retrain(settings.model_copy(update={"goemotions": more}), "letters")
    assert grown[0].startswith("The labelled data changed: more has 1 more rows than what version 1 was trained on.")
