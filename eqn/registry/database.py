"""MLflow's SQLite file, created whole or not at all.

MLflow creates its tables in place, and several processes that do so at once break the file. Here one process at a
time fills a file beside it, which takes the final name when it is complete.
"""

import contextlib
import fcntl
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from eqn.errors import UsageError


def ensure(address: str) -> None:
    """Create the database at a `sqlite:///` address, and its folder, unless it is there.

    Raises:
        UsageError: the address names no file, or a file that is no SQLite database.

    """
    from sqlalchemy import make_url

    name = make_url(address).database
    if not name or name == ":memory:":
        raise UsageError(f"expected a file in MLflow's address, got {address!r}.", todo="Correct EQN_TRACKING_URI.")
    path = Path(name)
    if _is_missing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(path.with_name(f"{path.name}.lock")):
            if _is_missing(path):
                _create(path)
    _require_sqlite(path)


def is_absent(address: str) -> bool:
    """Tell whether `address` is that of a SQLite file which nobody has made yet: then nothing is in it.

    Needs none of MLflow's packages, which take seconds to import.
    """
    kind, separator, name = address.partition(":///")
    return kind == "sqlite" and bool(separator and name) and _is_missing(Path(name))


def _is_missing(path: Path) -> bool:
    return not path.exists() or (path.is_file() and path.stat().st_size == 0)


def _create(path: Path) -> None:
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    temporary = path.with_name(f".tmp-{secrets.token_hex(8)}")
    try:
        engine = create_sqlalchemy_engine(f"sqlite:///{temporary}")
        try:
            _initialize_tables(engine)
        finally:
            engine.dispose()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        temporary.with_name(f"{temporary.name}-journal").unlink(missing_ok=True)


def _require_sqlite(path: Path) -> None:
    """Read the file's header: MLflow itself would try ten times, for more than a minute."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError as error:
        # Locked for a moment, or not readable: MLflow's own words for it are translated by the caller.
        raise OSError(f"{error}: {path}") from error
    except sqlite3.DatabaseError as error:
        raise UsageError(
            f"expected MLflow's SQLite database in {path}; the file is something else.",
            todo="Move the file away or correct EQN_TRACKING_URI.",
        ) from error


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
