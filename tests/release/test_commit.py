"""The commit: lost answers, rivals, numbers asked for, outcomes that nobody learns."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eqn.annotation.annotator import Annotator
from eqn.errors import CommitUnknown, Conflict, StorageFull, StoreUnavailable
from eqn.records import ReleaseRef
from eqn.release import commit
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.collection import collect
from eqn.release.commit import announced_folders, reconcile
from eqn.release.manifest import Manifest, collected_key, manifest_key
from eqn.release.plan import Plan
from eqn.release.publish import publish
from eqn.store.directory import DirectoryStore

PlanFor = Callable[..., Plan]
Publish = Callable[..., tuple[ReleaseRef, int]]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that fails here fails at once, and is asked again at once."""
    monkeypatch.setattr(commit, "_PAUSES", (0.0, 0.0))


def announced(store: DirectoryStore, dataset: str) -> Iterator[Manifest]:
    """Give the manifests of the announced commits."""
    for key in store.list(f"{dataset}/commits"):
        yield Manifest.from_bytes(store.get(key), where=key)


class UnreliableStore(DirectoryStore):
    """A directory behind a bad line: what is written to a manifest's key meets the faults that are left."""

    def __init__(self, root: Path, *faults: str) -> None:
        super().__init__(root)
        self.faults = list(faults)
        self.down = False
        self.deleted: list[str] = []

    def put_if_absent(self, key: str, content: bytes) -> bool:
        self._answer()
        fault = self.faults.pop(0) if "/releases/" in key and self.faults else ""
        if fault == "lost before":  # the request never arrived
            raise StoreUnavailable("the line is bad")
        written = super().put_if_absent(key, content)
        if fault == "lost after":  # applied; the client asks again by itself, and meets its own object
            return super().put_if_absent(key, content)
        if fault == "silence":
            raise StoreUnavailable("the line is bad")
        if fault == "applied, then down":
            self.down = True
            raise StoreUnavailable("the line is dead")
        return written

    def get(self, key: str) -> bytes:
        self._answer()
        return super().get(key)

    def put(self, key: str, content: bytes) -> None:
        self._answer()
        super().put(key, content)

    def delete(self, key: str) -> None:
        self._answer()
        self.deleted.append(key)
        super().delete(key)

    def _answer(self) -> None:
        if self.down:
            raise StoreUnavailable("the line is dead")


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    "faults", [["lost after"], ["lost before"], ["silence"], ["lost before", "silence"], ["silence", "lost after"]]
)
def test_a_lost_answer_is_no_conflict(
    publish_files: Publish, inbox: Path, tmp_path: Path, golden: str, faults: list[str]
) -> None:
    """Whatever of the commit is lost on the way, it succeeds once, as release 1, and says so."""
    store = UnreliableStore(tmp_path / "store", *faults)

    release, _ = publish_files(inbox, store=store)

    assert (release.number, release.already_published) == (1, False)
    assert release_numbers(store, "letters") == [1]
    assert read_manifest(store, "letters").content_digest == golden
    assert announced_folders(store, "letters") == set()


@pytest.mark.promise(9)
def test_an_unknown_outcome_deletes_nothing_and_is_resolved(
    publish_files: Publish, inbox: Path, tmp_path: Path
) -> None:
    """Applied, but the store answers no more: exit code 7, nothing deleted; then `reconcile`, or a rerun, finds it."""
    store = UnreliableStore(tmp_path / "store", "applied, then down")

    with pytest.raises(CommitUnknown, match="release 1 of 'letters'") as unknown:
        publish_files(inbox, store=store)

    assert unknown.value.exit_code == 7
    assert "eqn release reconcile letters" in unknown.value.todo
    assert store.deleted == []
    store.down = False
    assert [one.outcome for one in reconcile(store, "letters")] == ["published"]
    assert reconcile(store, "letters") == []
    verify(store, read_manifest(store, "letters"))
    rerun, read = publish_files(inbox, store=store)
    assert (rerun.number, rerun.already_published, read) == (1, True, 0)


