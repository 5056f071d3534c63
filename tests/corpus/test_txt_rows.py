"""Promises of the txt reader."""

from pathlib import Path

import pytest

from eqn.corpus.contract import Reason
from eqn.corpus.inputs import InputFile
from eqn.corpus.reader import read_batches, scan
from eqn.errors import DataRefused


def _file(path: Path, content: bytes) -> InputFile:
    path = path / "x.txt"
    path.write_bytes(content)
    return InputFile(str(path), "x.txt", "txt", compressed=False)


def test_every_line_is_a_text_and_blank_lines_are_none(tmp_path: Path) -> None:
    """Commas, quotes and spaces are part of the text; a line of spaces alone is an empty text."""
    file = _file(tmp_path, b'"a", b \r\n\n\r\n  \nNA\n\xff\nlast')
    scanned = scan(file)
    (batch,) = read_batches(file, scanned, batch_rows=9)
    assert batch.table["text"].to_pylist() == ['"a", b ', "NA", "last"]
    assert [(item.row, item.reason) for item in batch.quarantined] == [(2, Reason.EMPTY_TEXT), (4, Reason.BAD_ENCODING)]
    assert scanned.columns == ()
    assert batch.table.column_names == ["id", "text"]


def test_a_text_column_of_any_name_is_the_line_but_ids_are_not_to_be_had(tmp_path: Path) -> None:
    """A txt in a folder of csv files does not stop the call for its texts; asking it for ids does."""
    file = _file(tmp_path, b"a\n")
    assert scan(file, text_column="body").accepted == 1
    with pytest.raises(DataRefused, match="'key' for the id"):
        scan(file, id_column="key")
