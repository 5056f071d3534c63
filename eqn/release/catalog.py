"""Reading releases: which there are, what a manifest says, whether every byte is as it was published."""

import contextlib
import hashlib
import re

from eqn.errors import ArtifactRefused, UsageError
from eqn.records import ReleaseRef
from eqn.release.manifest import (
    Manifest,
    check_dataset_name,
    collected_key,
    files_key,
    is_dataset_name,
    manifest_key,
)
from eqn.store.interface import ObjectStore

_MANIFEST = re.compile(r"([1-9][0-9]*)(?:\.erasure-([1-9][0-9]*))?\.json")


def release_numbers(store: ObjectStore, dataset: str) -> list[int]:
    """Give the numbers of the releases of `dataset`, ascending; what else lies beside the manifests is passed over."""
    return sorted(newest_redactions(store, dataset))


def newest_redactions(store: ObjectStore, dataset: str) -> dict[int, int]:
    """Give for each release of `dataset` the newest erasure after which its manifest was written anew; 0 for none."""
    folder = f"{check_dataset_name(dataset)}/releases"
    newest: dict[int, int] = {}
    for key in store.list(folder):
        name = _MANIFEST.fullmatch(key.removeprefix(f"{folder}/"))
        if name:
            newest[int(name[1])] = max(newest.get(int(name[1]), 0), int(name[2] or 0))
    return newest


def datasets(store: ObjectStore) -> list[str]:
    """Give the names of the datasets that have a release."""
    return [name for name in store.folders() if is_dataset_name(name) and release_numbers(store, name)]


def read_manifest(store: ObjectStore, dataset: str, number: int | None = None) -> Manifest:
    """Read the manifest of release `number`, by default the latest; of a redacted release, as it is now.

    Raises:
        UsageError: there is no such release.
        ArtifactRefused: the manifest is not readable or not that release's.

    """
    newest = newest_redactions(store, dataset)
    numbers = sorted(newest)
    if not numbers or (number is not None and number not in numbers):
        there = f"there are {numbers[0]} to {numbers[-1]}" if numbers else "there is none"
        raise UsageError(
            f"expected release {'latest' if number is None else number} of {dataset!r} in {store!r}; {there}.",
            todo="See `eqn release list`.",
        )
    number = number or numbers[-1]
    key = manifest_key(dataset, number, redaction=newest[number])
    try:
        content = store.get(key)
    except KeyError:  # listed, and gone since then; or a link that leads nowhere
        content = b""
    manifest = Manifest.from_bytes(content, where=store.address(key))
    if (manifest.dataset, manifest.release) != (dataset, number) or newest[number] not in {0, manifest.erasures}:
        raise ArtifactRefused(f"{store.address(key)} says it is release {manifest.release} of {manifest.dataset!r}.")
    return manifest


def latest_readable(store: ObjectStore, dataset: str) -> Manifest | None:
    """Give the newest release whose manifest can be read; None when there is none."""
    for number in reversed(release_numbers(store, dataset)):
        with contextlib.suppress(ArtifactRefused):
            return read_manifest(store, dataset, number)
    return None


def find_job(store: ObjectStore, dataset: str, job: str, *, after: int = 0) -> Manifest | None:
    """Give the release that published `job`, or None; of those after release `after`."""
    if not (store.exists(collected_key(dataset, job)) or any(True for _ in store.list(files_key(dataset, job)))):
        return None  # nobody ever wrote a file of it: no manifest need be read
    for number in reversed(release_numbers(store, dataset)):
        if number <= after:
            break
        with contextlib.suppress(ArtifactRefused):  # a damaged release is no reason to publish no other
            manifest = read_manifest(store, dataset, number)
            if manifest.job == job:
                return manifest
    return None


def published_file(store: ObjectStore, manifest: Manifest, name: str, *, to: str = "carry over") -> bytes:
    """Read one file of a release; `to` says what for.

    Raises:
        ArtifactRefused: it is not as it was published.

    """
    key = f"{manifest.path}/{name}"
    try:
        content = store.get(key)
    except KeyError:
        content = b""
    if hashlib.sha256(content).hexdigest() != manifest.files[name].sha256:
        raise not_as_published(store, key, to=to)
    return content


def not_as_published(store: ObjectStore, key: str, *, to: str = "carry over") -> ArtifactRefused:
    """Give the error of a file that is gone, or not as it was published; `to` says what it was wanted for."""
    return ArtifactRefused(
        f"expected to {to} {store.address(key)}, which is not as it was published.",
        todo="Run `eqn release verify` on its release and restore what it names.",
    )


def reference(store: ObjectStore, manifest: Manifest, *, already_published: bool = False) -> ReleaseRef:
    """Give the reference of a release."""
    return ReleaseRef(
        dataset=manifest.dataset,
        number=manifest.release,
        path=store.address(manifest.path),
        rows=manifest.rows_out,
        quarantined=manifest.rows_quarantined,
        already_published=already_published,
    )


def verify(store: ObjectStore, manifest: Manifest) -> None:
    """Read every file of a release and compare it with the manifest.

    Raises:
        ArtifactRefused: files are missing or changed; all are named.

    """
    faults = []
    for name, entry in manifest.files.items():
        try:
            content = store.get(f"{manifest.path}/{name}")
        except KeyError:
            faults.append(f"{name}: missing")
            continue
        if (len(content), hashlib.sha256(content).hexdigest()) != (entry.bytes, entry.sha256):
            faults.append(f"{name}: {len(content)} bytes that are not the published {entry.bytes}")
    for folder in ("data", "quarantine"):
        for key in store.list(f"{manifest.path}/{folder}"):
            name = key.removeprefix(f"{manifest.path}/")
            if name not in manifest.files:
                faults.append(f"{name}: a file that was not published, which readers take for data")
    if faults:
        raise ArtifactRefused(
            f"release {manifest.release} of {manifest.dataset!r} is not as it was published.",
            faults=faults,
            todo="Restore these files, or annotate the inputs again into another store.",
        )
