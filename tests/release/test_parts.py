"""The parts: carried over where nothing changed, taken up where a run stopped, never changed under a reader."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eqn.annotation.annotator import Annotator
from eqn.annotation.columns import conformed
from eqn.annotation.shards import parquet_bytes, parquet_table
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused
from eqn.records import ReleaseRef
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.manifest import Manifest, files_key, manifest_key
from eqn.release.plan import Plan
from eqn.store.directory import DirectoryStore

PlanFor = Callable[..., Plan]
Publish = Callable[..., tuple[ReleaseRef, int]]


def rows_of(release: ReleaseRef) -> list[dict[str, Any]]:
    """Give the rows of a release, in the order of its parts."""
    return [row for part in sorted(Path(release.path).glob("data/*")) for row in pq.read_table(part).to_pylist()]


def part_of(manifest: Manifest, name: str) -> str:
    """Give the only part of the input called `name`."""
    (part,) = next(entry.parts for entry in manifest.inputs if entry.name == name)
    return part


def test_parts_of_unchanged_inputs_are_carried_over(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """One more file: only its rows are read by the model, and the old parts are the same files under new names."""
    first, _ = publish_files(inbox)
    (inbox / "0.txt").write_text("sorts before all others\n")
    second, read = publish_files(inbox)

    one, two = read_manifest(store, "letters", 1), read_manifest(store, "letters", 2)
    assert (second.number, second.rows, second.quarantined, read) == (2, 24, 2, 1)
    for name in ("a.csv", "b.jsonl", "c.parquet"):
        old, new = (Path(release.path, part_of(m, name)) for release, m in ((first, one), (second, two)))
        assert old.name != new.name
        assert old.stat().st_ino == new.stat().st_ino
    assert two.previous == 1
    verify(store, one)
    verify(store, two)


def test_quarantine_is_carried_over_too(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """A carried file brings its quarantine along: the sums stay right."""
    publish_files(inbox)
    (inbox / "new.csv").write_text("id,text\n1,hello\n2,\n3,more\n4,yet more\n5,and more\n")
    second, _ = publish_files(inbox)

    rows = pq.read_table(f"{second.path}/quarantine").to_pylist()
    assert sorted(row["file"] for row in rows) == ["a.csv", "a.csv", "new.csv"]
    assert second.quarantined == 3


def test_a_changed_file_is_annotated_anew_and_alone(publish_files: Publish, inbox: Path) -> None:
    """Its rows are read again, the other files' are not."""
    publish_files(inbox)
    with (inbox / "b.jsonl").open("a") as file:
        file.write('{"text": "one more"}\n')
    second, read = publish_files(inbox)

    assert (second.number, second.rows, read) == (2, 24, 9)


def test_another_model_annotates_everything_anew(
    publish_files: Publish, inbox: Path, store: DirectoryStore, other_annotator: Annotator
) -> None:
    """No part of one model's is passed off as another's."""
    first, _ = publish_files(inbox)
    second, read = publish_files(inbox, annotator=other_annotator)

    assert (second.number, read) == (2, 23)
    assert read_manifest(store, "letters").model["digest"] == other_annotator.package.digest
    for one, two in zip(rows_of(first), rows_of(second), strict=True):
        assert one["id"] == two["id"]
        assert [one[name] for name in EMOTIONS] != [two[name] for name in EMOTIONS]


def test_carried_parts_take_the_columns_that_another_input_brings(
    publish_files: Publish, inbox: Path, tmp_path: Path
) -> None:
    """A new column is null in old parts and numbers become text beside words, as if annotated anew; nothing is read."""
    publish_files(inbox / "c.parquet")
    (inbox / "new.csv").write_text("id,text,stars,mood\n1,hello,many,good\n")
    second, read = publish_files(inbox / "c.parquet", inbox / "new.csv")
    anew, _ = publish_files(inbox / "c.parquet", inbox / "new.csv", store=DirectoryStore(tmp_path / "fresh"))

    assert (second.number, read) == (2, 1)
    rows = rows_of(second)
    assert [row["stars"] for row in rows] == ["1", "2", None, "4", "5", "many"]
    assert [row["mood"] for row in rows] == [None] * 5 + ["good"]
    assert rows == rows_of(anew)


def test_a_column_that_became_text_gets_its_type_back(publish_files: Publish, inbox: Path, tmp_path: Path) -> None:
    """Text cannot be turned back: when the words are gone, the numbers are annotated anew, as numbers."""
    (inbox / "new.csv").write_text("id,text,stars,mood\n1,hello,many,good\n")
    publish_files(inbox / "c.parquet", inbox / "new.csv")
    second, read = publish_files(inbox / "c.parquet")
    anew, _ = publish_files(inbox / "c.parquet", store=DirectoryStore(tmp_path / "fresh"))

    assert (second.number, read) == (2, 5)
    assert [row["stars"] for row in rows_of(second)] == [1, 2, None, 4, 5]
    assert rows_of(second) == rows_of(anew)


def test_a_column_that_no_input_has_any_more_is_dropped(publish_files: Publish, inbox: Path) -> None:
    """A file that goes takes its columns along; the others' parts are not annotated again."""
    publish_files(inbox / "b.jsonl", inbox / "a.csv")
    second, read = publish_files(inbox / "b.jsonl")

    assert read == 0
    assert set(rows_of(second)[0]) == {"id", "text", "stars", "truncated", "labels", *EMOTIONS}


