"""The same rows give the same release: in any order, however often, with any number of threads, after any crash."""

import contextlib
import csv
import hashlib
import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from eqn.annotation.annotator import Annotator
from eqn.corpus.contract import Reason
from eqn.corpus.inputs import find_inputs
from eqn.corpus.quarantine import quarantine_table
from eqn.corpus.reader import read_batches, scan
from eqn.release.catalog import read_manifest, verify
from eqn.release.plan import Plan
from eqn.release.publish import publish
from eqn.store.directory import DirectoryStore
from tests.faults.promises import Trials

PlanFor = Callable[..., Plan]
Rows = list[tuple[str, str]]


def write_rows(path: Path, rows: Rows, *, ids: bool = True) -> Path:
    """Write rows in the format that the name says."""
    if path.suffix == ".parquet":
        columns = {"id": [row[0] for row in rows], "text": [row[1] for row in rows]}
        pq.write_table(pa.table(columns if ids else {"text": columns["text"]}), path)
    elif path.suffix == ".jsonl":
        objects = [{"id": identifier, "text": text} if ids else {"text": text} for identifier, text in rows]
        path.write_text("".join(json.dumps(one) + "\n" for one in objects), "utf-8")
    else:
        lines = io.StringIO(newline="")
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerows([("id", "text"), *rows] if ids else [("text",), *((text,) for _, text in rows)])
        path.write_text(lines.getvalue(), "utf-8")
    return path


def outcome(path: Path) -> tuple[list[tuple[str, str]], list[tuple[Reason, str | None]]]:
    """Give the rows taken, and reason and id of those that were not; each sorted."""
    (file,) = find_inputs([str(path)])
    taken: list[tuple[str, str]] = []
    refused: list[tuple[Reason, str | None]] = []
    for batch in read_batches(file, scan(file), batch_rows=7):
        taken += zip(*(batch.table.column(place).to_pylist() for place in (0, 1)), strict=True)
        refused += [(item.reason, item.id) for item in batch.quarantined]
        assert quarantine_table(file.name, batch.quarantined).num_rows == len(batch.quarantined)
    return sorted(taken), sorted(refused, key=repr)


@pytest.mark.promise(25)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_duplicates_are_resolved_the_same_in_any_order(tmp_path: Path, form: str, trials: Trials) -> None:
    """Same id and text: one stays; same id, other text: none; equal texts under other ids: all."""
    once: Rows = [(f"once-{number}", f"text {number}") for number in range(40)]
    equal: Rows = [(f"equal-{number}", "the same text") for number in range(10)]
    repeated: Rows = [(f"repeated-{number}", f"again {number}") for number in range(10)] * 3
    conflicting: Rows = [(f"conflicting-{number}", f"text {other}") for number in range(10) for other in range(2)]
    rows = once + equal + repeated + conflicting
    taken = sorted(once + equal + repeated[:10])
    refused = [(Reason.REPEATED_ROW, identifier) for identifier, _ in repeated[10:]]
    refused += [(Reason.CONFLICTING_ID, identifier) for identifier, _ in conflicting]

    draw = random.Random(0)  # noqa: S311  orders
    for _ in range(20):
        assert outcome(write_rows(tmp_path / f"a.{form}", rows)) == (taken, sorted(refused, key=repr))
        draw.shuffle(rows)
    trials(20, "orders of rows")


@pytest.mark.promise(25)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_equal_texts_without_ids_all_stay_in_any_order(tmp_path: Path, form: str, trials: Trials) -> None:
    """The id counts the occurrences of a text, so that the same rows come out whatever their order."""
    texts = ["a", "b", "a", "c", "a", "b"] * 5
    expected = [
        (f"{hashlib.sha256(text.encode()).hexdigest()[:16]}-{number + 1}", text)
        for text in "abc"
        for number in range(texts.count(text))
    ]
    draw = random.Random(0)  # noqa: S311  orders
    for _ in range(20):
        path = write_rows(tmp_path / f"a.{form}", [("", text) for text in texts], ids=False)
        assert outcome(path) == (sorted(expected), [])
        draw.shuffle(texts)
    trials(20, "orders of rows")


