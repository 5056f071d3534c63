"""PostgreSQL: its programs, a cluster of our own, and a role with a database for each server."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from eqn.errors import StoreUnavailable
from infra.stack.health import did_not_start
from infra.stack.places import PROJECT, Memory, Places

_SCRIPT = PROJECT / "infra" / "services" / "postgres.sh"
_ACCOUNT = "postgres"
_HOME = Path("/var/lib/postgresql")
_SERVERS = ("prefect", "mlflow")
_SECONDS_TO_START = 120.0
_SECONDS_TO_RECOVER = 20.0
"""What a killed server leaves behind may keep the next one from starting for a moment."""

_SETTINGS = """
# --- EQN's stack
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
password_encryption = scram-sha-256
jit = off
"""
_ACCESS = """# Whoever comes by this machine's own network, with a password.
host all all 127.0.0.1/32 scram-sha-256
"""


def programs() -> Path:
    """Give the folder of PostgreSQL's programs; Debian's package is installed where it is missing and we may.

    Raises:
        StoreUnavailable: it is missing and cannot be had.

    """
    done = subprocess.run([str(_SCRIPT)], capture_output=True, text=True, check=False)  # noqa: S603  our own script
    if done.returncode:
        raise StoreUnavailable("PostgreSQL cannot be had.", faults=done.stderr.strip().splitlines()[-3:])
    return Path(done.stdout.strip())


def account() -> str:
    """Give the account that PostgreSQL must run as, which refuses to be root; nothing stands for our own."""
    return _ACCOUNT if os.geteuid() == 0 else ""


def create_cluster(binaries: Path, places: Places, memory: Memory, password: str) -> None:
    """Create the cluster, unless there is one, and note where it is in `memory`.

    It lies in the state folder, or, where PostgreSQL's account may not enter that, in the account's own.

    Raises:
        StoreUnavailable: it cannot be created.

    """
    if memory.cluster and Path(memory.cluster, "PG_VERSION").exists():
        _require_same_version(binaries, Path(memory.cluster))
        return
    folder = places.postgres if _may_enter(places.root) else _HOME / f"eqn-{memory.identity}"
    shutil.rmtree(folder, ignore_errors=True)  # what a creation that broke off has left
    folder.mkdir(mode=0o700)
    if account():
        entry = pwd.getpwnam(account())
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    cluster = folder / "cluster"
    with _readable_secret(folder, password) as file:
        options = ["--auth=scram-sha-256", f"--pwfile={file}", "--username=postgres", "--encoding=UTF8", "--locale=C"]
        done = _run([str(binaries / "initdb"), "--pgdata", str(cluster), *options])
    if done.returncode:
        raise StoreUnavailable(
            "expected PostgreSQL's initdb to create a cluster; it did not.",
            faults=(done.stderr or done.stdout).strip().splitlines()[-3:],
        )
    with (cluster / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write(_SETTINGS)
    (cluster / "pg_hba.conf").write_text(_ACCESS, "utf-8")
    memory.cluster = str(cluster)


def await_answers(places: Places, memory: Memory, password: str, *, struggles: Callable[[], bool]) -> None:
    """Wait until PostgreSQL answers; not for long while it `struggles`: starts, ends and is started again.

    Raises:
        StoreUnavailable: it does not, or it refuses our password.

    """
    import psycopg2  # type: ignore[import-untyped]

    began = time.monotonic()
    while True:
        try:
            _connect(memory, password).close()
        except psycopg2.OperationalError as error:
            if "authentication failed" in str(error):
                raise StoreUnavailable(
                    "PostgreSQL refuses the password in the stack's secrets.",
                    todo="The secrets and the cluster do not belong together: restore the one or move the other away.",
                ) from error
            patience = _SECONDS_TO_RECOVER if struggles() else _SECONDS_TO_START
            if time.monotonic() > began + patience:
                raise did_not_start(places, "postgres") from error
            time.sleep(0.2)
        else:
            return


def create_databases(memory: Memory, passwords: Mapping[str, str]) -> None:
    """Create a role and its database for each server, and set the role's password."""
    from psycopg2 import extensions, sql

    with contextlib.closing(_connect(memory, passwords["postgres"])) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for name in _SERVERS:
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
                verb = "ALTER" if cursor.fetchone() else "CREATE"
                # Only the verifier travels, so that no log can hold the password.
                verifier = extensions.encrypt_password(passwords[name], name, connection, "scram-sha-256")
                role = sql.SQL("{verb} ROLE {name} LOGIN PASSWORD {password}")
                cursor.execute(
                    role.format(verb=sql.SQL(verb), name=sql.Identifier(name), password=sql.Literal(verifier))
                )
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
                if not cursor.fetchone():
                    cursor.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
                    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))


def end_left_over(memory: Memory) -> None:
    """End a server that lost its supervisord: the one that works in our cluster."""
    try:
        pid = int(Path(memory.cluster, "postmaster.pid").read_text("utf-8").split()[0])
        handle = os.pidfd_open(pid)
    except (OSError, ValueError, IndexError):
        return
    try:
        if memory.cluster and Path(f"/proc/{pid}/cwd").resolve() == Path(memory.cluster).resolve():
            signal.pidfd_send_signal(handle, signal.SIGINT)
            deadline = time.monotonic() + 20
            while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
                time.sleep(0.1)
    except OSError:  # gone meanwhile
        pass
    finally:
        os.close(handle)


def _connect(memory: Memory, password: str) -> Any:
    import psycopg2

    return psycopg2.connect(
        host="127.0.0.1",
        port=memory.ports["postgres"],
        user="postgres",
        password=password,
        dbname="postgres",
        sslmode="disable",
        connect_timeout=5,
    )


def _require_same_version(binaries: Path, cluster: Path) -> None:
    made_by = (cluster / "PG_VERSION").read_text("utf-8").strip()
    said = _run([str(binaries / "postgres"), "--version"]).stdout  # postgres (PostgreSQL) 15.14 (...)
    if f") {made_by}." not in said:
        raise StoreUnavailable(
            f"the cluster {cluster} was made by PostgreSQL {made_by}, this is: {said.strip()}.",
            todo=f"Install PostgreSQL {made_by}, or let pg_upgrade convert the cluster.",
        )


def _may_enter(folder: Path) -> bool:
    return not _run(["test", "-x", str(folder)]).returncode


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run `command` as PostgreSQL's account, in a folder that everybody may enter."""
    return subprocess.run(  # noqa: S603  our own programs
        command,
        user=account() or None,
        group=account() or None,
        extra_groups=[] if account() else None,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )


@contextlib.contextmanager
def _readable_secret(folder: Path, secret: str) -> Iterator[Path]:
    """Give a file with `secret` that PostgreSQL's account may read, for as long as it takes."""
    descriptor, name = tempfile.mkstemp(dir=folder)  # only its owner may read it
    file = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(secret)
        if account():
            entry = pwd.getpwnam(account())
            os.chown(file, entry.pw_uid, entry.pw_gid)
        yield file
    finally:
        file.unlink(missing_ok=True)
