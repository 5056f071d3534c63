"""Publishing under faults: a death at any write, kill -9 in the middle, a full disk."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from eqn.annotation.annotator import Annotator
from eqn.annotation.engine import LocalEngine, Report
from eqn.annotation.shards import StartedShard
from eqn.corpus.inputs import find_inputs
from eqn.records import ModelRef, ReleaseRef
from eqn.release.annotate import Request, check_inputs, prepare, publish_prepared
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.manifest import Manifest, content_digest
from eqn.release.plan import Plan
from eqn.release.publish import publish
from eqn.store.directory import DirectoryStore
from eqn.store.s3 import S3Store
from tests.faults.promises import Trials
from tests.small_disk import on_a_small_disk
from tests.store.test_partial_puts import uploads

PlanFor = Callable[..., Plan]
Publish = Callable[..., tuple[ReleaseRef, int]]

KILLED = """
import os, signal, sys
from pathlib import Path
from eqn.annotation.annotator import Annotator
from eqn.corpus.inputs import find_inputs
from eqn.records import ModelRef
from eqn.release.annotate import Request, check_inputs, prepare, publish_prepared
from eqn.store.directory import DirectoryStore

package, inbox, store, docs, choices = map(Path, sys.argv[1:6])
model = ModelRef(str(package), Annotator.load(package).package.digest)
inputs, store = find_inputs([str(inbox)]), DirectoryStore(store)
ready = prepare(Request(
    dataset="letters", inputs=inputs, model=model, store=store, docs=docs, choices=choices, back_end=sys.argv[6]
))
heard = []

def report(rows, tokens):
    heard.append(rows)
    if sum(heard) > 10:  # in the second part, with the first one written
        os.kill(os.getpid(), signal.SIGKILL)

publish_prepared(ready, check_inputs(ready), report=report)
"""


FULL = """
import json, sys
from pathlib import Path
from eqn.annotation.annotator import Annotator
from eqn.corpus.inputs import find_inputs
from eqn.errors import StorageFull
from eqn.records import ModelRef
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.plan import make_plan
from eqn.release.publish import publish
from eqn.store.directory import DirectoryStore

disk, package, inbox = map(Path, sys.argv[1:])
store, annotator = DirectoryStore(disk / "store"), Annotator.load(package)
model = ModelRef(str(package), annotator.package.digest)

def run(*names):
    inputs = find_inputs([str(inbox / name) for name in names])
    return publish(store, make_plan(store, "letters", inputs, model=model, annotator=annotator), annotator)

run("a.csv")
with (disk / "ballast").open("wb", buffering=0) as ballast:
    try:
        while ballast.write(b"x" * 4096):
            pass
    except OSError:
        pass
facts = {"full": None}
try:
    run("a.csv", "b.jsonl")
except StorageFull as error:
    facts["full"] = str(error)
facts["then"] = release_numbers(store, "letters")
verify(store, read_manifest(store, "letters"))
facts["leftovers"] = [str(path) for path in disk.rglob(".tmp-*")]
(disk / "ballast").unlink()
run("a.csv", "b.jsonl")
for number in (1, 2):
    verify(store, read_manifest(store, "letters", number))
