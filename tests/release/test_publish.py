"""Publishing: whole or not at all, whoever reads, repeats or races. Crashes and full disks: `test_faults.py`."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eqn.annotation.annotator import Annotator
from eqn.errors import Conflict
from eqn.records import ReleaseRef
from eqn.release.catalog import datasets, read_manifest, release_numbers, verify
from eqn.release.manifest import manifest_key
from eqn.release.plan import Plan
from eqn.release.publish import publish
from eqn.store.directory import DirectoryStore

PlanFor = Callable[..., Plan]
Publish = Callable[..., tuple[ReleaseRef, int]]


def test_a_repeat_writes_nothing(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """The same work again is told to be published, reads nothing and touches no file."""
    first, _ = publish_files(inbox)
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    again, read = publish_files(inbox)

    assert not first.already_published
    assert again == ReleaseRef("letters", 1, first.path, 23, 2, already_published=True)
    assert read == 0
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before


def test_the_same_work_has_the_same_content_anywhere(
    publish_files: Publish, inbox: Path, store: DirectoryStore, golden: str
) -> None:
    """Two stores that never met hold the same bytes under the same job; only the commits differ."""
    publish_files(inbox)
    here, there = read_manifest(store, "letters"), read_manifest(DirectoryStore(inbox.parent / "golden"), "letters")

    assert here.content_digest == golden
    assert (here.job, here.files, here.inputs) == (there.job, there.files, there.inputs)
    assert here.commit_id != there.commit_id


def test_nothing_is_seen_before_the_end(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """While rows are annotated and parts written, there is no release."""
    seen: list[tuple[int, list[str]]] = []

    def look(rows: int, tokens: int) -> None:
        seen.append((len(list(store.list("letters"))), datasets(store)))

    publish_files(inbox, report=look)

    assert max(files for files, _ in seen) > 0
    assert all(found == [] for _, found in seen)
    assert datasets(store) == ["letters"]


def test_a_reader_meets_whole_releases_only(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """A reader that looks all the time sees none, then the first, then the second: each complete, byte for byte."""
    started, stop = threading.Event(), threading.Event()

    def watch() -> Iterator[int]:
        while not stop.is_set():
            numbers = release_numbers(store, "letters")
            if numbers:
                verify(store, read_manifest(store, "letters", numbers[-1]))
            yield max(numbers, default=0)
            started.set()

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(lambda: list(watch()))
        started.wait()
        publish_files(inbox)
        (inbox / "new.txt").write_text("hello\n")
        publish_files(inbox)
        stop.set()
        seen = reader.result()

    assert seen == sorted(seen)
    assert len(seen) > 10
    assert seen[0] == 0


def test_data_docs_that_are_there_stay(
    publish_files: Publish, inbox: Path, store: DirectoryStore, tmp_path: Path
) -> None:
    """What is not the same in every run is written once: the manifest describes the bytes that are there."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").write_text("of the first run")
    publish_files(inbox, quality=tmp_path / "docs")
    store.delete(manifest_key("letters", 1))
    (tmp_path / "docs" / "index.html").write_text("of the second run")
    release, _ = publish_files(inbox, quality=tmp_path / "docs")

    assert Path(release.path, "quality/index.html").read_text() == "of the first run"
    verify(store, read_manifest(store, "letters"))


def test_of_two_runs_of_the_same_job_one_publishes(
    plan_for: PlanFor, package: Path, inbox: Path, golden: str, tmp_path: Path
) -> None:
    """Both plan, both write the same files at once; one release appears, and the other run is told its number."""
    barrier = threading.Barrier(2)

    def run(store: DirectoryStore) -> ReleaseRef:
        plan, mine = plan_for(inbox, store=store), Annotator.load(package)
        barrier.wait()
        return publish(store, plan, mine)

    for attempt in range(3):
        store = DirectoryStore(tmp_path / f"attempt {attempt}")
        with ThreadPoolExecutor(2) as pool:
            refs = list(pool.map(run, [store, store]))

        assert sorted(ref.already_published for ref in refs) == [False, True]
        assert [ref.number for ref in refs] == [1, 1]
        assert release_numbers(store, "letters") == [1]
        manifest = read_manifest(store, "letters")
        verify(store, manifest)
        assert manifest.content_digest == golden


def test_the_last_look_is_for_the_same_job(
    publish_files: Publish, plan_for: PlanFor, annotator: Annotator, inbox: Path, store: DirectoryStore
) -> None:
    """A run that was overtaken by its twin finds its release, even with another one on top."""
    late = plan_for(inbox)
    first, _ = publish_files(inbox)
    publish_files(inbox / "a.csv")

    assert publish(store, late, annotator) == ReleaseRef("letters", 1, first.path, 23, 2, already_published=True)
    assert release_numbers(store, "letters") == [1, 2]


def test_rivals_with_other_work_publish_one_after_the_other(
    plan_for: PlanFor, package: Path, inbox: Path, store: DirectoryStore
) -> None:
    """Three runs on three inputs: numbers 1, 2 and 3, each whole, each naming the one before."""
    barrier = threading.Barrier(3)

    def run(name: str) -> ReleaseRef:
        plan, mine = plan_for(inbox / name), Annotator.load(package)
        barrier.wait()
        return publish(store, plan, mine)

    names = ["a.csv", "b.jsonl", "c.parquet"]
    with ThreadPoolExecutor(3) as pool:
        refs = list(pool.map(run, names))

    assert sorted(ref.number for ref in refs) == [1, 2, 3]
    assert not any(ref.already_published for ref in refs)
    for name, ref in zip(names, refs, strict=True):
        manifest = read_manifest(store, "letters", ref.number)
        verify(store, manifest)
        assert [entry.name for entry in manifest.inputs] == [name]
        assert manifest.previous == (ref.number - 1 or None)


class CrowdedStore(DirectoryStore):
    """A directory where somebody else always publishes first."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        if "/releases/" in key:
            facts = json.loads(content)
            facts |= dict.fromkeys(("job", "commit_id", "content_digest"), f"of rival {facts['release']}")
            super().put_if_absent(key, json.dumps(facts).encode())
        return super().put_if_absent(key, content)


def test_whoever_always_comes_second_gives_up(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, tmp_path: Path
) -> None:
    """A hundred rivals in a row end in a conflict, with nothing lost: the parts are there for the next try."""
    store = CrowdedStore(tmp_path / "crowded")

    with pytest.raises(Conflict, match="100 other releases"):
        publish(store, plan_for(inbox / "c.parquet", store=store), annotator)
    assert release_numbers(store, "letters") == list(range(1, 101))
    assert any(store.list("letters/files"))
