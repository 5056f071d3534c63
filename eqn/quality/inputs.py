"""Validation that is done once: unchanged data is not validated again, its outcome is read from its report."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN, Reason
from eqn.corpus.erased import NOTHING_ERASED, ErasureList
from eqn.corpus.goemotions import Corpus
from eqn.corpus.inputs import InputFile
from eqn.corpus.reader import Batch, FileScan, read_batches, scan
from eqn.errors import DataRefused
from eqn.quality.gate import InboxRow, load_validation, validate_corpus, validate_inbox
from eqn.records import Validation

_BATCH_ROWS = 1024
"""Enough for reading to cost little, few enough for the longest texts."""


def validated_corpus(corpus: Corpus, *, docs: Path) -> Validation:
    """Hold a corpus against the contract; its report is a folder below `docs`, named by the corpus' digest."""
    place = docs / f"{corpus.ref.name}-{corpus.ref.digest[:16]}"
    return _kept(place, corpus.ref.digest) or validate_corpus(corpus, docs=place)


def validated_inbox(
    files: Sequence[InputFile],
    scans: Sequence[FileScan],
    *,
    name: str,
    docs: Path,
    text_column: str = TEXT_COLUMN,
    id_column: str = ID_COLUMN,
    erasures: ErasureList = NOTHING_ERASED,
) -> Validation:
    """Hold scanned files against the contract; their report is a folder below `docs`, named by their digest.

    Erased rows are left out, as if the files had never held them: the report neither names them nor counts them.
    """
    named = [(file.name, found.digest) for file, found in zip(files, scans, strict=True)]
    facts = [named, text_column, id_column, *([erasures.digest] if erasures else [])]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    place = docs / f"{name}-{digest[:16]}"

    def rows() -> Iterator[InboxRow]:
        for file, found in zip(files, scans, strict=True):
            batches = read_batches(
                file, found, text_column=text_column, id_column=id_column, erasures=erasures, batch_rows=_BATCH_ROWS
            )
            for batch in batches:
                yield from _rows(file.name, batch)

    return _kept(place, digest) or validate_inbox(rows(), name=name, digest=digest, docs=place)


def forget_reports(docs: Path, name: str) -> list[Path]:
    """Remove the reports on inputs called `name` below `docs`, which list ids; give those that cannot be removed."""
    report = re.compile(re.escape(name) + "-[0-9a-f]{16}")
    found = [place for place in docs.iterdir() if report.fullmatch(place.name)] if docs.is_dir() else []
    for place in found:
        shutil.rmtree(place, ignore_errors=True)
    return [place for place in found if place.exists()]


def scan_all(
    files: Sequence[InputFile],
    *,
    text_column: str = TEXT_COLUMN,
    id_column: str = ID_COLUMN,
    erasures: ErasureList = NOTHING_ERASED,
) -> list[FileScan]:
    """Scan every file.

    Raises:
        DataRefused: files as a whole cannot be taken; one message names them all.

    """
    scans, refused = [], []
    for file in files:
        try:
            scans.append(scan(file, text_column=text_column, id_column=id_column, erasures=erasures))
        except DataRefused as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        raise DataRefused(
            f"{len(refused)} of {len(files)} inputs cannot be taken.",
            faults=[error.what for error in refused],
            todo="Correct these files or take them away, then run the same command again.",
        )
    return scans


def _kept(place: Path, digest: str) -> Validation | None:
    validation = load_validation(place)
    return validation if validation is not None and validation.digest == digest else None


def _rows(file: str, batch: Batch) -> Iterator[InboxRow]:
    for item in batch.quarantined:
        if item.reason is not Reason.ERASED:
            yield InboxRow(file, item.row, item.id, None, item.reason.value)
    refused = {item.row for item in batch.quarantined}
    numbers = (row for row in range(batch.first_row, batch.first_row + batch.rows) if row not in refused)
    ids, texts = (batch.table.column(position).to_pylist() for position in (0, 1))
    for number, identifier, text in zip(numbers, ids, texts, strict=True):
        yield InboxRow(file, number, identifier, text)
