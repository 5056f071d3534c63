"""Figures of a release, gathered part by part."""

from typing import Any

import pyarrow as pa
import pytest

from eqn.emotions import EMOTIONS
from eqn.release.summary import Summary, shares
from tests.memory import peak_bytes


def part(ids: list[str], *, joy: float = 0.0, labels: list[str] | None = None, truncated: bool = False) -> Any:
    """Give a part whose rows are all alike but for their ids."""
    rows = len(ids)
    figures = {name: pa.array([joy if name == "joy" else 0.0] * rows, pa.float32()) for name in EMOTIONS}
    lists = pa.array([labels or []] * rows, pa.list_(pa.string()))
    return pa.table({"id": ids, "truncated": [truncated] * rows, "labels": lists} | figures)


def test_parts_add_up() -> None:
    """Rows, marks, means and label counts are over all parts, whatever their sizes."""
    summary = Summary()
    summary.add(part(["1", "2", "3"], joy=0.5, labels=["joy", "love"]))
    summary.add(part(["4"], joy=0.1, truncated=True))

    joy = EMOTIONS.index("joy")
    assert (summary.rows, summary.truncated, summary.unlabelled) == (4, 1, 1)
    assert summary.mean()[joy] == pytest.approx(0.4)
    assert summary.labelled[joy] == 3
    assert summary.labelled.sum() == 6


def test_ids_that_meet_across_parts_are_counted_once_each() -> None:
    """An id in three parts is one id that meets."""
    summary = Summary()
    for ids in (["a", "b"], ["b", "c"], ["b", "a"]):
        summary.add(part(ids))

    assert summary.ids_in_several_files() == 2
    assert summary.ids_in_several_files() == 2, "to count changes nothing"
    summary.add(part(["c", "d"]))
    assert summary.ids_in_several_files() == 3


def test_comparing_the_ids_takes_few_bytes_for_a_row() -> None:
    """They are sorted where they lie: no copy of them is made."""
    summary, rows = Summary(), 20_000
    summary.add(part([str(number) for number in range(rows)]))

    assert peak_bytes(summary.ids_in_several_files) < 3 * rows


def test_nothing_has_figures_too() -> None:
    """A release without rows divides by nobody."""
    assert Summary().ids_in_several_files() == 0
    assert Summary().mean().tolist() == [0.0] * 28
    assert shares([1, 3], 4) == [0.25, 0.75]
    assert shares([0], 0) == [0.0]
