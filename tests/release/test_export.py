"""CSV exports: the original files' columns, exact decimals, nothing that a spreadsheet runs, whole or not at all."""

import contextlib
import csv
import datetime as dt
import gzip
import hashlib
import io
import json
import re
import resource
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, StorageFull, StoreUnavailable, UsageError
from eqn.records import ReleaseRef
from eqn.release.catalog import read_manifest
from eqn.release.export import (
    CsvOptions,
    Exported,
    csv_pages,
    escaped,
    export_csv,
    intensity_cell,
    quantised,
    unescaped,
)
from eqn.store.directory import DirectoryStore
from tests.faults.promises import Trials

Publish = Callable[..., tuple[ReleaseRef, int]]
Export = Callable[..., Exported]

FORMULA_SIGNS = "=+-@＝＋－＠"  # noqa: RUF001  full-width, as Japanese spreadsheets take
DANGEROUS = "=+-@\t\r\n＝＋－＠"  # noqa: RUF001  full-width, as Japanese spreadsheets take


def parsed(content: bytes) -> list[list[str]]:
    """Read CSV as the standard library does."""
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def is_dangerous(cell: str) -> bool:
    """Judge by OWASP's list, and white space before it."""
    return cell[:1] in {*"\t\r\n"} or cell.lstrip()[:1] in {*DANGEROUS}


def is_number(cell: str) -> bool:
    """Tell whether a cell is a number as they are written: digits, with a sign and a point or without."""
    return re.fullmatch(r"-?\d+(\.\d+)?", cell) is not None


@pytest.fixture
def export(store: DirectoryStore, tmp_path: Path) -> Export:
    """Give a function that exports the latest release of `letters` to letters.csv."""

    def run(out: Path = tmp_path / "letters.csv", *, force: bool = False, **options: Any) -> Exported:
        return export_csv(store, read_manifest(store, "letters"), out, CsvOptions(**options), force=force)

    return run


def test_columns_stand_as_in_the_original_files(publish_files: Publish, inbox: Path, export: Export) -> None:
    """`text`, the 28 emotions in their order, then the gold columns; nothing else unless it is asked for."""
    publish_files(inbox)
    plain = parsed(Path(export().path).read_bytes())
    whole = parsed(Path(export(force=True, all_columns=True).path).read_bytes())

    assert plain[0] == ["text", *EMOTIONS, "gold_joy"]
    assert whole[0] == ["text", *EMOTIONS, "gold_joy", "id", "author", "stars", "truncated", "labels"]
    assert [row[:30] for row in whole] == plain
    assert {len(row) for row in whole} == {35}


def test_the_first_line_is_the_original_header(publish_files: Publish, inbox: Path, export: Export) -> None:
    """Byte for byte: no marks before it, no quotes around plain names, LF at the end."""
    publish_files(inbox / "b.jsonl")
    content = Path(export().path).read_bytes()

    assert content.startswith(f"text,{','.join(EMOTIONS)}\n".encode())
    assert content.count(b"\n") == 9
    assert b"\r" not in content


def test_it_holds_the_rows_of_all_parts(publish_files: Publish, inbox: Path, export: Export, tmp_path: Path) -> None:
    """pandas reads back what the Parquet files hold: every row in its order, every intensity to the last decimal."""
    release, _ = publish_files(inbox)
    done = export(all_columns=True)
    expected = pq.read_table(f"{release.path}/data").to_pandas()
    given = pd.read_csv(done.path, keep_default_na=False, dtype=dict.fromkeys(("id", "text", "stars", "gold_joy"), str))

    assert done == Exported(str(tmp_path / "letters.csv"), 23, hashlib.sha256(Path(done.path).read_bytes()).hexdigest())
    assert len(list(Path(release.path, "data").iterdir())) == 3
    assert [unescaped(text) for text in given["text"]] == list(expected["text"])
    assert "=1+1" in set(expected["text"])
    for name in EMOTIONS:
        assert given[name].dtype == "float64"
        assert list(given[name]) == [float(str(value)) for value in expected[name].to_numpy()]
    for name in ("id", "author", "stars", "gold_joy"):
        assert list(given[name]) == list(expected[name].fillna(""))
    assert list(given["truncated"]) == list(expected["truncated"])
    assert [json.loads(labels) for labels in given["labels"]] == [list(labels) for labels in expected["labels"]]


