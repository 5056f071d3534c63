"""A release as one CSV file, in the column order of the original EQN files: `text`, then the 28 emotions.

RFC 4180 in UTF-8, lines ending in LF. Texts always stand in quotes, numbers never; a missing value is an empty cell
without quotes. Parquet stays the truth: a CSV file says nothing of types.

Spreadsheets run cells that begin like a formula, and texts are strangers'. So a cell that is no number, and names of
columns, get a single quote in front (`escaped`); `unescaped` takes exactly that back. Where a spreadsheet splits at
semicolons or tabs, only the first cell of a line is still whole: in all others, what stands behind such a character
counts as a beginning, too.
"""

import base64
import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import math
import os
import re
import secrets
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from eqn.annotation.columns import output_schema
from eqn.annotation.shards import parquet_table
from eqn.corpus.contract import TEXT_COLUMN
from eqn.emotions import EMOTIONS, INDEX
from eqn.errors import ArtifactRefused, UsageError
from eqn.release.catalog import published_file
from eqn.release.manifest import Manifest
from eqn.store.directory import storage_errors
from eqn.store.interface import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa

GOLD = "gold_"

_SIGNS = "[=+\\-@＝＋－＠]"  # noqa: RUF001  full-width, as Japanese spreadsheets take
_FORMULA = re.compile(rf"'*(?:[\0\t\r\n]|\s*{_SIGNS})")
"""What may be run: after white space, and after quotes that would be taken for this escape."""
_BEGINNING = r"(?<=[;\t\r\n])"
_RUNS = rf"""(?=(?:[\0"']|[^\S\t\r\n])*{_SIGNS})"""
_INSIDE = re.compile(_BEGINNING + _RUNS)
"""A place inside of a cell at which a formula begins for who splits lines otherwise."""
_ESCAPED_INSIDE = re.compile(f"{_BEGINNING}'{_RUNS}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """What is written, and how."""

    scale: float = 1
    """Intensities are multiplied by it, as decimals: 10 gives the 0-10 presentation."""
    quantise: bool = False
    """Intensities are brought to two decimals first, by the original annotation script's rule: see `quantised`."""
    all_columns: bool = False
    """The release's other columns follow, in their order there; without it, only the `gold_<emotion>` ones do."""
    safe: bool = True
    """Cells that begin like a formula are escaped."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise UsageError(f"expected a scale above 0; got {self.scale}.", todo="Try: --scale 10")


@dataclasses.dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written."""

    path: str
    rows: int
    sha256: str
    """Of the file as it is on the disk, compressed or not."""


def unheard(rows: int) -> None:
    """Hear nothing."""


def export_csv(
    store: ObjectStore,
    manifest: Manifest,
    out: Path,
    options: CsvOptions,
    *,
    force: bool = False,
    report: Callable[[int], None] = unheard,
) -> Exported:
    """Write a release to the file `out`, compressed where that ends in `.gz`; `report(rows)` hears of written rows.

    The file appears whole or not at all. The same release and options give the same bytes.

    Raises:
        UsageError: `out` is there and `force` is not set, or it cannot be a file's name.
        ArtifactRefused: a part of the release is not as it was published.
        StorageFull, StoreUnavailable: it could not be written.

    """
    written = 0

    def count(rows: int) -> None:
        nonlocal written
        written += rows
        report(rows)

    with storage_errors(out):
        _check_place(out, force=force)
        with _temporary_beside(out) as temporary:
            with temporary.open("xb") as file, _compressed(file, out) as sink:
                for page in csv_pages(store, manifest, options, report=count):
                    sink.write(page)
            digest = _synced_digest(temporary)
            _check_place(out, force=force)  # it took a while
            temporary.replace(out)
    return Exported(str(out), written, digest)


def csv_pages(
    store: ObjectStore, manifest: Manifest, options: CsvOptions, *, report: Callable[[int], None] = unheard
) -> Iterator[bytes]:
    """Give the CSV file in pieces: its header, then the rows of one part after the other, each verified before use.

    Raises:
        ArtifactRefused: a part of the release is not as it was published.

    """
    names: list[str] | None = None
    known = _Intensities(options)
    for part in (part for entry in manifest.inputs for part in entry.parts):
        table = _verified_part(store, manifest, part)
        if names is None:
            names = _columns(table.column_names, options)
            yield _header(names, options)
        yield _rows(table.select(names), known, safe=options.safe)
        report(len(table))
    if names is None:
        yield _header(_columns(_schema(manifest).names, options), options)


def escaped(cell: str, *, first: bool = True) -> str:
    """Give `cell` with a single quote in front if a spreadsheet might run it, or take that quote for this escape.

    It does when, after any single quotes, it begins with a tab, a line end or NUL, or, after any white space, with one
    of `= + - @` or their full-width forms. In a cell that is not the `first` of its line, a quote stands as well behind
    each semicolon, tab and line end that is followed by such a sign, be white space, quotes or NUL between them.

    >>> escaped("=1+1"), escaped("'=1+1"), escaped("'tis fine"), escaped("a;=1"), escaped("a;=1", first=False)
    ("'=1+1", "''=1+1", "'tis fine", 'a;=1', "a;'=1")
    """
    inside = cell if first else _INSIDE.sub("'", cell)
    return f"'{inside}" if _FORMULA.match(inside) else inside


def unescaped(cell: str, *, first: bool = True) -> str:
    """Give back what `escaped` was given.

    >>> unescaped("'=1+1"), unescaped("''=1+1"), unescaped("'tis fine"), unescaped("a;'=1", first=False)
    ('=1+1', "'=1+1", "'tis fine", 'a;=1')
    """
    inside = cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
    return inside if first else _ESCAPED_INSIDE.sub("", inside)


def quantised(intensity: float) -> float:
    """Quantise as the original EQN annotation script does: above 1 becomes 1, below .01 becomes 0, else two decimals.

    The rounding is Python's `round`, on the binary number that is nearest to the decimal one.

    >>> quantised(0.0099), quantised(0.126), quantised(0.125)
    (0.0, 0.13, 0.12)
    """
    if intensity > 1:
        return 1.0
    return 0.0 if intensity < 0.01 else round(intensity, 2)


def intensity_cell(intensity: float, options: CsvOptions) -> str:
    """Give the decimal number that stands for a 32-bit `intensity`: quantised first, then scaled, without noise.

    >>> intensity_cell(0.1234, CsvOptions(scale=10)), intensity_cell(0.1234, CsvOptions(scale=10, quantise=True))
    ('1.234', '1.2')
    """
    published = float(str(np.float32(intensity)))  # the four decimals, without what 32 bits add to them
    value = quantised(published) if options.quantise else published
    return repr(float(Decimal(repr(value)) * Decimal(repr(options.scale))))


def _columns(there: list[str], options: CsvOptions) -> list[str]:
    first = [TEXT_COLUMN, *EMOTIONS]
    gold = [name for name in there if name.startswith(GOLD) and name.removeprefix(GOLD).lower() in INDEX]
    others = [name for name in there if name not in {*first, *gold}] if options.all_columns else []
    return first + gold + others


def _header(names: list[str], options: CsvOptions) -> bytes:
    safe = [escaped(name, first=not place) for place, name in enumerate(names)] if options.safe else names
    return (",".join(name if name.isidentifier() else _quoted(name) for name in safe) + "\n").encode()


class _Intensities(dict[float, str]):
    """The cells of all intensities met so far: there are few different ones, and each is dear to work out."""

    def __init__(self, options: CsvOptions) -> None:
        super().__init__()
        self._options = options

    def __missing__(self, intensity: float) -> str:
        self[intensity] = cell = intensity_cell(intensity, self._options)
        return cell


def _rows(table: "pa.Table", known: _Intensities, *, safe: bool) -> bytes:
    columns = [
        [known[value] for value in column.to_pylist()] if name in INDEX else _cells(column, safe=safe, first=not place)
        for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True))
    ]
    return "".join(",".join(row) + "\n" for row in zip(*columns, strict=True)).encode()


