"""Releases with uncertainty: two columns on request, another job, and everything else as it always was."""

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import pyarrow.parquet as pq
import pytest

from eqn.annotation.annotator import Annotator
from eqn.annotation.shards import ROWS
from eqn.corpus.contract import VERSION
from eqn.corpus.inputs import find_inputs
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, UsageError
from eqn.records import ModelRef, ReleaseRef
from eqn.release.annotate import Request, annotate_inbox, prepare, publish_prepared
from eqn.release.card import dataset_card
from eqn.release.catalog import read_manifest, verify
from eqn.release.croissant import croissant_json
from eqn.release.export import CsvOptions, csv_pages
from eqn.release.manifest import manifest_key
from eqn.release.parts import unheard
from eqn.release.plan import Plan
from eqn.release.summary import Summary
from eqn.settings import load_settings
from eqn.store.directory import DirectoryStore
from tests.release.conftest import rewritten, write_csv

PlanFor = Callable[..., Plan]
Publish = Callable[..., tuple[ReleaseRef, int]]


@pytest.fixture(scope="session")
def earlier(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package as version 0.1 wrote it: format 2, with neither calibration nor limits."""
    out = tmp_path_factory.mktemp("earlier") / "model"
    return rewritten(package, out, format=2, calibration=None, conformal=None)


@pytest.fixture
def release(publish_files: Publish, inbox: Path, sure: Annotator) -> ReleaseRef:
    return publish_files(inbox, annotator=sure, uncertainty=True)[0]


def rows_of(release: ReleaseRef) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(f"{release.path}/data").to_pylist()
    return rows


def test_a_job_without_the_option_is_what_it_always_was(plan_for: PlanFor, inbox: Path, sure: Annotator) -> None:
    """The digest is over contract, model, options and inputs, and names no option that is off."""
    plan = plan_for(inbox, annotator=sure)
    options = sure.options | {"shard_rows": ROWS, "text_column": "text", "id_column": "id"}
    named = [(source.file.name, source.scan.digest) for source in plan.sources]
    facts = [VERSION, sure.package.digest, options, named]

    assert plan.options == options
    assert plan.job == hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def test_the_option_makes_another_job(plan_for: PlanFor, inbox: Path, sure: Annotator) -> None:
    """The same with and without it are two jobs, whose options differ in nothing else."""
    plain, asked = (plan_for(inbox, annotator=sure, uncertainty=wanted) for wanted in (False, True))

    assert asked.job != plain.job
    assert asked.options == plain.options | {"uncertainty": True}
    assert asked.schema.names == [*plain.schema.names, "entropy", "conformal"]
    assert plan_for(inbox, annotator=sure, uncertainty=True).job == asked.job


def test_each_row_says_how_sure_the_model_is(release: ReleaseRef, store: DirectoryStore, sure: Annotator) -> None:
    """As the annotator itself says of that text; the manifest records the option, and every byte is covered."""
    rows, manifest = rows_of(release), read_manifest(store, "letters")
    verify(store, manifest)
    part = manifest.inputs[1].parts[0]  # b.jsonl alone: one batch
    found = sure.annotation([f"comment {n}" for n in range(8)], uncertainty=True).uncertainty

    assert manifest.options["uncertainty"] is True
    assert found is not None
    table = pq.read_table(f"{release.path}/{part}")
    assert table.column("entropy").to_pylist() == found.entropy.tolist()
    assert table.column("conformal").to_pylist() == found.conformal
    assert len(rows) == 23
    assert all(0 < row["entropy"] <= 1 and float(str(np.float32(row["entropy"]))) < 1 for row in rows)
    assert all(row["conformal"] == [name for name in EMOTIONS if name in row["conformal"]] for row in rows)
    assert {name for row in rows for name in row["conformal"]}.isdisjoint({"grief", "relief"})
    assert 0 < sum(len(row["conformal"]) for row in rows) < 23 * 26


def test_nothing_else_changes(publish_files: Publish, inbox: Path, sure: Annotator, release: ReleaseRef) -> None:
    """Without its two columns the release is the one that is published without the option."""
    plain, _ = publish_files(inbox, annotator=sure, dataset="plain")
    asked = [{name: row[name] for name in row if name not in {"entropy", "conformal"}} for row in rows_of(release)]

    assert asked == rows_of(plain)
    for name in ("README.md", "croissant.json"):
        written = Path(plain.path, name).read_text()
        assert "entropy" not in written
        assert "conformal set" not in written


def test_an_inputs_own_columns_are_kept(publish_files: Publish, tmp_path: Path, sure: Annotator) -> None:
    """`entropy` of the input becomes `input_entropy` beside ours, and keeps its name where ours is not written."""
    path = write_csv(tmp_path / "x.csv", [{"text": f"comment {n}", "entropy": n, "Conformal": "own"} for n in range(5)])
    asked, _ = publish_files(path, annotator=sure, uncertainty=True)
    plain, _ = publish_files(path, annotator=sure, dataset="plain")

    assert [row["input_entropy"] for row in rows_of(asked)] == [*"01234"]
    assert {row["input_Conformal"] for row in rows_of(asked)} == {"own"}
    assert all(isinstance(row["entropy"], float) for row in rows_of(asked))
    assert [row["entropy"] for row in rows_of(plain)] == [*"01234"]
    assert "as given" in field_of(plain, "entropy")["description"]
    assert "binary entropy" in field_of(asked, "entropy")["description"]


def field_of(release: ReleaseRef, name: str) -> Any:
    (rows,) = json.loads(Path(release.path, "croissant.json").read_bytes())["recordSet"]
    return next(field for field in rows["field"] if field["name"] == name)


def test_parts_are_carried_over_under_the_same_option_only(
    publish_files: Publish, inbox: Path, store: DirectoryStore, sure: Annotator
) -> None:
    """Turned on, off and on again: rows are read anew at each turn, and only where it stays are they carried."""
    publish_files(inbox, annotator=sure)
    (inbox / "1.txt").write_text("one\n")
    assert publish_files(inbox, annotator=sure, uncertainty=True)[1] == 24
    (inbox / "2.txt").write_text("two\n")
    assert publish_files(inbox, annotator=sure, uncertainty=True)[1] == 1
    (inbox / "3.txt").write_text("three\n")
    release, read = publish_files(inbox, annotator=sure)

    assert (release.number, read) == (4, 26)
    assert "entropy" not in pq.read_schema(f"{release.path}/data/part-00000.parquet").names
    two, three = (read_manifest(store, "letters", number) for number in (2, 3))
    carried = {two.files[part].sha256 for entry in two.inputs for part in entry.parts}
    assert carried < {entry.sha256 for entry in three.files.values()}


def test_a_killed_run_goes_on_where_it_stopped(
    publish_files: Publish, inbox: Path, store: DirectoryStore, sure: Annotator, release: ReleaseRef
) -> None:
    """Parts that are there are taken, those that are missing are made: the same files as before."""
    before = read_manifest(store, "letters")
    store.delete(manifest_key("letters", 1))
    store.delete(f"{before.path}/{before.inputs[1].parts[0]}")
    again, read = publish_files(inbox, annotator=sure, uncertainty=True)

    assert (again.path, read) == (release.path, 8)
    assert read_manifest(store, "letters").content_digest == before.content_digest


def test_it_goes_on_where_an_input_has_such_a_column_too(
    publish_files: Publish, tmp_path: Path, store: DirectoryStore, sure: Annotator
) -> None:
    """The rows that were given are found again under the names that they were written with."""
    path = write_csv(tmp_path / "x.csv", [{"text": f"comment {n}", "entropy": n} for n in range(5)])
    release, _ = publish_files(path, annotator=sure, uncertainty=True)
    store.delete(manifest_key("letters", 1))
    again, read = publish_files(path, annotator=sure, uncertainty=True)

    assert (again.path, read) == (release.path, 0)


def test_the_card_states_figures_coverage_and_what_is_left_out(release: ReleaseRef) -> None:
    """One paragraph says what the sets promise and for which emotions nothing; the figures are the data's."""
    card = Path(release.path, "README.md").read_text()
    rows, told = rows_of(release), " ".join(card.split())
    empty = sum(not row["conformal"] for row in rows)

    assert "| entropy | float32 |" in card
    assert "| conformal | list of string |" in card
    assert (
        card.index("| labels |") < card.index("| entropy |") < card.index("## Uncertainty") < card.index("## What is")
    )
    assert f"The mean entropy is {sum(row['entropy'] for row in rows) / 23:.4f} bits." in told
    assert (
        f"holds {sum(len(row['conformal']) for row in rows) / 23:.2f} emotions on average; empty sets: {empty}." in told
    )
    assert "at least 90 % have it in their set" in told
    assert "Nothing is promised for grief, relief:" in told
    assert "uncertainty: True" in card


@pytest.mark.filterwarnings("ignore::Warning:mlcroissant", "ignore::DeprecationWarning:rdflib")
def test_the_standards_reader_loads_both_columns(release: ReleaseRef) -> None:
    """The description is valid, says what they hold and promise, and loads what the Parquet files hold."""
    dataset = mlcroissant.Dataset(Path(release.path, "croissant.json"))
    loaded = [(row["rows/entropy"], row["rows/conformal"]) for row in dataset.records("rows")]
    entropy, conformal = field_of(release, "entropy"), field_of(release, "conformal")

    assert dataset.metadata.issues.errors == set()
    assert (entropy["dataType"], conformal["dataType"], conformal["repeated"]) == ("sc:Float", "sc:Text", True)
    assert "at least 90 %" in conformal["description"]
    assert "grief, relief" in conformal["description"]
    assert [(number, [name.decode() for name in names]) for number, names in loaded] == [
        (row["entropy"], row["conformal"]) for row in rows_of(release)
    ]


def test_a_csv_file_holds_them_among_all_columns(release: ReleaseRef, store: DirectoryStore) -> None:
    """The original columns stay as they are; with all columns both stand at the end, the entropy unscaled."""
    manifest = read_manifest(store, "letters")
    plain, whole = (
        list(csv.DictReader(io.StringIO(b"".join(csv_pages(store, manifest, options)).decode(), newline="")))
        for options in (CsvOptions(), CsvOptions(all_columns=True, scale=10))
    )

    assert {"entropy", "conformal"}.isdisjoint(plain[0])
    assert list(whole[0])[-2:] == ["entropy", "conformal"]
    assert [float(row["entropy"]) for row in whole] == [
        float(str(np.float32(row["entropy"]))) for row in rows_of(release)
    ]
    assert [json.loads(row["conformal"]) for row in whole] == [row["conformal"] for row in rows_of(release)]


def test_a_part_without_them_is_not_exported_as_if_it_had_them(
    publish_files: Publish, inbox: Path, store: DirectoryStore, sure: Annotator
) -> None:
    """A manifest that promises columns which its parts do not have is refused."""
    publish_files(inbox, annotator=sure)
    manifest = read_manifest(store, "letters")
    promising = dataclasses.replace(manifest, options={**manifest.options, "uncertainty": True})

    with pytest.raises(ArtifactRefused, match="entropy"):
        list(csv_pages(store, promising, CsvOptions()))


def test_a_release_without_rows_has_its_columns_and_card(
    publish_files: Publish, store: DirectoryStore, tmp_path: Path, sure: Annotator
) -> None:
    """Everything is in quarantine: no figure is divided by nothing, and the header of its CSV file is whole."""
    (tmp_path / "blank.csv").write_text("id,text\n1, \n")
    release, _ = publish_files(tmp_path / "blank.csv", annotator=sure, uncertainty=True)
    (header,) = csv_pages(store, read_manifest(store, "letters"), CsvOptions(all_columns=True))

    assert "The mean entropy is 0.0000 bits." in Path(release.path, "README.md").read_text()
    assert header.decode().endswith(",labels,entropy,conformal\n")


def test_the_same_job_has_the_same_card(plan_for: PlanFor, inbox: Path, sure: Annotator) -> None:
    """Where the model stands does not matter, so that a rerun from elsewhere writes the same bytes."""
    plan = plan_for(inbox, annotator=sure, uncertainty=True)
    moved = dataclasses.replace(plan, model=ModelRef("elsewhere", plan.model.digest, "eqn", 7))

    assert dataset_card(moved, Summary(uncertainty=True)) == dataset_card(plan, Summary(uncertainty=True))
    assert croissant_json(moved, Summary(uncertainty=True), {}) == croissant_json(plan, Summary(uncertainty=True), {})


def test_a_model_of_an_earlier_eqn_is_refused_before_any_work(
    earlier: Path, store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before inputs are even looked for, nothing is written, and without the option the model works as ever."""
    monkeypatch.setenv("EQN_HOME", str(tmp_path / "home"))
    nowhere = str(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"needs; .* has none: it was trained by an earlier EQN"):
        annotate_inbox(
            load_settings(),
            nowhere,
            dataset="x",
            model=str(earlier),
            uncertainty=True,
            watch=lambda _: unheard,
            tell=lambda _: None,
        )
    assert not (tmp_path / "home").exists()

    (tmp_path / "x.txt").write_text("hello\n")
    request = Request(
        dataset="x",
        inputs=find_inputs([str(tmp_path / "x.txt")]),
        model=ModelRef(str(earlier), hashlib.sha256((earlier / "eqn.json").read_bytes()).hexdigest()),
        store=store,
        docs=tmp_path / "docs",
        choices=tmp_path / "back_ends",
    )
    with pytest.raises(UsageError, match="earlier EQN"):
        prepare(dataclasses.replace(request, uncertainty=True))
    assert not store.root.exists()
    assert publish_prepared(prepare(request), None).rows == 1