@pytest.mark.parametrize(
    ("intensity", "expected"),
    [
        *((0.0, 0.0), (0.005, 0.0), (0.0099, 0.0), (0.00999, 0.0), (0.01, 0.01), (0.0149, 0.01), (0.0151, 0.02)),
        *((0.126, 0.13), (0.125, 0.12), (0.375, 0.38), (0.115, 0.12), (0.145, 0.14), (0.994, 0.99), (0.9951, 1.0)),
        *((1.0, 1.0), (1.0001, 1.0), (7.0, 1.0), (-0.2, 0.0)),
    ],
)
def test_quantisation_is_the_original_scripts(intensity: float, expected: float) -> None:
    """Above 1 becomes 1, below .01 becomes 0, else two decimals as Python rounds them."""
    original = 1 if intensity > 1 else 0 if intensity < 0.01 else round(intensity, 2)

    assert quantised(intensity) == expected == original


@pytest.mark.parametrize(
    ("intensity", "scale", "quantise", "cell"),
    [
        *((0.1234, 1, False, "0.1234"), (0.0, 1, False, "0.0"), (1.0, 1, False, "1.0"), (0.0001, 1, False, "0.0001")),
        *((0.1234, 10, False, "1.234"), (0.0346, 10, False, "0.346"), (0.9999, 10, False, "9.999")),
        *((1.0, 10, False, "10.0"), (0.0, 10, False, "0.0"), (0.0007, 10.0, False, "0.007")),
        *((0.126, 1, True, "0.13"), (0.0099, 1, True, "0.0"), (0.01, 1, True, "0.01"), (0.145, 1, True, "0.14")),
        *((0.126, 10, True, "1.3"), (0.0099, 10, True, "0.0"), (0.29, 10, True, "2.9"), (0.57, 100, True, "57.0")),
    ],
)
def test_cells_are_exact_decimals(intensity: float, scale: float, quantise: bool, cell: str) -> None:  # noqa: FBT001
    """The published four decimals, quantised first, then scaled: no tail of a 32-bit or binary number."""
    (thirty_two_bits,) = pa.array([intensity], pa.float32()).to_pylist()

    assert intensity_cell(thirty_two_bits, CsvOptions(scale=scale, quantise=quantise)) == cell


def test_the_options_reach_every_cell(publish_files: Publish, inbox: Path, export: Export) -> None:
    """Each published intensity is quantised, then times ten; texts stay."""
    release, _ = publish_files(inbox)
    header, *rows = parsed(Path(export(scale=10, quantise=True).path).read_bytes())
    expected = pq.read_table(f"{release.path}/data").to_pylist()

    for name in EMOTIONS:
        published = [float(f"{row[name]:.4f}") for row in expected]
        assert [row[header.index(name)] for row in rows] == [f"{quantised(value) * 10:.1f}" for value in published]
    assert [unescaped(row[0]) for row in rows] == [row["text"] for row in expected]


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_refused(scale: float) -> None:
    """Only a finite factor above 0."""
    with pytest.raises(UsageError, match="scale above 0"):
        CsvOptions(scale=scale)


FORMULAS = [
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠A"),  # noqa: RUF001
    *("  =1", "\u00a0=1", "\u3000＝1", " \t\n@A", "\ttab", "'=1", "''=1", "' =1", "'\t"),  # noqa: RUF001
    *('=HYPERLINK("http://x","y")', "=1\n=2", "=1,=2", '="a"";=1', "=\r\n", "=cmd|'/c calc'!A1"),
]
HARMLESS = [
    "a =1",
    '"=1"',
    "'tis",
    "'",
    "",
    "a\n=1",
    "a\r\n=1",
    "a,b",
    "1;=2",
    "é",
    "日本",
    "a\t=1",
    "''",
    "' '=1",
    "1-1",
]


