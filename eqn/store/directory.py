"""A store in a local directory.

A file appears under its name complete or not at all: it is written beside its place, synced, then linked
(`put_if_absent`) or renamed (`put`) into it, and the folder is synced. Leftovers of a crash are called `.tmp-...` and
are never listed.
"""

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from eqn.errors import EqnError, StorageFull, StoreUnavailable
from eqn.store.interface import check_key

_TEMPORARY = ".tmp-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_THERE = (FileNotFoundError, NotADirectoryError)


class DirectoryStore:
    """An `ObjectStore` whose keys are files below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self.root)!r})"

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write `content` unless the key exists; True when this call wrote it."""
        path = self._path(key)
        with storage_errors(path), _written_beside(path, content) as temporary:
            return _link(temporary, path)

    def put(self, key: str, content: bytes) -> None:
        """Write `content` under `key`, replacing what was there in one step."""
        path = self._path(key)
        with storage_errors(path), _written_beside(path, content) as temporary:
            temporary.replace(path)
            _sync_folder(path.parent)

    def copy_if_absent(self, source: str, key: str) -> bool:
        """Hard-link `source` to `key`: files of a store are never changed in place, so they may share their bytes.

        KeyError when `source` is not there.
        """
        origin, path = self._path(source), self._path(key)
        if not self.exists(source):
            raise KeyError(source)
        with storage_errors(path):
            _make_folder(path.parent)
            try:
                return _link(origin, path)
            except OSError as error:
                if error.errno not in {errno.EMLINK, errno.EPERM, errno.ENOENT}:
                    raise
        # Too many links, a file system without them, or the source has gone.
        return self.put_if_absent(key, self.get(source))

    def get(self, key: str) -> bytes:
        """Read a key; KeyError when it is not there."""
        path = self._path(key)
        with storage_errors(path):
            try:
                return path.read_bytes()
            except (*_NOT_THERE, IsADirectoryError):
                raise KeyError(key) from None

    def exists(self, key: str) -> bool:
        """Tell whether the key is there."""
        path = self._path(key)
        with storage_errors(path):
            return path.is_file()

    def list(self, prefix: str) -> Iterator[str]:
        """Give the keys under the folder `prefix`, sorted; with "" all of them."""
        folder = self._path(prefix.rstrip("/")) if prefix else self.root
        with storage_errors(folder):
            found = [
                Path(place, name).relative_to(self.root).as_posix()
                for place, _, names in os.walk(folder, onerror=_refuse_unreadable)
                for name in names
                if not name.startswith(_TEMPORARY)
            ]
        yield from sorted(found)

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Give the names of the folders directly below the folder `prefix`, sorted."""
        folder = self._path(prefix) if prefix else self.root
        with storage_errors(folder), contextlib.suppress(*_NOT_THERE):
            yield from sorted(path.name for path in folder.iterdir() if path.is_dir())

    def delete(self, key: str) -> None:
        """Remove a key; a missing one is no error."""
        path = self._path(key)
        with storage_errors(path), contextlib.suppress(*_NOT_THERE):
            path.unlink()

    def age(self, key: str) -> float:
        """Give the seconds since the file was written, by this machine's clock; KeyError when it is not there."""
        path = self._path(key)
        with storage_errors(path):
            if not path.is_file():
                raise KeyError(key)
            try:
                # Not the time of modification: a hard link has that of the file it was made of.
                return max(0.0, time.time() - path.stat().st_ctime)
            except _NOT_THERE:
                raise KeyError(key) from None

    def sweep(self, prefix: str, *, older_than: float) -> int:
        """Remove temporary files of killed writers below the folder `prefix`; give how many there were."""
        folder, removed = self._path(prefix), 0
        with storage_errors(folder):
            for path in list(folder.rglob(f"{_TEMPORARY}*")):
                with contextlib.suppress(*_NOT_THERE):  # its writer was alive, and is done
                    if time.time() - path.stat().st_ctime >= older_than:
                        path.unlink()
                        removed += 1
        return removed

    def address(self, key: str) -> str:
        """Give the key's path."""
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translate the operating system's errors on `path` into EQN's."""
    try:
        yield
    except OSError as error:
        raise translated(error, path) from error


def translated(error: OSError, path: Path | str) -> EqnError:
    """Give the EQN error that says what `error` means for someone who writes to or reads from `path`."""
    if error.errno in _FULL:
        return StorageFull(
            f"expected room to write {path}, but the storage is full ({error.strerror}).",
            todo="Free some space and run the same command again: finished work is kept and nothing is half-written.",
        )
    return StoreUnavailable(
        f"expected to read and write {path}, but the system says: {error.strerror or error}.",
        todo="Check that the place exists and that you may write there, then run the same command again.",
    )


@contextlib.contextmanager
def _written_beside(path: Path, content: bytes) -> Iterator[Path]:
    """Give a synced temporary file with `content` in the folder of `path`; it is gone afterwards."""
    with _temporary_beside(path) as temporary:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary


@contextlib.contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    """Give a free name in the folder of `path`, which is made; no file of that name is left afterwards."""
    _make_folder(path.parent)
    temporary = path.parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
    try:
        yield temporary
    finally:
        # After a rename, too: it does nothing when both names are links to the same file.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _link(source: Path, path: Path) -> bool:
    """Give a file a second name, unless that is taken; True when this call did. The name is durable in either case.

    `link` is atomic and fails when the name is taken, which a rename does not.
    """
    try:
        os.link(source, path)
    except FileExistsError:
        _sync_folder(path.parent)  # its maker may have died before it did this
        return False
    _sync_folder(path.parent)
    return True


def _make_folder(folder: Path) -> None:
    """Make `folder` and those above it that are missing, their names durable: nobody else will sync them."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _refuse_unreadable(error: OSError) -> None:
    """Raise the error of a folder that could not be read; one that is not there holds nothing."""
    if not isinstance(error, _NOT_THERE):
        raise error


def _sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: a synced file in an unsynced folder can be nameless after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
