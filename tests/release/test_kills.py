"""kill -9 wherever it hurts, while readers look: at every system call on a file, and at random times over a network."""

import collections
import contextlib
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from eqn.records import ReleaseRef
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.manifest import Manifest
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore, open_store
from eqn.store.s3 import S3Store
from tests.release.publishers import Publisher

Publish = Callable[..., tuple[ReleaseRef, int]]

CALLS = ("openat", "write", "fsync", "link", "unlink", "rename", "mkdir")
"""The system calls by which the store touches files."""
_CALLS = ",".join(CALLS)


@contextlib.contextmanager
def readers(store: ObjectStore, dataset: str) -> Iterator[list[int]]:
    """Read the latest release all the time, byte for byte; a torn one fails the test. Gives the releases seen."""
    stop, seen = threading.Event(), list[int]()

    def read() -> None:
        while not stop.is_set():
            number = max(release_numbers(store, dataset), default=0)
            if number:
                verify(store, read_manifest(store, dataset, number))
            seen.append(number)
            time.sleep(0.01)

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        try:
            yield seen
        finally:
            stop.set()
        reader.result()


def require_every_row_once(store: ObjectStore, manifest: Manifest, tmp_path: Path, expected: list[str]) -> None:
    """The ids that came in are those in the parts, each as often as it should be; quarantined rows add up."""
    ids: list[str] = []
    for name in (name for entry in manifest.inputs for name in entry.parts):
        (tmp_path / "part.parquet").write_bytes(store.get(f"{manifest.path}/{name}"))
        ids += pq.read_table(tmp_path / "part.parquet", columns=["id"]).column("id").to_pylist()
    assert collections.Counter(ids) == collections.Counter(expected)
    assert manifest.rows_in == manifest.rows_out + manifest.rows_quarantined == len(ids) + manifest.rows_quarantined


@pytest.fixture
def undisturbed(publish_files: Publish, inbox: Path, tmp_path: Path) -> tuple[str, list[str]]:
    """The digest of release 2 when nothing disturbs it, and its ids: a.csv first, then the whole inbox."""
    store = DirectoryStore(tmp_path / "undisturbed")
    publish_files(inbox / "a.csv", store=store)
    publish_files(inbox, store=store)
    manifest = read_manifest(store, "letters", 2)
    folder = Path(store.address(manifest.path), "data")
    ids = [i for part in sorted(folder.iterdir()) for i in pq.read_table(part).column("id").to_pylist()]
    return manifest.content_digest, ids


@pytest.mark.stack
@pytest.mark.timeout(3000)
def test_killed_at_every_system_call_on_a_file(
    publish_files: Publish, inbox: Path, package: Path, tmp_path: Path, undisturbed: tuple[str, list[str]]
) -> None:
    """Release 1 stays readable, release 2 appears whole or not at all, and a rerun ends in the undisturbed digest."""
    if not shutil.which("strace"):
        pytest.fail("strace is not installed: infra/services/prepare.sh installs it")
    before, log = tmp_path / "before", tmp_path / "strace.log"
    publish_files(inbox / "a.csv", store=DirectoryStore(before))
    numbers: collections.Counter[int] = collections.Counter()
    with Publisher(package) as publisher:
        assert publisher.hear() == "started"
        shutil.copytree(before, tmp_path / "observed")
        assert _traced(publisher, tmp_path / "observed", inbox, ["-y", "-o", str(log), "-e", f"trace={_CALLS}"]) == 0
        points = _points(log, tmp_path / "observed")
        assert len(points) > 80
        assert {call for call, _ in points} == set(CALLS)
        for call, place in points:
            root = tmp_path / f"{call} {place}"
            shutil.copytree(before, root)
            kill = ["-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={place}"]
            store = DirectoryStore(root)
            with readers(store, "letters"):
                assert _traced(publisher, root, inbox, kill) == -signal.SIGKILL, (call, place)
                numbers[release_numbers(store, "letters")[-1]] += 1
                publish_files(inbox, store=store)
            assert release_numbers(store, "letters") == [1, 2], (call, place)
            manifest = read_manifest(store, "letters", 2)
            verify(store, manifest)
            assert manifest.content_digest == undisturbed[0], (call, place)
            require_every_row_once(store, manifest, tmp_path, undisturbed[1])
            shutil.rmtree(root)
    assert numbers[1] > numbers[2] > 0  # the commit is one of the last calls
    print(f"killed at {sum(numbers.values())} calls: {numbers[1]} before the commit, {numbers[2]} after")  # noqa: T201


