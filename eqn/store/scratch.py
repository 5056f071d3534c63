"""A folder of scratch keys in a store, for probes."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore

SCRATCH = "_doctor"
"""The folder for the folders of all examinations and trials. No dataset's name starts with an underscore."""


class Effort(NamedTuple):
    """How much is tried: see `eqn.store.doctor.examine`."""

    keys: int
    writers: int
    listed: int
    large: int


class Scratch:
    """The folder of one examination in a store, which remembers what was written there. Names are keys in it."""

    def __init__(self, store: ObjectStore, pool: ThreadPoolExecutor, effort: Effort) -> None:
        self.store, self.pool, self.effort = store, pool, effort
        self.folder = f"{SCRATCH}/{secrets.token_hex(8)}"
        self._written: set[str] = set()

    @property
    def address(self) -> str:
        """Where the folder is, for a person."""
        return self.store.address(self.folder)

    def contact(self) -> None:
        """Ask for a key that is not there; raises StoreUnavailable when nobody answers."""
        self.store.exists(self._key("contact"))

    def put_if_absent(self, name: str, content: bytes) -> bool:
        """Write a name unless it is there."""
        return self.store.put_if_absent(self._new(name), content)

    def put(self, name: str, content: bytes) -> None:
        """Write a name."""
        self.store.put(self._new(name), content)

    def copy(self, source: str, name: str) -> bool:
        """Let the store copy a name, unless the other is taken; True when it did. KeyError without a source."""
        return self.store.copy_if_absent(self._key(source), self._new(name))

    def exists(self, name: str) -> bool:
        """Tell whether the store says that a name is there."""
        return self.store.exists(self._key(name))

    def read(self, name: str) -> bytes | None:
        """Give a name's bytes, or None when the store says that it is not there."""
        with contextlib.suppress(KeyError):
            return self.store.get(self._key(name))
        return None

    def listing(self, folder: str) -> list[str]:
        """Give the names under a folder, as the store lists them."""
        return [key.removeprefix(f"{self.folder}/") for key in self.store.list(self._key(folder))]

    def folders(self, folder: str) -> list[str]:
        """Give the names of the folders directly in a folder, as the store lists them."""
        return list(self.store.folders(self._key(folder)))

    def delete(self, name: str) -> None:
        """Delete a name."""
        self.store.delete(self._key(name))

    def each(self, action: Callable[[str], object], names: Iterable[str]) -> None:
        """Take `action` with every name, several at a time."""
        for _ in self.pool.map(action, names):
            pass

    def remove(self) -> int:
        """Delete what was written, listed or not; give how many keys are listed all the same."""
        self.each(self.store.delete, sorted(self._written))
        left = sum(1 for _ in self.store.list(self.folder))
        if isinstance(self.store, DirectoryStore):
            _remove_empty_folders(Path(self.address))
        return left

    def _key(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def _new(self, name: str) -> str:
        key = self._key(name)
        self._written.add(key)  # before it is written: nobody knows what a write that fails leaves behind
        return key


def _remove_empty_folders(path: Path) -> None:
    """Remove the folders that deleted keys leave in a directory, and the one above if no other examination uses it."""
    for folder in (*(Path(place) for place, _, _ in os.walk(path, topdown=False)), path.parent):
        with contextlib.suppress(OSError):
            folder.rmdir()
