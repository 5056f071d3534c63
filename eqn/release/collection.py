"""Removing what nobody published: folders of jobs that were interrupted and never run again.

A folder is given up when no manifest names it, no commit from it is announced, and its youngest file is older than the
grace. A run may be about to publish from it all the same: so the folder is marked first and announcements are read
after that, while a run announces its commit first and looks for the mark after that. One of the two sees the other. A
mark stays for good, and a run that meets one writes into another folder: nobody publishes from a marked folder later.
"""

import dataclasses

from eqn.failpoints import reached
from eqn.release.catalog import read_manifest, release_numbers
from eqn.release.commit import GRACE_HOURS, announced_folders
from eqn.release.manifest import collected_key, files_key
from eqn.store.interface import ObjectStore


@dataclasses.dataclass(frozen=True, slots=True)
class Collected:
    """A folder that nobody published from."""

    dataset: str
    folder: str
    files: int


def collect(
    store: ObjectStore, dataset: str, *, grace_hours: float = GRACE_HOURS, dry_run: bool = False
) -> list[Collected]:
    """Remove the files of jobs that were never published, and leftovers of killed writers; give what was removed.

    Raises:
        ArtifactRefused: a manifest cannot be read, so that nobody knows which files are published.

    """
    grace = grace_hours * 3600
    needed = needed_folders(store, dataset)
    removed = []
    for folder in store.folders(f"{dataset}/files"):
        keys = list(store.list(files_key(dataset, folder)))
        if folder in needed or not keys:
            continue
        # What is written into a folder that is given up comes from a run that does not know it yet.
        if not store.exists(collected_key(dataset, folder)) and _age_of_youngest(store, keys) < grace:
            continue
        if not dry_run and not give_up(store, dataset, folder):
            continue
        removed.append(Collected(dataset, folder, len(keys)))
    if not dry_run:
        store.sweep(dataset, older_than=grace)
    return removed


def give_up(store: ObjectStore, dataset: str, folder: str) -> bool:
    """Mark a folder as given up and remove its files; False, and nothing is removed, where it is published or may be.

    Raises:
        ArtifactRefused: a manifest cannot be read, so that nobody knows which files are published.

    """
    store.put_if_absent(collected_key(dataset, folder), b"")
    reached("collection.marked")
    if folder in needed_folders(store, dataset):  # announced or published meanwhile
        return False
    reached("collection.looked-again")
    for key in list(store.list(files_key(dataset, folder))):
        store.delete(key)
        reached("collection.deleted")
    return True


def _age_of_youngest(store: ObjectStore, keys: list[str]) -> float:
    """Give the age in seconds of the youngest key; 0 when one of them vanished just now: somebody is at work."""
    try:
        return min(store.age(key) for key in keys)
    except KeyError:
        return 0.0


def needed_folders(store: ObjectStore, dataset: str) -> set[str]:
    """Give the folders that are published, or may be.

    Announcements are read first: one that has gone by then has become a manifest that is read afterwards.

    Raises:
        ArtifactRefused: a manifest cannot be read.

    """
    folders = announced_folders(store, dataset)
    return folders | {read_manifest(store, dataset, number).folder for number in release_numbers(store, dataset)}
