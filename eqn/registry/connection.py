"""The one way to MLflow: quiet, addressed explicitly, its errors told in EQN's words.

MLflow keeps a tracking address, an active run and a registry address in process-wide state. EQN uses none of them:
every call goes through a client that was given its address. What MLflow reads from the environment only (telemetry,
progress bars, retries) is set before it is imported, and only where nobody has set it.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from eqn.errors import EqnError, StorageFull, StoreUnavailable, UsageError
from eqn.settings import Settings, secrets_in_environment
from eqn.store.s3_errors import without_user
from eqn.telemetry.redaction import masked, presentable, without

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # errors are raised, and reported once, by us
    "MLFLOW_UV_AUTO_DETECT": "false",  # or a uv.lock in the working directory would travel with the model
    # MLflow's own 7 retries with doubled pauses keep a person waiting for minutes. With these a server that hangs
    # costs half a minute, one that answers 500 a few seconds.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_TRANSFER_SECONDS = "60"
"""The server answers an upload when its own storage has taken the file."""
_FIRST_ANSWER_SECONDS = 5
_SERVERS = ("http", "https")
_DATABASES = ("postgresql", "mysql", "mssql")
_FULL = ("database or disk is full", "no space left on device")
_REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")
_UNAVAILABLE = (
    "API request to",
    "database is locked",
    "unable to open database file",
    "readonly database",
    "disk I/O error",
)
_REASONS = {
    "Connection refused": "nothing listens there.",
    "timed out": "no answer came in time.",
    "Failed to resolve": "no machine has that name.",
    "Connection reset": "the connection was cut.",
    "Connection aborted": "the connection was cut.",
}
"""What libraries say of a server, and what it means."""

_PASSWORD = re.compile(r"(//[^/@:\s]*):[^/@\s]*@")


def connect(settings: Settings) -> "MlflowClient":
    """Give a client for the tracking server or database in `settings`, created first where it is a SQLite file.

    Raises:
        StoreUnavailable: the server does not answer, or refuses us.
        StorageFull: there is no space for the database.
        UsageError: the address is of a kind that EQN does not take.

    """
    address = settings.tracking_uri
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with translated(address):
        from mlflow import MlflowClient

        from eqn.registry import database

        scheme = _scheme(address)
        if scheme in _SERVERS:
            _require_answer(address)
        elif scheme == "sqlite":
            database.ensure(address)
        elif scheme in _DATABASES:
            database.require_answer(address)
        else:
            raise UsageError(
                f"expected an http(s) server, SQLite or another database as MLflow's address, got {shown(address)!r}.",
                todo="Correct EQN_TRACKING_URI, for example http://127.0.0.1:5000.",
            )
        return MlflowClient(tracking_uri=address, registry_uri=address)


def artifact_root(settings: Settings) -> str | None:
    """Give the place for a new experiment's artifacts; None leaves it to the server."""
    return None if urlsplit(settings.tracking_uri).scheme in _SERVERS else str(settings.artifacts)


def shown(text: str) -> str:
    """Give an address, or a text with addresses in it, as it may be printed: without passwords and other secrets."""
    secrets = secrets_in_environment()
    return masked(_PASSWORD.sub(r"\1:***@", without(text, secrets)), secrets)


@contextlib.contextmanager
def translated(address: str) -> Iterator[None]:
    """Turn the errors of MLflow, of its database and of its network into EQN's; leave those that it cannot place."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        ours = _in_our_words(error, shown(address))
        if ours is None:
            raise
        raise ours from presentable(error)


@contextlib.contextmanager
def transferring(address: str) -> Iterator[None]:
    """Translate errors as `translated` does, and wait longer for each answer: whole files go back and forth."""
    chosen = os.environ.get(_TIMEOUT)
    if chosen == _ENVIRONMENT[_TIMEOUT]:
        os.environ[_TIMEOUT] = _TRANSFER_SECONDS
    try:
        with translated(address):
            yield
    finally:
        if chosen == _ENVIRONMENT[_TIMEOUT]:
            os.environ[_TIMEOUT] = chosen


def _scheme(address: str) -> str:
    """Give the kind of server or database, once the address can be taken apart.

    Raises:
        UsageError: it cannot; errors of libraries are left out, as they may repeat a password.

    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parts = urlsplit(address)
        scheme, _ = parts.scheme.partition("+")[0], parts.port
        if scheme in _DATABASES:
            make_url(address)
    except (ValueError, ArgumentError):
        raise UsageError(
            f"expected MLflow's address as SCHEME://HOST:PORT, got {without_user(address)!r} (its user left out).",
            todo="Correct EQN_TRACKING_URI; in a password, / and @ and : are written as %2F, %40 and %3A.",
        ) from None
    return scheme


def _require_answer(address: str) -> None:
    """Ask the server for a sign of life, so that a wrong address costs seconds and not minutes."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    credentials = get_default_host_creds(address)
    # A gateway may not serve /health: any answer at all will do here.
    http_request(credentials, "/health", "GET", max_retries=0, timeout=_FIRST_ANSWER_SECONDS, raise_on_status=False)


def _in_our_words(error: Exception, address: str) -> EqnError | None:
    text = shown(str(error))
    code = str(getattr(error, "error_code", ""))
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if any(words in text.lower() for words in _FULL) or getattr(error, "errno", 0) in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull(
            f"no space is left for what MLflow at {address} keeps or delivers.", todo="Free some space and run again."
        )
    if "out-of-date database schema" in text:
        return UsageError(
            f"MLflow's database {address} was written by another version of MLflow.",
            todo=f"Copy the database as a backup, then run: mlflow db upgrade {address}",
        )
    if code in _REFUSED or status in {401, 403} or isinstance(error, PermissionError):
        return StoreUnavailable(
            f"MLflow at {address} refuses access: {_first_line(text)}",
            todo="Check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN); for a file, "
            "its permissions.",
            lasting=True,
        )
    if any(words in text for words in _UNAVAILABLE) or code == "TEMPORARILY_UNAVAILABLE" or _is_network(error):
        return StoreUnavailable(
            f"MLflow at {address} cannot be reached: {_why(text)}",
            todo="Start the server or correct EQN_TRACKING_URI; without it EQN tracks in its state folder.",
        )
    return None


def _is_network(error: Exception) -> bool:
    from requests import RequestException

    return isinstance(error, RequestException | ConnectionError | TimeoutError)


def _why(text: str) -> str:
    """Give the reason in a few words where one is known; what libraries wrap around it helps nobody."""
    return next((words for sign, words in _REASONS.items() if sign in text), _first_line(text))


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
