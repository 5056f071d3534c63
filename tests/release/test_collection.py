"""Removing what nobody published: only that, also while others publish."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from eqn.annotation.annotator import Annotator
from eqn.errors import ArtifactRefused, StoreUnavailable
from eqn.records import ReleaseRef
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.collection import collect
from eqn.release.commit import announced_folders
from eqn.release.manifest import Manifest, collected_key, manifest_key
from eqn.release.plan import Plan
from eqn.release.publish import publish
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore, open_store
from tests.faults.promises import Trials
from tests.release.publishers import Publisher

PlanFor = Callable[..., Plan]
Publish = Callable[..., tuple[ReleaseRef, int]]

pytestmark = pytest.mark.promise(12)


class DiesAtParts(DirectoryStore):
    """A directory whose user is gone when the second part is to be written."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        if "part-00001" in key:
            raise KeyboardInterrupt
        return super().put_if_absent(key, content)


@pytest.fixture
def orphans(publish_files: Publish, inbox: Path, store: DirectoryStore) -> list[str]:
    """A published release of one file, and what a run on the whole inbox left when it died."""
    publish_files(inbox / "a.csv")
    with contextlib.suppress(KeyboardInterrupt):
        publish_files(inbox, store=DiesAtParts(store.root))
    published = read_manifest(store, "letters").path
    left = [key for key in store.list("letters/files") if not key.startswith(published)]
    assert left
    return left


def test_what_was_never_published_goes_and_nothing_else(store: DirectoryStore, orphans: list[str]) -> None:
    """Within the grace everything stays; after it the orphans go, and the release verifies."""
    before = set(store.list("letters"))

    assert collect(store, "letters") == []
    [would] = collect(store, "letters", grace_hours=0, dry_run=True)
    assert set(store.list("letters")) == before
    [removed] = collect(store, "letters", grace_hours=0)

    assert (removed, removed.files) == (would, len(orphans))
    assert set(store.list("letters")) == (before - set(orphans)) | {collected_key("letters", removed.folder)}
    verify(store, read_manifest(store, "letters"))
    assert collect(store, "letters", grace_hours=0) == []


