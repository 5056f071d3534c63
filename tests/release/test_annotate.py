"""From inputs to a release that everyday tools read, with the gate between."""

import collections
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from eqn.annotation.annotator import Annotator
from eqn.corpus.contract import Reason
from eqn.corpus.inputs import find_inputs
from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused
from eqn.records import ModelRef, ReleaseRef, Validation
from eqn.release.annotate import Prepared, Request, annotate_inbox, check_inputs, prepare, publish_prepared
from eqn.release.catalog import read_manifest, verify
from eqn.release.parts import Report, unheard
from eqn.settings import Settings
from eqn.store.directory import DirectoryStore


@pytest.fixture
def request_for(package: Path, annotator: Annotator, store: DirectoryStore, tmp_path: Path) -> Any:
    """Give a function that makes a request."""
    model = ModelRef(str(package), annotator.package.digest)

    def make(*inputs: Path, **changes: Any) -> Request:
        files = find_inputs([str(path) for path in inputs])
        facts = {"dataset": "letters", "inputs": files, "model": model, "store": store, "docs": tmp_path / "docs"}
        facts |= {"choices": tmp_path / "back_ends", "back_end": annotator.name}
        return Request(**facts | changes)

    return make


@pytest.fixture
def prepared(request_for: Any, inbox: Path) -> Prepared:
    return prepare(request_for(inbox))


@pytest.fixture
def release(prepared: Prepared) -> ReleaseRef:
    return publish_prepared(prepared, check_inputs(prepared))


