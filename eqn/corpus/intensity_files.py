"""Reads files with people's scores of how strong an emotion is; `intensity_layouts` says which, and what they mean.

    load_intensities(["anger.txt", "joy.txt"])    -> Intensities

csv has commas, tsv and txt have tabs and no quoting; jsonl and Parquet are read as well. No row is passed over in
silence: a file with a row that cannot be read is refused, and all faults are told at once.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from eqn.corpus.columns import Wanted
from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN
from eqn.corpus.csv_rows import HeaderedRows, Record, csv_records, tsv_records
from eqn.corpus.inputs import InputFile, find_inputs
from eqn.corpus.intensity_layouts import (
    EMOINT,
    Intensities,
    Layout,
    ScoredRow,
    ScoredTable,
    gather,
    is_emoint,
    layout_of,
)
from eqn.corpus.json_rows import JsonRows
from eqn.corpus.lines import TextFile
from eqn.corpus.parquet_rows import open_parquet
from eqn.corpus.rows import Fault, RowReader
from eqn.errors import DataRefused

_EMOINT_COLUMNS = [ID_COLUMN, TEXT_COLUMN, *(EMOINT.long or ())]


def load_intensities(paths: Sequence[str | Path], *, split: str | None = None, preferred: str = "test") -> Intensities:
    """Read files, folders or globs of scored texts, all of one layout.

    `split` and `preferred` choose the rows; see `eqn.corpus.intensity_layouts.gather`.

    Raises:
        UsageError: there are no such files, or they cannot be opened.
        DataRefused: files or rows are not as they must be; the message names up to twenty faults and counts all.

    """
    tables: list[ScoredTable] = []
    faults: list[str] = []
    for file in find_inputs([str(path) for path in paths]):
        try:
            tables.append(_read(file, faults))
        except DataRefused as error:
            faults.append(error.what)
    return gather(tables, split=split, preferred=preferred, faults=faults)


def _read(file: InputFile, faults: list[str]) -> ScoredTable:
    """Read one file; what is wrong with single rows goes to `faults`.

    Raises:
        DataRefused: the file as a whole cannot be read, or is of no layout.

    """
    if file.format == "parquet":
        with open_parquet(file, Wanted()) as rows:
            return _table(file.name, rows, faults)
    if file.format == "jsonl":
        with TextFile(file) as opened:
            return _table(file.name, JsonRows(opened, Wanted()), faults)
    split = csv_records if file.format == "csv" else tsv_records
    with TextFile(file) as opened:
        _, first = next(split(opened), (b"", []))
    if isinstance(first, Fault):
        raise DataRefused(f"{file.name}: the header cannot be read: {first.detail}")
    with TextFile(file) as opened:
        if split is tsv_records and is_emoint(first):
            return _table(file.name, HeaderedRows(opened, Wanted(), _headed), faults, EMOINT)
        layout = layout_of(file.name, first)
        return _table(file.name, HeaderedRows(opened, Wanted(layout.text, layout.id), split), faults, layout)


def _headed(lines: Iterable[bytes]) -> Iterator[Record]:
    """Split tsv whose header was left out."""
    return itertools.chain([(b"", _EMOINT_COLUMNS)], tsv_records(lines))


def _table(name: str, source: RowReader, faults: list[str], layout: Layout | None = None) -> ScoredTable:
    numbered = list(enumerate(source, start=1))
    faults += [f"{name}, row {number}: {row.fault.detail}" for number, row in numbered if row.fault is not None]
    good = [(number, row) for number, row in numbered if row.fault is None]
    columns = source.columns()
    names = [column.source for column in columns]
    arrays = source.stack([row.values for _, row in good], columns)
    cells = zip(*(array.to_pylist() for array in arrays), strict=True) if columns else itertools.repeat(())
    return ScoredTable(
        name=name,
        layout=layout or layout_of(name, [TEXT_COLUMN, *names]),
        columns=names,
        rows=[
            ScoredRow(number, row.id or "", row.text, dict(zip(names, values, strict=True)))
            for (number, row), values in zip(good, cells, strict=False)
        ],
    )
