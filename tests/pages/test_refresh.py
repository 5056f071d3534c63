"""What was derived from a release follows its redaction."""

import dataclasses
from pathlib import Path

import pytest

from eqn.drift.measure import measure_drift
from eqn.drift.records import drift_key, read_drift, write_drift
from eqn.errors import ArtifactRefused
from eqn.pages.listing import Listing
from eqn.pages.publish import page_key, publish_page
from eqn.pages.refresh import refresh_reports
from eqn.records import Drift, DriftComparison, DriftMeasure
from eqn.release.catalog import read_manifest
from eqn.release.manifest import Manifest, Redaction, manifest_key
from eqn.settings import Settings, load_settings
from eqn.store.directory import DirectoryStore
from tests.pages.conftest import Given, Row, write_release

BEFORE = Given("a.csv", [[Row("secret words"), Row("plain words")]])
AFTER = Given("a.csv", [[Row("plain words")]])


@pytest.fixture
def redacted(store: DirectoryStore) -> Manifest:
    """The manifest that release 1, which is there, will have after an erasure."""
    after = dataclasses.replace(
        write_release(store, AFTER), erasures=1, redactions=(Redaction(1, "2026-02-03T04:05:06+00:00", "ann", "", 1),)
    )
    write_release(store, BEFORE)
    return after


def appear(store: DirectoryStore, redacted: Manifest) -> None:
    store.put(manifest_key("letters", 1, redaction=1), redacted.to_bytes())


@pytest.fixture
def settings(store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("EQN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQN_STORE", str(store.root))
    return load_settings()


def test_the_list_of_releases_tells_of_the_redacted_one(store: DirectoryStore, redacted: Manifest) -> None:
    """Its rows and documents, though a manifest is not read again for nothing."""
    listing = Listing(store)
    assert [one.facts and one.facts.rows for one in listing.shelves()[0].releases] == [2]
    appear(store, redacted)

    (facts,) = [one.facts for one in listing.shelves()[0].releases]
    assert facts is not None
    assert facts.rows == 1
    assert any(redacted.folder in link for _, link in facts.documents)


@pytest.mark.parametrize("derived", ["page", "profile"])
def test_what_was_made_while_rows_were_erased_does_not_stay(
    store: DirectoryStore, redacted: Manifest, settings: Settings, monkeypatch: pytest.MonkeyPatch, derived: str
) -> None:
    """Read before, written after: its maker looks at the manifest once more."""
    put = DirectoryStore.put

    def slow(self: DirectoryStore, key: str, content: bytes) -> None:
        if "/reports/" in key and not store.exists(manifest_key("letters", 1, redaction=1)):
            appear(store, redacted)
        put(self, key, content)

    monkeypatch.setattr(DirectoryStore, "put", slow)
    if derived == "page":
        publish_page(store, "letters", 1)
    else:
        measure_drift(settings, "letters", 1)

    kept = b"".join(store.get(key) for key in store.list("letters/reports"))
    assert b"secret" not in kept
    assert kept
    assert read_manifest(store, "letters", 1) == redacted


def test_reports_that_were_measured_from_a_redacted_release_are_made_anew(
    store: DirectoryStore, redacted: Manifest, settings: Settings
) -> None:
    """They may name its words; those of other releases stay."""
    for number in (2, 3):
        write_release(store, AFTER, Given("b.csv", [[Row(f"more {number}")]]), number=number)
    publish_page(store, "letters", 2)
    for number, against in ((2, "release 1, by the new files alone"), (3, "release 2")):
        measure = DriftMeasure("vocabulary", "Jensen-Shannon", 0.5, 0.1, "less often: secret")
        write_drift(store, Drift("letters", number, 2, (DriftComparison(against, 2, (measure,)),)))
    appear(store, redacted)

    assert refresh_reports(settings, "letters", {1: ("index.html",)}) == []

    assert store.exists(page_key("letters", 1))
    assert store.exists(page_key("letters", 2))
    kept = {number: read_drift(store, "letters", number) for number in (1, 2, 3)}
    assert [drift is not None and len(drift.comparisons) for drift in kept.values()] == [False, 0, 1]


def test_a_report_that_cannot_be_made_stays_away_and_is_named(
    store: DirectoryStore, redacted: Manifest, settings: Settings
) -> None:
    """Rather no page than one with texts that were erased."""
    publish_page(store, "letters", 1)
    appear(store, redacted)
    store.delete(f"{redacted.path}/data/part-00000.parquet")
    (fault,) = refresh_reports(settings, "letters", {1: ()})

    assert "eqn release report letters 1" in fault
    assert not store.exists(page_key("letters", 1))
    assert not store.exists(drift_key("letters", 1))
    with pytest.raises(ArtifactRefused):
        publish_page(store, "letters", 1)
