"""The Croissant description: valid for the standard's own reader, which loads the very rows from a release's folder."""

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import mlcroissant
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eqn.emotions import EMOTIONS, MEANINGS
from eqn.records import ModelRef, ReleaseRef
from eqn.release.catalog import read_manifest, verify
from eqn.release.croissant import croissant_json
from eqn.release.manifest import FileEntry
from eqn.release.plan import Plan
from eqn.release.summary import Summary
from eqn.store.directory import DirectoryStore

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlcroissant", "ignore::DeprecationWarning:rdflib")

PlanFor = Callable[..., Plan]
Publish = Callable[..., tuple[ReleaseRef, int]]

UNKNOWN_TO_A_JOB = {"datePublished", "citeAs", "version"}
"""What the standard recommends and no job can say: its time, and how others cite the user's data."""


def described(release: ReleaseRef) -> Any:
    return json.loads(Path(release.path, "croissant.json").read_bytes())


def fields_of(facts: Any) -> dict[str, Any]:
    (rows,) = facts["recordSet"]
    return {field["name"]: field for field in rows["field"]}


def opened(release: ReleaseRef) -> mlcroissant.Dataset:
    """Open a release with the standard's reader, which refuses what is not valid."""
    dataset = mlcroissant.Dataset(Path(release.path, "croissant.json"))
    issues = dataset.metadata.issues
    assert issues.errors == set()
    assert {warning.rpartition("/")[2].partition('"')[0] for warning in issues.warnings} == UNKNOWN_TO_A_JOB
    return dataset


def records(release: ReleaseRef) -> list[dict[str, Any]]:
    """Give the rows as the standard's reader loads them, by the columns' names."""
    dataset = opened(release)
    names = {field.id: field.name for field in dataset.metadata.record_sets[0].fields}
    return [{names[identifier]: value for identifier, value in row.items()} for row in dataset.records("rows")]


def test_the_standards_reader_loads_the_rows(publish_files: Publish, inbox: Path) -> None:
    """Several parts, awkward texts, missing values: what is loaded is what the Parquet files hold, in their order."""
    release, _ = publish_files(inbox)
    expected = pq.read_table(f"{release.path}/data").to_pylist()
    loaded = records(release)

    assert len(list(Path(release.path, "data").iterdir())) == 3
    assert len(loaded) == release.rows == 23
    for row, published in zip(loaded, expected, strict=True):
        assert row["id"].decode() == published["id"]
        assert row["text"].decode() == published["text"]
        assert {name: row[name] for name in EMOTIONS} == {name: published[name] for name in EMOTIONS}
        assert [label.decode() for label in row["labels"]] == published["labels"]
        assert row["truncated"] is published["truncated"]
        for name in ("author", "gold_joy", "stars"):
            assert (None if row[name] is None else row[name].decode()) == published[name]


