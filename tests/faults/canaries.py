"""Secrets that sing: values that stand nowhere else, in every form in which they could be written down."""

import base64
import contextlib
import gzip
import html
import io
import json
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import pyarrow.parquet as pq

_DEEPEST = 4
"""Layers of compression inside each other that are opened."""


def forms(secret: str) -> dict[bytes, str]:
    """Give every way to write `secret` that is looked for, and what it is called."""
    content = secret.encode()
    found = {
        content: "plain",
        content.hex().encode(): "hexadecimal",
        repr(secret)[1:-1].encode(): "as Python writes it",
    }
    for name, encoded in (
        ("URL-encoded", quote(secret, safe="")),
        ("URL-encoded", quote(secret)),
        ("a query", quote_plus(secret)),
    ):
        for written in (encoded, small(encoded)):
            found.setdefault(written.encode(), name)
    escaped = json.dumps(secret)[1:-1]
    for name, written in (("JSON", escaped), ("JSON", escaped.replace("/", "\\/")), ("HTML", html.escape(secret))):
        found.setdefault(written.encode(), name)
    for shift in range(3):  # wherever it begins within the bytes that were encoded
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            written_whole = encode(bytes(shift) + content)
            start, end = -(-shift * 8 // 6), (shift + len(content)) * 8 // 6
            found.setdefault(written_whole[start:end], "base64")
    return found


def small(encoded: str) -> str:
    """Write the digits of percent signs small, as some programs do."""
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)


def leaks(root: Path, secrets: Mapping[str, str]) -> list[str]:
    """Say in which files below `root` one of `secrets` stands, in which form; compressed content is opened."""
    wanted = {written: f"{name}, {form}" for name, secret in secrets.items() for written, form in forms(secret).items()}
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            shown = path.relative_to(root)
            for place, content in opened(path):
                found += [f"{shown}{place}: {told}" for written, told in wanted.items() if written in content]
    return sorted(set(found))


def opened(path: Path) -> Iterator[tuple[str, bytes]]:
    """Give the bytes of a file, and those of what is in it where it is a database, a table or an archive."""
    yield from _layers(path.read_bytes(), "")
    if path.read_bytes()[:16] == b"SQLite format 3\0":
        yield from _rows(path)


def _layers(content: bytes, place: str, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    yield place, content
    if depth == _DEEPEST:
        return
    if content[:2] == b"\x1f\x8b":
        with contextlib.suppress(OSError, EOFError, zlib.error):
            yield from _layers(gzip.decompress(content), f"{place} > gzip", depth + 1)
    elif content[:1] == b"\x78":
        with contextlib.suppress(zlib.error):
            yield from _layers(zlib.decompress(content), f"{place} > zlib", depth + 1)
    elif content[:4] == b"PK\x03\x04":
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield from _layers(archive.read(name), f"{place} > {name}", depth + 1)
    elif content[:4] == content[-4:] == b"PAR1":
        table = pq.read_table(io.BytesIO(content))
        yield f"{place} > metadata", str(table.schema.metadata).encode() + str(table.schema).encode()
        for name in table.column_names:
            yield f"{place} > {name}", "\n".join(map(str, table.column(name).to_pylist())).encode()


def _rows(path: Path) -> Iterator[tuple[str, bytes]]:
    """Read every value: in the file itself a long one is spread over pages."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            name = table.decode()
            for row in connection.execute(f'select * from "{name}"'):  # noqa: S608  a name of its own
                for value in row:
                    if isinstance(value, bytes):
                        yield from _layers(value, f" > {name}")
