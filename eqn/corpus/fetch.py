"""GoEmotions' splits from their official address, taken only when their content is the known one.

Source: the folder goemotions/data of github.com/google-research/google-research; licence Apache-2.0. The digests were
computed from the official splits, which have the row counts of `contract.KNOWN_ROWS`. `emotions.txt` holds the names of
the labels in their order.
"""

import contextlib
import dataclasses
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from eqn.corpus.download import PATIENCE, Patience, Pin, Report, download, is_secure
from eqn.errors import ArtifactRefused, EqnError, UsageError
from eqn.store.directory import storage_errors

ADDRESS = "https://raw.githubusercontent.com/google-research/google-research/master/goemotions/data/"
LICENCE = "Apache-2.0"
GOEMOTIONS: Mapping[str, Pin] = {
    "train.tsv": Pin(3_519_053, "1c254a142be5c00e80d819b9ae1bbd36d94b2eeb8f4b1271846508d57e57d9c5"),
    "dev.tsv": Pin(439_059, "575489c079c9de1097062a01738f998590d6b7ead66dd1c9fd1d2ba01fd8bc62"),
    "test.tsv": Pin(436_706, "0587b2dd8b27b97352adbfc3fb083d46005c8946657fdc2b1ca8b1cc7f1f8be4"),
    "emotions.txt": Pin(248, "45c3ef86782d2a4d7fedcd6d8c111aa0d0e94720689bd164fac94fefb4495a89"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Fetched:
    """One file that is in its place, and is the pinned one."""

    name: str
    size: int
    """Bytes."""
    sha256: str
    downloaded: bool
    """False when it was there before."""


def fetch(
    directory: Path,
    *,
    address: str = ADDRESS,
    pins: Mapping[str, Pin] = GOEMOTIONS,
    patience: Patience = PATIENCE,
    report: Report = lambda _: None,
) -> tuple[Fetched, ...]:
    """Download the files of `pins` that `directory` lacks from the folder at `address`.

    Raises:
        UsageError: the address is not https, `directory` is no directory or holds other files under these names, or
            another download into it is under way.
        ArtifactRefused: the server has other content; all such files are named, and none of them is left.
        StoreUnavailable: the server cannot be reached; what came so far is kept for the next call.
        StorageFull: the disk is full; likewise.

    """
    base = _checked(address)
    if os.path.lexists(directory) and not directory.is_dir():
        raise UsageError(f"expected a directory to download into; {directory} is none.", todo="Name another one.")
    faults: list[str] = []
    with storage_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with _alone_in(directory) as folder:
            missing = _missing(directory, pins)
            for name in missing:
                try:
                    download(base + name, directory / name, pins[name], patience=patience, report=report)
                except ArtifactRefused as error:
                    faults += error.faults
                os.fsync(folder)  # a synced file in an unsynced folder can be nameless after a power cut
    if faults:
        raise ArtifactRefused(
            f"expected files of known content; {len(faults)} that came are others and were not kept:",
            faults=faults,
            todo="They were changed at their source or on the way. Try another network, or --base-url with a mirror.",
        )
    return tuple(Fetched(name, pin.size, pin.sha256, name in missing) for name, pin in pins.items())


def _checked(address: str) -> str:
    """Give the address of the folder with a `/` at its end."""
    # It is shown in messages, so there may be no password in it; names are put behind it, so there may be no query.
    if not (address.isascii() and address.isprintable() and not set(address) & set(" @?#\\") and is_secure(address)):
        raise UsageError(
            "expected the https address of a folder, without user, query or blanks.",
            todo=f"The official one is {ADDRESS}",
        )
    return address.rstrip("/") + "/"


def _missing(directory: Path, pins: Mapping[str, Pin]) -> tuple[str, ...]:
    """Name the files that are not there; those that are there must be the pinned ones."""
    there = [name for name in pins if os.path.lexists(directory / name)]
    others = [str(directory / name) for name in there if not pins[name].holds(directory / name)]
    if others:
        raise _occupied(others)
    return tuple(name for name in pins if name not in there)


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[int]:
    """Keep other downloads out of the directory, and give its file descriptor."""
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # A file system without locks answers with another error: the digests guard the content all the same.
        with contextlib.suppress(OSError):
            _lock(folder, directory)
        yield folder
    finally:
        os.close(folder)


def _lock(folder: int, directory: Path) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"another download into {directory} is under way.", todo="Wait for it to end, then run this again."
        ) from error


def _occupied(paths: list[str]) -> EqnError:
    return UsageError(
        "expected no file, or the official one; these are others and stay as they are:",
        faults=paths,
        todo="Move them away, or download into another directory with --out.",
    )
