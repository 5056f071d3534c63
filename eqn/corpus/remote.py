"""Inputs in a bucket: `s3://bucket/folder` or `s3://bucket/folder/file`, brought to a local folder to be read twice.

What is found, how it is named and what is refused is as for a local folder with the same files, so that a job's
identity does not tell where its inputs lie. Files are kept between runs under a name made of key and ETag: what did not
change is not fetched again, and what the bucket holds no more goes.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from eqn.corpus.inputs import SUPPORTED, InputFile, Report, find_inputs, is_hidden, kind_of, unique_names, why_foreign
from eqn.errors import StoreUnavailable, UsageError
from eqn.store.directory import storage_errors
from eqn.store.interface import is_key
from eqn.store.s3 import S3Store, StoredObject, split_address

_FETCHING = ".tmp-fetching"
_KEPT_SECONDS = 86_400
"""A copy that nobody wanted for so long goes."""

_SCHEME = "s3://"


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """What one argument names: a folder of a bucket, or one object in it."""

    store: S3Store
    path: str
    """In the bucket; empty for all of it."""
    folder: Path
    """Where its files are kept."""

    def address(self, entry: StoredObject) -> str:
        return self.store.address(entry.key)

    def name(self, entry: StoredObject) -> str:
        """Give the key relative to the folder that was named; for an object that was named, its last part."""
        if entry.key == self.path:
            return entry.key.rpartition("/")[2]
        return entry.key.removeprefix(f"{self.path}/")


def is_remote(argument: str) -> bool:
    """Tell whether an input is in a bucket."""
    return argument.startswith(_SCHEME)


def stage_inputs(arguments: Sequence[str], staging: Path) -> tuple[InputFile, ...]:
    """Find the files that `arguments` mean, those in buckets copied into the folder `staging`, sorted by name.

    Raises:
        UsageError: an argument matches nothing, or files are of no supported kind; all faults are listed.
        StoreUnavailable: a bucket cannot be read.
        StorageFull: there is no room for the copies.

    """
    remote = [argument for argument in arguments if is_remote(argument)]
    if not remote:
        return find_inputs(arguments)
    faults: list[str] = []
    found: dict[str, tuple[_Place, StoredObject]] = {}
    places = _places(remote, staging, faults.append)
    for place in places:
        for entry in _matches(place, faults.append):
            found.setdefault(place.address(entry), (place, entry))
    local = _local([argument for argument in arguments if not is_remote(argument)], faults)
    if faults:
        raise UsageError(
            f"expected files to read; {len(faults)} fault(s):",
            faults=faults,
            todo=f"Supported are {SUPPORTED}. Move other files out of the folder, or name the right ones one by one.",
        )
    names = {address: place.name(entry) for address, (place, entry) in found.items()}
    names = unique_names(names | {str(Path(file.path).absolute()): file.name for file in local})
    files = [dataclasses.replace(file, name=names[str(Path(file.path).absolute())]) for file in local]
    for place in places:
        wanted = {address: entry for address, (owner, entry) in found.items() if owner is place}
        with _locked(place.folder):
            staged = {address: _fetched(place, entry) for address, entry in wanted.items()}
            _remove_others(place.folder, set(staged.values()))
        files += [_input_file(path, names[address]) for address, path in staged.items()]
    return tuple(sorted(files, key=lambda file: file.name))


def stage_inbox(inbox: str, staging: Path) -> tuple[InputFile, ...]:
    """Find the files in `inbox`, a folder or s3://bucket/prefix, as `stage_inputs` does; none where it is empty.

    A folder of a bucket is there when something is in it: what is spelt wrongly in there counts as empty too.

    Raises what `stage_inputs` raises.
    """
    try:
        return stage_inputs([inbox], staging)
    except UsageError:
        if not _is_empty(inbox):
            raise
        return ()


def _is_empty(inbox: str) -> bool:
    """Tell whether a folder is there and holds nothing that would be read."""
    if not is_remote(inbox):
        try:
            return Path(inbox).is_dir() and _is_bare(Path(inbox))
        except OSError:
            return False
    return all(
        not any(_is_shown(place, entry) for entry in place.store.objects(place.path))
        and not (place.path and place.store.find(place.path))
        for place in _places([inbox], Path(), _refuse)
    )


def _is_bare(folder: Path) -> bool:
    shown = [entry for entry in folder.iterdir() if not is_hidden(entry.name)]
    return all(entry.is_dir() and not entry.is_symlink() and _is_bare(entry) for entry in shown)


def _is_shown(place: _Place, entry: StoredObject) -> bool:
    return not any(map(is_hidden, place.name(entry).split("/")))


def _refuse(fault: str) -> None:
    raise UsageError(fault)


def _places(addresses: Sequence[str], staging: Path, report: Report) -> list[_Place]:
    """Give the place that each address names, each place once."""
    places: dict[Path, _Place] = {}
    for address in addresses:
        try:
            bucket, path = split_address(address)
        except UsageError as error:
            report(error.what)
        else:
            folder = staging / hashlib.sha256(f"{bucket}/{path}".encode()).hexdigest()[:16]
            places.setdefault(folder, _Place(S3Store(bucket), path, folder))
    return list(places.values())


def _matches(place: _Place, report: Report) -> list[StoredObject]:
    """Give every object that one argument means and that can be read; report what keeps others from it."""
    inside = place.store.objects(place.path)
    shown = [entry for entry in inside if _is_shown(place, entry)]
    if not inside and place.path and (entry := place.store.find(place.path)):
        shown = [entry]
    if not shown:
        what = "the folder holds no files to read" if inside or not place.path else "no such object or folder"
        report(f"{_SCHEME}{place.store.bucket}/{place.path}: {what}")
    return [entry for entry in shown if _fit(place.store, entry.key, report)]


def _fit(store: S3Store, key: str, report: Report) -> bool:
    address = f"{_SCHEME}{store.bucket}/{key}"
    if not is_key(key):
        report(f"{address}: no file could have this name; rename the object")
    elif kind_of(key) is None:
        report(f"{address}: {why_foreign(key.rpartition('/')[2])}")
    else:
        return True
    return False


def _local(arguments: Sequence[str], faults: list[str]) -> tuple[InputFile, ...]:
    if not arguments:
        return ()
    try:
        return find_inputs(arguments)
    except UsageError as error:
        faults += error.faults
        return ()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let nobody else fetch into `folder` or clear it: rivals wait, and then find the files there."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with folder.with_suffix(".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _fetched(place: _Place, entry: StoredObject) -> Path:
    """Give the local copy of an object; it appears under its name whole or not at all."""
    path = place.folder / _file_name(entry.key, entry.etag)
    if path.is_file() and path.stat().st_size == entry.size:
        return path
    temporary = place.folder / _FETCHING
    try:
        etag = place.store.download(entry.key, temporary)
    except KeyError:
        raise StoreUnavailable(
            f"expected {place.address(entry)}, which was there a moment ago; it is gone.",
            todo="Run the same command again, when nobody changes the inputs.",
        ) from None
    # It may have been replaced since it was listed: the name must tell what the file holds.
    return temporary.replace(place.folder / _file_name(entry.key, etag))


def _file_name(key: str, etag: str) -> str:
    return hashlib.sha256(f"{key}\n{etag}".encode()).hexdigest()[:32]


def _remove_others(folder: Path, kept: set[Path]) -> None:
    """Remove copies that are no longer wanted, but those of the last day: another run may be reading them."""
    now = time.time()
    for path in kept:
        os.utime(path, (now, path.stat().st_mtime))
    for path in set(folder.iterdir()) - kept:
        if path.name == _FETCHING or now - path.stat().st_atime > _KEPT_SECONDS:
            path.unlink()


def _input_file(path: Path, name: str) -> InputFile:
    kind = kind_of(name)
    if kind is None:
        raise RuntimeError(f"{name} was taken although its format is unknown")
    return InputFile(path=str(path), name=name, format=kind[0], compressed=kind[1])
