"""The promises of a release on every kind of store: a directory, moto's S3, and Ceph's."""

import contextlib
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eqn.annotation.annotator import Annotator
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, Conflict
from eqn.records import ReleaseRef
from eqn.release.catalog import datasets, read_manifest, release_numbers, verify
from eqn.release.collection import collect
from eqn.release.commit import announced_folders
from eqn.release.export import CsvOptions, export_csv
from eqn.release.manifest import Manifest, manifest_key
from eqn.release.plan import Plan
from eqn.release.publish import publish
from eqn.store.interface import ObjectStore, open_store

PlanFor = Callable[..., Plan]
Publish = Callable[..., tuple[ReleaseRef, int]]


def table_of(store: ObjectStore, manifest: Manifest) -> pa.Table:
    """Read the parts of a release through its store."""
    parts = [f"{manifest.path}/{name}" for name in manifest.files if name.startswith("data/")]
    return pa.concat_tables([pq.read_table(pa.BufferReader(store.get(part))) for part in parts])


def test_the_same_work_has_the_same_content_everywhere(
    publish_files: Publish, inbox: Path, any_store: ObjectStore, golden: str
) -> None:
    """Digests, row counts, quarantine and the rows themselves are those of a directory."""
    release, read = publish_files(inbox, store=any_store)

    manifest = read_manifest(any_store, "letters")
    verify(any_store, manifest)
    assert (release.number, release.rows, release.quarantined, read) == (1, 23, 2, 23)
    assert release.path == any_store.address(manifest.path)
    assert manifest.content_digest == golden
    table = table_of(any_store, manifest)
    assert table.num_rows == 23
    assert set(EMOTIONS) <= set(table.column_names)
    assert "NA" in table.column("text").to_pylist()
    assert (datasets(any_store), release_numbers(any_store, "letters")) == (["letters"], [1])


def test_the_same_work_is_published_once(publish_files: Publish, inbox: Path, any_store: ObjectStore) -> None:
    """Asked again, nothing is read by the model and nothing written; another opening of the store sees it too."""
    publish_files(inbox, store=any_store)
    keys = set(any_store.list(""))
    again, read = publish_files(inbox, store=open_store(any_store.address("x").removesuffix("/x")))

    assert (again.number, again.already_published, read) == (1, True, 0)
    assert set(any_store.list("")) == keys


def test_what_is_new_is_annotated_and_the_rest_carried_over(
    publish_files: Publish, inbox: Path, any_store: ObjectStore
) -> None:
    """A file more: its rows alone are read; the old parts are copied, byte for byte, and release 1 is as it was."""
    publish_files(inbox, store=any_store)
    first = any_store.get(manifest_key("letters", 1))
    (inbox / "d.txt").write_text("hello\nworld\n")
    release, read = publish_files(inbox, store=any_store)

    assert (release.number, release.rows, read) == (2, 25, 2)
    assert any_store.get(manifest_key("letters", 1)) == first
    for number in (1, 2):
        verify(any_store, read_manifest(any_store, "letters", number))
    one, two = read_manifest(any_store, "letters", 1), read_manifest(any_store, "letters", 2)
    shas = {entry.sha256 for name, entry in one.files.items() if name.startswith("data/")}
    carried = {entry.sha256 for name, entry in two.files.items() if name.startswith("data/")}
    assert len(shas & carried) >= 1
    assert two.previous == 1


class Mortal:
    """A store whose user dies at the n-th write."""

    def __init__(self, store: ObjectStore, dies_at: int) -> None:
        self._store, self.left = store, dies_at

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return self._counted(method) if name in {"put_if_absent", "put", "copy_if_absent"} else method

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return method(*arguments)

        return call