@pytest.fixture
def dangerous_release(publish_files: Publish, tmp_path: Path) -> ReleaseRef:
    """Every formula as id, text, value of another column, inside a list, and as a column's name."""
    cells = FORMULAS + [cell for cell in HARMLESS if cell.strip()]
    columns: dict[str, Any] = {"id": cells, "text": cells, "other": cells, "list": [[cell] for cell in cells]}
    columns |= {name: ["x"] * len(cells) for name in FORMULAS}
    pq.write_table(pa.table(columns), tmp_path / "formulas.parquet")
    release, _ = publish_files(tmp_path / "formulas.parquet")
    assert release.rows == len(cells)
    return release


@pytest.mark.promise(22)
def test_a_spreadsheet_finds_nothing_to_run(dangerous_release: ReleaseRef, export: Export) -> None:
    """No cell or column's name begins like a formula, and each comes back exactly; the Parquet files are untouched."""
    before = {path: path.read_bytes() for path in Path(dangerous_release.path).rglob("*") if path.is_file()}
    rows = parsed(Path(export(all_columns=True).path).read_bytes())
    names = [unescaped(name, first=not place) for place, name in enumerate(rows[0])]
    (table,) = (pq.read_table(path).to_pylist() for path in Path(dangerous_release.path, "data").iterdir())

    assert [cell for row in rows for cell in row if is_dangerous(cell)] == []
    assert set(FORMULAS) < set(names)
    for row, published in zip(rows[1:], table, strict=True):
        given = dict(zip(names, (unescaped(cell, first=not place) for place, cell in enumerate(row)), strict=True))
        for name in ("id", "text", "other", *FORMULAS):
            assert given[name] == published[name]
        assert json.loads(given["list"]) == published["list"]
    assert {path: path.read_bytes() for path in before} == before


PREFIXES = "=+-@\t\r\n\0＝＋－＠"  # noqa: RUF001  full-width, as Japanese spreadsheets take
"""OWASP's list, NUL, and the full-width forms."""
FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda prefix: f"{prefix}1+1",
    "twice": lambda prefix: f"{prefix}{prefix}1",
    "in quotes": lambda prefix: f'"{prefix}1+1"',
    "behind a quote": lambda prefix: f'"{prefix}',
    "behind an apostrophe": lambda prefix: f"'{prefix}1+1",
    "behind a space": lambda prefix: f" {prefix}1+1",
    "behind a wide space": lambda prefix: f"\u3000{prefix}1+1",
    "behind a line end": lambda prefix: f"\n{prefix}1+1",
    "behind CR LF": lambda prefix: f"\r\n{prefix}1+1",
    "on the second line": lambda prefix: f"a\n{prefix}1+1",
    "behind a comma": lambda prefix: f"a,{prefix}1+1",
    "behind a semicolon": lambda prefix: f"a;{prefix}1+1",
    "behind a tab": lambda prefix: f"a\t{prefix}1+1",
    "closing its cell": lambda prefix: f'a","{prefix}1+1","b',
    "alone": lambda prefix: f"{prefix}x",
}
"""Where in a cell a prefix may stand."""