@pytest.mark.promise(9)
def test_a_commit_that_never_arrived_is_finished_by_reconcile(
    publish_files: Publish, inbox: Path, tmp_path: Path, golden: str
) -> None:
    """Everything but the manifest is there: it is written as it was announced, and a rerun has nothing to do."""
    store = UnreliableStore(tmp_path / "store", *["lost before"] * 3)
    with pytest.raises(CommitUnknown):
        publish_files(inbox, store=store)
    assert release_numbers(store, "letters") == []
    mine = next(announced(store, "letters"))

    [resolved] = reconcile(store, "letters")

    assert (resolved.release, resolved.commit_id, resolved.outcome) == (1, mine.commit_id, "published")
    assert read_manifest(store, "letters") == mine
    assert mine.content_digest == golden
    assert publish_files(inbox, store=store)[0].already_published


@pytest.mark.promise(9)
def test_an_overtaken_commit_is_told_so(publish_files: Publish, inbox: Path, tmp_path: Path) -> None:
    """Its number went to other work meanwhile: nothing is published in its name, and a rerun takes the next number."""
    store = UnreliableStore(tmp_path / "store", *["lost before"] * 3)
    with pytest.raises(CommitUnknown):
        publish_files(inbox, store=store)
    publish_files(inbox / "a.csv", store=store)

    assert [one.outcome for one in reconcile(store, "letters")] == ["overtaken"]
    assert release_numbers(store, "letters") == [1]
    rerun, read = publish_files(inbox, store=store)
    assert (rerun.number, rerun.already_published, read) == (2, False, 0)


def test_a_commit_whose_files_are_gone_is_not_finished(publish_files: Publish, inbox: Path, tmp_path: Path) -> None:
    """A manifest that names missing files would be a torn release; a rerun writes what is missing."""
    store = UnreliableStore(tmp_path / "store", *["lost before"] * 3)
    with pytest.raises(CommitUnknown):
        publish_files(inbox, store=store)
    path = next(announced(store, "letters")).path
    release_path = store.address(path)
    store.delete(f"{path}/data/part-00001.parquet")

    assert [one.outcome for one in reconcile(store, "letters")] == ["incomplete"]
    assert release_numbers(store, "letters") == []
    assert len(announced_folders(store, "letters")) == 1  # its run may be under way: it keeps its files
    rerun, read = publish_files(inbox, store=store)
    assert (rerun.number, rerun.path, read) == (1, release_path, 8)


def test_a_number_that_was_asked_for_is_made_or_nothing(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, store: DirectoryStore
) -> None:
    """The first to ask for 1 gets it; the same work again is published already; other work is a conflict."""
    first, other = plan_for(inbox / "a.csv"), plan_for(inbox / "b.jsonl")

    assert publish(store, first, annotator, expect=1).number == 1
    assert publish(store, first, annotator, expect=1) == ReleaseRef(
        "letters", 1, store.address(first_path(store)), 10, 2, already_published=True
    )
    with pytest.raises(Conflict, match="release 1 of 'letters'; other work") as lost:
        publish(store, other, annotator, expect=1)
    with pytest.raises(Conflict, match="the next number is 2"):
        publish(store, other, annotator, expect=3)
    assert (lost.value.exit_code, release_numbers(store, "letters"), announced_folders(store, "letters")) == (
        4,
        [1],
        set(),
    )
    assert publish(store, other, annotator, expect=2).number == 2


def first_path(store: DirectoryStore) -> str:
    return read_manifest(store, "letters", 1).path


