"""Writing a release anew without erased rows: the files that annotating the same inputs now would have given.

Parts and quarantine files in which nothing was erased are copied; in the others an erased row is gone, or keeps nothing
but its number in the quarantine. So rows in = rows out + rows quarantined, as before.
"""

import base64
import collections
import dataclasses
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eqn import __version__
from eqn.annotation.columns import conformed, output_schema
from eqn.annotation.shards import ROWS, parquet_bytes, parquet_table
from eqn.corpus.contract import Reason
from eqn.corpus.erased import ErasureList
from eqn.corpus.quarantine import erased, quarantine_schema, quarantine_table
from eqn.errors import ArtifactRefused
from eqn.records import ModelRef
from eqn.release.card import dataset_card
from eqn.release.catalog import not_as_published, published_file
from eqn.release.croissant import croissant_json, promise_in
from eqn.release.described import Maker, makers
from eqn.release.erasures import Erasure, list_of
from eqn.release.manifest import (
    CARD,
    CROISSANT,
    FileEntry,
    InputEntry,
    Manifest,
    Redaction,
    content_digest,
    files_key,
)
from eqn.release.parts import put_document
from eqn.release.summary import Summary
from eqn.store.interface import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa

DATA, QUARANTINE = "data/part-", "quarantine/quarantine-"
"""Beginnings of the names of both kinds of files."""


def erased_in(content: bytes, name: str, erasures: ErasureList) -> list[list[int]]:
    """Give for each row of a data or quarantine file, read from its bytes, the records that erased it.

    Raises:
        OSError, ValueError, KeyError: it is not a whole file of its kind.

    """
    table = parquet_table(content)
    return _erased_rows(table, erasures) if name.startswith(DATA) else _erased_refused(table, erasures)


