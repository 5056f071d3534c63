"""Erasure: rows go out of every release and stay out, whatever dies or races on the way."""

import base64
import contextlib
import copy
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eqn.annotation.annotator import Annotator
from eqn.corpus.erased import ErasureList, digest_of
from eqn.errors import ArtifactRefused, CommitUnknown, Conflict, StorageFull, StoreUnavailable, UsageError
from eqn.records import ReleaseRef
from eqn.release import erasure
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.collection import collect
from eqn.release.commit import announced_folders, reconcile
from eqn.release.erasure import erase, resume, search
from eqn.release.erasures import read_erasures
from eqn.release.manifest import Manifest, manifest_key
from eqn.release.plan import Plan
from eqn.release.publish import publish
from eqn.release.redaction import redact
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore
from eqn.store.memory import MemoryStore
from tests.faults.promises import Trials
from tests.release.conftest import write_csv

PlanFor = Callable[..., Plan]
Publish = Callable[..., tuple[ReleaseRef, int]]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure that waits for a commit under way does not wait long."""
    monkeypatch.setattr(erasure, "_PAUSES", (0.05, 0.1))


def listed(*, ids: tuple[str, ...] = (), texts: tuple[str, ...] = ()) -> ErasureList:
    """Give the list of these ids and texts."""
    return ErasureList({digest_of(one): 1 for one in ids}, {digest_of(one): 1 for one in texts})


WANTED = listed(ids=("p2",), texts=("naïve 日本 👨‍👩‍👧", "comment 3"))
"""One row of each file of the inbox."""
WORDS = ("naïve 日本", "comment 3", "p2")
"""What must not be found afterwards."""


def everything(store: ObjectStore) -> str:
    """Give all that a store holds, as text: bytes as they are, cells of tables, and raw slices in plain."""
    found = []
    for key in store.list(""):
        content = store.get(key)
        found += [key, content.decode("utf-8", "replace")]
        if key.endswith(".parquet"):
            table = pq.read_table(pa.BufferReader(content))
            found += [str(cell) for column in table.columns for cell in column.to_pylist()]
            raws = table.column("raw").to_pylist() if "raw" in table.column_names else []
            found += [base64.b64decode(raw).decode("utf-8", "replace") for raw in raws]
    return "\n".join(found)


def assert_gone(store: ObjectStore, *words: str) -> None:
    """Every release verifies, its rows add up, and the words stand nowhere in the store."""
    for number in release_numbers(store, "letters"):
        manifest = read_manifest(store, "letters", number)
        verify(store, manifest)
        assert manifest.rows_in == sum(entry.rows for entry in manifest.inputs)
        rows = sum(entry.rows or 0 for name, entry in manifest.files.items() if name.startswith("data/"))
        refused = sum(entry.rows or 0 for name, entry in manifest.files.items() if name.startswith("quarantine/"))
        assert (rows, refused) == (manifest.rows_out, manifest.rows_quarantined)
        assert store.get(manifest_key("letters", number)) == manifest.to_bytes()
    left = everything(store)
    for one in words or WORDS:
        assert one not in left, one


def state_of(store: ObjectStore) -> dict[int, tuple[str, int]]:
    """Give content and erased rows of each release."""
    manifests = [read_manifest(store, "letters", number) for number in release_numbers(store, "letters")]
    return {one.release: (one.content_digest, sum(part.rows for part in one.redactions)) for one in manifests}


@pytest.fixture
def two_releases(publish_files: Publish, inbox: Path, any_store: ObjectStore) -> ObjectStore:
    """A store in which the second release carries the first one's parts over."""
    publish_files(inbox, store=any_store)
    (inbox / "d.txt").write_text("hello\nworld\n")
    publish_files(inbox, store=any_store)
    return any_store


