"""The files of a release: annotate what is new, carry over what is not, keep what an interrupted run already wrote."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from eqn.annotation.annotator import Annotator
from eqn.annotation.shards import annotate_shard, parquet_bytes, parquet_table
from eqn.corpus.quarantine import quarantine_table
from eqn.corpus.reader import Batch
from eqn.errors import ArtifactRefused
from eqn.release.manifest import FileEntry, InputEntry, files_key
from eqn.release.plan import Plan, Source
from eqn.release.summary import Summary
from eqn.store.interface import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa

Report = Callable[[int, int], None]
"""Hears of annotated rows and their tokens."""


def unheard(rows: int, tokens: int) -> None:
    """Hear nothing."""


@dataclasses.dataclass(slots=True)
class Written:
    """What is in the job's folder so far."""

    files: dict[str, FileEntry] = dataclasses.field(default_factory=dict)
    inputs: list[InputEntry] = dataclasses.field(default_factory=list)
    summary: Summary = dataclasses.field(default_factory=Summary)
    carried_rows: int = 0


class PartWriter:
    """Writes the data and quarantine files of one job."""

    def __init__(self, store: ObjectStore, plan: Plan, annotator: Annotator, report: Report) -> None:
        self._store, self._plan, self._annotator, self._report = store, plan, annotator, report
        self._folder = files_key(plan.dataset, plan.job)
        self._written = Written()

    def write(self) -> Written:
        """Write every part of every input, in order, and give what was written."""
        for source in self._plan.sources:
            self._written.inputs.append(self._carry(source) if source.carried else self._annotate(source))
        return self._written

    def _annotate(self, source: Source) -> InputEntry:
        parts, quarantine = [], []
        for batch in self._plan.batches(source):
            if len(batch.table):
                name = self._next("data/part-")
                table = self._finished(name, batch) or annotate_shard(
                    batch.table, self._plan.schema, self._annotator, report=self._report
                )
                parts.append(self._put(name, table))
                self._written.summary.add(table)
            if batch.quarantined:
                table = quarantine_table(source.file.name, batch.quarantined)
                quarantine.append(self._put(self._next("quarantine/quarantine-"), table))
        return _entry(source, parts, quarantine)

    def _carry(self, source: Source) -> InputEntry:
        """Take over the parts that the previous release made of the same file."""
        previous, carried = self._plan.previous, source.carried
        assert previous is not None  # noqa: S101  for the type checker: nothing is carried from nowhere
        assert carried is not None  # noqa: S101
        parts, quarantine = [], []
        for old in carried.parts:
            name, key = self._next("data/part-"), f"{previous.path}/{old}"
            content = _verified(self._store, key, previous.files[old])
            table = parquet_table(content)
            if table.schema.equals(self._plan.schema):
                parts.append(self._copy(key, name, previous.files[old]))
            else:  # another input brought or took a column
                table = _conformed(table, self._plan.schema)
                parts.append(self._put(name, table))
            self._written.summary.add(table)
            self._written.carried_rows += len(table)
        for old in carried.quarantine:
            key = f"{previous.path}/{old}"
            _verified(self._store, key, previous.files[old])
            quarantine.append(self._copy(key, self._next("quarantine/quarantine-"), previous.files[old]))
        return _entry(source, parts, quarantine)

    def _finished(self, name: str, batch: Batch) -> "pa.Table | None":
        """Give the part that an interrupted run of the same job left, if it is whole and holds these very rows."""
        try:
            table = parquet_table(self._store.get(f"{self._folder}/{name}"))
        except (KeyError, OSError, ValueError):
            return None
        same = table.schema.equals(self._plan.schema) and all(
            table.column(i).combine_chunks().equals(batch.table.column(i).combine_chunks()) for i in (0, 1)
        )
        if same:
            self._report(len(table), 0)
        return table if same else None

    def _put(self, name: str, table: "pa.Table") -> str:
        content = parquet_bytes(table)
        key = f"{self._folder}/{name}"
        if not (self._store.exists(key) and self._store.get(key) == content):
            self._store.put(key, content)
        self._written.files[name] = FileEntry(hashlib.sha256(content).hexdigest(), len(content), len(table))
        return name

    def _copy(self, key: str, name: str, entry: FileEntry) -> str:
        self._store.copy(key, f"{self._folder}/{name}")
        self._written.files[name] = entry
        return name

    def _next(self, prefix: str) -> str:
        number = sum(name.startswith(prefix) for name in self._written.files)
        return f"{prefix}{number:05d}.parquet"


def put_document(store: ObjectStore, folder: str, name: str, content: bytes) -> FileEntry:
    """Write a file that is not the same in every run, once: the entry describes the bytes that are there."""
    key = f"{folder}/{name}"
    if not store.put_if_absent(key, content):
        content = store.get(key)
    return FileEntry(hashlib.sha256(content).hexdigest(), len(content))


def documents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Give the files below `folder` by their names in it, sorted."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _verified(store: ObjectStore, key: str, entry: FileEntry) -> bytes:
    try:
        content = store.get(key)
    except KeyError:
        content = b""
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise ArtifactRefused(
            f"expected to carry over {store.address(key)}, which is not as it was published.",
            todo="Run `eqn release verify` on the latest release and restore what it names.",
        )
    return content


def _conformed(table: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa

    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _entry(source: Source, parts: list[str], quarantine: list[str]) -> InputEntry:
    found = source.scan
    return InputEntry(
        name=source.file.name,
        sha256=found.digest,
        bytes=Path(source.file.path).stat().st_size,
        rows=found.rows,
        quarantined={reason.value: count for reason, count in sorted(found.quarantined.items()) if count},
        parts=tuple(parts),
        quarantine=tuple(quarantine),
    )
