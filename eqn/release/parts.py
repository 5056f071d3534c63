"""The files of a release: annotate what is new, carry over what is not, keep what an interrupted run already wrote."""

import collections
import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from eqn.annotation.columns import conformed, renamed
from eqn.annotation.engine import Engine, Report, Running
from eqn.annotation.shards import is_as_written, parquet_bytes, parquet_table
from eqn.corpus.quarantine import quarantine_table
from eqn.corpus.reader import Batch
from eqn.failpoints import reached
from eqn.release.catalog import not_as_published, published_file
from eqn.release.manifest import FileEntry, InputEntry, Manifest
from eqn.release.plan import Plan, Source
from eqn.release.summary import Summary
from eqn.store.interface import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa


def unheard(rows: int, tokens: int) -> None:
    """Hear nothing."""


@dataclasses.dataclass(slots=True)
class Written:
    """What is in the job's folder so far."""

    files: dict[str, FileEntry] = dataclasses.field(default_factory=dict)
    inputs: list[InputEntry] = dataclasses.field(default_factory=list)
    summary: Summary = dataclasses.field(default_factory=Summary)


@dataclasses.dataclass(frozen=True, slots=True)
class _Waiting:
    """A part that is being annotated."""

    name: str
    holds: "Callable[[pa.Table], bool]"
    """Whether a table is of this part's rows."""
    running: Running


class FolderUnusable(Exception):
    """A folder holds a file that is not this job's, or not as it was written; another folder must be taken.

    Damage, inputs that changed while an earlier run read them, another version of pyarrow: whoever wrote the file may
    have published it meanwhile, so it is neither replaced nor removed.
    """


