"""What EQN asks of an object store, and the opening of one by its address.

Keys are relative paths with `/`. There is no rename and no append: a file is built whole, hashed, then put. The one
primitive on which everything rests is `put_if_absent`: of all writers of a key, exactly one is told True.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from eqn.errors import UsageError


class ObjectStore(Protocol):
    """A place for files under keys. Every method may raise StoreUnavailable, every put StorageFull."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write `content` unless the key exists; True when this call wrote it. Durable when it returns."""

    def put(self, key: str, content: bytes) -> None:
        """Write `content`, whole or not at all. For keys that always get the same bytes."""

    def copy(self, source: str, key: str) -> None:
        """Give the bytes of `source` to `key` without reading them here (hard link, server-side copy).

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
        """Give the keys under the folder `prefix`, sorted."""

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Give the names of the folders directly below the folder `prefix`, sorted."""

    def delete(self, key: str) -> None:
        """Remove a key; a missing one is no error."""

    def address(self, key: str) -> str:
        """Give the path or URL under which readers outside EQN find the key or folder."""


def check_key(key: str) -> str:
    """Give `key` back if it is a plain relative path.

    Raises:
        ValueError: it is absolute, empty, climbs out of the store, or holds what no file's name may.

    """
    if any(part in {"", ".", ".."} for part in key.split("/")) or "\\" in key or "\0" in key:
        raise ValueError(f"not a key: {key!r}")
    return key


def open_store(address: str | os.PathLike[str]) -> ObjectStore:
    """Open the store at `address`: a directory's path, or `file://` and its path.

    Raises:
        UsageError: the address has a scheme that EQN does not know.

    """
    from eqn.store.directory import DirectoryStore

    address = os.fspath(address)
    scheme, found, rest = address.partition("://")
    if found and scheme != "file":
        raise UsageError(
            f"expected the path of a directory as store; got {address!r}, and {scheme}:// is not supported.",
            todo="Give a directory, such as --out releases.",
        )
    return DirectoryStore(Path(rest if found else address).expanduser())
