"""The main job, for real: Prefect's server, MLflow, Great Expectations, a small random BERT, the embedded sample."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from prefect.artifacts import Artifact

from eqn.errors import DataRefused, StoreUnavailable
from eqn.registry.versions import list_versions
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.settings import Settings
from eqn.store.interface import open_store
from flows.annotate import annotate, drift, page
from flows.pipeline import Outcome, pipeline

ARTIFACTS = (
    "corpus-validation",
    "trained-model",
    "candidate-and-champion",
    "promotion-decision",
    "model-figures",
    "inbox-validation",
    "annotation-progress",
    "drift-inbox",
    "release-inbox",
)


@pytest.fixture(scope="module")
def first(home: Settings) -> Outcome:
    """The main job on a fresh state folder."""
    return pipeline(backbone="tiny")


def test_the_main_job_leaves_a_whole_life(home: Settings, first: Outcome) -> None:
    """Two compared models, one champion, a verified release of the inbox with its Data Docs, and a card."""
    versions = list_versions(home)
    store = open_store(home.store)
    manifest = read_manifest(store, "inbox")
    verify(store, manifest)

    assert first.release is not None
    assert sorted(row.recipe["name"] for row in versions) == ["eqn", "plain"]
    assert [row.version for row in versions if "champion" in row.aliases] == [manifest.model["version"]]
    assert (first.release.number, first.release.rows, first.release.already_published) == (1, 240, False)
    assert {row["model"].split(",")[0] for row in first.figures} == {"eqn", "plain", "prior", "TF-IDF + logistic"}
    assert {"README.md", "quality/index.html", "data/part-00000.parquet"} <= manifest.files.keys()


@pytest.mark.parametrize("key", ARTIFACTS)
def test_a_person_finds_it_on_prefects_pages(first: Outcome, key: str) -> None:
    """Each stage leaves an artifact under a key of its own."""
    found = Artifact.get(key)

    assert found is not None
    assert found.data


def test_the_release_has_its_drift_and_its_page(home: Settings, first: Outcome) -> None:
    """What follows a release lies beside it, and the release's artifact says where."""
    store = open_store(home.store)
    shown = Artifact.get("release-inbox")

    assert store.exists("inbox/reports/1/drift.json")
    assert shown is not None
    assert f"{home.store}/inbox/reports/1/index.html" in str(shown.data)
    assert store.get("inbox/reports/1/index.html").startswith(b"<!doctype html>")


def test_again_nothing_is_done_again(home: Settings, first: Outcome) -> None:
    """The same job on the same data trains nothing, publishes nothing, and says so."""
    before = [(row.version, row.aliases, row.decision) for row in list_versions(home)]

    report = Path(home.store, "inbox/reports/1/index.html")
    written = report.stat().st_mtime_ns

    again = pipeline(backbone="tiny")

    assert again.release is not None
    assert first.release is not None
    assert again.release.already_published
    assert again.release.path == first.release.path
    assert report.stat().st_mtime_ns == written
    assert again.figures == first.figures
    assert [(row.version, row.aliases, row.decision) for row in list_versions(home)] == before


def test_a_new_file_makes_the_next_release_and_old_parts_stay(home: Settings, first: Outcome) -> None:
    """One more file in the inbox: release 2 holds its rows and, byte for byte, the parts of release 1."""
    inbox = Path(home.inbox)
    before = {path.name: path.read_bytes() for path in inbox.iterdir()}
    (inbox / "more.jsonl").write_text(json.dumps({"id": "007", "text": "NA"}) + "\n", "utf-8")

    release = pipeline(backbone="tiny").release

    assert release is not None
    store = open_store(home.store)
    old, new = read_manifest(store, "inbox", 1), read_manifest(store, "inbox", 2)
    assert (release.number, release.rows) == (2, 241)
    assert release_numbers(store, "inbox") == [1, 2]
    assert {old.files[part].sha256 for part in old.inputs[0].parts} <= {entry.sha256 for entry in new.files.values()}
    assert {name: (inbox / name).read_bytes() for name in before} == before


def test_a_release_says_how_sure_the_model_is_on_request(home: Settings, first: Outcome) -> None:
    """The main job hands the option on: another dataset with two columns more, annotated by the same champion."""
    release = pipeline(backbone="tiny", dataset="sure", uncertainty=True).release

    assert release is not None
    manifest = read_manifest(open_store(home.store), "sure")
    names = pq.read_schema(f"{release.path}/{manifest.inputs[0].parts[0]}").names
    assert manifest.options["uncertainty"] is True
    assert names[-2:] == ["entropy", "conformal"]
    assert "uncertainty" not in read_manifest(open_store(home.store), "inbox").options


def test_a_release_stands_whatever_becomes_of_its_page(
    home: Settings, first: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the page cannot be written the run fails, saying that the release stands; the next run writes the page."""
    for task in (drift, page):
        monkeypatch.setattr(task, "retry_delay_seconds", 0)
    reports = Path(home.store, "inbox/reports")
    aside = reports.rename(reports.with_name("aside"))
    reports.write_text("in the way", "utf-8")

    with pytest.raises(StoreUnavailable, match=r"release \d+ of 'inbox' is published and stands") as refused:
        annotate()

    number = release_numbers(open_store(home.store), "inbox")[-1]
    assert f"eqn release report inbox {number}" in str(refused.value)
    reports.unlink()
    aside.rename(reports)
    for name in ("index.html", "drift.json"):
        Path(reports, str(number), name).unlink()
        release = annotate()
        assert release is not None
        assert release.already_published
        assert Path(reports, str(number), name).is_file()


def test_an_empty_inbox_is_nothing_to_do(home: Settings, first: Outcome, tmp_path: Path) -> None:
    """A schedule that fires before anybody put a file there publishes nothing, and does not fail."""
    assert annotate(inbox=str(tmp_path), dataset="nothing") is None

    assert release_numbers(open_store(home.store), "nothing") == []


def test_bad_data_stops_before_training(home: Settings, first: Outcome, broken_corpus: Path) -> None:
    """A critical failure of the gate ends the job with every finding; no model is trained on such data."""
    versions = len(list_versions(home))

    with pytest.raises(DataRefused, match="x1"):
        pipeline(directory=broken_corpus, backbone="tiny")

    assert len(list_versions(home)) == versions