@pytest.mark.promise(22)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_no_prefix_in_any_form_and_column_reaches_a_spreadsheet(
    publish_files: Publish, export: Export, tmp_path: Path, form: str, trials: Trials
) -> None:
    """As id, text, another column, inside of a list and as a column's name: safe, exact again, and Parquet untouched.

    Read as spreadsheets do that split at commas, semicolons or tabs.
    """
    cells = [make(prefix) for make in FORMS.values() for prefix in PREFIXES]
    cells = [cell for cell in cells if "\0" not in cell or form == "parquet"]
    used = [cell for cell in cells if "\0" not in cell]  # as id or text it is for quarantine
    columns: dict[str, Any] = {"id": used, "text": used, "other": used}
    if form == "parquet":
        nulls = [cell for cell in cells if "\0" in cell]
        columns["other"] = (used + nulls)[len(nulls) :]
        columns |= {
            "list": [[cell] for cell in used],
            "number": [-1.5] * len(used),
            **{name: [-7] * len(used) for name in cells},
        }
        pq.write_table(pa.table(columns), tmp_path / "prefixes.parquet")
    else:
        with (tmp_path / "prefixes.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)
            writer.writerows([columns, *zip(*columns.values(), strict=True)])
    release, _ = publish_files(tmp_path / f"prefixes.{form}")
    assert (release.rows, release.quarantined) == (len(used), 0)
    published = pq.read_table(f"{release.path}/data").to_pydict()
    assert {name: published[name] for name in columns} == columns

    content = Path(export(all_columns=True).path).read_bytes()
    header, *rows = parsed(content)
    names = [unescaped(name, first=not place) for place, name in enumerate(header)]
    given = dict(zip(names, zip(*rows, strict=True), strict=True))
    assert [cell for row in parsed(content) for cell in row if is_dangerous(cell) and not is_number(cell)] == []
    for separator in ";\t":
        torn = csv.reader(io.StringIO(content.decode(), newline=""), delimiter=separator)
        assert [cell for row in torn for cell in row if cell.lstrip(" \0\t\r\n\u3000")[:1] in {*FORMULA_SIGNS}] == []
    assert [unescaped(cell) for cell in given["text"]] == columns["text"]
    for name in ("id", "other"):
        assert [unescaped(cell, first=False) for cell in given[name]] == columns[name]
    if form == "parquet":
        assert [json.loads(unescaped(cell, first=False)) for cell in given["list"]] == columns["list"]
        assert set(given["number"]) == {"-1.5"}
        assert {cell for name in cells for cell in given[name]} == {"-7"}
    trials(sum(map(len, rows)) + len(header) if form == "parquet" else 3 * len(rows), "cells")


def test_a_text_with_a_semicolon_stays_one_cell(dangerous_release: ReleaseRef, export: Export) -> None:
    """Where spreadsheets split at `;` or tab, a text that holds one is not torn into a formula: it stands in quotes."""
    content = Path(export().path).read_bytes().decode()

    assert '"1;=2"' in content
    for separator in ";\t":
        cells = [cell for row in csv.reader(io.StringIO(content, newline=""), delimiter=separator) for cell in row]
        assert [cell for cell in cells if is_dangerous(cell)] == []


@pytest.mark.promise(22)
def test_unsafe_writes_texts_as_they_are(dangerous_release: ReleaseRef, export: Export) -> None:
    """For tools that are no spreadsheets; the check above can fail."""
    header, *rows = parsed(Path(export(all_columns=True, safe=False).path).read_bytes())

    assert [row[0] for row in rows] == FORMULAS + [cell for cell in HARMLESS if cell.strip()]
    assert set(FORMULAS) < set(header)
    assert any(is_dangerous(cell) for row in rows for cell in row)


@pytest.mark.promise(22)
@pytest.mark.parametrize("cell", FORMULAS + HARMLESS)
def test_the_escape_is_exact(cell: str) -> None:
    """What is written is not dangerous, and gives the cell back; harmless cells are left alone."""
    assert not is_dangerous(escaped(cell))
    assert unescaped(escaped(cell)) == cell
    assert (escaped(cell) == cell) == (cell in HARMLESS)


@given(st.text(st.sampled_from(DANGEROUS + "'\" \u3000\0a1,;") | st.characters(), max_size=12))
def test_the_escape_round_trips_for_any_text(cell: str) -> None:
    """Also for texts that look as if they were escaped, in any column; and no piece of it begins a formula."""
    assert unescaped(escaped(cell)) == cell
    assert not is_dangerous(escaped(cell))
    inner = escaped(cell, first=False)
    assert unescaped(inner, first=False) == cell
    assert not is_dangerous(inner)
    beginning, *pieces = re.split(r"[;\t\r\n]", inner)
    assert beginning.lstrip("\0" + string.whitespace + "\u3000")[:1] not in {*FORMULA_SIGNS}
    # Only behind a separator may a quote in the text be taken for one of the file's.
    assert [
        piece for piece in pieces if piece.lstrip('\0"' + string.whitespace + "\u3000")[:1] in {*FORMULA_SIGNS}
    ] == []
    line = '"first;",0.5,"{}"\n'.format(inner.replace('"', '""'))
    for separator in ",;\t":
        cells = [cell for row in csv.reader(io.StringIO(line, newline=""), delimiter=separator) for cell in row]
        assert [
            cell for cell in cells if cell.lstrip("\0" + string.whitespace + "\u3000")[:1] in {*FORMULA_SIGNS}
        ] == []


@pytest.mark.promise(22)
def test_other_types_are_written_in_full(publish_files: Publish, export: Export, tmp_path: Path) -> None:
    """Numbers bare, negative ones too; dates in ISO form; nested values as JSON; bytes in base64; nulls empty."""
    columns = {
        "whole": pa.array([-7, None], pa.int64()),
        "share": pa.array([-0.5, None], pa.float32()),
        "seen": pa.array([True, None]),
        "day": pa.array([dt.date(2024, 2, 29), None]),
        "kind": pa.array(["=a", None]).dictionary_encode(),
        "nested": pa.array([{"a": [1, None], "=b": "é", "c": float("nan"), "d": dt.date(2024, 2, 29)}, None]),
        "bytes": pa.array([b"\xfb\xef", None]),
        "empty": pa.array(["", None]),
    }
    pq.write_table(pa.table({"text": ["one", "two"], **columns}), tmp_path / "types.parquet")
    publish_files(tmp_path / "types.parquet")
    content = Path(export(all_columns=True).path).read_bytes()
    header, first, second = parsed(content)
    cells = dict(zip(header, first, strict=True))

    assert [cells[name] for name in columns if name != "nested"] == [
        *("-7", "-0.5", "true", "2024-02-29", "'=a", '"++8="', "")
    ]
    assert json.loads(cells["nested"]) == {"a": [1, None], "=b": "é", "c": None, "d": "2024-02-29"}
    assert [dict(zip(header, second, strict=True))[name] for name in columns] == [""] * len(columns)
    assert b',-7,-0.5,true,"2024-02-29",' in content
    assert b',"",false,' in content
    assert b",,,,,,,,,false," in content


def test_gz_is_compressed_the_same_every_time(
    publish_files: Publish, inbox: Path, export: Export, tmp_path: Path
) -> None:
    """By the name's ending; the same bytes under any name, and the same rows as without."""
    publish_files(inbox)
    plain, first, second = (export(tmp_path / name) for name in ("plain.csv", "first.csv.gz", "second.CSV.GZ"))

    assert gzip.decompress(Path(first.path).read_bytes()) == Path(plain.path).read_bytes()
    assert first.sha256 == second.sha256 == hashlib.sha256(Path(second.path).read_bytes()).hexdigest()
    assert len(pd.read_csv(first.path)) == 23


def test_a_release_without_rows_is_a_header(publish_files: Publish, export: Export, tmp_path: Path) -> None:
    """Everything is in quarantine."""
    (tmp_path / "blank.csv").write_text("id,text\n1, \n")
    publish_files(tmp_path / "blank.csv")
    done = export(all_columns=True)

    assert done.rows == 0
    assert parsed(Path(done.path).read_bytes()) == [["text", *EMOTIONS, "id", "truncated", "labels"]]


def test_rows_come_part_by_part(publish_files: Publish, inbox: Path, store: DirectoryStore) -> None:
    """A part is read when it is written, and heard of then: memory holds one at a time."""
    publish_files(inbox)
    heard: list[int] = []
    pages = csv_pages(store, read_manifest(store, "letters"), CsvOptions(), report=heard.append)

    assert next(pages).startswith(b"text,admiration")
    assert heard == []
    assert len(parsed(next(pages))) == 10
    next(pages)
    assert heard == [10]
    assert [len(parsed(page)) for page in pages] == [5]
    assert heard == [10, 8, 5]


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "replace"])
def test_a_damaged_part_leaves_no_file(
    publish_files: Publish, inbox: Path, export: Export, tmp_path: Path, harm: str
) -> None:
    """Also when only the last part is damaged, by a bit or by another valid file: no export, and an older one stays."""
    release, _ = publish_files(inbox)
    first, *_, last = sorted(Path(release.path, "data").iterdir())
    content = last.read_bytes()
    last.unlink()
    if harm == "flip":
        last.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    elif harm == "cut":
        last.write_bytes(content[:-1])
    elif harm == "replace":
        last.write_bytes(first.read_bytes())
    older, before = tmp_path / "older.csv", sorted(path.name for path in tmp_path.iterdir())
    older.write_text("older")

    with pytest.raises(ArtifactRefused, match=last.name):
        export()
    with pytest.raises(ArtifactRefused, match=last.name):
        export(older, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "older.csv"])
    assert older.read_text() == "older"


