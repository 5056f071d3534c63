"""Results as new local files: whole or not at all, never in the place of another file."""

import os
from pathlib import Path

from eqn.errors import UsageError
from eqn.store.directory import DirectoryStore
from eqn.store.interface import is_key

_TODO = "Move it away, or choose another name."


def write_new(path: Path, content: bytes) -> None:
    """Write `content` to `path`; a file that is there must be the same.

    Raises:
        UsageError: there is another file, or a folder, at `path`, or it cannot be a file's name.
        StorageFull, StoreUnavailable: it could not be written.

    """
    _require_name(path)
    written = DirectoryStore(path.parent).put_if_absent(path.name, content)
    if not written and not (path.is_file() and path.read_bytes() == content):
        raise UsageError(f"expected no file {path}, or the same one; it is another and stays as it is.", todo=_TODO)


def require_new(path: Path) -> None:
    """Check that nothing is at `path`, before long work of which the result is to be written there.

    Raises:
        UsageError: there is a file or a folder, or it cannot be a file's name.

    """
    _require_name(path)
    if os.path.lexists(path):
        raise UsageError(f"expected no file {path}; there is one, and it stays as it is.", todo=_TODO)


def _require_name(path: Path) -> None:
    if not is_key(path.name):
        raise UsageError(f"expected the path of a file to write; got {str(path)!r}.")
