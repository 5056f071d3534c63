"""Removing what nobody published: folders of jobs that were interrupted and never run again.

A folder is given up when no manifest names it, no commit from it is announced, and its youngest file is older than the
grace. A run may be about to publish from it all the same: so the folder is marked first and announcements are read
after that, while a run announces its commit first and looks for the mark after that. One of the two sees the other. A
mark stays for good, and a run that meets one writes into another folder: nobody publishes from a marked folder later.
"""

import dataclasses
from collections.abc import Collection

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
    orphans = {}
    for folder in store.folders(f"{dataset}/files"):
        keys = list(store.list(files_key(dataset, folder)))
        if folder in needed or not keys:
            continue
        # What is written into a folder that is given up comes from a run that does not know it yet.
        if store.exists(collected_key(dataset, folder)) or _age_of_youngest(store, keys) >= grace:
            orphans[folder] = Collected(dataset, folder, len(keys))
    if dry_run:
        return [*orphans.values()]
    removed = give_up(store, dataset, orphans)
    store.sweep(dataset, older_than=grace)
    return [orphans[folder] for folder in removed]


def give_up(store: ObjectStore, dataset: str, folders: Collection[str]) -> list[str]:
    """Mark folders as given up and remove their files, but for those that are published or may be; give the others.

    Raises:
        ArtifactRefused: a manifest cannot be read, so that nobody knows which files are published.

    """
    for folder in folders:
        store.put_if_absent(collected_key(dataset, folder), b"")
        reached("collection.marked")
    needed = needed_folders(store, dataset) if folders else set()
    free = [folder for folder in folders if folder not in needed]  # the others were announced or published meanwhile
    for folder in free:
        reached("collection.looked-again")
        for key in list(store.list(files_key(dataset, folder))):
            store.delete(key)
            reached("collection.deleted")
    return free


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
