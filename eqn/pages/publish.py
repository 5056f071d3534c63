"""The page of a release in its place beside the release: reports/<n>/index.html, derived and replaceable."""

from pathlib import Path

from eqn.pages.facts import gather
from eqn.pages.page import release_page
from eqn.release.catalog import read_manifest
from eqn.store.interface import ObjectStore
from eqn.store.new_file import write_new


def page_key(dataset: str, number: int) -> str:
    """Give the key of the page of release `number`."""
    return f"{dataset}/reports/{number}/index.html"


def publish_page(store: ObjectStore, dataset: str, number: int | None = None) -> str:
    """Write the page of release `number`, by default the latest, and give its address; one that is there is replaced.

    Raises:
        UsageError: there is no such release.
        ArtifactRefused: the release is not as it was published.
        StorageFull, StoreUnavailable: the page could not be written.

    """
    manifest = read_manifest(store, dataset, number)
    key = page_key(dataset, manifest.release)
    while True:
        store.put(key, release_page(store, gather(store, manifest)).encode())
        # Rows that were erased meanwhile may be on it; an erasure removes pages after its commit: one sees the other.
        made_of, manifest = manifest, read_manifest(store, dataset, manifest.release)
        if manifest == made_of:
            return store.address(key)


def write_page(store: ObjectStore, dataset: str, number: int | None, out: Path) -> str:
    """Write the page of release `number`, by default the latest, to a new file that can be sent around; give its path.

    Its links would lead nowhere there, so it names addresses instead.

    Raises:
        UsageError: there is no such release, or another file is in the place.
        ArtifactRefused: the release is not as it was published.
        StorageFull, StoreUnavailable: the page could not be written.

    """
    manifest = read_manifest(store, dataset, number)
    write_new(out, release_page(store, gather(store, manifest), beside=False).encode())
    return str(out)
