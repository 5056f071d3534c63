"""A store in a bucket of S3, or of any service that speaks its protocol.

An object is built and hashed here, then put in one request: never in parts, never from a stream, so that what a broken
writer leaves is nothing. What is read is held against the length and, where it is one, the MD5 that the service states.
What a service says that it stored is held against what it was given, and where that differs it is put anew: a damaged
object that this very call has made stands for nothing, and must not stay.
An object that is taken over is copied by the service itself, if that has proved that it keeps to the same condition.

When the answer to an applied write is lost, the client asks again and meets its own object: `put_if_absent` then says
False, and says so on purpose. Only the content can tell whose it is: a manifest carries a commit id for that.
"""

import base64
import builtins
import contextlib
import dataclasses
import hashlib
import io
import mimetypes
import os
import random
import re
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from eqn.errors import StoreUnavailable, UsageError
from eqn.store.copies import fault_of_copies
from eqn.store.directory import storage_errors
from eqn.store.interface import check_key, is_key
from eqn.store.s3_errors import NOT_THERE, code_of, invalid_bucket, no_s3, status_of, translated, without_user

SECONDS_TO_CONNECT = 5.0
SECONDS_TO_ANSWER = 30.0
"""Longest silence of the service, while it is asked and while it sends."""
ATTEMPTS = 5
"""Requests that are made before a service that cannot be reached, or is overloaded, is given up."""
CONNECTIONS = 32
"""Connections kept open: as many threads may share a store without waiting for each other."""
LARGEST_COPY = 5 * 10**9
"""Bytes that S3 copies in one request."""

_CONFLICTS = 10
"""Times that a put is tried again while others write the same key."""
_READS = 4
"""Times that a body is asked for before it counts as damaged."""
_WRITES = 4
"""Times that a body is sent before the service that stores other bytes is given up."""
_CHUNK = 1 << 20
_LONGEST_PAUSE = 2.0
_BUCKET = re.compile(r"[a-zA-Z0-9._-]{1,255}")
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as a listing shows it."""

    key: str
    """Its key in the store."""
    etag: str
    """The service's mark of its content: other content, other mark."""
    size: int
    """Bytes."""


