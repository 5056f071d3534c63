"""Promises of the lines of text files."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from eqn.corpus import lines
from eqn.corpus.inputs import InputFile
from eqn.corpus.lines import TextFile, blank, overlong, without_end
from eqn.errors import DataRefused, UsageError


def _file(path: Path, content: bytes, *, name: str = "x.txt") -> InputFile:
    path = path / name
    path.write_bytes(content)
    return InputFile(str(path), name, "txt", compressed=name.endswith(".gz"))


def _lines(file: InputFile) -> list[bytes]:
    with TextFile(file) as text:
        return list(text)


def test_only_lf_ends_a_line(tmp_path: Path) -> None:
    """CR, form feed, NEL and the Unicode line separators are characters of the text."""
    content = "a\rb\n\x0c\x85\u2028c\r\n\nlast".encode()
    assert _lines(_file(tmp_path, content)) == [b"a\rb\n", "\x0c\x85\u2028c\r\n".encode(), b"\n", b"last"]


def test_line_ends_come_off_and_nothing_else() -> None:
    """White space and a lone CR stay."""
    assert [without_end(line) for line in (b" a \r\n", b"a\r\r\n", b"a\n", b"a\r", b"a")] == [
        b" a ",
        b"a\r",
        b"a",
        b"a\r",
        b"a",
    ]
    assert [blank(line) for line in (b"\n", b"\r\n", b" \n", b"")] == [True, True, False, False]


@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz"])
def test_the_digest_is_that_of_the_bytes_on_disk(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read to the end or not, packed or not: sha256 of the file as it lies there."""
    monkeypatch.setattr(lines, "_READ_BYTES", 16)
    content = b"line\n" * 1000
    stored = gzip.compress(content) if name.endswith(".gz") else content
    file = _file(tmp_path, stored, name=name)
    with TextFile(file) as text:
        assert list(text) == [b"line\n"] * 1000
        assert text.digest() == hashlib.sha256(stored).hexdigest()
    with TextFile(file) as text:
        assert next(iter(text)) == b"line\n"
        assert text.digest() == hashlib.sha256(stored).hexdigest()


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    """It is taken off at the start of the file and nowhere else."""
    assert _lines(_file(tmp_path, b"\xef\xbb\xbfa\n\xef\xbb\xbfb")) == [b"a\n", b"\xef\xbb\xbfb"]
    assert _lines(_file(tmp_path, b"\xef\xbb\xbf")) == []


def test_a_long_line_is_cut_and_the_next_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the beginning of a line over the bound comes out, and it can be recognised."""
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 10)
    monkeypatch.setattr(lines, "_READ_BYTES", 4)
    found = _lines(_file(tmp_path, b"0123456789\n" + b"x" * 57 + b"\nnext\n" + b"y" * 11))
    assert found == [b"0123456789\n", b"x" * 11, b"next\n", b"y" * 11]
    assert [overlong(line) for line in found] == [False, True, False, True]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        ("id,text\n1,a\n".encode("utf-16"), "UTF-16"),
        (b"\xfe\xff\x00i", "UTF-16"),
        ("id,text\n".encode("utf-16-le"), "binary or UTF-16"),
        (b"PK\x03\x04\x14\x00\x00", "office file"),
        (b"PAR1\x15\x04\x00", "Parquet"),
        (gzip.compress(b"id,text\n", mtime=0), "Add .gz"),
        (b"id,text\r1,a\r2,b\r", "CR alone"),
    ],
)
def test_a_file_that_is_no_text_is_refused_by_its_first_line(tmp_path: Path, content: bytes, message: str) -> None:
    """The refusal says what came instead."""
    with pytest.raises(DataRefused, match=message):
        _lines(_file(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [
        b"id,text\n",
        gzip.compress(b"a\n" * 9999, mtime=0)[:-9],
        gzip.compress(b"a\n", mtime=0)[:5],
        gzip.compress(b"a", mtime=0) + b"zz",
    ],
)
def test_damaged_gzip_is_refused(tmp_path: Path, content: bytes) -> None:
    """Plain bytes, a cut file and bytes behind the end: the lines are not to be trusted."""
    with pytest.raises(DataRefused, match="gzip"):
        _lines(_file(tmp_path, content, name="x.txt.gz"))


def test_a_file_that_cannot_be_opened_is_a_usage_error(tmp_path: Path) -> None:
    """Missing, a folder, or no permission: exit code 2, with the system's words."""
    with pytest.raises(UsageError, match="No such file"):
        _lines(InputFile(str(tmp_path / "none"), "none", "txt", compressed=False))
    with pytest.raises(UsageError, match="directory"):
        _lines(InputFile(str(tmp_path), "folder", "txt", compressed=False))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_usage_error(tmp_path: Path) -> None:
    """The message names the file."""
    file = _file(tmp_path, b"a\n")
    Path(file.path).chmod(0)
    with pytest.raises(UsageError, match=r"x\.txt.*Permission"):
        _lines(file)