def in_order(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((row["id"], row["text"], row["joy"], tuple(row["labels"])) for row in rows)


def test_everyday_tools_read_a_release(release: ReleaseRef, inbox: Path, tmp_path: Path) -> None:
    """pandas, DuckDB, Polars and datasets read the same rows, quarantine not among them; the inputs are untouched."""
    import datasets
    import duckdb
    import polars as pl

    before = {path.name: path.read_bytes() for path in inbox.iterdir()}
    expected = in_order(pq.read_table(f"{release.path}/data").to_pylist())

    loaded = datasets.load_dataset(release.path, cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    assert in_order(list(loaded["train"])) == expected
    assert in_order(pd.read_parquet(f"{release.path}/data").to_dict("records")) == expected
    assert in_order(pl.read_parquet(f"{release.path}/data/*.parquet").to_dicts()) == expected
    found = duckdb.sql(f"from '{release.path}/data/*.parquet'").arrow()
    assert in_order(found.read_all().to_pylist()) == expected
    assert len(expected) == release.rows == 23
    assert {path.name: path.read_bytes() for path in inbox.iterdir()} == before


def test_nothing_given_is_changed(release: ReleaseRef) -> None:
    """Ids with leading zeros, texts such as NA and null, new lines and emoji come out as they went in."""
    frame = pd.read_parquet(f"{release.path}/data").set_index("id")

    assert frame.loc["001", "text"] == "null"
    assert frame.loc["002", "text"] == 'a "quoted", one'
    assert frame.loc["003", "text"] == "two\nlines"
    assert frame.loc["004", "text"] == "naïve 日本 👨‍👩‍👧"
    assert frame.loc["000", "text"] == "NA"
    assert frame.loc["7e5", "text"] == "yes"
    assert frame.loc["007", "text"].tolist() == ["fine", "e"]
    assert frame.loc["001", "gold_joy"] == "1"
    assert frame.loc["p2", "stars"] == "2"
    assert pd.isna(frame.loc["p3", "stars"])
    assert bool(frame.loc["006", "truncated"])
    assert not frame.drop("006")["truncated"].any()
    assert frame[list(EMOTIONS)].to_numpy().max() <= 1


def test_every_row_is_either_out_or_in_quarantine_with_its_reason(
    release: ReleaseRef, store: DirectoryStore, inbox: Path
) -> None:
    """25 rows in: 23 out and 2 in quarantine, and each file's own sum is right."""
    manifest = read_manifest(store, "letters")
    quarantined = pq.read_table(f"{release.path}/quarantine").to_pylist()

    assert (manifest.rows_in, manifest.rows_out, manifest.rows_quarantined) == (25, 23, 2)
    assert (release.rows, release.quarantined) == (23, 2)
    assert collections.Counter((row["file"], row["reason"]) for row in quarantined) == {
        ("a.csv", Reason.EMPTY_TEXT): 1,
        ("a.csv", Reason.REPEATED_ROW): 1,
    }
    for entry in manifest.inputs:
        out = sum(manifest.files[part].rows or 0 for part in entry.parts)
        assert entry.rows == out + sum(entry.quarantined.values())
        assert entry.bytes == (inbox / entry.name).stat().st_size
    assert manifest.ids_in_several_files == 1


def test_a_release_is_whole_and_carries_its_report(release: ReleaseRef, store: DirectoryStore) -> None:
    """Card and Data Docs lie beside the data, and every byte is as the manifest says."""
    manifest = read_manifest(store, "letters")
    verify(store, manifest)

    assert {"README.md", "quality/index.html", "quality/validation.json", "data/part-00002.parquet"} <= (
        manifest.files.keys()
    )
    below = {path.relative_to(release.path).as_posix() for path in Path(release.path).rglob("*") if path.is_file()}
    assert below == manifest.files.keys()


def test_preparing_writes_nothing(request_for: Any, inbox: Path, store: DirectoryStore, tmp_path: Path) -> None:
    """A dry run leaves neither store nor docs behind."""
    plan = prepare(request_for(inbox)).plan

    assert (plan.rows, plan.rows_to_annotate, plan.published) == (25, 23, None)
    assert not store.root.exists()
    assert not (tmp_path / "docs").exists()


def test_an_input_that_is_all_quarantine_publishes_nothing(
    request_for: Any, store: DirectoryStore, tmp_path: Path
) -> None:
    """The gate stops before anything is written to the store, and says which file."""
    (tmp_path / "blank.csv").write_text("id,text\n1, \n2,\n")
    ready = prepare(request_for(tmp_path / "blank.csv"))

    with pytest.raises(DataRefused, match="at least one row is accepted"):
        check_inputs(ready)
    assert not store.root.exists()


def test_all_inputs_that_cannot_be_taken_are_named_at_once(request_for: Any, inbox: Path) -> None:
    """One message for an empty file, random bytes and a missing text column."""
    (inbox / "empty.csv").touch()
    (inbox / "noise.parquet").write_bytes(os.urandom(1000))
    (inbox / "other.csv").write_text("a,b\n1,2\n")

    with pytest.raises(DataRefused) as refused:
        prepare(request_for(inbox))
    assert len(refused.value.faults) == 3
    for name in ("empty.csv", "noise.parquet", "other.csv"):
        assert any(fault.startswith(name) for fault in refused.value.faults)


def test_columns_may_be_named(request_for: Any, store: DirectoryStore, tmp_path: Path) -> None:
    """Text and id can stand under any name; a column that is really called text is kept as input_text."""
    (tmp_path / "x.csv").write_text("key,body,text\n01,hello,other\n")
    ready = prepare(request_for(tmp_path / "x.csv", text_column="body", id_column="key"))
    release = publish_prepared(ready, None)

    (row,) = pq.read_table(f"{release.path}/data").to_pylist()
    assert (row["id"], row["text"], row["input_text"]) == ("01", "hello", "other")
    assert read_manifest(store, "letters").options["text_column"] == "body"


def test_an_inbox_is_annotated_once(settings: Settings, package: Path, inbox: Path) -> None:
    """The job of the schedule: validate, publish, and find the second time that nothing is new."""
    watched: list[int] = []
    told: list[Validation] = []

    def watch(rows: int) -> Report:
        watched.append(rows)
        return unheard

    first, again = (
        annotate_inbox(settings, str(inbox), dataset="inbox", model=str(package), watch=watch, tell=told.append)
        for _ in range(2)
    )

    (validation,) = told
    assert validation.passed
    assert (validation.subject, validation.rows) == ("inbox", 25)
    assert watched == [23]
    assert again == ReleaseRef(first.dataset, 1, first.path, 23, 2, already_published=True)
    assert json.loads(Path(settings.store, "inbox/releases/1.json").read_text())["release"] == 1


def test_an_inbox_that_breaks_the_contract_is_told_before_it_is_refused(
    settings: Settings, package: Path, tmp_path: Path
) -> None:
    """Whoever shows the report sees it in the case that matters most, and nothing is published."""
    (tmp_path / "blank.csv").write_text("text\n \n \nhello\n")
    told: list[Validation] = []

    with pytest.raises(DataRefused, match="20% of a file's rows"):
        annotate_inbox(
            settings,
            str(tmp_path / "blank.csv"),
            dataset="x",
            model=str(package),
            watch=lambda _: unheard,
            tell=told.append,
        )
    assert [validation.passed for validation in told] == [False]
    assert not Path(settings.store).exists()
