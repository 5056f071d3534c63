"""A suite over pieces of an inbox finds what it finds over the whole: every rule of it, held against real outcomes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eqn.corpus.contract import MAX_TEXT_CHARACTERS
from eqn.corpus.goemotions import Corpus
from eqn.quality import inbox_tables, pieces
from eqn.quality.gate import InboxRow, _context, _run, load_validation
from eqn.quality.suites import corpus_suite, inbox_suite
from eqn.quality.tables import corpus_table
from eqn.records import Validation

Outcome = Callable[[list[InboxRow], int], Any]
CheckInbox = Callable[[list[InboxRow]], Validation]

FAULTY = [
    *(InboxRow("a.csv", row, f"a{row}", "good morning") for row in range(1, 12)),
    InboxRow("a.csv", 12, "a11", "good night"),
    InboxRow("a.csv", 13, None, "no id"),
    InboxRow("a.csv", 14, "a14", " "),
    InboxRow("a.csv", 15, "a15", "x" * (MAX_TEXT_CHARACTERS + 1)),
    *(InboxRow("b.csv", row, f"b{row}", None, "bad_json") for row in range(1, 6)),
    InboxRow("b.csv", 6, "b6", "x", "did not like it"),
    InboxRow("c.csv", 1, None, None, "ragged_row"),
    InboxRow("c.csv", 2, "a1", "good morning"),
    InboxRow("c.csv", 3, "a2", "good morning"),
]
"""Each rule of the inbox is broken but for that of the number of rows; in some pieces of three no row is accepted."""


@pytest.fixture
def outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Give a function that holds rows against the suite in pieces of a size."""

    def run(rows: list[InboxRow], piece_rows: int) -> Any:
        monkeypatch.setattr(inbox_tables, "PIECE_ROWS", piece_rows)
        tables = inbox_tables.inbox_tables(rows, tmp_path)
        counted, found = _run(_context(tmp_path / "site"), tables, inbox_suite(), name="inbox", digest="d")
        assert counted == len(rows)
        return found

    return run


def facts(outcome: Any) -> list[Any]:
    """Give all that an outcome says, without the ids of its run."""
    results = [(result.expectation_config.description, result.success, result.result) for result in outcome.results]
    return [outcome.success, outcome.statistics, *results]


def test_the_outcome_over_pieces_is_that_over_the_whole(outcome: Outcome) -> None:
    """Verdicts, counts, shares, samples and lists of failing rows."""
    whole = outcome(FAULTY, 100)

    assert sum(result.success for result in whole.results) == 1
    assert facts(outcome(FAULTY, 3)) == facts(whole)


def test_pieces_without_an_accepted_row_do_not_fail_the_whole(outcome: Outcome) -> None:
    """The number of rows is that of all pieces, and is judged at the end: one row is enough, none is too few."""
    refused = [InboxRow("a.csv", row, None, None, "bad_json") for row in range(6)]

    assert outcome([*refused, InboxRow("b.csv", 1, "b", "hello")], 2).results[0].success
    assert not outcome(refused, 2).results[0].success


def test_the_report_on_pieces_is_one_page_on_all_rows(
    check_inbox: CheckInbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page, the index and the record tell totals, and are those of the whole."""
    whole = check_inbox(FAULTY)
    monkeypatch.setattr(inbox_tables, "PIECE_ROWS", 3)
    validation = check_inbox(FAULTY)

    assert validation == whole
    assert load_validation(tmp_path / "docs") == whole
    (page,) = (tmp_path / "docs" / "validations").rglob("*.html")
    assert "7 unexpected values found. ≈29.17% of 24 total rows." in " ".join(page.read_text("utf-8").split())
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


@pytest.mark.parametrize("piece_rows", [4, 100])
def test_very_many_failing_rows_are_listed_in_part_and_counted_whole(
    check_inbox: CheckInbox, monkeypatch: pytest.MonkeyPatch, piece_rows: int
) -> None:
    """The finding says how many. Of each file with too many quarantined rows the first one is listed, and its share."""
    monkeypatch.setattr(pieces, "LISTED", 3)
    monkeypatch.setattr(inbox_tables, "PIECE_ROWS", piece_rows)
    bad = [InboxRow(file, row, f"{file}{row}", " ", "empty_text") for file in "abc" for row in range(1, 5)]
    good = [InboxRow("c", row, f"c{row}", "hello") for row in range(5, 9)]

    share, any_row = check_inbox([*bad, *good]).findings

    assert share.what == (
        "at most 20% of a file's rows are in quarantine, "
        "but 100.0% are in a, 100.0% are in b, 50.0% are in c; 5 of these rows are listed"
    )
    assert share.ids == ("a row 1", "a row 2", "a row 3", "b row 1", "c row 1")
    assert any_row.what == "no row is in quarantine, but 12 of 16 rows break this; 3 of these rows are listed"
    assert any_row.ids == ("a row 1", "a row 2", "a row 3")


def test_an_outcome_keeps_no_more_than_it_lists(outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither rows nor their values, however many fail; the common values are those of all."""
    monkeypatch.setattr(pieces, "LISTED", 3)
    rows = [InboxRow("a.csv", row, f"a{row}", " ", "empty_text" if row < 30 else "bad_json") for row in range(40)]

    found = {result.expectation_config.description: result.result for result in outcome(rows, 7).results}
    quarantine = found["no row is in quarantine"]

    assert quarantine["unexpected_count"] == 40
    assert [row["place"] for row in quarantine["unexpected_index_list"]] == [f"a.csv row {row}" for row in range(3)]
    assert quarantine["unexpected_list"] == ["empty_text"] * 3
    counts = {counted["value"]: counted["count"] for counted in quarantine["partial_unexpected_counts"]}
    assert counts == {"empty_text": 30, "bad_json": 10}


def test_the_cells_of_a_judged_piece_are_let_go(tmp_path: Path) -> None:
    """Great Expectations keeps hold of tables, so they are emptied."""
    tables = [table for row in range(3) for table in inbox_tables.inbox_tables([FAULTY[row]], tmp_path)]

    rows, _ = _run(_context(tmp_path / "site"), tables, inbox_suite(), name="inbox", digest="d")

    assert rows == 3
    assert [list(table.columns) for table in tables] == [[], [], []]


def test_a_rule_that_pieces_cannot_tell_is_refused(tmp_path: Path, sound: Corpus) -> None:
    """A mean, such as an emotion's share of a corpus, is not made of the means of its pieces."""
    tables = (corpus_table(sound) for _ in range(2))

    with pytest.raises(RuntimeError, match="expect_column_mean_to_be_between cannot be told from the pieces"):
        _run(_context(tmp_path / "site"), tables, corpus_suite("small"), name="small", digest="d")
