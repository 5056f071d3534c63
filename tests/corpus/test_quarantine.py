"""Promises of the quarantine's tables."""

import base64

from eqn.corpus.contract import Reason
from eqn.corpus.quarantine import MAX_RAW_BYTES, Quarantined, quarantine_schema, quarantine_table, quarantined


def test_the_table_holds_every_row_with_its_bytes() -> None:
    """Any bytes come back from base64, and long ones are cut and marked."""
    items = [
        Quarantined(3, Reason.BAD_ENCODING, "the row is not UTF-8", None, b"\xff\0"),
        quarantined(row=5, reason=Reason.TEXT_TOO_LONG, detail="d", identifier="é", raw=b"x" * (MAX_RAW_BYTES + 1)),
        Quarantined(6, Reason.TEXT_TOO_LONG, "d", "7", b"y" * (MAX_RAW_BYTES + 1)),
    ]
    assert len(items[1].raw) == MAX_RAW_BYTES
    rows = quarantine_table("sub/a.csv", items).to_pylist()
    assert [row["row"] for row in rows] == [3, 5, 6]
    assert [row["reason"] for row in rows] == ["bad_encoding", "text_too_long", "text_too_long"]
    assert [row["id"] for row in rows] == [None, "é", "7"]
    assert base64.b64decode(rows[0]["raw"]) == b"\xff\0"
    assert [row["raw_truncated"] for row in rows] == [False, True, True]
    assert {len(base64.b64decode(row["raw"])) for row in rows[1:]} == {MAX_RAW_BYTES}
    assert {row["file"] for row in rows} == {"sub/a.csv"}


def test_an_empty_quarantine_has_the_same_columns() -> None:
    """Parts of several files fit together, whether or not they hold rows."""
    assert quarantine_table("a.csv", []).schema == quarantine_schema()
