"""Tables of an inbox: in pieces what they are in one, in memory that does not grow with the rows."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eqn.quality import inbox_tables as module
from eqn.quality.inbox_tables import InboxRow, inbox_tables
from tests.memory import peak_bytes

_rows = st.lists(
    st.builds(
        InboxRow,
        file=st.sampled_from(["a.csv", "b.csv", "<b>.csv"]),
        row=st.integers(1, 9),
        id=st.sampled_from([None, "1", "2", "<3>", "\ud800", "\0"]),
        text=st.sampled_from([None, "", " x ", "hello"]),
        reason=st.sampled_from([None, None, None, "bad_json"]),
    ),
    max_size=12,
)


def expected(rows: list[InboxRow]) -> list[dict[str, Any]]:
    """Count in dictionaries, with all rows at hand."""
    accepted = [(row.file, row.id) for row in rows if row.reason is None and row.id is not None]
    times, files = Counter(accepted), Counter(identifier for _, identifier in set(accepted))
    of_file, refused = Counter(row.file for row in rows), Counter(row.file for row in rows if row.reason)
    shown = {None: None, "1": "1", "2": "2", "<3>": "&lt;3&gt;", "\ud800": "\\ud800", "\0": "\\x00"}
    lines = []
    for row in rows:
        file, meets = row.file.replace("<b>", "&lt;b&gt;"), (row.file, row.id) in times and row.reason is None
        lines.append(
            {
                "file": file,
                "place": f"{file} row {row.row}",
                "id": shown[row.id],
                "reason": row.reason,
                "characters": len(row.text or ""),
                "visible_characters": len((row.text or "").strip()),
                "times_in_file": times[row.file, row.id] if meets else None,
                "files_of_id": files[row.id] if meets else None,
                "quarantined_share": refused[row.file] / of_file[row.file] if row.reason else None,
            }
        )
    return lines


@pytest.mark.parametrize("piece_rows", [1, 3, 100])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_rows)
def test_pieces_hold_what_one_table_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_rows: int, rows: list[InboxRow]
) -> None:
    """A row knows of all others, those of later pieces too; ids are safe for a page, and counted as they were given."""
    monkeypatch.setattr(module, "PIECE_ROWS", piece_rows)
    tables = list(inbox_tables(iter(rows), tmp_path))
    lines = [line for table in tables for line in table.astype(object).where(table.notna(), None).to_dict("records")]

    assert lines == expected(rows)
    assert [len(table) for table in tables[:-1]] == [piece_rows] * (len(tables) - 1)
    assert len({tuple(table.dtypes) for table in tables}) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_inbox_without_rows_is_one_empty_table(tmp_path: Path) -> None:
    """So that it is judged as well."""
    (table,) = inbox_tables([], tmp_path)

    assert table.shape == (0, 9)


def test_no_text_is_written_down() -> None:
    """The scratch file holds lengths."""
    file = io.BytesIO()
    measured = module._Measured([InboxRow("a.csv", 1, "x1", "private"), InboxRow("a.csv", 2, "x2", "too", "bad")], file)

    assert len(list(measured.tables())) == 1
    assert b"x2" in file.getvalue()
    assert b"private" not in file.getvalue()


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the rows take a few bytes more for each: those of its id's key."""
    monkeypatch.setattr(module, "PIECE_ROWS", 500)

    def peak(rows: int) -> int:
        source = (InboxRow("a.csv", row, f"id-{row}", f"text {row}" * 50) for row in range(rows))

        def work() -> None:
            for _ in inbox_tables(source, tmp_path):
                pass

        return peak_bytes(work)

    peak(500)  # what is imported and kept
    assert peak(15_000) - peak(1_500) < 13_500 * 12
