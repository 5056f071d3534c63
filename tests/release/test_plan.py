"""The plan: what a job is identified by, what is new, and which columns come out. Nothing is written."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eqn.annotation.annotator import Annotator
from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused, UsageError
from eqn.records import ModelRef, ReleaseRef
from eqn.release.plan import Plan, make_plan
from eqn.store.directory import DirectoryStore

PlanFor = Callable[..., Plan]
Publish = Callable[..., tuple[ReleaseRef, int]]
OURS = {"id", "text", "truncated", "labels", *EMOTIONS}


def others(plan: Plan) -> dict[str, str]:
    """Give the columns that are the input's, with their types."""
    return {field.name: str(field.type) for field in plan.schema if field.name not in OURS}


def write_parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table({"text": ["hello"]} | columns), path)
    return path


def test_the_same_work_is_the_same_job(plan_for: PlanFor, inbox: Path, tmp_path: Path) -> None:
    """Neither where the files stand nor the order in which they are named matters."""
    moved = shutil.copytree(inbox, tmp_path / "elsewhere")

    job = plan_for(inbox).job
    assert plan_for(moved).job == plan_for(*sorted(moved.iterdir(), reverse=True)).job == job


def test_other_work_is_another_job(
    plan_for: PlanFor, inbox: Path, other_annotator: Annotator, package: Path, annotator: Annotator
) -> None:
    """A changed byte, a new name, one file more or less, another model or another column: each is another job."""
    jobs = [plan_for(inbox).job, plan_for(inbox, annotator=other_annotator).job, plan_for(inbox / "a.csv").job]
    with (inbox / "b.jsonl").open("a") as file:
        file.write("\n")
    jobs.append(plan_for(inbox).job)
    (inbox / "b.jsonl").rename(inbox / "bb.jsonl")
    jobs.append(plan_for(inbox).job)
    model = ModelRef(str(package), annotator.package.digest)
    store = DirectoryStore(inbox / "nowhere")
    files = plan_for(inbox).sources[0].file
    jobs.append(make_plan(store, "x", [files], model=model, annotator=annotator, text_column="author").job)

    assert len(set(jobs)) == len(jobs)


def test_planning_says_what_would_be_done(plan_for: PlanFor, publish_files: Publish, inbox: Path) -> None:
    """Before: everything is new. After: it is published. With one more file: only that one is."""
    plan = plan_for(inbox)
    assert (plan.rows, plan.rows_to_annotate, plan.published, plan.previous) == (25, 23, None, None)

    publish_files(inbox)
    plan = plan_for(inbox)
    assert plan.published is not None
    assert plan.published.release == 1

    (inbox / "new.txt").write_text("one\ntwo\n")
    plan = plan_for(inbox)
    assert (plan.rows, plan.rows_to_annotate, plan.published) == (27, 2, None)
    assert [source.file.name for source in plan.sources if source.carried is None] == ["new.txt"]


def test_a_changed_file_or_model_is_not_carried_over(
    plan_for: PlanFor, publish_files: Publish, inbox: Path, other_annotator: Annotator
) -> None:
    """Only the very same bytes under the same model and options are old work."""
    publish_files(inbox)
    (inbox / "c.parquet").unlink()
    with (inbox / "b.jsonl").open("a") as file:
        file.write('{"text": "more"}\n')

    assert [source.file.name for source in plan_for(inbox).sources if source.carried] == ["a.csv"]
    assert not any(source.carried for source in plan_for(inbox, annotator=other_annotator).sources)


def test_planning_writes_nothing(plan_for: PlanFor, inbox: Path, store: DirectoryStore) -> None:
    """The store is not even made."""
    plan_for(inbox)

    assert not store.root.exists()


@pytest.mark.parametrize("name", ["", "Letters", "a/b", "..", ".hidden", "a b", "x" * 64, "ümlaut", "-x"])
def test_a_dataset_must_have_a_plain_name(plan_for: PlanFor, inbox: Path, name: str) -> None:
    """It becomes a folder and part of addresses: what could be mistaken there is refused with the rule."""
    with pytest.raises(UsageError, match="lower-case letters"):
        plan_for(inbox, dataset=name)


def test_the_columns_of_all_inputs_stand_in_order_of_appearance(plan_for: PlanFor, inbox: Path) -> None:
    """One schema for all parts, files in the order of their names."""
    assert others(plan_for(inbox)) == {"author": "string", "gold_joy": "string", "stars": "string"}
    assert others(plan_for(inbox / "c.parquet")) == {"stars": "int64"}


@pytest.mark.parametrize(
    ("one", "two", "met"),
    [
        (pa.int64(), pa.int64(), "int64"),
        (pa.int64(), pa.string(), "string"),
        (pa.int8(), pa.float64(), "string"),
        (pa.timestamp("ms", "UTC"), pa.date32(), "string"),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), "string"),
        (pa.list_(pa.int64()), pa.list_(pa.int64()), "list<element: int64>"),
    ],
)
def test_unlike_types_meet_as_text(plan_for: PlanFor, tmp_path: Path, one: Any, two: Any, met: str) -> None:
    """Equal types stay; a number here and a word there are both text."""
    first = write_parquet(tmp_path / "1.parquet", x=pa.nulls(1, one))
    second = write_parquet(tmp_path / "2.parquet", x=pa.nulls(1, two))

    assert others(plan_for(first, second)) == {"x": met}


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.struct([("a", pa.int8())]), pa.binary()])
def test_unlike_types_without_a_text_are_refused(plan_for: PlanFor, tmp_path: Path, kind: Any) -> None:
    """A list has no text that could be meant: all such columns are named before anything is annotated."""
    first = write_parquet(tmp_path / "1.parquet", x=pa.nulls(1, kind), y=["1"], z=pa.nulls(1, kind))
    second = write_parquet(tmp_path / "2.parquet", x=["word"], y=[2], z=[1])

    with pytest.raises(DataRefused) as refused:
        plan_for(first, second)
    assert [fault.split()[0] for fault in refused.value.faults] == ["'x'", "'z'"]


def test_columns_of_two_files_that_would_get_one_name_are_refused(plan_for: PlanFor, tmp_path: Path) -> None:
    """`joy` of one file and `gold_joy` of another would be one column."""
    first = write_parquet(tmp_path / "1.parquet", joy=[1])
    second = write_parquet(tmp_path / "2.parquet", gold_joy=[1])

    with pytest.raises(DataRefused, match="gold_joy would stand twice"):
        plan_for(first, second)