print(json.dumps(facts | {"content": read_manifest(store, "letters").content_digest}))
"""


def without_docs(manifest: Manifest) -> str:
    """Give the content digest of all but the Data Docs, which tell the time."""
    return content_digest({name: entry for name, entry in manifest.files.items() if not name.startswith("quality/")})


class Died(BaseException):
    """The process is gone."""


class MortalStore(DirectoryStore):
    """A directory whose user dies at the n-th writing call, just before it took place or just after."""

    def __init__(self, root: Path, *, dies_at: int, after: bool) -> None:
        super().__init__(root)
        self.left, self.after = dies_at, after
        self.calls = 0

    def put_if_absent(self, key: str, content: bytes) -> bool:
        return self._or_die(lambda: super(MortalStore, self).put_if_absent(key, content))

    def put(self, key: str, content: bytes) -> None:
        self._or_die(lambda: super(MortalStore, self).put(key, content))

    def copy_if_absent(self, source: str, key: str) -> bool:
        return self._or_die(lambda: super(MortalStore, self).copy_if_absent(source, key))

    def _or_die(self, write: Callable[[], Any]) -> Any:
        self.calls += 1
        if self.calls == self.left and not self.after:
            raise Died
        written = write()
        if self.calls == self.left:
            raise Died
        return written


@pytest.mark.promise(2)
@pytest.mark.parametrize("after", [False, True])
def test_every_crash_point_recovers(
    publish_files: Publish, plan_for: PlanFor, annotator: Annotator, inbox: Path, tmp_path: Path, *, after: bool
) -> None:
    """Dead before or after any write, no reader sees a release; a rerun ends with the very same content."""
    older, calls = inbox / "a.csv", 0
    ends: list[int] = []
    golden = DirectoryStore(tmp_path / "undisturbed")
    publish_files(older, store=golden)
    publish_files(inbox, store=golden)
    expected = [read_manifest(golden, "letters", number).content_digest for number in (1, 2)]
    while not ends or ends[-1] != 2:
        calls += 1
        root = tmp_path / f"dies at {calls}"
        publish_files(older, store=DirectoryStore(root))
        mortal = MortalStore(root, dies_at=calls, after=after)
        with contextlib.suppress(Died):
            publish(mortal, plan_for(inbox, store=mortal), annotator)
        ends.append(release_numbers(DirectoryStore(root), "letters")[-1])
        for number in release_numbers(DirectoryStore(root), "letters"):
            verify(DirectoryStore(root), read_manifest(DirectoryStore(root), "letters", number))
        rerun, _ = publish_files(inbox, store=DirectoryStore(root))
        assert rerun.already_published == (ends[-1] == 2)
        assert [read_manifest(DirectoryStore(root), "letters", number).content_digest for number in (1, 2)] == expected
        shutil.rmtree(root)

    # a.csv: part and quarantine copied, part of b and of c, card, croissant, announcement, manifest
    assert len(ends) == (8 if after else 9)


@pytest.mark.promise(3)
def test_a_killed_run_goes_on_where_it_stopped(
    annotator: Annotator, inbox: Path, store: DirectoryStore, golden: str, tmp_path: Path
) -> None:
    """kill -9 in the second part: nothing is published, and a rerun reads only what was not finished."""
    docs, choices, package = tmp_path / "docs", tmp_path / "back_ends", annotator.package.path
    script = tmp_path / "killed.py"  # PySpark, which Great Expectations imports where it is installed, ends `python -c`
    script.write_text(KILLED, "utf-8")
    arguments = (script, package, inbox, store.root, docs, choices, annotator.name)
    killed = subprocess.run([sys.executable, *map(str, arguments)], check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    assert release_numbers(store, "letters") == []

    read: list[int] = []
    model = ModelRef(str(package), annotator.package.digest)
    ready = prepare(
        Request(
            dataset="letters",
            inputs=find_inputs([str(inbox)]),
            model=model,
            store=store,
            docs=docs,
            choices=choices,
            back_end=annotator.name,
        )
    )
    release = publish_prepared(ready, check_inputs(ready), report=lambda rows, tokens: read.append(rows * bool(tokens)))

    manifest = read_manifest(store, "letters")
    verify(store, manifest)
    assert without_docs(manifest) == golden
    assert (release.number, sum(read)) == (1, 13)
    assert "quality/index.html" in manifest.files


@pytest.mark.promise(16)
def test_an_error_within_a_part_leaves_no_object(
    publish_files: Publish,
    plan_for: PlanFor,
    annotator: Annotator,
    inbox: Path,
    moto_store: S3Store,
    golden: str,
    trials: Trials,
) -> None:
    """Whichever part it is that cannot be made: those before it are whole, of it there is nothing."""

    class Broken(LocalEngine):
        in_flight = 1

        def __init__(self, breaks_at: int) -> None:
            super().__init__(annotator)
            self.left = breaks_at

        def start(self, rows: pa.Table, schema: pa.Schema, *, uncertainty: bool) -> StartedShard:
            self.left -= 1
            started = super().start(rows, schema, uncertainty=uncertainty)
            return Breaking(started.rows, started.schema, started.pending) if self.left == 0 else started

    class Breaking(StartedShard):
        def table(self, report: Report | None = None) -> pa.Table:
            super().table(report)
            raise RuntimeError("in the middle of a part")

    for part in range(1, 4):
        store = S3Store(moto_store.bucket, f"breaks-at-{part}")
        with pytest.raises(RuntimeError, match="in the middle"):
            publish(store, plan_for(inbox, store=store), annotator, engine=Broken(part))
        assert len([key for key in store.list("letters") if "/data/" in key]) == part - 1
        assert uploads(store) == []
        publish_files(inbox, store=store)
        verify(store, read_manifest(store, "letters"))
        assert read_manifest(store, "letters").content_digest == golden
        assert uploads(store) == []
    trials(3, "errors within a part", store="moto")


@pytest.mark.promise(6)
def test_a_full_disk_publishes_nothing_and_a_rerun_with_space_does(
    publish_files: Publish, package: Path, inbox: Path, tmp_path: Path
) -> None:
    """On a disk of 256 KB: a typed error, the release before verifies, and then the same content as anywhere."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = on_a_small_disk(disk, "256k", [sys.executable, "-c", FULL, *map(str, (disk, package, inbox))])
    elsewhere = DirectoryStore(tmp_path / "elsewhere")
    publish_files(inbox / "a.csv", inbox / "b.jsonl", store=elsewhere)

    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert f"room to write {disk}/store/letters/files/" in facts["full"]
    assert (facts["then"], facts["leftovers"]) == ([1], [])
    assert facts["content"] == read_manifest(elsewhere, "letters").content_digest
