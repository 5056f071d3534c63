"""Any order of operations: a state machine that publishes, dies, stands still, cleans up and reads.

The dictionary says which work each release must hold. Works are sets of input files under the champion of the moment.
Everything is done by real processes on a directory; texts are scored by their digests.
"""

import collections
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eqn.errors import Conflict, StoreUnavailable
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.commit import announced_folders
from eqn.release.manifest import Manifest, manifest_key
from eqn.store.directory import DirectoryStore
from tests.release.publishers import Publisher

FILES = {
    "a.csv": "id,text\n1,one\n2,two\n2,three\n3,\n",
    "b.csv": "id,text\n4,four\n5,five\n",
    "c.txt": "six\nseven\n",
    "d.jsonl": '{"id": "8", "text": "eight", "stars": 5}\n',
}
TEXTS = {"a.csv": ["one"], "b.csv": ["four", "five"], "c.txt": ["six", "seven"], "d.jsonl": ["eight"]}
"""Those that are no reason for quarantine."""
BEFORE_THE_MANIFEST = (
    *("publish.part-written", "publish.part-copied", "publish.parts-written", "publish.documents-written"),
    *("commit.announced", "commit.files-seen"),
)
AFTER_IT = ("commit.manifest-written", "commit.settled")


class Work(NamedTuple):
    """What is to be published."""

    champion: str
    files: tuple[str, ...]


works = strategies.sets(strategies.sampled_from(sorted(FILES)), min_size=1).map(sorted).map(tuple)