def test_leftovers_of_killed_writers_go(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """A temporary file that no listing shows."""
    release, _ = publish_files(inbox)
    leftover = Path(release.path, "data", ".tmp-0123456789abcdef")
    leftover.write_bytes(b"half a part")

    collect(store, "letters")
    assert leftover.is_file()
    collect(store, "letters", grace_hours=0)
    assert not leftover.exists()


def test_an_announced_commit_is_left_alone(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """Its run may be about to publish, or its outcome may be unknown."""

    class DiesAtCommit(DirectoryStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            if "/releases/" in key:
                raise KeyboardInterrupt
            return super().put_if_absent(key, content)

    with contextlib.suppress(KeyboardInterrupt):
        publish_files(inbox, store=DiesAtCommit(store.root))

    assert collect(store, "letters", grace_hours=0) == []
    [key] = store.list("letters/commits")
    verify(store, Manifest.from_bytes(store.get(key), where=key))


def test_an_interrupted_removal_is_ended_by_the_next(store: DirectoryStore, orphans: list[str]) -> None:
    """A folder that is given up is nobody's: what is left in it goes, whatever its age."""
    folder = orphans[0].split("/")[2]
    store.put(collected_key("letters", folder), b"")

    [removed] = collect(store, "letters")  # within the grace

    assert removed.folder == folder
    assert not set(orphans) & set(store.list("letters"))


def test_a_job_whose_folder_was_given_up_takes_another(
    publish_files: Publish, inbox: Path, store: DirectoryStore, orphans: list[str], golden: str
) -> None:
    """Marks stay: nothing is ever published from a folder in which somebody may still be deleting."""
    collect(store, "letters", grace_hours=0)
    release, _ = publish_files(inbox)

    manifest = read_manifest(store, "letters")
    verify(store, manifest)
    assert manifest.folder == f"{manifest.job}.1"
    assert release.path == store.address(manifest.path)
    assert publish_files(inbox)[0].already_published
    assert collect(store, "letters", grace_hours=0) == []
    elsewhere = read_manifest(DirectoryStore(store.root.with_name("golden")), "letters")
    assert elsewhere.content_digest == golden
    data = {name: entry for name, entry in elsewhere.files.items() if name.startswith("data/")}
    assert data == {name: entry for name, entry in manifest.files.items() if name.startswith("data/")}


def test_a_folder_that_is_given_up_during_the_commit_is_not_published(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, store: DirectoryStore, golden: str
) -> None:
    """Marked just before the run announces its commit: the run sees it, and goes to another folder."""
    plan = plan_for(inbox)

    class Marked(DirectoryStore):
        def put(self, key: str, content: bytes) -> None:
            if "/commits/" in key:
                self.put_if_absent(collected_key("letters", plan.job), b"")
            super().put(key, content)

    release = publish(Marked(store.root), plan, annotator)

    manifest = read_manifest(store, "letters")
    verify(store, manifest)
    assert (release.number, manifest.folder, manifest.content_digest) == (1, f"{plan.job}.1", golden)
    assert announced_folders(store, "letters") == set()


def test_two_removals_and_a_publisher_tear_nothing(
    publish_files: Publish, inbox: Path, store: DirectoryStore, orphans: list[str]
) -> None:
    """One removal is held up between two deletions; another one ends it; a run publishes; then the first goes on."""
    run = publish_files

    class HeldUp(DirectoryStore):
        held = False

        def delete(self, key: str) -> None:
            if "/files/" in key and not self.held:
                self.held = True
                collect(DirectoryStore(self.root), "letters", grace_hours=0)
                run(inbox, store=DirectoryStore(self.root))
            super().delete(key)

    collect(HeldUp(store.root), "letters", grace_hours=0)
    for number in (1, 2):
        verify(store, read_manifest(store, "letters", number))


def test_a_folder_that_is_announced_after_it_was_marked_is_spared(
    publish_files: Publish, inbox: Path, store: DirectoryStore, orphans: list[str]
) -> None:
    """The removal looks once more after its mark is set."""
    run = publish_files

    class Racing(DirectoryStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            if "/collected/" in key:
                run(inbox, store=DirectoryStore(self.root))
            return super().put_if_absent(key, content)

    assert collect(Racing(store.root), "letters", grace_hours=0) == []
    verify(store, read_manifest(store, "letters", 2))


def test_nothing_is_removed_while_a_manifest_cannot_be_read(store: DirectoryStore, orphans: list[str]) -> None:
    """Nobody knows which files it names."""
    store.put(manifest_key("letters", 2), b"{")

    with pytest.raises(ArtifactRefused):
        collect(store, "letters", grace_hours=0)
    assert set(orphans) <= set(store.list("letters"))


@pytest.mark.parametrize(
    ("any_store", "rounds"),
    [
        ("directory", 10),
        ("moto", 1),
        *(pytest.param(store, 100, marks=pytest.mark.faults) for store in ("directory", "moto")),
        pytest.param("ceph", 20, marks=pytest.mark.faults),
    ],
    indirect=["any_store"],
)
@pytest.mark.timeout(3000)
def test_publishers_and_removals_at_once(any_store: ObjectStore, inbox: Path, trials: Trials, rounds: int) -> None:
    """Removals without any grace, all the time, take files from under four publishers, and no release.

    Two of the four do the same work. A run from under which everything was swept again and again says so, and a rerun
    publishes. A killed run's files go, and nothing else.
    """
    address = any_store.address("busy")
    store = open_store(address)
    works = [[inbox / "a.csv"], [inbox / "a.csv"], [inbox / "b.jsonl"], [inbox / "a.csv", inbox / "c.parquet"]]
    inputs = [[str(path) for path in work] for work in works]
    with contextlib.ExitStack() as stack:
        publishers = [stack.enter_context(Publisher()) for _ in range(4)]
        assert [publisher.hear() for publisher in publishers] == ["started"] * 4
        swept = 0
        for number in range(rounds):
            where = {"store": address, "dataset": f"busy-{number}"}
            killed = publishers[0].end_of(**where, inputs=[str(inbox)], failpoint="publish.documents-written")
            assert killed == -signal.SIGKILL
            with removing(store, where["dataset"]) as removed:
                ended = [one for one in _at_once(publishers, where, inputs) if one["exit"]]
                assert {one["exit"] for one in ended} <= {StoreUnavailable.exit_code}
            assert removed
            for publisher, paths in zip(publishers, inputs, strict=True):
                assert publisher.do(**where, inputs=paths)["exit"] == 0
            _require_all_live(store, where["dataset"], works=3)
            swept += sum(removed)
    assert swept >= rounds  # the killed run's folder at least
    trials(rounds, "rounds of four publishers against removals")
    trials(swept, "folders removed meanwhile")


def _at_once(publishers: list[Publisher], where: dict[str, str], inputs: list[list[str]]) -> list[dict[str, Any]]:
    for publisher, paths in zip(publishers, inputs, strict=True):
        publisher.tell(**where, inputs=paths)
    return [publisher.hear() for publisher in publishers]


def _require_all_live(store: ObjectStore, dataset: str, *, works: int) -> None:
    """Each work has a release, every file of every manifest is there, and after a last removal nothing else is."""
    manifests = [read_manifest(store, dataset, number) for number in release_numbers(store, dataset)]
    assert len({manifest.job for manifest in manifests}) == len(manifests) >= works
    assert announced_folders(store, dataset) == set()
    collect(store, dataset, grace_hours=0)
    for manifest in manifests:
        verify(store, manifest)
    named = {f"{manifest.path}/{name}" for manifest in manifests for name in manifest.files}
    assert set(store.list(f"{dataset}/files")) == named


@contextlib.contextmanager
def removing(store: ObjectStore, dataset: str) -> Iterator[list[int]]:
    """Remove what nobody needs, without any grace, again and again; gives how many folders went each time."""
    stop, removed = threading.Event(), list[int]()

    def remove() -> None:
        while not stop.is_set():
            removed.append(len(collect(store, dataset, grace_hours=0)))

    with ThreadPoolExecutor(1) as pool:
        remover = pool.submit(remove)
        try:
            yield removed
        finally:
            stop.set()
        remover.result()


@pytest.mark.timeout(600)
def test_removals_with_their_grace_leave_running_jobs_alone(tmp_path: Path, inbox: Path, trials: Trials) -> None:
    """With the 24 hours that are the default, nothing of a run under way or just killed is taken."""
    store = DirectoryStore(tmp_path / "busy")
    where = {"store": str(store.root), "dataset": "letters", "inputs": [str(inbox)]}
    with Publisher() as publisher:
        assert publisher.hear() == "started"
        for point in ("publish.part-written", "publish.documents-written"):
            assert publisher.end_of(**where, failpoint=point) == -signal.SIGKILL
            before = set(store.list("letters"))
            assert collect(store, "letters") == []
            assert set(store.list("letters")) == before
        publisher.fork(**where, failpoint="commit.files-seen:stop")
        assert publisher.hear() == {"stopped": True}
        assert collect(store, "letters") == []
        publisher.tell()
        assert publisher.hear() == {"status": 0}
    verify(store, read_manifest(store, "letters", 1))
    trials(3, "removals with their grace", store="directory")