def test_it_is_one_of_the_releases_files(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """It stands in the manifest, so `verify` covers it, and names every data file with its digest and length."""
    release, _ = publish_files(inbox)
    manifest, facts = read_manifest(store, "letters"), described(release)
    files = {entry["contentUrl"]: entry for entry in facts["distribution"] if entry["@type"] == "cr:FileObject"}

    assert "croissant.json" in manifest.files
    verify(store, manifest)
    assert sorted(files) == sorted(f"data/{path.name}" for path in Path(release.path, "data").iterdir())
    for name, entry in files.items():
        content = Path(release.path, name).read_bytes()
        assert (entry["sha256"], entry["contentSize"]) == (hashlib.sha256(content).hexdigest(), f"{len(content)} B")
        assert entry["encodingFormat"][0] == "application/vnd.apache.parquet"


def test_every_column_has_its_meaning_and_type(publish_files: Publish, inbox: Path) -> None:
    """The table's columns in their order; the emotions with what they mean."""
    release, _ = publish_files(inbox)
    facts = described(release)
    fields = fields_of(facts)

    assert (facts["name"], facts["@type"]) == ("letters", "sc:Dataset")
    assert list(fields) == pq.read_schema(f"{release.path}/data/part-00000.parquet").names
    assert {name: field["source"]["extract"]["column"] for name, field in fields.items()} == {n: n for n in fields}
    for name in EMOTIONS:
        assert fields[name]["dataType"] == "sc:Float"
        assert MEANINGS[name] in fields[name]["description"]
    assert (fields["labels"]["dataType"], fields["labels"]["repeated"]) == ("sc:Text", True)
    assert fields["truncated"]["dataType"] == "sc:Boolean"
    assert (fields["gold_joy"]["dataType"], fields["stars"]["dataType"]) == ("sc:Text", "sc:Text")
    assert "23 texts" in facts["description"]


ODD_NAMES = [
    *("a b", "a/b", "..", "a%20b", "http://x/y", "@id", "cr:field", "_:b0", "name", "日本", "x" * 300, "a\u202eb"),
    *('q"uo\\te', "two\nlines", "</script>", "column-3", "column-04", "index", "{}", "#", "?a=b", "-", "=1+1"),
]


def test_odd_names_stay_true_and_their_ids_unique(publish_files: Publish, tmp_path: Path) -> None:
    """Strangers' names are loaded under their own name, whatever an `@id` may hold, and none ends a page's script."""
    columns = {name: [f"value of {place}"] for place, name in enumerate(ODD_NAMES)}
    pq.write_table(pa.table({"id": ["1"], "text": ["hello"], **columns}), tmp_path / "odd.parquet")
    release, _ = publish_files(tmp_path / "odd.parquet")
    content = Path(release.path, "croissant.json").read_bytes()
    identifiers = [field["@id"] for field in fields_of(described(release)).values()]
    (row,) = records(release)

    assert {name: row[name].decode() for name in ODD_NAMES} == {name: value for name, (value,) in columns.items()}
    assert len(set(identifiers)) == len(identifiers) == len(ODD_NAMES) + 32
    assert all(
        identifier.removeprefix("rows/").replace("-", "").replace("_", "").isalnum() for identifier in identifiers
    )
    assert content.isascii()
    assert b"<" not in content


def test_types_are_the_standards(publish_files: Publish, tmp_path: Path) -> None:
    """Numbers, times and lists are loaded as such; structures, bytes and nameless columns are only counted."""
    moment = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
    columns = {
        "count": pa.array([7, None], pa.int16()),
        "share": pa.array([0.25, None]),
        "price": pa.array([Decimal("1.25"), None]),
        "seen": pa.array([True, None]),
        "moment": pa.array([moment, None], pa.timestamp("us", tz="UTC")),
        "day": pa.array([moment.date(), None]),
        "hour": pa.array([moment.time(), None]),
        "kind": pa.array(["a", None]).dictionary_encode(),
        "numbers": pa.array([[1, 2], None]),
        "nothing": pa.nulls(2),
        "structure": pa.array([{"a": 1}, None]),
        "bytes": pa.array([b"\xff", None]),
        "nested": pa.array([[[1]], None]),
        "": pa.array(["nameless", None]),
    }
    pq.write_table(pa.table({"text": ["one", "two"], **columns}), tmp_path / "types.parquet")
    release, _ = publish_files(tmp_path / "types.parquet")
    facts = described(release)
    kinds = {name: field["dataType"].removeprefix("sc:") for name, field in fields_of(facts).items() if name in columns}
    first, second = records(release)

    assert " ".join(f"{name}:{kind}" for name, kind in kinds.items()) == (
        "count:Integer share:Float price:Float seen:Boolean moment:DateTime "
        "day:Date hour:Time kind:Text numbers:Integer nothing:Text"
    )
    assert "4 columns of the input are in the files" in facts["recordSet"][0]["description"]
    assert [first[name] for name in ("count", "share", "price", "seen", "kind", "numbers")] == [
        *(7, 0.25, 1.25, True, b"a", [1, 2])
    ]
    assert first["moment"] == moment
    assert (first["day"].date(), first["hour"]) == (moment.date(), moment.time())
    assert all(second[name] is None for name in kinds)


def test_a_release_without_rows_describes_no_files(publish_files: Publish, tmp_path: Path) -> None:
    """Everything is in quarantine: the description is valid all the same, and promises nothing to load."""
    (tmp_path / "blank.csv").write_text("id,text\n1, \n")
    release, _ = publish_files(tmp_path / "blank.csv")
    facts = described(release)

    assert (release.rows, release.quarantined) == (0, 1)
    assert opened(release).metadata.record_sets == []
    assert facts.keys().isdisjoint({"distribution", "recordSet"})
    assert facts["description"].startswith("0 texts")


def test_many_parts_stay_small(plan_for: PlanFor, inbox: Path, tmp_path: Path) -> None:
    """500 parts (four million rows) are valid, at less than half a kilobyte each."""
    files = {f"data/part-{n:05d}.parquet": FileEntry(f"{n:064x}", n, n) for n in range(500)}
    content = croissant_json(plan_for(inbox), Summary(), files | {"README.md": FileEntry("0" * 64, 1)})
    (tmp_path / "croissant.json").write_bytes(content)
    metadata = mlcroissant.Dataset(tmp_path / "croissant.json").metadata

    assert [entry.content_url for entry in metadata.file_objects] == list(files)
    assert len(content) < 500 * 500


def test_the_same_job_has_the_same_description(plan_for: PlanFor, inbox: Path) -> None:
    """What is no part of a job's identity does not stand in it: the model's place and number, the files' order."""
    plan = plan_for(inbox)
    renamed = dataclasses.replace(plan, model=ModelRef("elsewhere", plan.model.digest, "eqn", 7))
    files = {f"data/part-{n:05d}.parquet": FileEntry(f"{n:064x}", n, n) for n in range(3)}
    content = croissant_json(plan, Summary(), files)

    assert croissant_json(renamed, Summary(), dict(reversed(files.items()))) == content
    assert croissant_json(dataclasses.replace(plan, job="0" * 64), Summary(), files) != content


@pytest.mark.parametrize("harm", ["no digest", "no type", "white space"])
def test_the_reader_does_refuse(publish_files: Publish, inbox: Path, tmp_path: Path, harm: str) -> None:
    """The tests above can fail: a file without digest, a column without type, an `@id` as columns may be named."""
    release, _ = publish_files(inbox)
    facts = described(release)
    field = facts["recordSet"][0]["field"][0]
    if harm == "no digest":
        del facts["distribution"][0]["sha256"]
    elif harm == "no type":
        del field["dataType"]
    else:
        field["@id"] = "rows/an id"
    (tmp_path / "croissant.json").write_text(json.dumps(facts))

    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(tmp_path / "croissant.json")
