"""One file over https, whose content is known beforehand: resumed where it stopped, checked before it has its name.

Until it is whole it grows as `NAME.part`, and the next attempt, also that of a later run, asks the server for the rest
only. Whether the server still has the same file needs no ETag: the pinned digest tells, and what was put together
wrongly is thrown away and fetched once more as a whole.
"""

import contextlib
import dataclasses
import email.utils
import hashlib
import http.client
import ipaddress
import itertools
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import IO, Any

from eqn.errors import ArtifactRefused, EqnError, StoreUnavailable, UsageError
from eqn.store.directory import storage_errors

_BLOCK_BYTES = 64 * 1024
_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses after which the same request may succeed."""
_NO_SUCH_RANGE = 416


@dataclasses.dataclass(frozen=True, slots=True)
class Pin:
    """What a file must be."""

    size: int
    """Bytes."""
    sha256: str

    def holds(self, path: Path) -> bool:
        """Tell whether the file at `path` is this one."""
        return path.is_file() and path.stat().st_size == self.size and _sha256(path) == self.sha256


@dataclasses.dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for."""

    attempts: int = 4
    """Requests for one file before it is given up."""
    first_wait: float = 1.0
    """Seconds before the second request; every further wait is twice as long."""
    longest_wait: float = 60.0
    """A server that asks for a longer wait (Retry-After), in seconds, is given up at once."""
    timeout: float = 30.0
    """Seconds without a byte after which a connection counts as broken."""


PATIENCE = Patience()


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """How far a file has come."""

    file: str
    done: int
    """Bytes."""
    total: int
    """Bytes."""
    note: str = ""
    """Why there is a pause; empty when there is none."""


Report = Callable[[Step], None]


def download(url: str, path: Path, pin: Pin, *, patience: Patience = PATIENCE, report: Report = lambda _: None) -> None:
    """Bring the file `pin` from `url` to `path`; durable once its folder is synced.

    Raises:
        UsageError: there is a file at `path` by now; it stays as it is.
        ArtifactRefused: the server has other content; neither a file nor a part of it is left.
        StoreUnavailable: the server cannot be reached, or sends us on to an address that is not https; what came so
            far is kept for the next call.
        StorageFull: the disk is full; likewise.

    """
    running = _Download(url, path, pin, patience, report)
    with storage_errors(running.part):
        running.run()
        if os.path.lexists(path):
            raise UsageError(f"expected no file {path}; one came while it was downloaded.", todo="Run this again.")
        running.part.rename(path)


def is_secure(url: str) -> bool:
    """Tell whether nobody on the way can read along: https, or a server on this machine.

    >>> [is_secure(url) for url in ("https://example.org/a", "http://127.0.0.1:80/a", "http://example.org/a")]
    [True, True, False]
    """
    return _host(url, "https") is not None or _is_loopback(url)


class _WrongContent(Exception):
    """The server has other content than the pinned one."""