class S3Store:
    """An `ObjectStore` whose keys are objects below `prefix` in `bucket`. Threads may share it."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self.bucket = bucket
        self.prefix = prefix
        self._start = f"{check_key(prefix)}/" if prefix else ""
        self._lock = threading.Lock()
        self._connected: Any = None
        self._trial = threading.Lock()
        self._fault_of_copies: str | None = None

    def __repr__(self) -> str:
        return f"S3Store({self._shown()!r})"

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write `content` unless the key exists; True when this call wrote it, for certain.

        False may also mean that it wrote it and the answer was lost.
        """
        return self._put(key, content, IfNoneMatch="*")

    def put(self, key: str, content: bytes) -> None:
        """Write `content` under `key`, replacing what was there in one step."""
        self._put(key, content)

    def copy_if_absent(self, source: str, key: str) -> bool:
        """Give the bytes of `source` to `key` unless that exists; True when this call did, for certain.

        The service copies where it can be trusted to; else, and whatever it refuses to copy, is read and put. False may
        also mean that this call did and the answer was lost.
        """
        for each in (source, key):
            check_key(each)
        copied = None if source == key or self.fault_of_copies() else self._copy(source, key)
        return self.put_if_absent(key, self.get(source)) if copied is None else copied

    def fault_of_copies(self) -> str:
        """Say what speaks against letting the service make copies by itself; "" when nothing does.

        This is tried once, on scratch keys, when it is asked for first.
        """
        with self._trial:
            if self._fault_of_copies is None:
                self._fault_of_copies = fault_of_copies(self, self._copy)
            return self._fault_of_copies

    def get(self, key: str) -> bytes:
        """Read a key; KeyError when it is not there."""
        content = io.BytesIO()
        self._receive(key, content)
        return content.getvalue()

    def download(self, key: str, path: Path) -> str:
        """Write the bytes of a key into the file `path` and give their ETag; KeyError when the key is not there."""
        with storage_errors(path), path.open("wb") as file:
            etag = self._receive(key, file)
            file.flush()
            os.fsync(file.fileno())
            return etag

    def exists(self, key: str) -> bool:
        """Tell whether the key is there."""
        return self.find(key) is not None

    def find(self, key: str) -> StoredObject | None:
        """Give what a listing shows of one key; None when it is not there."""
        # HEAD answers without a body: there a missing bucket looks like a missing key, and any refusal like another.
        page = next(self._pages(check_key(key), MaxKeys=1))
        return next((entry for entry in self._entries(page) if entry.key == key), None)

    def list(self, prefix: str) -> Iterator[str]:
        """Give the keys under the folder `prefix`, sorted; with "" all of them."""
        yield from (entry.key for entry in self.objects(prefix) if is_key(entry.key))

    def objects(self, prefix: str) -> builtins.list[StoredObject]:
        """Give what lies under the folder `prefix`, sorted by key, strangers' objects with odd names too.

        Keys that end with a slash are left out: they are how some tools draw a folder.
        """
        folder = f"{check_key(prefix.rstrip('/'))}/" if prefix else ""
        entries = (entry for page in self._pages(folder) for entry in self._entries(page))
        return sorted(
            (entry for entry in entries if entry.key and not entry.key.endswith("/")), key=lambda entry: entry.key
        )

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Give the names of the folders directly below the folder `prefix`, sorted."""
        folder = f"{check_key(prefix)}/" if prefix else ""
        pages = self._pages(folder, Delimiter="/")
        found = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
        names = (name.removeprefix(self._start + folder).removesuffix("/") for name in found)
        yield from sorted(name for name in names if is_key(name))

    def delete(self, key: str) -> None:
        """Remove a key; a missing one is no error."""
        wanted = self._object(key)
        with self._client(key) as client:
            client.delete_object(Bucket=self.bucket, Key=wanted)

    def age(self, key: str) -> float:
        """Give the seconds since the key was written, both times by the service's clock; KeyError without it."""
        page = next(self._pages(check_key(key), MaxKeys=1))
        times = [entry["LastModified"] for entry in page.get("Contents", []) if entry["Key"] == self._object(key)]
        if not times:
            raise KeyError(key)
        now = page["ResponseMetadata"]["HTTPHeaders"].get("date")
        if now is None:
            raise no_s3(self._shown(key))
        return max(0.0, float((parsedate_to_datetime(now) - times[0]).total_seconds()))

    def sweep(self, prefix: str, *, older_than: float) -> int:  # noqa: ARG002  as in every store
        """Nothing is ever left here: an object is put in one request."""
        return 0

    def address(self, key: str) -> str:
        """Give the key's URL."""
        return self._shown(check_key(key))

    def _object(self, key: str) -> str:
        return self._start + check_key(key)

    def _shown(self, key: str = "") -> str:
        return f"s3://{self.bucket}/{self._start}{key}".rstrip("/")

    def _put(self, key: str, content: bytes, **condition: str) -> bool:
        """Put an object in one request; False when the condition does not hold."""
        wanted, damaged = self._object(key), 0
        md5 = hashlib.md5(content, usedforsecurity=False)
        digest = base64.b64encode(md5.digest()).decode()
        for attempt in range(_CONFLICTS):
            with self._client(key) as client:
                try:
                    answer = client.put_object(
                        Bucket=self.bucket,
                        Key=wanted,
                        Body=content,
                        ContentMD5=digest,
                        ContentType=_content_type(wanted),
                        **condition,
                    )
                except client.exceptions.ClientError as error:
                    if condition and status_of(error) == 412:
                        return False
                    if status_of(error) != 409:
                        raise
                    _pause(attempt)
                    continue
            if "ETag" not in answer:
                raise no_s3(self._shown(key))
            if _md5_of(answer) in {None, md5.hexdigest()}:
                return True
            damaged += 1
            if damaged == _WRITES:
                raise self._stored_others(key)
            condition = {}  # what is there now is this call's own
            _pause(attempt)
        raise StoreUnavailable(
            f"expected to write {self.address(key)}; others wrote the same key all the time, {_CONFLICTS} times.",
            todo="Run the same command again: finished work is kept.",
        )

    def _copy(self, source: str, key: str) -> bool | None:
        """Let the service copy; False when it refuses because `key` is there, None when it copies not at all.

        Why it does not is no matter: who then reads and puts either succeeds or learns it.
        """
        origin, wanted = self._object(source), self._object(key)
        with self._client(key) as client:
            try:
                found = client.head_object(Bucket=self.bucket, Key=origin)
                if not found.get("ETag") or found.get("ContentLength", 0) > LARGEST_COPY:
                    return None
                answer = client.copy_object(
                    Bucket=self.bucket,
                    Key=wanted,
                    CopySource={"Bucket": self.bucket, "Key": origin},
                    CopySourceIfMatch=found["ETag"],
                    IfNoneMatch="*",
                )
            except client.exceptions.ClientError as error:
                # 412 is also the answer when the source has changed since.
                return False if status_of(error) == 412 and self.exists(key) else None
        made = {**answer, **answer.get("CopyObjectResult", {})}
        if not made.get("ETag"):
            return None
        wanted_md5, md5 = _md5_of(found), _md5_of(made)
        if wanted_md5 and md5 and md5 != wanted_md5:
            raise self._stored_others(key)
        return True

    def _stored_others(self, key: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"expected {self.address(key)} to hold the bytes that it was given; the service stored others.",
            todo="Run the same command again. If it stays so, the service or what lies before it is broken.",
        )

    def _receive(self, key: str, sink: BinaryIO) -> str:
        """Write the bytes of `key`, whole and as they were put, into `sink`; give their ETag."""
        wanted, fault = self._object(key), ""
        for attempt in range(_READS):
            sink.seek(0)
            sink.truncate()
            with self._client(key) as client:
                try:
                    answer = client.get_object(Bucket=self.bucket, Key=wanted)
                except client.exceptions.ClientError as error:
                    if code_of(error) in NOT_THERE:
                        raise KeyError(key) from None
                    raise
            fault = _pour(answer, sink)
            if not fault:
                return _etag_of(answer)
            _pause(attempt)
        raise StoreUnavailable(
            f"expected {self.address(key)} whole and unchanged; in {_READS} attempts {fault}.",
            todo="Run the same command again. If it stays so, the object or the network is damaged.",
        )

    def _entries(self, page: Any) -> Iterator[StoredObject]:
        """Give the objects on one page of a listing."""
        for entry in page.get("Contents", []):
            yield StoredObject(entry["Key"].removeprefix(self._start), _etag_of(entry), int(entry["Size"]))

    def _pages(self, start: str, **options: Any) -> Iterator[Any]:
        """Give the pages of a listing of the keys that start with `start`."""
        token: dict[str, str] = {}
        while True:
            with self._client(start) as client:
                page = client.list_objects_v2(Bucket=self.bucket, Prefix=self._start + start, **options, **token)
            more = page.get("IsTruncated")
            following = page.get("NextContinuationToken")
            if more is None or (more and following in {None, token.get("ContinuationToken")}):
                raise no_s3(self._shown(start))
            yield page
            if not more:
                return
            token = {"ContinuationToken": following}

    @contextlib.contextmanager
    def _client(self, key: str) -> Iterator[Any]:
        """Give the client, and translate what it raises about `key`."""
        from botocore.exceptions import BotoCoreError, ClientError

        from eqn.telemetry.redaction import presentable

        try:
            with self._lock:  # making a client is not safe in threads, using it is
                self._connected = self._connected or _connect()
            yield self._connected
        except (BotoCoreError, ClientError, RecursionError) as error:
            endpoint = self._connected.meta.endpoint_url if self._connected else ""
            raise translated(error, self._shown(key), endpoint) from presentable(error)


