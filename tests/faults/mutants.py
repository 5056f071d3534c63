"""Seven deliberate mistakes in the protocol, which the tests must catch: MUTANT=name pytest -p tests.faults.mutants ...

Each takes the place of a part of the library, in the tests' process and in those that they start. They are what one
would write who does not know why the protocol is as it is.
"""

import contextlib
import hashlib
import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

from eqn.corpus.reader import Batch
from eqn.errors import CommitUnknown
from eqn.release import commit, parts, plan, publish
from eqn.release.manifest import FileEntry, Manifest
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore
from eqn.store.memory import MemoryStore
from tests.faults import promises

VARIABLE = "MUTANT"


def pytest_configure() -> None:
    """Plant the mutant as pytest starts, being its plugin; what is tried with it is not what the table tells."""
    promises.KEPT = promises.KEPT.with_name("mutants.json")
    plant()


def plant() -> None:
    """Plant the mutant that the environment names, if it does."""
    name = os.environ.get(VARIABLE, "")
    if name:
        MUTANTS[name]()


def append_and_progress_file() -> None:
    """Parts are appended, and a file says how many are done: who dies between the two appends a part twice."""

    def annotate_part(self: Any, batch: Batch) -> str:
        table, progress = batch.table, f"{self._folder}/progress"
        self.batches = getattr(self, "batches", 0) + 1
        done = 0
        with contextlib.suppress(KeyError):
            done = int(self._store.get(progress))
        if self.batches <= done:
            name = self._next("data/part-")
            table = parts.parquet_table(self._store.get(f"{self._folder}/{name}"))
        else:
            there = set(self._store.list(f"{self._folder}/data"))
            while f"{self._folder}/{(name := self._next('data/part-'))}" in there:
                pass
            table = self._engine.start(table, self._plan.schema, uncertainty=False).table(self._report)
            self._put(name, table)
            self._store.put(progress, str(self.batches).encode())
        self._written.summary.add(table)
        return str(name)

    def write(self: Any) -> Any:
        for source in self._plan.sources:
            carried = source.carried
            self._written.inputs.append(self._carry(carried) if carried else self._annotate(source))
        for key in self._store.list(f"{self._folder}/data"):
            content = self._store.get(key)
            entry = FileEntry(hashlib.sha256(content).hexdigest(), len(content), len(parts.parquet_table(content)))
            self._written.files.setdefault(key.removeprefix(f"{self._folder}/"), entry)
        return self._written

    _replace(parts.PartWriter, "_annotate_part", lambda _: annotate_part)
    _replace(parts.PartWriter, "write", lambda _: write)


class _Late:
    """A store that keeps new files to itself until they are sent."""

    def __init__(self, store: ObjectStore) -> None:
        self._store, self._kept = store, MemoryStore()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        return self._kept.put_if_absent(key, content)

    def copy_if_absent(self, source: str, key: str) -> bool:
        return self._kept.put_if_absent(key, self._store.get(source))

    def get(self, key: str) -> bytes:
        return self._kept.get(key) if self._kept.exists(key) else self._store.get(key)

    def list(self, prefix: str) -> Iterator[str]:
        yield from sorted({*self._store.list(prefix), *self._kept.list(prefix)})

    def send(self) -> None:
        for key in self._kept.list(""):
            self._store.put_if_absent(key, self._kept.get(key))


def manifest_first() -> None:
    """The manifest is written, then the files that it names: who dies between the two leaves a torn release."""
    late: list[_Late] = []

    def write(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(store: ObjectStore, *arguments: Any, **options: Any) -> Any:
            late.append(_Late(store))
            return original(late[-1], *arguments, **options)

        return call

    def commit_then_send(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            done = original(*arguments, **options)
            late.pop().send()
            return done

        return call

    _replace(publish, "_write", write)
    _replace(publish, "commit", commit_then_send)
    _replace(commit, "_require_files", lambda _: lambda store, mine: None)


def in_place_shard() -> None:
    """A part is written under its own name, over what is there."""

    def put_if_absent(original: Callable[..., bool]) -> Callable[..., bool]:
        def call(self: DirectoryStore, key: str, content: bytes) -> bool:
            if "/data/" not in key:
                return original(self, key, content)
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            return True

        return call

    _replace(DirectoryStore, "put_if_absent", put_if_absent)


def check_then_rename() -> None:
    """Whether the name is free is looked at first: of two that look at once, both win."""

    def put_if_absent(self: DirectoryStore, key: str, content: bytes) -> bool:
        path = self._path(key)
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".tmp-{secrets.token_hex(8)}")
        temporary.write_bytes(content)
        temporary.rename(path)
        return True

    _replace(DirectoryStore, "put_if_absent", lambda _: put_if_absent)


def no_commit_id_check() -> None:
    """Who is told that the number is taken takes it for an own attempt, of which the answer was lost."""

    def put_once(original: Callable[..., Manifest | None]) -> Callable[..., Manifest]:
        def call(store: ObjectStore, mine: Manifest) -> Manifest:
            original(store, mine)
            return mine

        return call

    _replace(commit, "_put_once", put_once)


def cleanup_on_timeout() -> None:
    """Where no answer came, the attempt is taken for failed, and cleaned up after."""

    def put(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(store: ObjectStore, mine: Manifest) -> Any:
            try:
                return original(store, mine)
            except CommitUnknown:
                for name in mine.files:
                    with contextlib.suppress(Exception):
                        store.delete(f"{mine.path}/{name}")
                raise

        return call

    _replace(commit, "_put", put)


def no_duplicate_check() -> None:
    """Nobody looks whether the work is published already."""

    def nothing(*_: Any, **__: Any) -> None:
        return None

    for module, name in itertools.product((plan, commit), ("find_job", "done_by")):
        if hasattr(module, name):
            _replace(module, name, lambda _: nothing)


MUTANTS: dict[str, Callable[[], None]] = {
    mutant.__name__.replace("_", "-"): mutant
    for mutant in (
        append_and_progress_file,
        manifest_first,
        in_place_shard,
        check_then_rename,
        no_commit_id_check,
        cleanup_on_timeout,
        no_duplicate_check,
    )
}


def _replace(place: Any, name: str, other: Callable[[Any], Any]) -> None:
    """Put something else in the place of a function, of which it is told."""
    setattr(place, name, other(getattr(place, name)))