class PartWriter:
    """Writes the data and quarantine files of one job into a folder, given by its key."""

    def __init__(self, store: ObjectStore, plan: Plan, folder: str, *, engine: Engine, report: Report) -> None:
        self._store, self._plan, self._engine, self._report = store, plan, engine, report
        self._folder = folder
        self._written = Written(summary=Summary(uncertainty=plan.uncertainty))
        self._numbers: collections.Counter[str] = collections.Counter()
        self._waiting: collections.deque[_Waiting] = collections.deque()

    def write(self) -> Written:
        """Write every part of every input, in order, and give what was written.

        Raises:
            FolderUnusable: other files are in the place of some, or beside them.

        """
        try:
            for source in self._plan.sources:
                self._written.inputs.append(self._carry(source.carried) if source.carried else self._annotate(source))
            self._finish(all_but=0)
        finally:
            for waiting in self._waiting:  # after an error
                waiting.running.cancel()
        for folder in ("data", "quarantine"):
            for key in self._store.list(f"{self._folder}/{folder}"):
                # Readers take every file of the folder for data.
                if key.removeprefix(f"{self._folder}/") not in self._written.files:
                    raise FolderUnusable(key)
        return self._written

    def _annotate(self, source: Source) -> InputEntry:
        parts, quarantine = [], []
        for batch in self._plan.batches(source):
            if len(batch.table):
                parts.append(self._annotate_part(batch))
            if batch.quarantined:
                table = quarantine_table(source.file.name, batch.quarantined)
                name = self._next("quarantine/quarantine-")
                self._put(name, table)
                quarantine.append(name)
        return _entry(source, parts, quarantine, size=Path(source.file.path).stat().st_size)

    def _annotate_part(self, batch: Batch) -> str:
        """Annotate `batch`, unless a killed run of the same job left the part whole and with these very rows."""
        plan = self._plan
        name, given = self._next("data/part-"), renamed(batch.table, uncertainty=plan.uncertainty)

        def holds(table: "pa.Table") -> bool:
            return _holds(table, given)

        table = self._take(name, plan.schema, holds)
        if table is None:
            running = self._engine.start(batch.table, plan.schema, uncertainty=plan.uncertainty)
            self._waiting.append(_Waiting(name, holds, running))
            self._finish(all_but=self._engine.in_flight - 1)
        else:
            self._finish(all_but=0)  # sums are made in the order of the parts, so that they round as ever
            self._report(len(table), 0)
            self._written.summary.add(table)
        return name

    def _finish(self, *, all_but: int) -> None:
        """Wait for the parts under way and write them, oldest first, until so many are left."""
        while len(self._waiting) > all_but:
            waiting = self._waiting[0]
            table = self._put(waiting.name, waiting.running.table(self._report), waiting.holds)
            self._waiting.popleft()
            self._written.summary.add(table)

    def _carry(self, carried: InputEntry) -> InputEntry:
        """Take over the parts that the previous release made of the same file."""
        previous = self._plan.previous
        assert previous is not None  # noqa: S101  for the type checker: nothing is carried from nowhere
        self._finish(all_but=0)
        parts, quarantine = [], []
        for old in carried.parts:
            name, table = self._next("data/part-"), parquet_table(published_file(self._store, previous, old))
            if table.schema.equals(self._plan.schema):
                self._copy(previous, old, name, table)
            else:  # another input brought or took a column
                table = conformed(table, self._plan.schema)
                self._put(name, table)
            parts.append(name)
            self._written.summary.add(table)
        for old in carried.quarantine:
            name = self._next("quarantine/quarantine-")
            self._copy(previous, old, name, parquet_table(published_file(self._store, previous, old)))
            quarantine.append(name)
        return dataclasses.replace(carried, parts=tuple(parts), quarantine=tuple(quarantine))

    def _take(
        self, name: str, schema: "pa.Schema", holds: "Callable[[pa.Table], bool]", *, sha256: str = ""
    ) -> "pa.Table | None":
        """Note the part that is there already and give it; None where there is none.

        It is taken when it has this `sha256`, or `holds` says so of its rows and every byte is as it was written.

        Raises:
            FolderUnusable: what is there is not whole, or does not hold what it should.

        """
        key = f"{self._folder}/{name}"
        try:
            content = self._store.get(key)
        except KeyError:
            return None
        try:
            table = parquet_table(content)
            usable = table.schema.equals(schema)
            if usable:
                table = conformed(table, schema)  # equal types may yet be written differently
                usable = hashlib.sha256(content).hexdigest() == sha256 or (
                    holds(table) and is_as_written(content, table)
                )
        except (OSError, ValueError) as error:
            raise FolderUnusable(key) from error
        if not usable:
            raise FolderUnusable(key)
        self._note(name, content, len(table))
        return table

    def _put(self, name: str, table: "pa.Table", holds: "Callable[[pa.Table], bool] | None" = None) -> "pa.Table":
        """Write a part and give it, or the one that a rival with the same job wrote first: it may be published by now.

        Raises:
            FolderUnusable: another file is in its place.

        """
        content = parquet_bytes(table)
        if not self._store.put_if_absent(f"{self._folder}/{name}", content):
            holds = holds or (lambda there: _holds(there, table))
            there = self._take(name, table.schema, holds, sha256=hashlib.sha256(content).hexdigest())
            if there is not None:
                return there
            raise FolderUnusable(name)  # gone since then: somebody cleans up
        reached("publish.part-written")
        self._note(name, content, len(table))
        return table

    def _copy(self, previous: Manifest, old: str, name: str, table: "pa.Table") -> None:
        """Take over a file of the previous release, or the equal one that is there."""
        key, entry = f"{previous.path}/{old}", previous.files[old]
        try:
            copied = self._store.copy_if_absent(key, f"{self._folder}/{name}")
        except KeyError:
            raise not_as_published(self._store, key) from None
        if copied:
            reached("publish.part-copied")
            self._written.files[name] = entry
        elif self._take(name, table.schema, lambda there: _holds(there, table), sha256=entry.sha256) is None:
            raise FolderUnusable(name)

    def _note(self, name: str, content: bytes, rows: int) -> None:
        self._written.files[name] = FileEntry(hashlib.sha256(content).hexdigest(), len(content), rows)

    def _next(self, prefix: str) -> str:
        self._numbers[prefix] += 1
        return f"{prefix}{self._numbers[prefix] - 1:05d}.parquet"


def put_document(store: ObjectStore, folder: str, name: str, content: bytes, *, always_equal: bool) -> FileEntry:
    """Write a file once: the entry describes the bytes that are there, which a run of the same job may have written.

    Raises:
        FolderUnusable: other bytes are there, and the file is `always_equal`; or it comes and goes.

    """
    key = f"{folder}/{name}"
    if not store.put_if_absent(key, content):
        try:
            there = store.get(key)
        except KeyError:
            raise FolderUnusable(key) from None
        if always_equal and there != content:
            raise FolderUnusable(key)
        content = there
    return FileEntry(hashlib.sha256(content).hexdigest(), len(content))


def documents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Give the files below `folder` by their names in it, sorted."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _holds(table: "pa.Table", given: "pa.Table") -> bool:
    """Tell whether `table` has the columns of `given` with their very values."""
    import pyarrow as pa

    columns = table.select(given.column_names)
    wanted = conformed(given, pa.schema(columns.schema))
    # As bytes, in which a NaN equals itself, inside of lists too.
    return parquet_bytes(columns.combine_chunks()) == parquet_bytes(wanted.combine_chunks())


def _entry(source: Source, parts: list[str], quarantine: list[str], *, size: int) -> InputEntry:
    found = source.scan
    return InputEntry(
        name=source.file.name,
        sha256=found.digest,
        bytes=size,
        rows=found.rows,
        quarantined=source.counts,
        parts=tuple(parts),
        quarantine=tuple(quarantine),
    )
