"""kill -9 wherever it hurts, while readers look: at every system call on a file, and at random times on any store."""

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

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.manifest import Manifest
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore, open_store
from eqn.store.s3 import S3Store
from tests.available import require_strace
from tests.faults.promises import Trials
from tests.release.publishers import Publisher

CALLS = ("openat", "write", "fsync", "link", "unlink", "rename", "mkdir")
"""The system calls by which the store touches files."""
_CALLS = ",".join(CALLS)


@contextlib.contextmanager
def readers(store: ObjectStore, dataset: str, *, pause: float = 0.0) -> Iterator[list[int]]:
    """Read the latest release all the time, byte for byte; a torn one fails the test. Gives the releases seen."""
    stop, seen = threading.Event(), list[int]()

    def read() -> None:
        while not stop.is_set():
            number = max(release_numbers(store, dataset), default=0)
            if number:
                verify(store, read_manifest(store, dataset, number))
            seen.append(number)
            time.sleep(pause)

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        try:
            yield seen
        finally:
            stop.set()
        reader.result()


def ids_of(store: ObjectStore, manifest: Manifest) -> list[str]:
    """Give the ids in the parts of a release."""
    parts = (store.get(f"{manifest.path}/{name}") for entry in manifest.inputs for name in entry.parts)
    return [i for part in parts for i in pq.read_table(pa.BufferReader(part), columns=["id"]).column(0).to_pylist()]


def require_every_row_once(store: ObjectStore, manifest: Manifest, expected: list[str]) -> None:
    """The ids that came in are those in the parts, each as often as it should be; quarantined rows add up."""
    ids = ids_of(store, manifest)
    assert collections.Counter(ids) == collections.Counter(expected)
    assert manifest.rows_in == manifest.rows_out + manifest.rows_quarantined == len(ids) + manifest.rows_quarantined


def undisturbed(publisher: Publisher, inbox: Path, folder: Path) -> tuple[str, list[str]]:
    """The digest of release 2 when nothing disturbs it, and its ids: a.csv first, then the whole inbox."""
    for inputs in (inbox / "a.csv", inbox):
        assert publisher.do(store=str(folder), dataset="letters", inputs=[str(inputs)])["exit"] == 0
    manifest = read_manifest(DirectoryStore(folder), "letters", 2)
    return manifest.content_digest, ids_of(DirectoryStore(folder), manifest)


def require_recovered(store: ObjectStore, expected: tuple[str, list[str]]) -> None:
    """Release 2 is the undisturbed one, and no other came of it."""
    assert release_numbers(store, "letters") == [1, 2]
    manifest = read_manifest(store, "letters", 2)
    verify(store, manifest)
    assert manifest.content_digest == expected[0]
    require_every_row_once(store, manifest, expected[1])


@pytest.mark.promise(1, 2)
@pytest.mark.parametrize("every", [pytest.param(7, id="some"), pytest.param(1, id="all", marks=pytest.mark.stack)])
@pytest.mark.timeout(3000)
def test_killed_at_every_system_call_on_a_file(
    inbox: Path, memory: Path, tmp_path: Path, trials: Trials, every: int
) -> None:
    """Release 1 stays readable, release 2 appears whole or not at all, and a rerun ends in the undisturbed digest."""
    require_strace()
    before, log = memory / "before", tmp_path / "strace.log"
    numbers: collections.Counter[int] = collections.Counter()
    with Publisher() as publisher:
        assert publisher.hear() == "started"
        expected = undisturbed(publisher, inbox, memory / "undisturbed")
        publisher.do(store=str(before), dataset="letters", inputs=[str(inbox / "a.csv")])
        shutil.copytree(before, memory / "observed")
        assert _traced(publisher, memory / "observed", inbox, ["-y", "-o", str(log), "-e", f"trace={_CALLS}"]) == 0
        points = _points(log, memory / "observed")
        assert len(points) > 80
        assert {call for call, _ in points} == set(CALLS)
        for call, place in points[::every]:
            root = memory / f"{call} {place}"
            shutil.copytree(before, root)
            kill = ["-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={place}"]
            store = DirectoryStore(root)
            with readers(store, "letters"):
                assert _traced(publisher, root, inbox, kill) == -signal.SIGKILL, (call, place)
                numbers[release_numbers(store, "letters")[-1]] += 1
                publisher.do(store=str(root), dataset="letters", inputs=[str(inbox)])
            require_recovered(store, expected)
            shutil.rmtree(root)
    assert numbers[1] > numbers[2]  # the commit is one of the last calls
    trials(numbers[1], "system calls before the commit", store="directory")
    trials(numbers[2], "system calls after it", store="directory")