def test_rows_go_out_of_every_release(two_releases: ObjectStore) -> None:
    """By id and by text, out of parts that were carried over too: releases verify, and nothing of the rows is left."""
    store = two_releases
    assert all(words in everything(store) for words in WORDS)

    found = search(store, "letters", WANTED)
    done = erase(store, "letters", WANTED, by="ann", reason="asked")

    assert [(one.release, one.rows, one.files, one.inputs) for one in found.releases] == [
        (1, 3, 3, ("a.csv", "b.jsonl", "c.parquet")),
        (2, 3, 3, ("a.csv", "b.jsonl", "c.parquet")),
    ]
    assert (found.unmatched, found.rows) == (frozenset(), 52)
    assert [one.rows for one in done.releases] == [3, 3]
    done.require_complete("letters")
    for number, rows in ((1, 25), (2, 27)):
        manifest = read_manifest(store, "letters", number)
        assert (manifest.rows_in, manifest.rows_out, manifest.rows_quarantined) == (rows, rows - 5, 5)
        assert [entry.quarantined.get("erased") for entry in manifest.inputs[:3]] == [1, 1, 1]
        assert [(one.record, one.by, one.reason, one.rows) for one in manifest.redactions] == [(1, "ann", "asked", 3)]
        assert json.loads(store.get(manifest_key("letters", number)))["format"] == 3
    assert_gone(store)
    assert "comment 4" in everything(store)
    assert announced_folders(store, "letters") == set()