def _cells(column: "pa.ChunkedArray", *, safe: bool, first: bool) -> list[str]:
    import pyarrow as pa

    types = pa.types
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    if _is_flat(kind):
        texts = column.cast(pa.string()).to_pylist()
    else:
        texts = [None if value is None else _json(value) for value in column.to_pylist()]
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind):
        return [text or "" for text in texts]
    return ["" if text is None else _quoted(escaped(text, first=first) if safe else text) for text in texts]


def _is_flat(kind: "pa.DataType") -> bool:
    """Tell whether a value of this type is one word or number, and not bytes."""
    import pyarrow as pa

    types = pa.types
    binary = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    return not (types.is_nested(kind) or binary or isinstance(kind, pa.BaseExtensionType))


def _quoted(text: str) -> str:
    # Always, not only around a comma: where spreadsheets split at semicolons, `a;=1` would become two cells.
    return '"' + text.replace('"', '""') + '"'


def _json(value: Any) -> str:
    return json.dumps(_json_value(value), ensure_ascii=False)


def _json_value(value: Any) -> Any:
    """Give `value` in what JSON has: bytes as base64, what is no finite number as null, and dates as text."""
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def _verified_part(store: ObjectStore, manifest: Manifest, name: str) -> "pa.Table":
    content = published_file(store, manifest, name, to="export")
    try:
        table = parquet_table(content)
        table.validate(full=True)
        _check_columns(table.schema, _schema(manifest))
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactRefused(
            f"expected annotated rows in {store.address(f'{manifest.path}/{name}')}; it has none: {error}"
        ) from error
    return table


def _schema(manifest: Manifest) -> "pa.Schema":
    """Give the schema of the columns that every part of the release has."""
    return output_schema([], uncertainty=manifest.options.get("uncertainty") is True)


def _check_columns(schema: "pa.Schema", ours: "pa.Schema") -> None:
    for field in ours:
        found = schema.field(field.name).type
        if found != field.type:
            raise ValueError(f"{field.name} is {found}, not {field.type}")


def _check_place(out: Path, *, force: bool) -> None:
    if not out.parent.is_dir():
        raise UsageError(f"expected a folder for {out}; there is no {out.parent}.", todo="Make it, or choose another.")
    if out.exists() and not out.is_file():
        raise UsageError(f"expected the name of a file; {out} is something else.", todo="Choose another --out.")
    if out.exists() and not force:
        raise UsageError(f"expected a new file; {out} is there already.", todo="Choose another --out, or add --force.")


@contextlib.contextmanager
def _temporary_beside(out: Path) -> Iterator[Path]:
    """Give a free name in the folder of `out`; no file of that name is left afterwards."""
    temporary = out.parent / f".tmp-{secrets.token_hex(8)}"
    try:
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _compressed(file: BinaryIO, out: Path) -> Iterator[io.BufferedIOBase | BinaryIO]:
    if out.suffix.lower() != ".gz":
        yield file
        return
    with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as sink:  # the same rows, the same bytes
        yield sink


def _synced_digest(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()
