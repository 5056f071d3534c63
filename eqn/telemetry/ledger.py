"""The ledger: what all runs of this state folder have counted, in one small SQLite file.

A run lives for minutes and Prometheus asks whenever it likes, so counts must outlive their process. Each run adds what
it counted in one transaction, every few seconds and at its end: a killed process leaves whole additions, runs at once
take turns, and the file grows with the number of series, not of runs. Nothing waits for the disk: what only a power
failure can damage is started anew.

A run under way holds a lock on a file of its own. The kernel lets go of it when the process ends, however that ends, so
a run whose lock is free was killed, whichever process has its number by now.
"""

import contextlib
import dataclasses
import fcntl
import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from eqn.telemetry.families import OTHER, Labels

_FILE = "ledger-1.sqlite"
_MOST_DATASETS = 100
"""Further ones are counted together: labels must stay few."""
_SECONDS_TO_WAIT = 5.0
"""For other runs' additions, which take milliseconds."""
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_SERIES = """create table if not exists series (
    sample text, dataset text, labels text, value real not null, primary key (sample, dataset, labels)
) without rowid"""
_RUNNING = """create table if not exists running (
    run text primary key, flow text not null, dataset text not null, started real not null
) without rowid"""


@dataclasses.dataclass(slots=True)
class Changes:
    """What a run counted since its last addition."""

    added: dict[tuple[str, str, str], float] = dataclasses.field(default_factory=dict)
    set: dict[tuple[str, str, str], float] = dataclasses.field(default_factory=dict)
    cleared: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """Samples of a dataset that are no longer true, before anything is set."""

    def add(self, sample: str, value: float, **labels: str) -> None:
        """Let a counter grow."""
        key = _key(sample, labels)
        self.added[key] = self.added.get(key, 0.0) + value

    def put(self, sample: str, value: float, **labels: str) -> None:
        """Set a gauge; a value that is no number leaves it as it was."""
        if math.isfinite(value):
            self.set[_key(sample, labels)] = float(value)

    def clear(self, sample: str, dataset: str) -> None:
        """Forget a gauge of `dataset`, with whatever other labels."""
        self.cleared.append((sample, dataset))


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One value as it stands."""

    name: str
    labels: Labels
    value: float


class Entry:
    """A run in the list of those under way."""

    def __init__(self, run: str, path: Path, lock: int, dataset: str) -> None:
        self.run, self.dataset = run, dataset
        self._path, self._lock = path, lock

    def close(self) -> None:
        """Let go of its lock."""
        self._path.unlink(missing_ok=True)
        os.close(self._lock)


class Ledger:
    """The counts in `folder`, which is made when the first run begins."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE
        self._locks = folder / "running"

    def begin(self, run: str, *, flow: str, dataset: str, zeros: Callable[[str], Changes]) -> Entry:
        """Enter a run into the list of those under way; the entry says under which dataset it is to be counted.

        `zeros` gives, for that dataset, the counters that are to stand at 0 until something is added: Prometheus
        cannot tell the growth of a series that it never saw before.

        Raises:
            OSError, sqlite3.Error: the ledger cannot be written.

        """
        self._locks.mkdir(parents=True, exist_ok=True)
        path = self._locks / run
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with self._transaction() as database:
                self._count_killed(database)
                dataset = _counted_as(database, dataset)
                database.execute("insert into running values (?, ?, ?, ?)", (run, flow, dataset, time.time()))
                _apply(database, zeros(dataset))
        except BaseException:
            path.unlink(missing_ok=True)
            os.close(lock)
            raise
        return Entry(run, path, lock, dataset)

    def add(self, changes: Changes, *, ended: Entry | None = None) -> None:
        """Add `changes`, all or none of them, and take the run that `ended` off the list.

        Raises:
            OSError, sqlite3.Error: the ledger cannot be written; nothing was.

        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as database:
            _apply(database, changes)
            if ended is not None:
                database.execute("delete from running where run = ?", (ended.run,))

    def read(self) -> list[Sample]:
        """Give every value as it stands, after runs that were killed have been counted as such.

        Raises:
            OSError, sqlite3.Error: the ledger cannot be read.

        """
        try:
            self.path.stat()
        except FileNotFoundError:  # no run yet
            return []
        with self._transaction() as database:
            self._count_killed(database)
            kept = [
                Sample(name, {"dataset": dataset} | json.loads(labels), value)
                for name, dataset, labels, value in database.execute(
                    "select sample, dataset, labels, value from series"
                )
            ]
            running = database.execute("select dataset, flow, count(*), min(started) from running group by 1, 2")
            for dataset, flow, runs, started in running:
                labels = {"dataset": dataset, "flow": flow}
                kept.append(Sample("eqn_runs_running", labels, runs))
                kept.append(Sample("eqn_oldest_run_started_timestamp_seconds", labels, started))
        return kept

    def _count_killed(self, database: sqlite3.Connection) -> None:
        for run, flow, dataset in database.execute("select run, flow, dataset from running").fetchall():
            if not _is_held(self._locks / run):
                changes = Changes()
                changes.add("eqn_runs_total", 1, dataset=dataset, flow=flow, outcome="killed")
                _apply(database, changes)
                database.execute("delete from running where run = ?", (run,))
                (self._locks / run).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Give a connection of this call alone: it may come from any thread, and after a fork."""
        with contextlib.closing(self._connected()) as database:
            try:
                yield database
            except BaseException:
                database.execute("rollback")
                raise
            database.execute("commit")

    def _connected(self) -> sqlite3.Connection:
        """Open the ledger and begin a transaction; one that is damaged makes room for a new one."""
        try:
            return self._begun()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in _DAMAGED:
                raise
            self.path.replace(self.path.with_suffix(".damaged"))
            return self._begun()

    def _begun(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=_SECONDS_TO_WAIT, isolation_level=None)
        try:
            database.execute("pragma synchronous = off")
            database.execute("begin immediate")
            database.execute(_SERIES)
            database.execute(_RUNNING)
        except BaseException:
            database.close()
            raise
        return database


def _apply(database: sqlite3.Connection, changes: Changes) -> None:
    database.executemany("delete from series where sample = ? and dataset = ?", changes.cleared)
    rule = "insert into series values (?, ?, ?, ?) on conflict do update set value = {} excluded.value"
    database.executemany(rule.format("value +"), [(*key, value) for key, value in changes.added.items()])
    database.executemany(rule.format(""), [(*key, value) for key, value in changes.set.items()])


def _key(sample: str, labels: dict[str, str]) -> tuple[str, str, str]:
    others = {name: value for name, value in labels.items() if name != "dataset"}
    return sample, labels.get("dataset", ""), json.dumps(others, sort_keys=True)


def _counted_as(database: sqlite3.Connection, dataset: str) -> str:
    known = {name for (name,) in database.execute("select distinct dataset from series")}
    return dataset if dataset in known or len(known) < _MOST_DATASETS else OTHER


def _is_held(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