def test_only_rows_keep_their_numbers(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """The quarantine names file and row, and neither id nor text."""
    publish_files(inbox)
    erase(store, "letters", WANTED, by="ann")

    rows = pq.read_table(f"{store.root}/{read_manifest(store, 'letters').path}/quarantine").to_pylist()
    erased = [(row["file"], row["row"], row["id"], row["raw"]) for row in rows if row["reason"] == "erased"]
    assert erased == [("a.csv", 5, None, ""), ("b.jsonl", 4, None, ""), ("c.parquet", 2, None, "")]


@pytest.mark.parametrize(
    "wanted",
    [
        WANTED,
        listed(ids=("000",)),  # a row, and its repeat in quarantine
        listed(ids=("p1", "p2", "p3", "p4", "007")),  # a whole part, and a row of another one
        listed(texts=tuple(f"comment {n}" for n in range(8))),
    ],
)
def test_a_redacted_release_is_what_annotation_gives_now(
    publish_files: Publish, inbox: Path, store: DirectoryStore, tmp_path: Path, wanted: ErasureList
) -> None:
    """File for file, byte for byte, cards included: another store that has the record annotates the same inbox."""
    publish_files(inbox)
    erase(store, "letters", wanted, by="ann")
    fresh = DirectoryStore(tmp_path / "fresh")
    erase(fresh, "letters", wanted, by="ann")
    publish_files(inbox, store=fresh)

    one, two = read_manifest(store, "letters"), read_manifest(fresh, "letters")
    assert one.files == two.files
    assert (one.job, one.inputs, one.content_digest) == (two.job, two.inputs, two.content_digest)
    assert one.rows_quarantined > 2
    assert "erased on request" in store.get(f"{one.path}/README.md").decode()


def test_uncertainty_keeps_its_promise(
    publish_files: Publish, sure: Annotator, inbox: Path, store: DirectoryStore, tmp_path: Path
) -> None:
    """Columns and cards are those of a new annotation, though the model is not asked."""
    fresh = DirectoryStore(tmp_path / "fresh")
    for place, before in ((store, False), (fresh, True)):
        if before:
            erase(place, "letters", WANTED, by="ann")
        publish_files(inbox, store=place, annotator=sure, uncertainty=True)
    erase(store, "letters", WANTED, by="ann")

    assert read_manifest(store, "letters").files == read_manifest(fresh, "letters").files
    assert "at least 90 %" in store.get(f"{read_manifest(store, 'letters').path}/README.md").decode()


def test_every_row_of_a_release_may_go(publish_files: Publish, tmp_path: Path, store: DirectoryStore) -> None:
    """It has no data then, and verifies."""
    (tmp_path / "one.txt").write_text("secret words\n")
    publish_files(tmp_path / "one.txt")
    erase(store, "letters", listed(texts=("secret words",)), by="ann")

    manifest = read_manifest(store, "letters")
    assert (manifest.rows_out, manifest.rows_quarantined, manifest.inputs[0].parts) == (0, 1, ())
    assert_gone(store, "secret words")


def test_rows_in_quarantine_lose_what_they_looked_like(
    publish_files: Publish, tmp_path: Path, store: DirectoryStore
) -> None:
    """Conflicting ids, ragged rows, bad JSON's neighbours: by text, by id, in raw slices of every format."""
    folder = tmp_path / "faulty"
    folder.mkdir()
    rows = [{"id": "1", "text": "secret one"}, {"id": "1", "text": "plain"}, {"id": "9", "text": "kept"}]
    write_csv(folder / "a.csv", rows)
    with (folder / "a.csv").open("a") as file:
        file.write('2,"secret, two",more\nsecret-id,three,more\n')
    lines = [{"id": 5, "text": "secret four"}, {"id": 5, "text": "secret four"}, {"id": 6, "text": 7, "x": "secret 5"}]
    (folder / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    pq.write_table(pa.table({"id": ["8", "8", "7"], "text": ["secret six", "x", "y"]}), folder / "c.parquet")
    publish_files(folder)
    assert everything(store).count("secret") > 6

    texts = ("secret one", "secret, two", "secret four", "secret 5", "secret six")
    erase(store, "letters", listed(ids=("secret-id",), texts=texts), by="ann")

    assert [dict(entry.quarantined) for entry in read_manifest(store, "letters").inputs] == [
        {"conflicting_id": 1, "erased": 3},
        {"erased": 3},
        {"conflicting_id": 1, "erased": 1},
    ]
    assert_gone(store, "secret")
    assert publish_files(folder)[0].already_published


def test_later_runs_leave_the_rows_out(publish_files: Publish, inbox: Path, two_releases: ObjectStore) -> None:
    """The same inbox is done already; with a new file, old parts are carried over, and new copies of a row are met."""
    store = two_releases
    erase(store, "letters", WANTED, by="ann")
    again, read = publish_files(inbox, store=store)
    assert (again.number, again.already_published, read) == (2, True, 0)

    (inbox / "e.txt").write_text("comment 3\nnew\n")
    release, read = publish_files(inbox, store=store)

    assert (release.number, release.already_published, read) == (3, False, 1)
    manifest = read_manifest(store, "letters")
    assert [entry.quarantined.get("erased", 0) for entry in manifest.inputs] == [1, 1, 1, 0, 1]
    assert (manifest.erasures, manifest.redactions) == (1, ())
    assert_gone(store)


def test_a_release_without_such_rows_is_not_touched(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """Not a byte of it, and its manifest is of the format that older readers know."""
    publish_files(inbox / "a.csv")
    before = {key: store.get(key) for key in store.list("")}
    publish_files(inbox / "a.csv", inbox / "b.jsonl")
    done = erase(store, "letters", listed(texts=("comment 3",)), by="ann")

    assert [one.release for one in done.releases] == [2]
    assert {key: store.get(key) for key in before} == before
    assert json.loads(store.get(manifest_key("letters", 1)))["format"] == 1


def test_several_erasures_are_told_apart(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """Each has its record, and a release says what each took out."""
    publish_files(inbox)
    erase(store, "letters", listed(ids=("p2",)), by="ann")
    erase(store, "letters", listed(ids=("p2", "p3"), texts=("comment 3",)), by="bob", reason="asked")

    manifest = read_manifest(store, "letters")
    assert [(one.record, one.by, one.rows) for one in manifest.redactions] == [(1, "ann", 1), (2, "bob", 2)]
    assert (manifest.erasures, len(read_erasures(store, "letters"))) == (2, 2)
    assert_gone(store, "p2", "p3", "comment 3")
    assert resume(store, "letters").releases == ()


def test_unpublished_files_of_a_killed_run_go(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """They hold the rows as well; what holds none of them stays for its rerun."""

    class DiesAt(DirectoryStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            if "README" in key:
                raise KeyboardInterrupt
            return super().put_if_absent(key, content)

    for name in ("b.jsonl", "c.parquet"):
        with contextlib.suppress(KeyboardInterrupt):
            publish_files(inbox / name, store=DiesAt(store.root))
    before = set(store.list("letters/files"))
    done = erase(store, "letters", listed(texts=("comment 3",)), by="ann")

    left = set(store.list("letters/files"))
    assert len(done.folders) == 1
    assert left == {key for key in before if done.folders[0] not in key} != set()
    assert publish_files(inbox / "b.jsonl")[0].rows == 7
    assert_gone(store, "comment 3")


class Mortal:
    """A store whose user dies at the n-th call of one of some methods."""

    def __init__(self, store: ObjectStore, dies_at: int, methods: set[str]) -> None:
        self._store, self.left, self._methods = store, dies_at, methods

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return self._counted(method) if name in self._methods else method

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return method(*arguments, **options)

        return call


WRITES = {"put_if_absent", "put", "copy_if_absent", "delete", "sweep"}


def in_memory(store: ObjectStore) -> MemoryStore:
    """Give a copy of a store."""
    copied = MemoryStore()
    for key in store.list(""):
        copied.put(key, store.get(key))
    return copied


def order_again(store: ObjectStore) -> None:
    erase(store, "letters", WANTED, by="ann")


def resume_it(store: ObjectStore) -> None:
    resume(store, "letters")


@pytest.mark.promise(2)
@pytest.mark.parametrize(
    ("again", "step"), [(order_again, 1), (resume_it, 5), pytest.param(resume_it, 1, marks=pytest.mark.faults)]
)
def test_a_death_at_any_call_loses_nothing(
    publish_files: Publish,
    inbox: Path,
    store: DirectoryStore,
    trials: Trials,
    again: Callable[[ObjectStore], None],
    step: int,
) -> None:
    """Readers find whole releases at any time; the same order, or `resume`, ends in the undisturbed state."""
    publish_files(inbox)
    (inbox / "d.txt").write_text("hello\nworld\n")
    publish_files(inbox)
    store.put("letters/reports/2/profile.json", b"comment 3")
    before = in_memory(store)
    undisturbed = copy_of(before)
    erase(undisturbed, "letters", WANTED, by="ann")
    expected = (set(undisturbed.list("")), state_of(undisturbed))
    for dies_at in range(0, 1000, step):
        place = copy_of(before)
        mortal: Any = Mortal(place, dies_at, WRITES)
        with contextlib.suppress(KeyboardInterrupt):
            erase(mortal, "letters", WANTED, by="ann")
            break
        for number in (1, 2):
            verify(place, read_manifest(place, "letters", number))
        again(place)
        if read_erasures(place, "letters"):
            assert (set(place.list("")), state_of(place)) == expected
            assert_gone(place)
        else:
            assert set(place.list("")) == set(before.list(""))
    assert dies_at > 30
    trials(dies_at // step, "deaths of an erasure", store="memory")


def copy_of(store: MemoryStore) -> MemoryStore:
    copied = MemoryStore()
    copied._content, copied._written = copy.copy(store._content), copy.copy(store._written)
    return copied


@pytest.mark.promise(2)
@pytest.mark.faults
def test_a_death_at_any_write_on_every_store(two_releases: ObjectStore, trials: Trials) -> None:
    """Each order is begun once more until the store is as it should be; a dozen deaths one after the other."""
    store = two_releases
    for dies_at in range(200):
        mortal: Any = Mortal(store, dies_at, WRITES)
        try:
            erase(mortal, "letters", WANTED, by="ann")
        except KeyboardInterrupt:
            for number in (1, 2):
                verify(store, read_manifest(store, "letters", number))
        else:
            break
    assert_gone(store)
    assert len(read_erasures(store, "letters")) == 1
    trials(dies_at, "deaths of an erasure")


@pytest.mark.parametrize("moment", ["part-00001", "part-00002", "README", "/commits/"])
def test_a_run_that_read_its_inputs_before_stops(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, any_store: ObjectStore, moment: str
) -> None:
    """It was planned before the record: it publishes nothing, and what it wrote goes."""
    plan = plan_for(inbox, store=any_store)

    class Erases:
        """A store in which somebody erases at that moment."""

        def __getattr__(self, name: str) -> Any:
            return getattr(any_store, name)

        def put(self, key: str, content: bytes) -> None:
            self._erase(key)
            any_store.put(key, content)

        def put_if_absent(self, key: str, content: bytes) -> bool:
            self._erase(key)
            return any_store.put_if_absent(key, content)

        def _erase(self, key: str) -> None:
            if moment in key and not read_erasures(any_store, "letters"):
                erase(any_store, "letters", WANTED, by="ann")

    store: Any = Erases()
    with pytest.raises(Conflict, match="erased since"):
        publish(store, plan, annotator)
    assert release_numbers(any_store, "letters") == []
    assert_gone(any_store)
    with pytest.raises(Conflict, match="erased since"):
        publish(any_store, plan, annotator)
    assert publish(any_store, plan_for(inbox, store=any_store), annotator).rows == 20
    assert_gone(any_store)


class _Fails:
    """A store in which somebody erases at a moment, and whose run fails at the documents."""

    def __init__(self, store: ObjectStore, moment: str, failure: Exception) -> None:
        self._store, self._moment, self._failure = store, moment, failure

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        if self._moment in key and not read_erasures(self._store, "letters"):
            held = {part: self._store.get(part) for part in self._store.list(key.rpartition("/")[0])}
            erase(self._store, "letters", WANTED, by="ann")
            for part, found in held.items():  # as if the eraser had looked before they were written
                self._store.put(part, found)
        if "README" in key:
            raise self._failure
        return self._store.put_if_absent(key, content)


_MOMENTS = pytest.mark.parametrize("moment", ["part-00000", "README"])
"""Before the run has written such rows, so that its folder is not given up; and after."""


@_MOMENTS
def test_a_run_that_fails_after_an_erasure_leaves_nothing(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, any_store: ObjectStore, moment: str
) -> None:
    """Whatever it fails of: the eraser may have looked before the files were written."""
    store: Any = _Fails(any_store, moment, StorageFull("no room"))
    with pytest.raises(StorageFull):
        publish(store, plan_for(inbox, store=any_store), annotator)
    assert_gone(any_store)


@_MOMENTS
def test_files_of_a_run_that_could_not_look_go_with_the_next(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, any_store: ObjectStore, moment: str
) -> None:
    """It was killed, or its store had gone: the rerun meets its files and removes them."""
    store: Any = _Fails(any_store, moment, StoreUnavailable("gone"))
    with pytest.raises(StoreUnavailable):
        publish(store, plan_for(inbox, store=any_store), annotator)
    assert "comment 3" in everything(any_store)
    assert publish(any_store, plan_for(inbox, store=any_store), annotator).rows == 20
    assert_gone(any_store)


def test_a_commit_that_knows_of_the_erasure_is_not_waited_for(
    plan_for: PlanFor, annotator: Annotator, publish_files: Publish, inbox: Path, any_store: ObjectStore
) -> None:
    """Its rows are out already."""
    publish_files(inbox, store=any_store)
    erase(any_store, "letters", WANTED, by="ann")
    told: list[erasure.Erased] = []

    class Waits:
        """A store in which somebody resumes when the second manifest is about to be written."""

        def __getattr__(self, name: str) -> Any:
            return getattr(any_store, name)

        def put_if_absent(self, key: str, content: bytes) -> bool:
            if "/releases/2" in key:
                told.append(resume(any_store, "letters"))
            return any_store.put_if_absent(key, content)

    (inbox / "d.txt").write_text("hello\n")
    store: Any = Waits()
    assert publish(store, plan_for(inbox, store=any_store), annotator).number == 2
    assert [one.open_commits for one in told] == [()]


def test_a_commit_under_way_is_waited_for(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, any_store: ObjectStore
) -> None:
    """It had looked for records before this one was there: the erasure sees its announcement, and then its release."""
    told: list[erasure.Erased] = []

    class Waits:
        """A store in which somebody erases when the first manifest is about to be written."""

        def __getattr__(self, name: str) -> Any:
            return getattr(any_store, name)

        def put_if_absent(self, key: str, content: bytes) -> bool:
            if "/releases/" in key and not told:
                told.append(erase(any_store, "letters", WANTED, by="ann"))
            return any_store.put_if_absent(key, content)

    store: Any = Waits()
    assert publish(store, plan_for(inbox, store=any_store), annotator).number == 1
    with pytest.raises(CommitUnknown, match="announced before") as unknown:
        told[0].require_complete("letters")
    assert "--resume" in unknown.value.todo
    assert "comment 3" in everything(any_store)
    resume(any_store, "letters").require_complete("letters")
    assert_gone(any_store)


def test_a_commit_whose_run_died_is_reconciled_and_redacted(
    publish_files: Publish, inbox: Path, store: DirectoryStore
) -> None:
    """Announced and never put: the erasure names it, `reconcile` finishes it and says so, `resume` redacts it."""

    class DiesAtCommit(DirectoryStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            if "/releases/" in key:
                raise KeyboardInterrupt
            return super().put_if_absent(key, content)

    with contextlib.suppress(KeyboardInterrupt):
        publish_files(inbox, store=DiesAtCommit(store.root))
    done = erase(store, "letters", WANTED, by="ann")
    assert len(done.open_commits) == 1
    assert [one.outcome for one in reconcile(store, "letters")] == ["unredacted"]
    assert [one.rows for one in resume(store, "letters").releases] == [3]
    assert_gone(store)


def test_of_two_erasers_the_later_record_counts(publish_files: Publish, inbox: Path, any_store: ObjectStore) -> None:
    """One is suspended just before its manifest appears; the other ends; then the first one goes on."""
    publish_files(inbox, store=any_store)
    rivals: list[erasure.Erased] = []

    class Suspended:
        def __getattr__(self, name: str) -> Any:
            return getattr(any_store, name)

        def put_if_absent(self, key: str, content: bytes) -> bool:
            if "/releases/" in key and not rivals:
                rivals.append(erase(any_store, "letters", listed(ids=("p2",)), by="bob"))
            return any_store.put_if_absent(key, content)

    store: Any = Suspended()
    erase(store, "letters", listed(texts=("naïve 日本 👨‍👩‍👧", "comment 3")), by="ann")

    manifest = read_manifest(any_store, "letters")
    assert manifest.erasures == 2
    assert [(one.by, one.rows) for one in manifest.redactions] == [("ann", 2), ("bob", 1)]
    assert_gone(any_store)
    assert announced_folders(any_store, "letters") == set()
    assert {key.split("/")[2] for key in any_store.list("letters/files")} == {manifest.folder}


class Swept:
    """A store in which unpublished folders are removed, without any grace, before the n-th write of an erasure."""

    def __init__(self, store: ObjectStore, removed_at: int) -> None:
        self._store, self.left = store, removed_at

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return self._counted(method) if name in WRITES else method

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == -1:
                collect(self._store, "letters", grace_hours=0)
            return method(*arguments, **options)

        return call


@pytest.mark.promise(12)
def test_removals_of_orphans_do_no_harm(
    publish_files: Publish, inbox: Path, store: DirectoryStore, trials: Trials
) -> None:
    """They take an erasure's files from under it before any of its writes, and it ends all the same."""
    publish_files(inbox)
    before = in_memory(store)
    for removed_at in range(1000):
        place = copy_of(before)
        swept: Any = Swept(place, removed_at)
        erase(swept, "letters", WANTED, by="ann").require_complete("letters")
        assert_gone(place)
        if swept.left >= 0:
            break
    assert removed_at > 15
    trials(removed_at, "removals during an erasure", store="memory")


@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.faults)])
@pytest.mark.promise(12)
def test_erasers_publishers_and_removals_at_once(
    plan_for: PlanFor, package: Path, inbox: Path, tmp_path: Path, trials: Trials, rounds: int
) -> None:
    """Two orders, two runs and a removal: afterwards nothing of the rows is left, and every release is whole."""
    annotators = [Annotator.load(package) for _ in range(2)]
    for number in range(rounds):
        store, barrier = DirectoryStore(tmp_path / f"round-{number}"), threading.Barrier(5)
        publish(store, plan_for(inbox / "a.csv", store=store), annotators[0])

        def order(wanted: ErasureList, store: ObjectStore = store, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            while True:
                with contextlib.suppress(StoreUnavailable):  # a half-written file was removed
                    erase(store, "letters", wanted, by="ann")
                    return

        def run(who: int, store: ObjectStore = store, barrier: threading.Barrier = barrier) -> None:
            files = [inbox / "a.csv", inbox / ("b.jsonl", "c.parquet")[who]]
            plan = plan_for(*files, store=store)
            barrier.wait()
            for _ in range(10):
                with contextlib.suppress(Conflict, ArtifactRefused, StoreUnavailable):
                    publish(store, plan, annotators[who])
                    return
                with contextlib.suppress(ArtifactRefused):
                    plan = plan_for(*files, store=store)

        def remove(store: ObjectStore = store, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            collect(store, "letters", grace_hours=0)

        with ThreadPoolExecutor(5) as pool:
            texts = ("naïve 日本 👨‍👩‍👧", "comment 3")
            jobs = [pool.submit(order, listed(ids=("p2",))), pool.submit(order, listed(texts=texts))]
            jobs += [pool.submit(run, 0), pool.submit(run, 1), pool.submit(remove)]
        for job in jobs:
            job.result()
        resume(store, "letters").require_complete("letters")
        assert release_numbers(store, "letters") == [1, 2, 3]
        assert_gone(store)
    trials(rounds, "rounds of two erasures, two runs and a removal", store="directory")


def test_reports_of_redacted_releases_go(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """They show texts; which there were is told, for whoever makes them anew."""
    publish_files(inbox)
    publish_files(inbox / "c.parquet")
    for number in (1, 2):
        store.put(f"letters/reports/{number}/index.html", b"comment 3")
    done = erase(store, "letters", listed(texts=("comment 3",)), by="ann")

    assert [(one.release, one.reports) for one in done.releases] == [(1, ("index.html",))]
    assert list(store.list("letters/reports")) == ["letters/reports/2/index.html"]


def test_a_damaged_release_does_not_keep_the_others(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """It is named, and done once it is restored."""
    publish_files(inbox)
    publish_files(inbox / "b.jsonl")
    part = f"{read_manifest(store, 'letters', 1).path}/data/part-00001.parquet"
    content = store.get(part)
    store.delete(part)
    done = erase(store, "letters", listed(texts=("comment 3",)), by="ann")

    assert [one.release for one in done.releases] == [2]
    with pytest.raises(ArtifactRefused, match="part-00001"):
        done.require_complete("letters")
    store.put(part, content)
    assert [one.release for one in resume(store, "letters").releases] == [1]
    assert_gone(store, "comment 3")


def test_a_damaged_manifest_does_not_hide_what_was_done(
    publish_files: Publish, inbox: Path, store: DirectoryStore
) -> None:
    """Nobody knows which files it names, so old ones stay; it is named once."""
    publish_files(inbox)
    publish_files(inbox / "b.jsonl")
    key = manifest_key("letters", 2)
    content = store.get(key)
    store.put(key, b"{")
    done = erase(store, "letters", WANTED, by="ann")

    assert [(one.release, one.rows) for one in done.releases] == [(1, 3)]
    assert len(done.faults) == 1
    with pytest.raises(ArtifactRefused, match="could be erased"):
        done.require_complete("letters")
    store.put(key, content)
    assert [one.release for one in resume(store, "letters").releases] == [2]
    assert_gone(store)


def test_a_manifest_that_a_backup_lacks_is_written_anew(
    publish_files: Publish, inbox: Path, store: DirectoryStore
) -> None:
    """Readers outside EQN see a copy of it under the release's own name."""
    publish_files(inbox)
    erase(store, "letters", WANTED, by="ann")
    key = manifest_key("letters", 1, redaction=1)
    content = store.get(key)
    store.delete(key)
    resume(store, "letters").require_complete("letters")
    assert store.get(key) == content
    assert_gone(store)


def test_there_must_be_something_to_resume(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """A name with a slip is no dataset without erasures."""
    publish_files(inbox)
    assert resume(store, "letters").record == 0
    with pytest.raises(UsageError, match="lettres"):
        resume(store, "lettres")


def test_values_of_erased_rows_leave_the_dictionary(
    publish_files: Publish, tmp_path: Path, any_store: ObjectStore
) -> None:
    """A column of categories, as pandas writes it, names each of them once for the whole file."""
    authors = pa.array(["jane doe", "x y", "x y"]).dictionary_encode()
    pq.write_table(
        pa.table({"id": ["p1", "p2", "p3"], "text": ["a", "b", "c"], "author": authors}), tmp_path / "a.parquet"
    )
    publish_files(tmp_path / "a.parquet", store=any_store)
    assert b"jane doe" in b"".join(any_store.get(key) for key in any_store.list("letters/files"))
    erase(any_store, "letters", listed(ids=("p1",)), by="ann")
    left = b"".join(any_store.get(key) for key in any_store.list("letters/files"))
    assert b"x y" in left
    assert b"jane doe" not in left


def test_a_record_that_cannot_be_read_stops_everything(
    publish_files: Publish, plan_for: PlanFor, inbox: Path, store: DirectoryStore
) -> None:
    """Nobody knows what must stay out: neither runs nor erasures go on."""
    publish_files(inbox)
    erase(store, "letters", WANTED, by="ann")
    store.put("letters/erasures/1.json", b"{")

    for act in (lambda: plan_for(inbox), lambda: resume(store, "letters")):
        with pytest.raises(ArtifactRefused, match="record of an erasure"):
            act()


def test_a_record_that_is_gone_is_missed(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """A new one would take its number, and releases would seem to be without the rows of the new one."""
    publish_files(inbox)
    erase(store, "letters", WANTED, by="ann")
    erase(store, "letters", listed(ids=("p3",)), by="ann")
    store.delete("letters/erasures/2.json")
    store.delete("letters/erasures/1.json")

    done = erase(store, "letters", listed(ids=("p4",)), by="ann")
    with pytest.raises(ArtifactRefused, match=r"erasures/2\.json"):
        done.require_complete("letters")


def test_what_is_damaged_in_a_redacted_manifest_is_refused(
    publish_files: Publish, inbox: Path, store: DirectoryStore
) -> None:
    """The older manifest is no way out: its files are gone."""
    publish_files(inbox)
    erase(store, "letters", WANTED, by="ann")
    key = manifest_key("letters", 1, redaction=1)
    content = store.get(key)
    for harm in (
        b"{",
        content.replace(b'"erasures": 1', b'"erasures": 2'),
        content.replace(b'"record": 1', b'"record": 9'),
    ):
        store.put(key, harm)
        with pytest.raises(ArtifactRefused):
            read_manifest(store, "letters")
    Manifest.from_bytes(content, where="here")


def test_old_files_go_before_the_disk_is_full(
    publish_files: Publish, inbox: Path, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no room for the second release, the first one's old files are gone: the next attempt has it."""
    publish_files(inbox)
    (inbox / "d.txt").write_text("hello\n")
    publish_files(inbox)
    old = read_manifest(store, "letters", 1).path
    second = iter([False, True])

    def redacts(*arguments: Any) -> Manifest:
        if next(second):
            raise StorageFull("no room")
        return redact(*arguments)

    monkeypatch.setattr(erasure, "redact", redacts)
    with pytest.raises(StorageFull):
        erase(store, "letters", WANTED, by="ann")
    assert list(store.list(old)) == []
    monkeypatch.undo()
    assert [one.release for one in resume(store, "letters").releases] == [2]
    assert_gone(store)
