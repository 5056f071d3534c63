"""MLflow's database: a SQLite file is created whole or not at all, a server is asked for a sign of life.

MLflow creates its tables in place, and several processes that do so at once break the file. Here one process at a
time fills a file beside it, which takes the final name when it is complete.
"""

import contextlib
import fcntl
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from eqn.errors import StoreUnavailable, UsageError

_FIRST_ANSWER_SECONDS = 5
_REFUSED = ("authentication failed", "access denied", "no pg_hba.conf entry", "login failed", "permission denied")
"""PostgreSQL's, MySQL's and SQL Server's words."""


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


def require_answer(address: str) -> None:
    """Connect to a database server once: MLflow itself would try ten times, for more than a minute.

    Raises:
        StoreUnavailable: it does not answer, or refuses us.

    """
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import InterfaceError, OperationalError
    from sqlalchemy.pool import NullPool

    url = make_url(address)
    # The drivers of SQL Server call it otherwise.
    patience = {} if url.get_backend_name() == "mssql" else {"connect_timeout": _FIRST_ANSWER_SECONDS}
    engine = create_engine(url, poolclass=NullPool, connect_args=patience)
    try:
        with engine.connect():
            pass
    except (OperationalError, InterfaceError) as error:
        shown = url.render_as_string(hide_password=True)
        told = " ".join(str(error.orig).split())
        if any(words in told.lower() for words in _REFUSED):
            raise StoreUnavailable(
                f"MLflow's database at {shown} refuses access: {told}",
                todo="Check the user and the password in EQN_TRACKING_URI.",
                lasting=True,
            ) from error
        raise StoreUnavailable(
            f"MLflow's database at {shown} cannot be reached: {told}",
            todo="Start it or correct EQN_TRACKING_URI; without it EQN tracks in its state folder.",
        ) from error


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