def split_address(address: str) -> tuple[str, str]:
    """Give bucket and path of `s3://bucket/path`; the path may be missing, a slash at its end is nothing.

    Raises:
        UsageError: it names no bucket, or a path that no file could have.

    """
    bucket, _, path = address.removeprefix("s3://").partition("/")
    path = path.removesuffix("/")
    if "@" in bucket or ":" in bucket:
        raise UsageError(
            "expected s3://bucket/prefix; the address holds something before an @, which is not repeated here.",
            todo="Give credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in AWS_PROFILE.",
        )
    if not _BUCKET.fullmatch(bucket):
        raise invalid_bucket(bucket)
    if path and not (is_key(path) and path == path.encode("utf-8", "replace").decode()):
        raise UsageError(
            f"expected s3://bucket/prefix with a plain prefix; got {address!r}.",
            todo="Take empty parts, `.`, `..`, backslashes and what is not UTF-8 out of the prefix.",
        )
    return bucket, path


def _connect() -> Any:
    """Make a client as the standard variables and profiles of AWS say."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        connect_timeout=SECONDS_TO_CONNECT,
        read_timeout=SECONDS_TO_ANSWER,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    # Amazon's other clients read AWS_REGION, boto3 reads AWS_DEFAULT_REGION only.
    session = boto3.session.Session(region_name=os.environ.get("AWS_REGION") or None)
    region = session.region_name or "us-east-1"
    try:
        client = session.client("s3", region_name=region, config=config)
        if ".amazonaws." in (urlsplit(client.meta.endpoint_url).hostname or ""):
            return client
        # Others know no bucket in the host's name, and not always the checksums that AWS has added.
        custom = Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return session.client("s3", region_name=region, config=config.merge(custom))
    except ValueError as error:
        if isinstance(error, BotoCoreError):
            raise
        raise UsageError(
            "expected the URL of an S3 service in AWS_ENDPOINT_URL (or endpoint_url of the AWS profile), such as "
            f"http://127.0.0.1:9000; got {without_user(str(error).removeprefix('Invalid endpoint: '))!r}.",
            todo="Correct it, or unset it to use Amazon's S3.",
        ) from None  # the client's own words repeat a password in it


def _pour(answer: Any, sink: BinaryIO) -> str:
    """Write an answer's body into `sink`, and give what is wrong with it, or nothing."""
    from botocore.exceptions import BotoCoreError

    expected, received, md5 = answer.get("ContentLength"), 0, hashlib.md5(usedforsecurity=False)
    if not answer.get("ETag"):
        return "an answer came that is no object: it has no ETag"
    try:
        with contextlib.closing(answer["Body"]) as body:
            for chunk in body.iter_chunks(_CHUNK):
                sink.write(chunk)
                md5.update(chunk)
                received += len(chunk)
    except BotoCoreError as error:
        return f"the transfer broke off after {received:,} bytes ({type(error).__name__})"
    if expected not in {None, received}:
        return f"{received:,} bytes came, not {expected:,}"
    if _md5_of(answer) not in {None, md5.hexdigest()}:
        return f"{received:,} bytes came that are not those of its ETag"
    return ""


def _md5_of(answer: Any) -> str | None:
    """Give the content's MD5 if the ETag is one; it is none of objects put in parts or encrypted with KMS."""
    etag = _etag_of(answer).lower()
    if str(answer.get("ServerSideEncryption", "")).startswith("aws:kms"):
        return None
    return etag if _MD5.fullmatch(etag) else None


def _etag_of(answer: Any) -> str:
    """Give the ETag without its quotes, which not every service sets."""
    return str(answer.get("ETag", "")).strip('"')


def _content_type(key: str) -> str:
    """Give the media type by which a browser shows an object rather than saving it."""
    kinds = {".html": "text/html; charset=utf-8", ".json": "application/json", ".md": "text/markdown; charset=utf-8"}
    return kinds.get(PurePosixPath(key).suffix, mimetypes.guess_type(key)[0] or "application/octet-stream")


def _pause(attempt: int) -> None:
    """Wait a little before the next attempt; rivals wait unequally long."""
    time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.05 * 2**attempt)))  # noqa: S311  guards nothing
