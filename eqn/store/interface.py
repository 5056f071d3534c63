"""What EQN asks of an object store, and the opening of one by its address.

Keys are relative paths with `/`. There is no rename and no append: a file is built whole, hashed, then put. The one
primitive on which everything rests is `put_if_absent`: of all writers of a key, at most one is told True, and its bytes
stay.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from eqn.errors import UsageError


class ObjectStore(Protocol):
    """A place for files under keys. Every method may raise StoreUnavailable, every put StorageFull."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write `content` unless the key exists; True when this call wrote it. Durable when it returns.

        A store behind a network may have written `content` and lost the answer, and then says False to its own writer:
        who must know reads the key and looks for a mark of its own in it.
        """

    def put(self, key: str, content: bytes) -> None:
        """Write `content`, whole or not at all, in place of what was there."""

    def copy_if_absent(self, source: str, key: str) -> bool:
        """Give the bytes of `source` to `key`, unless it exists; True when this call did, as for `put_if_absent`.

        They are linked, or copied by the service, where that is safe.

        Raises:
            KeyError: there is no `source`.

        """

    def get(self, key: str) -> bytes:
        """Read a key.

        Raises:
            KeyError: there is no such key.

        """

    def exists(self, key: str) -> bool:
        """Tell whether the key is there."""

    def list(self, prefix: str) -> Iterator[str]:
        """Give the keys under the folder `prefix`, sorted; with "" all of them."""

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Give the names of the folders directly below the folder `prefix`, sorted."""

    def delete(self, key: str) -> None:
        """Remove a key; a missing one is no error."""

    def age(self, key: str) -> float:
        """Give the seconds since the key was written, by the clock of the machine that keeps it.

        Raises:
            KeyError: there is no such key.

        """

    def sweep(self, prefix: str, *, older_than: float) -> int:
        """Remove what killed writers left below the folder `prefix`, invisible to `list`; give how many there were.

        Only what is older than `older_than` seconds.
        """

    def address(self, key: str) -> str:
        """Give the path or URL under which readers outside EQN find the key or folder."""


def check_key(key: str) -> str:
    """Give `key` back if it is a plain relative path.

    Raises:
        ValueError: it is absolute, empty, climbs out of the store, or holds what no file's name may.

    """
    if not is_key(key):
        raise ValueError(f"not a key: {key!r}")
    return key


def is_key(name: str) -> bool:
    """Tell whether `name` is a plain relative path; a bucket may hold objects of which that is not true."""
    return not any(part in {"", ".", ".."} for part in name.split("/")) and "\\" not in name and "\0" not in name


def open_store(address: str | os.PathLike[str]) -> ObjectStore:
    """Open the store at `address`: a directory's path, `file://` and its path, or `s3://bucket/prefix`.

    Nothing is asked of an S3 service yet; it is found by the standard variables, such as AWS_ENDPOINT_URL.

    Raises:
        UsageError: the address has a scheme that EQN does not know, or names no bucket.

    """
    from eqn.store.directory import DirectoryStore
    from eqn.store.s3 import S3Store, split_address

    address = os.fspath(address)
    scheme, found, rest = address.partition("://")
    if found and scheme == "s3":
        return S3Store(*split_address(address))
    if found and scheme != "file":
        raise UsageError(
            f"expected a directory or an s3:// address as store; {scheme}:// is not supported.",
            todo="Give a directory, such as --out releases, or a bucket, such as --out s3://bucket/prefix.",
        )
    return DirectoryStore(Path(rest if found else address).expanduser())
