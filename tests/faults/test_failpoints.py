"""Failpoints: where they are, what they do, and that work which dies at any of them is finished by the next run."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eqn.errors import StoreUnavailable, UsageError
from eqn.failpoints import VARIABLE, reached
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.collection import collect
from eqn.release.commit import announced_folders, reconcile
from eqn.store.directory import DirectoryStore
from tests.faults.points import points
from tests.faults.promises import Trials
from tests.release.publishers import Publisher

POINTS = points()
PUBLISHING = [name for name in POINTS if name.startswith(("publish.", "commit."))]
COLLECTING = [name for name in POINTS if name.startswith("collection.")]
RECONCILING = [name for name in POINTS if name.startswith("reconcile.")]
MISSED = {"commit.withdrawn"}
"""Points that a run without rivals does not come to; the tests of these have a rival."""


def test_every_point_has_a_name_of_its_own() -> None:
    """Each is one place of one protocol, and each protocol has a test that dies there."""
    assert len(POINTS) == len(set(POINTS)) > 15
    protocols = {name.partition(".")[0] for name in POINTS}
    assert protocols >= {"publish", "commit", "reconcile", "collection", "promotion"}
    assert all(name.count(".") == 1 for name in POINTS)


def test_without_the_variable_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where it names another point."""
    monkeypatch.delenv(VARIABLE, raising=False)
    reached("here")
    monkeypatch.setenv(VARIABLE, "there:error")
    reached("here")


