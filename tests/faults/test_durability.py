"""Data is durable before it is named: the order of a real run's system calls, and power cuts between any two."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from eqn.errors import ArtifactRefused
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.manifest import manifest_key
from eqn.store.directory import DirectoryStore
from tests.faults.disk import Disk, Step, observed, steps
from tests.faults.promises import Trials
from tests.release.publishers import Publisher

pytestmark = [
    pytest.mark.promise(5),
    pytest.mark.skipif(not shutil.which("strace"), reason="NOT RUN: this machine has no strace"),
]


class Run:
    """A release that was published while its calls were observed; one was there before, and a file is carried over."""

    def __init__(self, publisher: Publisher, folder: Path) -> None:
        self.publisher = publisher
        (folder / "a.csv").write_text("id,text\n1,one\n2,two\n2,three\n3,\n")
        (folder / "b.csv").write_text("id,text\n4,four\n5,five\n6,\n")
        self.inputs = [str(folder / "a.csv"), str(folder / "b.csv")]
        self.before, self.root = folder / "before", folder / "after"
        assert self.publish(self.before, self.inputs[:1]) == 0
        shutil.copytree(self.before, self.root)
        child = publisher.fork_waiting(store=str(self.root), dataset="letters", inputs=self.inputs)
        observed(child, folder / "log", lambda: (publisher.tell(), publisher.hear()))
        self.steps = steps(folder / "log", self.root)
        self.manifest = read_manifest(DirectoryStore(self.root), "letters", 2)

    def publish(self, root: Path, inputs: list[str]) -> int:
        return int(self.publisher.do(store=str(root), dataset="letters", inputs=inputs)["exit"])

    def disk(self) -> Disk:
        """The disk before the run, at the place of the one after it."""
        return Disk(self.root, like=self.before)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with Publisher() as publisher:
        assert publisher.hear() == "started"
        yield Run(publisher, tmp_path_factory.mktemp("run"))


def test_every_name_comes_after_its_bytes_and_every_part_before_the_manifest(run: Run, trials: Trials) -> None:
    """fsync(file) < link < fsync(folder) for each path, and when the manifest is linked, all else is durable."""
    files = {run.root / run.manifest.path / name for name in run.manifest.files}
    manifest = run.root / manifest_key("letters", 2)
    disk, named = run.disk(), list[Path]()
    for step in run.steps:
        if step.call in {"link", "rename"}:
            assert step.source is not None
            assert disk.is_synced(step.source), step
            named.append(step.path)
        if step.path == manifest:
            assert [path for path in files if not disk.is_durable(path)] == []
        disk.play(step)

    assert set(named) >= files | {manifest}
    assert all(disk.is_durable(path) for path in (*files, manifest))
    trials(len(named), "published paths", store="directory")


@pytest.mark.parametrize("cuts", [pytest.param(60, id="60"), pytest.param(1000, id="1000", marks=pytest.mark.faults)])
def test_a_power_cut_tears_no_release(run: Run, tmp_path: Path, trials: Trials, cuts: int) -> None:
    """Whenever it comes and whatever it takes: releases that are there are whole, and a rerun ends as undisturbed.

    Once the run has ended, its release survives.
    """
    draw, seen = random.Random(0), {1: 0, 2: 0}  # noqa: S311  what is lost
    for cut in range(cuts):
        disk, last = run.disk(), draw.randint(0, len(run.steps))
        for step in run.steps[:last]:
            disk.play(step)
        root = tmp_path / str(cut)
        disk.cut(root, draw)
        store = DirectoryStore(root)
        numbers = release_numbers(store, "letters")
        assert numbers in ([1], [1, 2])
        assert last < len(run.steps) or numbers == [1, 2]
        for number in numbers:
            verify(store, read_manifest(store, "letters", number))
        seen[numbers[-1]] += 1
        assert run.publish(root, run.inputs) == 0
        again = read_manifest(store, "letters", 2)
        verify(store, again)
        assert again.content_digest == run.manifest.content_digest
        shutil.rmtree(root)
    assert seen[1] > seen[2] > 0
    trials(seen[1], "power cuts before the commit", store="directory")
    trials(seen[2], "power cuts after it", store="directory")


@pytest.mark.parametrize("lost", ["of files", "of folders"])
def test_without_its_syncs_a_run_would_be_torn(run: Run, tmp_path: Path, lost: str) -> None:
    """The test above can fail: with the same calls but those syncs, a manifest names what is not there."""

    def stays(step: Step) -> bool:
        return step.call != "sync" or step.path.name.startswith(".tmp-") == (lost == "of folders")

    draw, torn = random.Random(0), 0  # noqa: S311  what is lost
    for cut in range(100):
        disk = run.disk()
        for step in filter(stays, run.steps):
            disk.play(step)
        disk.cut(tmp_path / str(cut), draw)
        store = DirectoryStore(tmp_path / str(cut))
        try:
            if 2 in release_numbers(store, "letters"):
                verify(store, read_manifest(store, "letters", 2))
        except ArtifactRefused:
            torn += 1
    assert torn > 10