@pytest.mark.parametrize("harm", ["no parquet", "no emotion", "text for a number", "no UTF-8"])
def test_a_part_of_other_make_is_refused(
    publish_files: Publish, inbox: Path, store: DirectoryStore, export: Export, harm: str
) -> None:
    """A manifest may be a stranger's: digests that fit say nothing of what is in the file."""
    publish_files(inbox / "c.parquet")
    manifest = read_manifest(store, "letters")
    name, key = "data/part-00000.parquet", f"{manifest.path}/data/part-00000.parquet"
    table = pq.read_table(io.BytesIO(store.get(key)))
    place = table.column_names.index("joy")
    if harm == "no emotion":
        table = table.drop_columns(["joy"])
    elif harm == "text for a number":
        table = table.set_column(place, "joy", pa.array(["=1+1"] * 5))
    elif harm == "no UTF-8":
        bad = pa.Array.from_buffers(pa.string(), 5, pa.array([b"\xff"] * 5).buffers())
        table = table.set_column(1, pa.field("text", pa.string(), nullable=False), bad)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    content = b"hello" if harm == "no parquet" else sink.getvalue()
    store.put(key, content)
    facts = json.loads(manifest.to_bytes())
    facts["files"][name] |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    store.put("letters/releases/1.json", json.dumps(facts).encode())

    with pytest.raises(ArtifactRefused, match="expected annotated rows"):
        export()