def test_an_error_comes_at_the_time_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of three visits fails."""
    monkeypatch.setenv(VARIABLE, "here:error:2")
    reached("here")
    with pytest.raises(StoreUnavailable, match="here:error:2"):
        reached("here")
    reached("here")


@pytest.mark.parametrize("wanted", ["here:explode", "here:kill:soon", "here:kill:1:more"])
def test_what_cannot_be_done_is_said(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    """A misspelt action must not pass for a run without faults."""
    monkeypatch.setenv(VARIABLE, wanted)
    with pytest.raises(UsageError, match=r"kill\|stop\|error"):
        reached("here")


@pytest.fixture(scope="module")
def publisher() -> Iterator[Publisher]:
    """Children of it die."""
    with Publisher() as running:
        assert running.hear() == "started"
        yield running


@pytest.fixture
def inputs(tmp_path: Path) -> list[str]:
    """Two files: what is in the first is carried over; a row of the second goes to quarantine."""
    (tmp_path / "a.csv").write_text("id,text\n1,one\n2,two\n2,three\n3,\n")
    (tmp_path / "b.csv").write_text("id,text\n4,four\n5,five\n6,\n")
    return [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]


@pytest.fixture
def work(publisher: Publisher, inputs: list[str]) -> Callable[..., int]:
    """Give a function that lets a child publish to a folder, and tells how it ended."""

    def run(root: Path, *, only_first: bool = False, **more: str) -> int:
        job = {"store": str(root), "dataset": "letters", "inputs": inputs[:1] if only_first else inputs}
        return publisher.end_of(**job | more)

    return run


@pytest.fixture
def golden(work: Callable[..., int], tmp_path: Path) -> str:
    """The content of release 2 when nothing disturbs it."""
    root = tmp_path / "golden"
    assert (work(root, only_first=True), work(root)) == (0, 0)
    return read_manifest(DirectoryStore(root), "letters", 2).content_digest


def require_whole(root: Path, golden: str) -> None:
    """Both releases verify, the second is the undisturbed one, and no commit is left open."""
    store = DirectoryStore(root)
    assert release_numbers(store, "letters") == [1, 2]
    for number in (1, 2):
        verify(store, read_manifest(store, "letters", number))
    assert read_manifest(store, "letters", 2).content_digest == golden
    assert announced_folders(store, "letters") == set()


@pytest.mark.promise(2)
@pytest.mark.parametrize("point", [name for name in PUBLISHING if name not in MISSED])
def test_a_publisher_that_dies_at_a_point_is_followed_by_a_whole_release(
    work: Callable[..., int], golden: str, tmp_path: Path, trials: Trials, point: str
) -> None:
    """At each of the times that it comes there: release 1 stays, and the rerun makes the undisturbed release 2."""
    root = tmp_path / "store"
    work(root, only_first=True)
    for time in range(1, 10):
        died = tmp_path / f"{time}"
        shutil.copytree(root, died)
        ended = work(died, failpoint=f"{point}:kill:{time}")
        store = DirectoryStore(died)
        for number in release_numbers(store, "letters"):
            verify(store, read_manifest(store, "letters", number))
        if ended == 0:  # it does not come there so often
            break
        assert ended == -signal.SIGKILL
        assert work(died) == 0
        require_whole(died, golden)
    assert time > 1
    trials(time - 1, "deaths at failpoints", store="directory")


@pytest.mark.promise(2)
@pytest.mark.parametrize("point", [name for name in PUBLISHING if name not in MISSED])
def test_a_publisher_that_fails_at_a_point_says_so_or_goes_on(
    work: Callable[..., int], golden: str, tmp_path: Path, trials: Trials, point: str
) -> None:
    """As where the store does not answer: the run ends with 5, nothing published, or with 0, all published."""
    root = tmp_path / "store"
    work(root, only_first=True)
    ended = work(root, failpoint=f"{point}:error")
    assert release_numbers(DirectoryStore(root), "letters") == ([1, 2] if ended == 0 else [1])
    assert ended in {0, StoreUnavailable.exit_code}
    assert work(root) == 0
    require_whole(root, golden)
    trials(1, "errors at failpoints", store="directory")


@pytest.mark.promise(2)
def test_a_publisher_that_dies_after_its_withdrawal_leaves_nothing_open(
    publisher: Publisher, inputs: list[str], tmp_path: Path
) -> None:
    """Overtaken by a rival while it stood still, it withdraws its commit, and dies before it learns anything more."""
    root = tmp_path / "store"
    job = {"store": str(root), "dataset": "letters"}
    with Publisher() as mortal:
        assert mortal.hear() == "started"
        mortal.tell(**job, inputs=inputs, gate=True, failpoint="commit.withdrawn")
        assert mortal.hear() == "ready"
        assert publisher.do(**job, inputs=inputs[1:])["number"] == 1
        mortal.tell()
        with pytest.raises(EOFError, match="ended with -9"):
            mortal.hear()
    assert publisher.do(**job, inputs=inputs)["number"] == 2
    store = DirectoryStore(root)
    for number in (1, 2):
        verify(store, read_manifest(store, "letters", number))
    assert announced_folders(store, "letters") == set()


@pytest.mark.promise(2, 12)
@pytest.mark.parametrize("point", COLLECTING)
def test_a_removal_that_dies_at_a_point_is_ended_by_the_next(
    work: Callable[..., int], golden: str, tmp_path: Path, trials: Trials, point: str
) -> None:
    """The published release stays whole, the orphans go in the end, and the job they were of is done elsewhere."""
    root = tmp_path / "store"
    work(root, only_first=True)
    work(root, failpoint="publish.documents-written")
    store = DirectoryStore(root)
    assert work(root, do="collect", failpoint=point) == -signal.SIGKILL
    verify(store, read_manifest(store, "letters", 1))

    collect(store, "letters", grace_hours=0)
    published = read_manifest(store, "letters", 1).path
    assert all(key.startswith(published) for key in store.list("letters/files"))
    assert work(root) == 0
    verify(store, read_manifest(store, "letters", 1))
    manifest = read_manifest(store, "letters", 2)
    verify(store, manifest)
    assert (manifest.folder, manifest.content_digest) == (f"{manifest.job}.1", golden)
    trials(1, "deaths of a removal at failpoints", store="directory")


@pytest.mark.promise(2)
@pytest.mark.parametrize("point", RECONCILING)
def test_a_reconciliation_that_dies_at_a_point_is_done_by_the_next(
    work: Callable[..., int], golden: str, tmp_path: Path, trials: Trials, point: str
) -> None:
    """The announced commit is published once, by whoever gets there."""
    root = tmp_path / "store"
    work(root, only_first=True)
    work(root, failpoint="commit.files-seen")
    assert work(root, do="reconcile", failpoint=point) == -signal.SIGKILL

    [found] = reconcile(DirectoryStore(root), "letters")
    assert (found.release, found.outcome) == (2, "published")
    require_whole(root, golden)
    trials(1, "deaths of a reconciliation at failpoints", store="directory")
