"""What must never stand in a release: rows of other inputs, and sums that do not add up."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from eqn.annotation.annotator import Annotator
from eqn.corpus.contract import Reason
from eqn.errors import ArtifactRefused, DataRefused
from eqn.records import ReleaseRef
from eqn.release.catalog import read_manifest, verify
from eqn.release.plan import Plan
from eqn.release.publish import publish
from eqn.store.directory import DirectoryStore

PlanFor = Callable[..., Plan]
Publish = Callable[..., tuple[ReleaseRef, int]]


def _lines(path: Path, rows: int) -> Path:
    path.write_text("".join(f"comment number {row}\n" for row in range(rows)), "utf-8")
    return path


def test_rows_of_a_file_that_changed_do_not_stay(
    tmp_path: Path, plan_for: PlanFor, annotator: Annotator, store: DirectoryStore
) -> None:
    """A file that grows while it is read is refused; when its first form is published, nothing else is there."""
    plan = plan_for(_lines(tmp_path / "texts.txt", 8192))
    _lines(tmp_path / "texts.txt", 9000)
    with pytest.raises(DataRefused):
        publish(store, plan, annotator)
    _lines(tmp_path / "texts.txt", 8192)

    release = publish(store, plan, annotator)

    assert release.rows == 8192
    assert pq.read_table(Path(release.path) / "data").num_rows == 8192


def test_a_foreign_part_is_found(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """A Parquet file that somebody puts beside the parts fails the verification: readers would take it for data."""
    release, _ = publish_files(inbox)
    (Path(release.path) / "data" / "part-99999.parquet").write_bytes(b"PAR1")

    with pytest.raises(ArtifactRefused, match=r"part-99999\.parquet"):
        verify(store, read_manifest(store, "letters"))


def test_what_the_reader_judges_otherwise_is_annotated_anew(
    tmp_path: Path, publish_files: Publish, plan_for: PlanFor, annotator: Annotator, store: DirectoryStore
) -> None:
    """Parts are carried over only if the rows of today's scan are those of the release before."""
    release, _ = publish_files(_lines(tmp_path / "texts.txt", 3))
    manifest = Path(store.address("letters/releases/1.json"))
    facts = json.loads(manifest.read_text("utf-8"))
    facts["inputs"][0] |= {"rows": 4, "quarantined": {Reason.EMPTY_TEXT: 1}}  # as an older reader might have said
    facts |= {"rows_in": 4, "rows_quarantined": 1}
    manifest.write_text(json.dumps(facts), "utf-8")
    _lines(tmp_path / "more.txt", 2)

    publish(store, plan_for(tmp_path / "texts.txt", tmp_path / "more.txt"), annotator)

    second = read_manifest(store, "letters", 2)
    assert (second.rows_in, second.rows_out, second.rows_quarantined) == (5, 5, 0)
    assert release.number == 1


def test_a_manifest_that_does_not_add_up_is_never_written(
    tmp_path: Path, plan_for: PlanFor, annotator: Annotator, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that loses rows ends the run before the commit."""
    plan = plan_for(_lines(tmp_path / "texts.txt", 3))
    monkeypatch.setattr(type(plan), "batches", lambda self, source: iter(()))

    with pytest.raises(ValueError, match="add up"):
        publish(store, plan, annotator)

    assert not list(store.list("letters/releases"))