def redact(store: ObjectStore, manifest: Manifest, folder: str, records: Sequence[Erasure]) -> Manifest:
    """Write the files of a release without what `records` erased into the folder of this name, and give its manifest.

    What an interrupted attempt left there is used.

    Raises:
        FolderUnusable: other files are there.
        ArtifactRefused: a file of the release is not as it was published.

    """
    writer = _Writer(store, manifest, files_key(manifest.dataset, folder), list_of(records))
    for entry in manifest.inputs:
        writer.write(entry)
    described = _described(store, manifest, writer.inputs, writer.schema)
    writer.put(CARD, dataset_card(described, writer.summary).encode())
    writer.put(CROISSANT, croissant_json(described, writer.summary, writer.files))
    files = dict(sorted(writer.files.items()))
    return dataclasses.replace(
        manifest,
        path=writer.folder,
        commit_id=str(uuid.uuid4()),
        content_digest=content_digest(files),
        eqn_version=__version__,
        inputs=tuple(writer.inputs),
        rows_out=writer.summary.rows,
        rows_quarantined=manifest.rows_in - writer.summary.rows,
        ids_in_several_files=writer.summary.ids_in_several_files(),
        files=files,
        erasures=len(records),
        redactions=(*manifest.redactions, *_redactions(writer.erased, records)),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Batch:
    """The rows of an input that were read together, and what a release holds of them."""

    numbers: list[int]
    """Of the annotated rows, in their input."""
    part: str
    """File of the annotated rows; empty where there are none."""
    table: "pa.Table | None"
    quarantine: str
    """File of the others; empty where there are none."""
    refused: "pa.Table | None"


class _Writer:
    """Writes the files of one release anew, input by input."""

    def __init__(self, store: ObjectStore, manifest: Manifest, folder: str, erasures: ErasureList) -> None:
        self._store, self._manifest, self._erasures = store, manifest, erasures
        self._numbers: collections.Counter[str] = collections.Counter()
        self.folder = folder
        """Its key."""
        self.files: dict[str, FileEntry] = {}
        self.inputs: list[InputEntry] = []
        self.summary = Summary(uncertainty=_uncertainty(manifest))
        self.erased: collections.Counter[int] = collections.Counter()
        """Rows by the first record that erased them."""
        self.schema: pa.Schema | None = None
        """Of the parts; None as long as there is none."""

    def write(self, entry: InputEntry) -> None:
        """Write the files of one input."""
        parts: list[str] = []
        quarantine: list[str] = []
        reasons: collections.Counter[str] = collections.Counter()
        for batch in _batches(self._store, self._manifest, entry):
            gone = self._write_part(batch, parts)
            refused = self._write_refused(entry.name, batch, gone, quarantine)
            if refused is not None:
                reasons.update(refused.column("reason").to_pylist())
        counts = dict(sorted(reasons.items()))
        self.inputs.append(
            dataclasses.replace(entry, quarantined=counts, parts=tuple(parts), quarantine=tuple(quarantine))
        )

    def put(self, name: str, content: bytes, rows: int | None = None) -> None:
        """Write a file."""
        entry = put_document(self._store, self.folder, name, content, always_equal=True)
        self.files[name] = dataclasses.replace(entry, rows=rows)

    def _write_part(self, batch: _Batch, parts: list[str]) -> list[int]:
        """Write what is left of the annotated rows, and give the numbers of the erased ones."""
        if batch.table is None:
            return []
        found = _erased_rows(batch.table, self._erasures)
        self._count(found)
        table = batch.table
        if any(found):
            table = _without(table, found)
            table = conformed(table, _as_written(table.schema, self._manifest))
        if len(table):
            name = self._next(DATA)
            if any(found):
                self.put(name, parquet_bytes(table), len(table))
            else:
                self._copy(batch.part, name)
            self.schema = table.schema
            self.summary.add(table)
            parts.append(name)
        return [number for number, records in zip(batch.numbers, found, strict=True) if records]

    def _write_refused(self, file: str, batch: _Batch, gone: list[int], quarantine: list[str]) -> "pa.Table | None":
        """Write the quarantined rows with the erased ones among them, and give them; None where there are none."""
        import pyarrow as pa

        refused = quarantine_schema().empty_table() if batch.refused is None else batch.refused
        found = _erased_refused(refused, self._erasures)
        self._count(found)
        numbers = refused.column("row").to_pylist()
        gone = gone + [number for number, records in zip(numbers, found, strict=True) if records]
        if gone:
            kept = _without(refused, found)
            redacted = quarantine_table(file, [erased(number) for number in gone])
            refused = pa.concat_tables([kept, redacted]).sort_by("row").combine_chunks()
        if len(refused):
            name = self._next(QUARANTINE)
            if gone:
                self.put(name, parquet_bytes(refused), len(refused))
            else:
                self._copy(batch.quarantine, name)
            quarantine.append(name)
        return refused if len(refused) else None

    def _copy(self, old: str, name: str) -> None:
        key, entry = f"{self._manifest.path}/{old}", self._manifest.files[old]
        try:
            copied = self._store.copy_if_absent(key, f"{self.folder}/{name}")
        except KeyError:
            raise not_as_published(self._store, key, to="copy") from None
        if copied:
            self.files[name] = entry
        else:  # an interrupted attempt did it
            self.put(name, published_file(self._store, self._manifest, old, to="copy"), entry.rows)

    def _count(self, found: list[list[int]]) -> None:
        self.erased.update(min(records) for records in found if records)

    def _next(self, prefix: str) -> str:
        self._numbers[prefix] += 1
        return f"{prefix}{self._numbers[prefix] - 1:05d}.parquet"


def _batches(store: ObjectStore, manifest: Manifest, entry: InputEntry) -> Iterator[_Batch]:
    """Give the rows of an input as they were read.

    A batch covers a fixed number of input rows, and has one file of annotated rows and one of quarantined rows, where
    it has any: the quarantine names its rows, so the others are known as well.

    Raises:
        ArtifactRefused: a file is not as it was published, or they do not fit together.

    """
    size = int(manifest.options.get("shard_rows", ROWS))
    parts, quarantine = iter(entry.parts), iter(entry.quarantine)
    held, refused = _read_next(store, manifest, quarantine)
    for first in range(1, entry.rows + 1, size):
        numbers = range(first, min(first + size, entry.rows + 1))
        here = refused is not None and refused.column("row")[0].as_py() in numbers
        taken = set(refused.column("row").to_pylist()) if here and refused is not None else set()
        others = [number for number in numbers if number not in taken]
        part, table = _read_next(store, manifest, parts) if others else ("", None)
        if (0 if table is None else len(table)) != len(others):
            raise _does_not_fit(manifest, entry)
        yield _Batch(others, part, table, held if here else "", refused if here else None)
        if here:
            held, refused = _read_next(store, manifest, quarantine)
    if refused is not None or next(parts, None) is not None:
        raise _does_not_fit(manifest, entry)


def _read_next(store: ObjectStore, manifest: Manifest, names: Iterator[str]) -> "tuple[str, pa.Table | None]":
    name = next(names, "")
    return name, parquet_table(published_file(store, manifest, name, to="redact")) if name else None


def _does_not_fit(manifest: Manifest, entry: InputEntry) -> ArtifactRefused:
    return ArtifactRefused(
        f"expected parts and quarantine of {entry.name} in release {manifest.release} of {manifest.dataset!r} to hold "
        f"its {entry.rows:,} rows; they do not.",
        todo="Find out who made this release: EQN did not.",
    )


def _erased_rows(table: "pa.Table", erasures: ErasureList) -> list[list[int]]:
    ids, texts = (table.column(name).to_pylist() for name in ("id", "text"))
    return [erasures.records_of(identifier, text) for identifier, text in zip(ids, texts, strict=True)]


def _erased_refused(table: "pa.Table", erasures: ErasureList) -> list[list[int]]:
    rows = table.select(["reason", "id", "raw"]).to_pylist()
    return [
        []
        if row["reason"] == Reason.ERASED
        else erasures.records_of_refused(row["id"], base64.b64decode(row["raw"]), row["reason"])
        for row in rows
    ]


def _without(table: "pa.Table", found: list[list[int]]) -> "pa.Table":
    """Give the rows that no record erased."""
    import pyarrow as pa

    return table.filter(pa.array([not records for records in found], pa.bool_()))


def _as_written(schema: "pa.Schema", manifest: Manifest) -> "pa.Schema":
    """Give the schema of a part as it was before it was written: reading renames what is inside lists."""
    import pyarrow as pa

    ours = output_schema([], uncertainty=_uncertainty(manifest))
    return pa.schema([ours.field(field.name) if field.name in ours.names else field for field in schema])


def _uncertainty(manifest: Manifest) -> bool:
    return manifest.options.get("uncertainty") is True


def _redactions(counts: Mapping[int, int], records: Sequence[Erasure]) -> list[Redaction]:
    found = ((number, records[number - 1], rows) for number, rows in sorted(counts.items()))
    return [Redaction(number, record.when, record.by, record.reason, rows) for number, record, rows in found]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Redacted:
    """What the cards tell; see `eqn.release.described`."""

    dataset: str
    job: str
    model: ModelRef
    options: Mapping[str, Any]
    rows: int
    rows_erased: int
    rows_of_others: list[Maker]
    schema: "pa.Schema"
    promise: str | None


def _described(
    store: ObjectStore, manifest: Manifest, inputs: Sequence[InputEntry], schema: "pa.Schema | None"
) -> _Redacted:
    promise = None
    if _uncertainty(manifest):
        # The model, which knows it, need not be at hand; the card for machines has said it.
        told = CROISSANT in manifest.files
        promise = promise_in(published_file(store, manifest, CROISSANT, to="redact")) if told else ""
    return _Redacted(
        dataset=manifest.dataset,
        job=manifest.job,
        model=ModelRef("", manifest.model["digest"]),
        options=manifest.options,
        rows=manifest.rows_in,
        rows_erased=sum(entry.quarantined.get(Reason.ERASED, 0) for entry in inputs),
        rows_of_others=makers(
            (entry.model["digest"], entry.options or {}, entry.rows - sum(entry.quarantined.values()))
            for entry in inputs
            if entry.model is not None
        ),
        schema=schema,
        promise=promise,
    )