class Releases(RuleBasedStateMachine):
    """Releases of one dataset, and what must be true of them."""

    publishers: tuple[Publisher, Publisher]
    """Set by whoever runs the machine: the second one's children may stand still."""
    operations = 0
    """How many were tried by all machines."""

    def __init__(self) -> None:
        super().__init__()
        place = Path("/dev/shm")  # noqa: S108  random names in it
        self._folder = tempfile.TemporaryDirectory(dir=place if os.access(place, os.W_OK) else None)
        self.store = DirectoryStore(Path(self._folder.name, "store"))
        self.champion = "first"
        self.published: dict[int, Work] = {}
        self.manifests: dict[int, bytes] = {}
        self.stopped: Work | None = None
        for name, content in FILES.items():
            Path(self._folder.name, name).write_text(content)

    def teardown(self) -> None:
        if self.stopped:
            self.goes_on()
        for number in self.published:
            verify(self.store, read_manifest(self.store, "letters", number))
        self._folder.cleanup()

    # What is done.

    @rule(files=works)
    def publish(self, files: tuple[str, ...]) -> None:
        work, before = Work(self.champion, files), self.number_of(files)
        told = self.publishers[0].do(**self.job(work))
        assert told["exit"] == 0
        assert told["already_published"] == (before is not None)
        assert told["number"] == (before or len(self.published) + 1)
        self.note(work)

    @rule(files=works, ahead=strategies.integers(0, 2))
    def publish_as_a_number(self, files: tuple[str, ...], ahead: int) -> None:
        """The latest number, the next one, and one that is not due."""
        expect, before = max(1, len(self.published) + ahead), self.number_of(files)
        told = self.publishers[0].do(**self.job(Work(self.champion, files)), expect=expect)
        due = before or len(self.published) + 1
        assert told["exit"] == (0 if expect == due else Conflict.exit_code)
        if expect == due:
            self.note(Work(self.champion, files))

    @rule(files=works, point=strategies.sampled_from(BEFORE_THE_MANIFEST), time=strategies.integers(1, 3))
    def die(self, files: tuple[str, ...], point: str, time: int) -> None:
        """A run that does not come to the point so often is like any other."""
        work = Work(self.champion, files)
        ended = self.publishers[0].end_of(**self.job(work), failpoint=f"{point}:kill:{time}")
        assert ended in {0, -signal.SIGKILL}
        if ended == 0:
            self.note(work)

    @rule(files=works, point=strategies.sampled_from(AFTER_IT))
    def die_with_the_manifest_written(self, files: tuple[str, ...], point: str) -> None:
        work, before = Work(self.champion, files), self.number_of(files)
        ended = self.publishers[0].end_of(**self.job(work), failpoint=f"{point}:kill")
        assert ended in (
            {-signal.SIGKILL} if before is None else {0, -signal.SIGKILL}
        )  # who finds it published settles
        self.note(work)

    @rule(files=works, point=strategies.sampled_from(BEFORE_THE_MANIFEST))
    def fail(self, files: tuple[str, ...], point: str) -> None:
        work = Work(self.champion, files)
        ended = self.publishers[0].end_of(**self.job(work), failpoint=f"{point}:error")
        assert ended in {0, StoreUnavailable.exit_code}
        if ended == 0:
            self.note(work)

    @precondition(lambda self: not self.stopped)
    @rule(mine=works, theirs=works, first=strategies.booleans())
    def rivals(self, mine: tuple[str, ...], theirs: tuple[str, ...], first: bool) -> None:  # noqa: FBT001  a rule
        """Both wait just before their manifests, then they go on one after the other."""
        works = [Work(self.champion, files) for files in (mine, theirs)]
        if any(self.number_of(work.files) for work in works):
            return
        for publisher, work in zip(self.publishers, works, strict=True):
            publisher.tell(**self.job(work), gate=True)
        assert [publisher.hear() for publisher in self.publishers] == ["ready", "ready"]
        for turn in (0, 1) if first else (1, 0):
            self.publishers[turn].tell()
            told = self.publishers[turn].hear()
            before = self.number_of(works[turn].files)
            assert (told["exit"], told["already_published"]) == (0, before is not None)
            self.note(works[turn])

    @precondition(lambda self: not self.stopped)
    @rule(files=works, point=strategies.sampled_from(("publish.parts-written", *BEFORE_THE_MANIFEST[3:])))
    def stand_still(self, files: tuple[str, ...], point: str) -> None:
        if self.number_of(files):
            return
        self.stopped = Work(self.champion, files)
        self.publishers[1].fork(**self.job(self.stopped), failpoint=f"{point}:stop")
        assert self.publishers[1].hear() == {"stopped": True}

    @precondition(lambda self: self.stopped)
    @rule()
    def goes_on(self) -> None:
        assert self.stopped
        self.publishers[1].tell()
        assert self.publishers[1].hear() == {"status": 0}
        self.note(self.stopped)
        self.stopped = None

    @rule(champion=strategies.sampled_from(("first", "second")))
    def promote(self, champion: str) -> None:
        """Everything is annotated anew from now on."""
        self.champion = champion

    @rule(point=strategies.sampled_from(("", "", "collection.marked", "collection.looked-again", "collection.deleted")))
    def collect(self, point: str) -> None:
        """Without any grace, as if all that is not announced were old."""
        assert self.publishers[0].end_of(**self.job(), do="collect", failpoint=point) in {0, -signal.SIGKILL}
        if not point:
            manifests = self.read_all()
            live = {manifest.folder for manifest in manifests} | announced_folders(self.store, "letters")
            assert {key.split("/")[2] for key in self.store.list("letters/files")} <= live

    @rule(point=strategies.sampled_from(("", "", "reconcile.verified", "reconcile.announced", *AFTER_IT)))
    def reconcile(self, point: str) -> None:
        """Works that died after their announcement may be published now."""
        announced = [self.work_of(read) for read in self.announcements()]
        assert self.publishers[0].end_of(**self.job(), do="reconcile", failpoint=point) in {0, -signal.SIGKILL}
        for number in release_numbers(self.store, "letters")[len(self.published) :]:
            work = self.work_of(read_manifest(self.store, "letters", number))
            assert work in announced
            self.note(work)

    # What must be true.

    @invariant()
    def releases_are_what_was_published(self) -> None:
        type(self).operations += 1
        assert release_numbers(self.store, "letters") == list(range(1, len(self.published) + 1))
        for number, work in self.published.items():
            content = self.store.get(manifest_key("letters", number))
            assert self.manifests.setdefault(number, content) == content
            assert self.work_of(Manifest.from_bytes(content, where="")) == work
        if self.published:
            latest = read_manifest(self.store, "letters")
            verify(self.store, latest)
            assert collections.Counter(self.texts(latest)) == collections.Counter(
                text for name in self.published[latest.release].files for text in TEXTS[name]
            )

    def note(self, work: Work) -> None:
        """A work is published: under its number, or else under the next one."""
        if work not in self.published.values():
            self.published[len(self.published) + 1] = work

    def number_of(self, files: tuple[str, ...]) -> int | None:
        work = Work(self.champion, files)
        return next((number for number, there in self.published.items() if there == work), None)

    def job(self, work: Work | None = None) -> dict[str, Any]:
        where = {"store": str(self.store.root), "dataset": "letters"}
        inputs = [str(Path(self._folder.name, name)) for name in work.files] if work else []
        return where | ({"inputs": inputs, "champion": work.champion} if work else {})

    def work_of(self, manifest: Manifest) -> Work:
        return Work(manifest.model["name"], tuple(entry.name for entry in manifest.inputs))

    def announcements(self) -> Iterator[Manifest]:
        for key in list(self.store.list("letters/commits")):
            yield Manifest.from_bytes(self.store.get(key), where=key)

    def read_all(self) -> list[Manifest]:
        manifests = [read_manifest(self.store, "letters", number) for number in self.published]
        for manifest in manifests:
            verify(self.store, manifest)
        return manifests

    def texts(self, manifest: Manifest) -> Iterator[str]:
        for key in self.store.list(f"{manifest.path}/data"):  # as readers do: every file that is there
            yield from pq.read_table(pa.BufferReader(self.store.get(key)), columns=["text"]).column(0).to_pylist()