def _traced(publisher: Publisher, root: Path, inbox: Path, options: list[str]) -> int:
    """Let a child publish the inbox to `root` under strace; give how it ended."""
    publisher.tell(store=str(root), dataset="letters", inputs=[str(inbox)], fork=True)
    child = publisher.hear()["pid"]
    with subprocess.Popen(["strace", "-f", "-qq", "-p", str(child), *options]) as strace:
        while "TracerPid:\t0" in Path(f"/proc/{child}/status").read_text():
            assert strace.poll() is None, "strace could not attach"
            time.sleep(0.001)
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


def killed_at_random_times(
    publisher: Publisher, inbox: Path, address_of: Callable[[str], str], expected: tuple[str, list[str]], times: int
) -> tuple[int, int]:
    """One to three kills somewhere in the work, then a run in peace: the undisturbed digest, every row once.

    Gives how many kills hit, and how often the latest release was read meanwhile.
    """
    draw, kills, reads, whole = random.Random(0), 0, 0, 0.1  # noqa: S311  times to kill at
    work = {"dataset": "letters", "inputs": [str(inbox)]}
    hit = attempts = 0
    while hit < times:
        attempts += 1
        assert attempts < 10 * times, "the work is done before it can be killed"
        address = address_of(f"trial-{attempts}")
        store = open_store(address)
        assert publisher.do(store=address, dataset="letters", inputs=[str(inbox / "a.csv")])["exit"] == 0
        with readers(store, "letters") as seen:
            wanted = draw.randint(1, 3)
            ends = [_killed(publisher, draw.uniform(0, whole), store=address, **work) for _ in range(wanted)]
            assert publisher.do(store=address, **work)["exit"] == 0
        whole *= 1.3 if 0 not in ends else 0.8  # so that kills come as late as they can
        require_recovered(store, expected)
        assert all(one <= other for one, other in itertools.pairwise(seen))
        hit += -signal.SIGKILL in ends
        kills += ends.count(-signal.SIGKILL)
        reads += len(seen)
    return kills, reads


def _killed(publisher: Publisher, after: float, **job: object) -> int:
    """Let a child begin a job and kill it after some seconds; give how it ended."""
    child = publisher.fork(**job)
    time.sleep(after)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return int(publisher.hear()["status"])


@pytest.mark.promise(1, 3)
@pytest.mark.parametrize(
    ("any_store", "times"),
    [
        ("directory", 40),
        ("moto", 2),
        pytest.param("directory", 300, marks=pytest.mark.faults),
        pytest.param("moto", 300, marks=pytest.mark.faults),
        pytest.param("ceph", 50, marks=pytest.mark.faults),
    ],
    indirect=["any_store"],
)
@pytest.mark.timeout(3000)
def test_killed_at_random_times(inbox: Path, any_store: ObjectStore, memory: Path, trials: Trials, times: int) -> None:
    """On every store: no reader ever meets a torn release, and no row is lost or there twice."""
    with Publisher() as publisher:
        assert publisher.hear() == "started"
        expected = undisturbed(publisher, inbox, memory / "undisturbed")
        kills, reads = killed_at_random_times(publisher, inbox, any_store.address, expected, times)
    trials(times, "runs with up to three kills")
    trials(kills, "kills")
    trials(reads, "reads of a whole release")


@pytest.mark.promise(1, 3)
@pytest.mark.parametrize("times", [pytest.param(1, id="1"), pytest.param(30, id="30", marks=pytest.mark.faults)])
@pytest.mark.timeout(3000)
def test_a_network_killed_at_random_times(
    inbox: Path, package: Path, moto_store: S3Store, memory: Path, trials: Trials, times: int
) -> None:
    """The same where a BERT annotates, and its threads die with it."""
    with Publisher(package) as publisher:
        assert publisher.hear() == "started"
        expected = undisturbed(publisher, inbox, memory / "undisturbed")
        kills, reads = killed_at_random_times(publisher, inbox, moto_store.address, expected, times)
    trials(times, "runs of a BERT with up to three kills", store="moto")
    trials(kills, "kills", store="moto")
    trials(reads, "reads of a whole release", store="moto")