@pytest.mark.promise(7)
def test_a_rival_at_the_last_moment_is_a_conflict_for_whoever_asked_for_the_number(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, tmp_path: Path
) -> None:
    """Its own look saw the number free; the put says that it is not."""
    plan, rival = plan_for(inbox / "a.csv"), plan_for(inbox / "b.jsonl")

    class Overtaken(DirectoryStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            if key == manifest_key("letters", 1):
                publish(DirectoryStore(self.root), rival, annotator)
            return super().put_if_absent(key, content)

    store = Overtaken(tmp_path / "releases")
    with pytest.raises(Conflict):
        publish(store, plan, annotator, expect=1)
    [manifest] = [read_manifest(store, "letters", number) for number in release_numbers(store, "letters")]
    assert manifest.job == rival.job
    verify(store, manifest)


def test_files_that_vanish_before_the_commit_are_written_again(
    publish_files: Publish, inbox: Path, tmp_path: Path, golden: str
) -> None:
    """Somebody cleans up too eagerly: the release is whole all the same."""

    class Cleaned(DirectoryStore):
        done = False

        def put(self, key: str, content: bytes) -> None:
            super().put(key, content)
            if "/commits/" in key and not self.done:
                self.done = True
                for part in list(self.list("letters/files")):
                    self.delete(part)

    store = Cleaned(tmp_path / "store")
    publish_files(inbox, store=store)
    manifest = read_manifest(store, "letters")
    verify(store, manifest)
    assert manifest.content_digest == golden


def test_files_that_vanish_again_and_again_are_an_error(publish_files: Publish, inbox: Path, tmp_path: Path) -> None:
    """No manifest is written over missing files."""

    class Swept(DirectoryStore):
        def put(self, key: str, content: bytes) -> None:
            super().put(key, content)
            if "/commits/" in key:
                for part in list(self.list("letters/files")):
                    self.delete(part)

    store = Swept(tmp_path / "store")
    with pytest.raises(StoreUnavailable, match="5 folders"):
        publish_files(inbox, store=store)
    assert release_numbers(store, "letters") == []


def test_a_damaged_manifest_in_the_way_is_a_rivals(publish_files: Publish, inbox: Path, tmp_path: Path) -> None:
    """What cannot be read is not ours: the next number is taken."""

    class Damaging(DirectoryStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            if key == manifest_key("letters", 1):
                super().put_if_absent(key, content[:100])
            return super().put_if_absent(key, content)

    store = Damaging(tmp_path / "store")
    assert publish_files(inbox, store=store)[0].number == 2


def test_what_a_killed_run_announced_is_settled_by_the_next(
    publish_files: Publish, inbox: Path, store: DirectoryStore
) -> None:
    """An announcement left by a kill goes when the same work is published."""

    class Killed(DirectoryStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            if "/releases/" in key:
                raise KeyboardInterrupt
            return super().put_if_absent(key, content)

    with contextlib.suppress(KeyboardInterrupt):
        publish_files(inbox, store=Killed(store.root))
    assert len(announced_folders(store, "letters")) == 1
    publish_files(inbox)
    assert announced_folders(store, "letters") == set()


def test_a_strangers_announcement_is_passed_over(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """Something else in the folder of announcements stops nobody."""
    store.put("letters/commits/odd.json", b"{}")
    release, _ = publish_files(inbox)
    assert (release.number, release.already_published) == (1, False)
    assert [(one.commit_id, one.outcome) for one in reconcile(store, "letters")] == [
        ("letters/commits/odd.json", "unreadable")
    ]


def test_an_announcement_in_a_copied_dataset_is_not_the_copys(
    publish_files: Publish, inbox: Path, tmp_path: Path
) -> None:
    """Whoever copies a dataset's folder copies announcements too: `reconcile` on the copy leaves the original alone."""
    store = UnreliableStore(tmp_path / "store", *["lost before"] * 3)
    with pytest.raises(CommitUnknown):
        publish_files(inbox, store=store)
    for key in list(store.list("letters")):
        store.put(key.replace("letters", "copied", 1), store.get(key))

    assert [one.outcome for one in reconcile(store, "copied")] == ["unreadable"]
    assert (release_numbers(store, "letters"), release_numbers(store, "copied")) == ([], [])


def test_work_that_has_another_number_is_a_conflict(
    publish_files: Publish, plan_for: PlanFor, annotator: Annotator, inbox: Path, store: DirectoryStore
) -> None:
    """It is published, but not as what was asked for."""
    publish_files(inbox)
    with pytest.raises(Conflict, match="this very work is release 1 already"):
        publish(store, plan_for(inbox), annotator, expect=2)


def test_a_refusal_leaves_no_announcement(publish_files: Publish, inbox: Path, tmp_path: Path) -> None:
    """Where nothing was published for certain, nothing is there for `reconcile` to publish later."""

    class Full(DirectoryStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            if "/releases/" in key:
                raise StorageFull("no room")
            return super().put_if_absent(key, content)

    store = Full(tmp_path / "store")
    with pytest.raises(StorageFull):
        publish_files(inbox, store=store)
    assert announced_folders(store, "letters") == set()


def test_a_disk_that_fills_up_after_the_commit_does_not_undo_it(
    publish_files: Publish, inbox: Path, tmp_path: Path
) -> None:
    """The manifest is there: the run says so."""

    class Full(DirectoryStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            written = super().put_if_absent(key, content)
            if "/releases/" in key:
                raise StorageFull("no room")
            return written

    release, _ = publish_files(inbox, store=Full(tmp_path / "store"))
    assert (release.number, release.already_published) == (1, False)


@pytest.mark.promise(7)
@pytest.mark.parametrize("look", range(1, 6))
@pytest.mark.parametrize("expect", [None, 1])
def test_a_twin_that_publishes_between_any_two_looks_is_found(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, tmp_path: Path, look: int, expect: int | None
) -> None:
    """Whenever the same work appears, it is published once, and whoever came second is told so."""
    plan = plan_for(inbox / "c.parquet")

    class Twinned(DirectoryStore):
        looks = 0

        def list(self, prefix: str) -> Iterator[str]:
            found = list(super().list(prefix))
            if prefix == "letters/releases":
                self.looks += 1
                if self.looks == look:
                    publish(DirectoryStore(self.root), plan, annotator)
            yield from found

    store = Twinned(tmp_path / "twinned")
    release = publish(store, plan, annotator, expect=expect)

    assert (release.number, release.already_published) == (1, store.looks >= look)
    here = DirectoryStore(store.root)
    assert release_numbers(here, "letters") == [1]
    verify(here, read_manifest(here, "letters"))


def test_reconcile_takes_no_announcement_from_a_run_under_way(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, tmp_path: Path
) -> None:
    """Its folder was marked after it had looked: it will publish from it, and its announcement keeps the files."""
    plan = plan_for(inbox / "c.parquet")

    class Interrupted(DirectoryStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            if "/releases/" in key:
                here = DirectoryStore(self.root)
                here.put(collected_key("letters", plan.job), b"")
                assert [one.outcome for one in reconcile(here, "letters")] == ["incomplete"]
                assert collect(here, "letters", grace_hours=0) == []
            return super().put_if_absent(key, content)

    store = Interrupted(tmp_path / "interrupted")
    publish(store, plan, annotator)
    verify(store, read_manifest(store, "letters"))


@pytest.mark.promise(9)
def test_an_attempt_that_was_lost_is_not_forgotten_when_the_disk_fills_up(
    publish_files: Publish, inbox: Path, tmp_path: Path
) -> None:
    """The first request may be applied yet: the outcome is unknown, and the announcement stays."""

    class Filling(UnreliableStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            if "/releases/" in key and not self.faults:
                raise StorageFull("no room")
            return super().put_if_absent(key, content)

    store = Filling(tmp_path / "store", "lost before")
    with pytest.raises(CommitUnknown):
        publish_files(inbox, store=store)
    assert len(announced_folders(store, "letters")) == 1