class _Interrupted(Exception):
    """A transfer ended early; the same request may succeed."""

    def __init__(self, why: str, *, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait
        """Seconds the server asks for."""


class _Download:
    """One file on its way from `url` into `part`."""

    def __init__(self, url: str, path: Path, pin: Pin, patience: Patience, report: Report) -> None:
        self._url, self._name, self._pin, self._patience, self._report = url, path.name, pin, patience, report
        self.part = path.with_name(f"{path.name}.part")
        self._pieced = False  # whether the part comes from more than one answer
        self._opener = urllib.request.build_opener(_Redirects())

    def run(self) -> None:
        """Fill the part with the pinned content, synced."""
        try:
            self._complete()
        except _WrongContent as error:
            self._begin_anew()
            if not self._pieced:
                raise _refused(self._url, error) from error
            self._tell("the parts do not fit together; fetching the whole file once more")
            try:
                self._complete()
            except _WrongContent as again:
                self._begin_anew()
                raise _refused(self._url, again) from again

    def _complete(self) -> None:
        for attempt in itertools.count(1):
            try:
                self._transfer()
                break
            except _Interrupted as fault:
                self._wait(attempt, fault)
        with self.part.open("rb") as file:
            os.fsync(file.fileno())
        digest = _sha256(self.part)
        if digest != self._pin.sha256:
            raise _WrongContent(f"expected sha256 {self._pin.sha256}, got {digest}")

    def _wait(self, attempt: int, fault: _Interrupted) -> None:
        """Pause after a failed attempt, unless it was the last one or the server asks for too long a pause."""
        seconds = max(fault.wait, self._patience.first_wait * 2 ** (attempt - 1))
        if fault.wait > self._patience.longest_wait:
            raise _unreachable(self._url, f"{fault} and asks for a pause of {fault.wait:.0f} s") from fault
        if attempt == self._patience.attempts:
            raise _unreachable(self._url, f"{fault}, in the last of {attempt} attempt(s)") from fault
        self._tell(f"{fault}; going on in {seconds:.0f} s")
        time.sleep(seconds)

    def _transfer(self) -> None:
        """Ask for what is missing, and append it."""
        done = self._there()
        self._pieced = done > 0
        if done == self._pin.size:
            return
        with self._asked(done) as answer:
            done = self._taken_up(done, answer)
            with self.part.open("ab" if done else "wb") as file:
                while block := _read(answer, self._url):
                    done += len(block)
                    if done > self._pin.size:
                        raise _WrongContent(f"expected {self._pin.size:,} bytes, got more")
                    file.write(block)
                    self._report(Step(self._name, done, self._pin.size))
        if done < self._pin.size:
            raise _Interrupted("the connection was cut")

    def _asked(self, done: int) -> http.client.HTTPResponse:
        """Request the file from byte `done` on."""
        headers = {"User-Agent": "eqn"} | ({"Range": f"bytes={done}-"} if done else {})
        request = urllib.request.Request(self._url, headers=headers)  # noqa: S310  the caller chose it; see is_secure
        with _network_errors(self._url):
            try:
                answer: http.client.HTTPResponse = self._opener.open(request, timeout=self._patience.timeout)
            except urllib.error.HTTPError as error:
                if error.code == _NO_SUCH_RANGE:
                    self._begin_anew()
                raise
        return answer

    def _taken_up(self, asked: int, answer: http.client.HTTPResponse) -> int:
        """Give the place in the file at which the answer's bytes begin."""
        start = asked
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:  # the server knows no ranges: it sends everything
            start, self._pieced = 0, False
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {asked}-"):
            self._begin_anew()
            raise _Interrupted("the server sent another part than was asked for")
        length = answer.headers.get("Content-Length", "")
        if length.isdecimal() and start + int(length) != self._pin.size:
            raise _WrongContent(f"expected {self._pin.size:,} bytes, got {start + int(length):,}")
        return start

    def _there(self) -> int:
        """Give the size of the part in bytes; one that is too long is of no use."""
        size = self.part.stat().st_size if self.part.exists() else 0
        if size <= self._pin.size:
            return size
        self._begin_anew()
        return 0

    def _begin_anew(self) -> None:
        self.part.unlink(missing_ok=True)

    def _tell(self, note: str) -> None:
        self._report(Step(self._name, self._there(), self._pin.size, note))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to https only; one on this machine also to another one on it."""

    def redirect_request(  # noqa: PLR0917  as urllib calls it
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not is_secure(newurl) or (_is_loopback(newurl) and not _is_loopback(req.full_url)):
            raise _unreachable(req.full_url, f"it sends us on to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _read(answer: http.client.HTTPResponse, url: str) -> bytes:
    with _network_errors(url):
        return answer.read(_BLOCK_BYTES)


@contextlib.contextmanager
def _network_errors(url: str) -> Iterator[None]:
    """Tell what passes (`_Interrupted`) from what does not (StoreUnavailable)."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        said = f"the server says {error.code} {error.reason}".rstrip()
        if error.code in _PASSING | {_NO_SUCH_RANGE}:
            raise _Interrupted(said, wait=_retry_after(error.headers)) from error
        raise _unreachable(url, said) from error
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise _unreachable(url, f"its certificate is not trusted: {reason.verify_message}") from error
        raise _Interrupted(f"the connection failed ({str(reason) or type(reason).__name__})") from error


def _retry_after(headers: Message) -> float:
    """Give the seconds that a server asks for, as a number or a date; 0 when it does not, or nobody can read it."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    try:
        moment = email.utils.parsedate_to_datetime(asked)
    except ValueError:
        return 0.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _is_loopback(url: str) -> bool:
    host = _host(url, "http")
    try:
        return host is not None and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def _host(url: str, scheme: str) -> str | None:
    """Give the host of a URL of this scheme; None when it has another one, or is none."""
    with contextlib.suppress(ValueError):  # a port that is no number
        parts = urllib.parse.urlsplit(url)
        if parts.scheme == scheme and parts.port != 0:
            return parts.hostname or None
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refused(url: str, error: _WrongContent) -> EqnError:
    return ArtifactRefused(
        "expected a file of known content; the one that came is another and was not kept.",
        faults=[f"{url}: {error}"],
        todo="It was changed at its source or on the way. Try another network or another address.",
    )


def _unreachable(url: str, why: str) -> EqnError:
    return StoreUnavailable(
        f"expected to download {url}: {why}.",
        todo="Check the network and run the same command again: it goes on where it stopped.",
    )
