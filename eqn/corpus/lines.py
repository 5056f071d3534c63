r"""Physical lines of a text file, as bytes, plain or gzip, and the digest of the bytes on disk; both in one pass.

A line ends with `\n` or `\r\n` and nothing else. It is never held longer than a bound: of a longer one only the
beginning comes out, which `overlong` recognises, and the rest is passed over. The first line is looked at closely,
because it shows a file that is not the text its name promises.
"""

import contextlib
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from eqn.corpus.inputs import InputFile
from eqn.errors import DataRefused, UsageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_LINE_BYTES = 4 * 1024 * 1024
"""Longest line that is read. The longest text the contract takes has at most 400,000 bytes."""

_READ_BYTES = 256 * 1024
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_GZIP = b"\x1f\x8b"
_BINARIES = {b"PK\x03\x04": "a zip archive or an office file", b"PAR1": "Parquet", b"%PDF": "PDF"}


def overlong(line: bytes) -> bool:
    """Tell whether this is only the beginning of a line that was too long."""
    return len(line) > MAX_LINE_BYTES and not line.endswith(b"\n")


def without_end(line: bytes) -> bytes:
    """Take the line end off."""
    if line.endswith(b"\r\n"):
        return line[:-2]
    return line[:-1] if line.endswith(b"\n") else line


def blank(line: bytes) -> bool:
    """Tell whether there is nothing on the line. Blank lines are no rows in any text format."""
    return line in (b"\n", b"\r\n")


class TextFile:
    """An open text file: iterate over its lines once, then ask for the digest."""

    def __init__(self, file: InputFile) -> None:
        self.name = file.name
        self._file = file
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Open the file.

        Raises:
            UsageError: it cannot be opened.

        """
        try:
            disk = self._open.enter_context(Path(self._file.path).open("rb", buffering=0))
        except OSError as error:
            raise UsageError(f"{self.name}: the file cannot be opened ({error.strerror}).") from error
        self._raw = _Digesting(disk)
        # The unpacked side is buffered again, because GzipFile.readline is slow.
        self._disk = io.BufferedReader(self._raw, _READ_BYTES)
        source: io.BufferedIOBase = self._disk
        if self._file.compressed:
            source = io.BufferedReader(gzip.GzipFile(fileobj=self._disk, mode="rb"), _READ_BYTES)
        self._source = source
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._open.close()

    def __iter__(self) -> Iterator[bytes]:
        """Give the lines with their ends.

        Raises:
            DataRefused: the file is empty, no text, or its gzip is damaged.
            UsageError: the disk fails while reading.

        """
        with self._translated():
            line = self._first(self._source.readline(MAX_LINE_BYTES + 1))
            while line:
                yield line
                if overlong(line):
                    self._pass_over()
                line = self._source.readline(MAX_LINE_BYTES + 1)

    def digest(self) -> str:
        """Give the sha256 of the whole file on disk; bytes nobody asked for yet are read now."""
        with self._translated():
            while self._disk.read(_READ_BYTES):
                pass
        return self._raw.sha256.hexdigest()

    def _pass_over(self) -> None:
        while (rest := self._source.readline(_READ_BYTES)) and not rest.endswith(b"\n"):
            pass

    def _first(self, line: bytes) -> bytes:
        if not line:
            raise DataRefused(
                f"{self.name}: expected rows; the file is empty.", todo="Take the file away, or give it rows."
            )
        _refuse_foreign(self.name, line)
        return line.removeprefix(_UTF8_BOM)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataRefused(
                f"{self.name}: expected a whole gzip file, as its name says; it cannot be unpacked ({error}).",
                todo="Fetch or pack the file again, or take .gz off the name of a plain file.",
            ) from error
        except OSError as error:
            raise UsageError(f"{self.name}: the file cannot be read ({error.strerror or error}).") from error


class _Digesting(io.RawIOBase):
    """Passes bytes on and digests them."""

    def __init__(self, source: io.RawIOBase | io.FileIO) -> None:
        self._source = source
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        count = self._source.readinto(view) or 0
        self.sha256.update(view[:count])
        return count


def _refuse_foreign(name: str, line: bytes) -> None:
    """Refuse a file whose first line shows that it is no UTF-8 text with line ends."""
    what, todo = "", "Save it as UTF-8 text."
    if line.startswith(_UTF16_BOMS):
        what = "it is UTF-16 or UTF-32, by its byte order mark"
    elif line.startswith(_GZIP):
        what, todo = "it is gzip", "Add .gz to its name."
    elif b"\0" in line:
        known = [kind for start, kind in _BINARIES.items() if line.startswith(start)]
        what = f"it is {known[0]}" if known else "its first line holds NUL bytes, so it is binary or UTF-16"
    elif not line.endswith(b"\n") and b"\r" in line[:-1]:
        what, todo = "its lines end with CR alone", "Save it with LF or CRLF line ends."
    if what:
        raise DataRefused(f"{name}: expected UTF-8 text, as its name says; {what}.", todo=todo)