def test_a_damaged_part_is_not_carried_over(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """What was published must be as it was published: else it is named, and no release is made of it."""
    first, _ = publish_files(inbox)
    part = Path(first.path, "data/part-00000.parquet")
    part.write_bytes(part.read_bytes()[:-1])
    (inbox / "new.txt").write_text("hello\n")

    with pytest.raises(ArtifactRefused, match=str(part)):
        publish_files(inbox)
    assert release_numbers(store, "letters") == [1]


@pytest.fixture
def interrupted(publish_files: Publish, inbox: Path, store: DirectoryStore) -> Path:
    """The folder of a job that wrote all its files and was killed before its manifest."""
    release, _ = publish_files(inbox)
    store.delete(manifest_key("letters", 1))
    return Path(release.path)


def test_finished_parts_are_not_annotated_again(
    publish_files: Publish, inbox: Path, interrupted: Path, store: DirectoryStore
) -> None:
    """A rerun reads only what is missing, and ends with the same content."""
    before = {path: path.read_bytes() for path in interrupted.rglob("*.parquet")}
    missing = interrupted / "data/part-00001.parquet"
    missing.unlink()
    release, read = publish_files(inbox)

    assert (release.path, read) == (str(interrupted), 8)
    assert {path: path.read_bytes() for path in interrupted.rglob("*.parquet")} == before
    verify(store, read_manifest(store, "letters"))


@pytest.mark.parametrize("damage", ["cut", "page", "foreign", "writer", "rows"])
def test_a_finished_part_that_is_not_whole_is_left_alone(
    publish_files: Publish, plan_for: PlanFor, inbox: Path, interrupted: Path, damage: str, golden: str
) -> None:
    """Whoever wrote it may have published it: the job goes to another folder, and its content is as it should be."""
    part = interrupted / "data/part-00000.parquet"
    whole = part.read_bytes()
    table = conformed(parquet_table(whole), plan_for(inbox).schema)
    contents = {
        "cut": whole[: len(whole) // 2],
        "page": whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:],
        "foreign": b"PAR1 nothing",
        "writer": whole.replace(b"parquet-cpp-arrow", b"parquet-cpp-arro\xf7"),
        "rows": parquet_bytes(table.slice(1)),
    }
    part.write_bytes(contents[damage])
    release, read = publish_files(inbox)

    assert (release.path, read) == (f"{interrupted}.1", 23)
    assert part.read_bytes() == contents[damage]
    manifest = read_manifest(DirectoryStore(interrupted.parents[2]), "letters")
    verify(DirectoryStore(interrupted.parents[2]), manifest)
    assert manifest.content_digest == golden


def test_a_part_of_a_file_that_had_changed_meanwhile_is_made_again(
    publish_files: Publish, plan_for: PlanFor, inbox: Path, interrupted: Path
) -> None:
    """Whoever edits a file while it is read leaves a part with other columns' values: it is not taken for finished."""
    part = interrupted / "data/part-00000.parquet"
    whole = part.read_bytes()
    table = conformed(parquet_table(whole), plan_for(inbox).schema)
    author = pa.array(["somebody else"] * len(table))
    part.write_bytes(parquet_bytes(table.set_column(2, table.schema.field(2), author)))
    release, _ = publish_files(inbox)

    assert Path(release.path, "data/part-00000.parquet").read_bytes() == whole
    assert release.path == f"{interrupted}.1"


def test_figures_that_are_no_numbers_do_not_keep_a_part_from_being_taken_up(
    publish_files: Publish, tmp_path: Path, store: DirectoryStore
) -> None:
    """A NaN equals nothing; a finished part with one is finished all the same."""
    path = tmp_path / "nan.parquet"
    pq.write_table(
        pa.table({"text": ["a", "b"], "x": [np.nan, 1.0], "y": pa.array([None, np.nan], pa.float32())}), path
    )
    release, _ = publish_files(path)
    store.delete(manifest_key("letters", 1))
    again, read = publish_files(path)

    assert (again.path, read) == (release.path, 0)
    assert str(rows_of(again)[0]["x"]) == "nan"


def test_a_rivals_part_is_kept(publish_files: Publish, inbox: Path, store: DirectoryStore, plan_for: PlanFor) -> None:
    """Another run of the same job may have published meanwhile: its file stays, and both manifests tell its bytes."""
    key = f"{files_key('letters', plan_for(inbox / 'c.parquet').job)}/data/part-00000.parquet"
    trial, _ = publish_files(inbox / "c.parquet", store=DirectoryStore(store.root.with_name("trial")))
    ours = Path(trial.path, "data/part-00000.parquet").read_bytes()
    version = pa.__version__.encode()
    rivals = ours.replace(b"arrow version " + version, b"arrow version " + version[::-1])  # as another pyarrow would

    release, _ = publish_files(inbox / "c.parquet", report=lambda rows, tokens: store.put(key, rivals))

    assert rivals != ours
    assert Path(release.path, "data/part-00000.parquet").read_bytes() == rivals
    verify(store, read_manifest(store, "letters"))


def test_a_repeated_put_does_not_touch_the_files(publish_files: Publish, inbox: Path, interrupted: Path) -> None:
    """A rerun of finished work leaves every file as it stands: same inode, same time."""
    before = {path: path.stat() for path in interrupted.rglob("*") if path.is_file()}
    shutil.rmtree(interrupted.parents[1] / "releases")
    publish_files(inbox)

    after = {path: path.stat() for path in before}
    assert {path: (at.st_ino, at.st_mtime_ns) for path, at in after.items()} == {
        path: (at.st_ino, at.st_mtime_ns) for path, at in before.items()
    }