def test_an_existing_file_stays(publish_files: Publish, inbox: Path, export: Export, tmp_path: Path) -> None:
    """Unless it is to be replaced; what is no file is never replaced."""
    publish_files(inbox / "b.jsonl")
    out = tmp_path / "letters.csv"
    out.write_text("mine")

    with pytest.raises(UsageError, match="there already"):
        export()
    assert out.read_text() == "mine"
    assert export(force=True).rows == 8
    assert len(parsed(out.read_bytes())) == 9
    for place in (tmp_path, Path("/dev/null")):
        with pytest.raises(UsageError, match="something else"):
            export(place, force=True)


def test_a_file_that_appears_meanwhile_stays(
    publish_files: Publish, inbox: Path, store: DirectoryStore, tmp_path: Path
) -> None:
    """Another program wrote it while rows were exported."""
    publish_files(inbox / "b.jsonl")
    out = tmp_path / "letters.csv"

    with pytest.raises(UsageError, match="there already"):
        export_csv(
            *(store, read_manifest(store, "letters"), out, CsvOptions()),
            report=lambda _: (out.write_text("mine"), None)[1],
        )
    assert out.read_text() == "mine"
    assert list(tmp_path.glob(".tmp-*")) == []


def test_a_missing_folder_is_told(publish_files: Publish, inbox: Path, export: Export, tmp_path: Path) -> None:
    """It is not made: the name may be a slip."""
    publish_files(inbox / "b.jsonl")

    with pytest.raises(UsageError, match=r"there is no .*/elsewhere"):
        export(tmp_path / "elsewhere" / "letters.csv")
    assert not (tmp_path / "elsewhere").exists()


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    """Let this process write no file of more than 1,000 bytes: what a full disk looks like."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:  # before pytest writes its own output, which may be a file
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_nothing(publish_files: Publish, inbox: Path, export: Export, tmp_path: Path) -> None:
    """Nothing half-written, nothing beside it; the file that is there already stays."""
    publish_files(inbox)
    out = tmp_path / "letters.csv"
    out.write_text("mine")

    with small_files(), pytest.raises(StorageFull):
        export(force=True)
    assert out.read_text() == "mine"
    assert list(tmp_path.glob(".tmp-*")) == []


def test_a_place_that_takes_no_files_is_told(publish_files: Publish, inbox: Path, export: Export) -> None:
    """A folder in which nobody can make a file, not even root."""
    publish_files(inbox / "b.jsonl")

    with pytest.raises(StoreUnavailable, match=r"/proc/letters\.csv"):
        export(Path("/proc/letters.csv"))