@pytest.mark.promise(2)
def test_a_death_at_any_write_loses_nothing(
    publish_files: Publish, plan_for: PlanFor, annotator: Annotator, inbox: Path, any_store: ObjectStore, golden: str
) -> None:
    """Whatever was written stays invisible until the manifest; a rerun ends in the undisturbed content."""
    for dies_at in range(20):
        dataset = f"dies-at-{dies_at}"
        mortal: Any = Mortal(any_store, dies_at)
        with contextlib.suppress(KeyboardInterrupt):
            publish(mortal, plan_for(inbox, store=mortal, dataset=dataset), annotator)
            break
        assert release_numbers(any_store, dataset) == []
        publish_files(inbox, store=any_store, dataset=dataset)
        manifest = read_manifest(any_store, dataset)
        verify(any_store, manifest)
        assert {n: e for n, e in manifest.files.items() if n.startswith(("data/", "quarantine/"))}
        assert announced_folders(any_store, dataset) == set()
    assert dies_at > 6
    publish_files(inbox, store=any_store)
    assert read_manifest(any_store, "letters").content_digest == golden


def test_a_number_that_is_taken_is_a_conflict(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, any_store: ObjectStore
) -> None:
    """Two plans for release 1: the second one to commit is told, and the first one's bytes stay."""
    first = plan_for(inbox / "a.csv", store=any_store)
    second = plan_for(inbox / "b.jsonl", store=any_store)
    publish(any_store, first, annotator, expect=1)
    before = any_store.get(manifest_key("letters", 1))

    with pytest.raises(Conflict):
        publish(any_store, second, annotator, expect=1)
    assert any_store.get(manifest_key("letters", 1)) == before
    assert publish(any_store, second, annotator).number == 2


@pytest.mark.promise(7)
def test_rivals_in_threads_take_one_number_each(
    plan_for: PlanFor, package: Path, inbox: Path, any_store: ObjectStore
) -> None:
    """Three works at once: numbers 1, 2 and 3, all whole."""
    plans = [plan_for(inbox / name, store=any_store) for name in ("a.csv", "b.jsonl", "c.parquet")]
    with ThreadPoolExecutor(3) as pool:
        refs = list(pool.map(lambda plan: publish(any_store, plan, Annotator.load(package)), plans))

    assert sorted(ref.number for ref in refs) == [1, 2, 3]
    for number in (1, 2, 3):
        verify(any_store, read_manifest(any_store, "letters", number))


@pytest.mark.parametrize("how", ["changed", "gone", "foreign"])
def test_damage_is_found(publish_files: Publish, inbox: Path, any_store: ObjectStore, how: str) -> None:
    """A flipped byte, a missing part, a part that nobody published."""
    publish_files(inbox, store=any_store)
    manifest = read_manifest(any_store, "letters")
    part = f"{manifest.path}/data/part-00001.parquet"
    content = any_store.get(part)
    if how == "changed":
        any_store.put(part, content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif how == "gone":
        any_store.delete(part)
    else:
        any_store.put(f"{manifest.path}/data/part-00099.parquet", content)

    with pytest.raises(ArtifactRefused) as refused:
        verify(any_store, manifest)
    assert "part-000" in refused.value.faults[0]


def test_what_nobody_published_is_collected(publish_files: Publish, inbox: Path, any_store: ObjectStore) -> None:
    """Orphans go after the grace, by the store's own clock; the release stays."""
    publish_files(inbox / "a.csv", store=any_store)
    mortal: Any = Mortal(any_store, 3)
    with contextlib.suppress(KeyboardInterrupt):
        publish_files(inbox, store=mortal)
    published = read_manifest(any_store, "letters")

    assert collect(any_store, "letters") == []
    assert [one.files for one in collect(any_store, "letters", grace_hours=0)] == [3]
    assert all(key.startswith(published.path) for key in any_store.list("letters/files"))
    verify(any_store, published)


def test_a_release_is_exported(publish_files: Publish, inbox: Path, any_store: ObjectStore, tmp_path: Path) -> None:
    """The CSV of any store is the CSV of a directory."""
    publish_files(inbox, store=any_store)
    publish_files(inbox)  # in the directory
    here = open_store(tmp_path / "releases")
    done = [
        export_csv(store, read_manifest(store, "letters"), tmp_path / f"{n}.csv", CsvOptions(scale=10))
        for n, store in enumerate((any_store, here))
    ]
    assert [one.rows for one in done] == [23, 23]
    assert len({hashlib.sha256(Path(one.path).read_bytes()).hexdigest() for one in done}) == 1