def content_of(store: DirectoryStore) -> str:
    """Give the content digest of the release, verified byte for byte."""
    manifest = read_manifest(store, "letters")
    verify(store, manifest)
    assert manifest.rows_in == manifest.rows_out + manifest.rows_quarantined
    return manifest.content_digest


@pytest.mark.promise(25)
def test_a_shuffled_file_gives_the_same_rows_and_intensities(
    plan_for: PlanFor, annotator: Annotator, tmp_path: Path, trials: Trials
) -> None:
    """A text's answer depends on no neighbour: of eight orders each has the same set of annotated rows."""
    rows: Rows = [(f"row-{number}", f"{'word ' * (number % 60)}comment {number}") for number in range(300)]
    draw, found = random.Random(0), set()  # noqa: S311  orders
    for turn in range(8):
        store = DirectoryStore(tmp_path / f"store-{turn}")
        path = write_rows(tmp_path / "letters.csv", rows)
        release = publish(store, plan_for(path, store=store), annotator)
        table = pq.read_table(f"{release.path}/data").sort_by("id")
        found.add(json.dumps(table.to_pylist()))
        draw.shuffle(rows)
    assert len(found) == 1
    trials(8, "orders of rows, annotated")


@pytest.mark.promise(25)
def test_twenty_reruns_have_one_content(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, tmp_path: Path, golden: str, trials: Trials
) -> None:
    """Each into a store of its own, so that nothing is carried over."""
    for number in range(20):
        store = DirectoryStore(tmp_path / f"store-{number}")
        publish(store, plan_for(inbox, store=store), annotator)
        assert content_of(store) == golden
    trials(20, "reruns")


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch compute with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.promise(25)
@pytest.mark.parametrize("number", [1, 2, 4])
def test_any_number_of_threads_has_one_content(
    plan_for: PlanFor, package: Path, inbox: Path, tmp_path: Path, golden: str, number: int, trials: Trials
) -> None:
    """Threads of torch, and blocks that are computed at once."""
    store = DirectoryStore(tmp_path / "store")
    with threads(number):
        annotator = Annotator.load(package, threads=number)
        publish(store, plan_for(inbox, annotator=annotator, store=store), annotator)
    assert content_of(store) == golden
    trials(1, "numbers of threads")


class Mortal:
    """A store whose user dies at the n-th write, before it or after it."""

    def __init__(self, store: DirectoryStore, dies_at: int, *, after: bool) -> None:
        self._store, self._left, self._after = store, dies_at, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return self._counted(method) if name in {"put_if_absent", "put", "copy_if_absent", "delete"} else method

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise KeyboardInterrupt
            done = method(*arguments)
            if self._left == 0:
                raise KeyboardInterrupt
            return done

        return call


@pytest.mark.promise(25)
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_write_and_a_rerun_have_one_content(
    plan_for: PlanFor, annotator: Annotator, inbox: Path, tmp_path: Path, golden: str, *, after: bool, trials: Trials
) -> None:
    """In front of each write and behind it, with another order of the inputs in the rerun."""
    crashes = 0
    for dies_at in range(1, 40):
        store = DirectoryStore(tmp_path / f"dies-at-{dies_at}")
        mortal: Any = Mortal(store, dies_at, after=after)
        with contextlib.suppress(KeyboardInterrupt):
            publish(mortal, plan_for(inbox, store=mortal), annotator)
            break
        crashes += 1
        publish(store, plan_for(*_reversed(inbox), store=store), annotator)
        assert content_of(store) == golden
    assert crashes > 8
    trials(crashes, "crashes")


def _reversed(inbox: Path) -> Sequence[Path]:
    return sorted(inbox.iterdir(), reverse=True)