def _traced(publisher: Publisher, root: Path, inbox: Path, options: list[str]) -> int:
    """Let a child publish the inbox to `root` under strace; give how it ended."""
    publisher.tell(store=str(root), dataset="letters", inputs=[str(inbox)], fork=True)
    child = publisher.hear()["pid"]
    with subprocess.Popen(["strace", "-f", "-qq", "-p", str(child), *options]) as strace:
        while "TracerPid:\t0" in Path(f"/proc/{child}/status").read_text():
            assert strace.poll() is None, "strace could not attach"
            time.sleep(0.005)
        publisher.tell()
        status = publisher.hear()["status"]
    return int(status)


def _points(log: Path, root: Path) -> list[tuple[str, int]]:
    """Give every call on a file of the store in an undisturbed run: its name, and which of that name it is."""
    counts: collections.Counter[str] = collections.Counter()
    points, main = [], ""
    for line in log.read_text(errors="replace").splitlines():
        made = re.match(r"(\d+) +(\w+)\((.*)", line)
        if made and made[2] in CALLS and made[1] == (main := main or made[1]):  # each thread counts for itself
            counts[made[2]] += 1
            if str(root) in made[3]:
                points.append((made[2], counts[made[2]]))
    return points


@pytest.mark.parametrize("trials", [pytest.param(2, id="2"), pytest.param(40, id="40", marks=pytest.mark.stack)])
@pytest.mark.timeout(3000)
def test_killed_at_random_times_over_a_network(
    publish_files: Publish,
    inbox: Path,
    package: Path,
    moto_store: S3Store,
    tmp_path: Path,
    undisturbed: tuple[str, list[str]],
    trials: int,
) -> None:
    """One to three kills somewhere in the work, then a run in peace: the undisturbed digest, every row once."""
    draw, killed = random.Random(0), 0  # noqa: S311  times to kill at
    with Publisher(package) as publisher:
        assert publisher.hear() == "started"
        whole = _seconds_of_a_run(publisher, inbox, open_store(moto_store.address("timing")))
        for trial in range(trials):
            address = moto_store.address(f"trial-{trial}")
            store = open_store(address)
            publish_files(inbox / "a.csv", store=store)
            with readers(store, "letters") as seen:
                for _ in range(draw.randint(1, 3)):
                    publisher.tell(store=address, dataset="letters", inputs=[str(inbox)], fork=True)
                    child = publisher.hear()["pid"]
                    publisher.tell()
                    time.sleep(draw.uniform(0, whole))
                    with contextlib.suppress(ProcessLookupError):  # it was faster
                        os.kill(child, signal.SIGKILL)
                    killed += publisher.hear()["status"] == -signal.SIGKILL
                publish_files(inbox, store=store)
            assert release_numbers(store, "letters") == [1, 2]
            manifest = read_manifest(store, "letters", 2)
            verify(store, manifest)
            assert manifest.content_digest == undisturbed[0]
            require_every_row_once(store, manifest, tmp_path, undisturbed[1])
            assert all(one <= other for one, other in itertools.pairwise(seen))
    assert killed >= trials


def _seconds_of_a_run(publisher: Publisher, inbox: Path, store: ObjectStore) -> float:
    started = time.monotonic()
    publisher.tell(store=store.address("whole"), dataset="letters", inputs=[str(inbox)], fork=True)
    publisher.hear()
    publisher.tell()
    assert publisher.hear()["status"] == 0
    return time.monotonic() - started
