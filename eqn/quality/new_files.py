"""Results of a check as new files: whole or not at all, never in the place of another file."""

from pathlib import Path

from eqn.errors import UsageError
from eqn.store.directory import DirectoryStore


def write_new(path: Path, content: bytes) -> None:
    """Write `content` to `path`; a file that is there must be the same.

    Raises:
        UsageError: there is another file, or a folder, at `path`, or it cannot be a file's name.
        StorageFull, StoreUnavailable: it could not be written.

    """
    try:
        written = DirectoryStore(path.parent).put_if_absent(path.name, content)
    except ValueError as error:
        raise UsageError(f"expected the path of a file to write; got {str(path)!r}.") from error
    if not written and not (path.is_file() and path.read_bytes() == content):
        raise UsageError(
            f"expected no file {path}, or the same one; it is another and stays as it is.",
            todo="Move it away, or choose another name.",
        )
