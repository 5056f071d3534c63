"""Erasure: a person's rows go out of every release of a dataset, on record, and stay out.

    1. The record is written (`eqn.release.erasures`): from here on no reading of inputs gives these rows again, and no
       run that read them earlier publishes them (`eqn.release.commit`).
    2. Each release that holds some is written anew beside itself (`eqn.release.redaction`), and its new manifest takes
       the place of the old one in one step. Number and job stay; a release without such rows is not touched.
    3. Its old files go, with its reports and with whatever unpublished folders hold such rows.

Every step may be done twice, so an interrupted erasure is ended by `resume`, or by the same order. Rivals with another
list do no harm: each applies all records that it knows of, and of two manifests the one that knows more is valid.
"""

import collections
import contextlib
import dataclasses
import hashlib
import itertools
import time
from collections.abc import Iterator, Sequence

from eqn.corpus.erased import ErasureList
from eqn.errors import ArtifactRefused, CommitUnknown, StorageFull, StoreUnavailable
from eqn.release.catalog import newest_redactions, not_as_published, read_manifest, release_numbers
from eqn.release.collection import give_up, needed_folders
from eqn.release.commit import FilesCollected, commit_redaction, open_commits, settle_redactions
from eqn.release.erasures import (
    Erasure,
    erasure_key,
    list_of,
    new_erasure,
    newest_erasure,
    read_erasures,
    write_erasure,
)
from eqn.release.manifest import (
    Manifest,
    check_dataset_name,
    collected_key,
    files_key,
    manifest_key,
    redacted_folder_name,
)
from eqn.release.parts import FolderUnusable
from eqn.release.redaction import DATA, QUARANTINE, erased_in, redact
from eqn.store.interface import ObjectStore

_FOLDERS = 5
"""Folders that are tried for a redacted release."""
_TOGETHER = 10
"""Folders that are removed together: before that all manifests are read, until then their room is taken twice."""
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds between the looks for commits under way."""
_LEFTOVER_SECONDS = 600.0
"""Half-written files that are older are nobody's."""


@dataclasses.dataclass(frozen=True, slots=True)
class Affected:
    """A release that holds erased rows, or did."""

    release: int
    rows: int
    """Erased rows, from its quarantine too."""
    files: int
    """Data and quarantine files that they stood in."""
    inputs: tuple[str, ...]
    """Names of the inputs that they came from."""
    reports: tuple[str, ...] = ()
    """Names of its reports, which may show texts: removed with the rows."""

    def after(self, earlier: "Affected | None") -> "Affected":
        """Give what happened to the release in all, when `earlier` is what happened to it before."""
        if earlier is None:
            return self
        return Affected(
            self.release,
            self.rows + earlier.rows,
            max(self.files, earlier.files),
            tuple(dict.fromkeys((*earlier.inputs, *self.inputs))),
            tuple(dict.fromkeys((*earlier.reports, *self.reports))),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What an erasure would change."""

    rows: int
    """Rows looked at, in all releases together."""
    releases: tuple[Affected, ...]
    folders: tuple[str, ...]
    """Unpublished folders with such rows, or damaged files."""
    unmatched: frozenset[str]
    """Digests of ids and texts that no row has."""
    faults: tuple[str, ...]
    """What could not be looked at, in sentences."""


@dataclasses.dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure has changed."""

    record: int
    """Number of the newest record that was applied; 0 when there is none."""
    releases: tuple[Affected, ...]
    folders: tuple[str, ...]
    """Unpublished folders that were removed, old ones of these releases among them."""
    faults: tuple[str, ...]
    """What could not be redacted, in sentences."""
    open_commits: tuple[str, ...]
    """Announced commits that may yet publish such rows."""

    def require_complete(self, dataset: str) -> None:
        """Let an erasure pass that left nothing undone.

        Raises:
            ArtifactRefused: damaged releases could not be redacted.
            CommitUnknown: a commit was announced before the erasure, and nobody knows what became of it.

        """
        if self.faults:
            raise ArtifactRefused(
                f"not all rows of {dataset!r} could be erased.",
                faults=self.faults,
                todo=f"Restore these files or remove them, then run `eqn release erase {dataset} --resume`.",
            )
        if self.open_commits:
            raise CommitUnknown(
                f"{len(self.open_commits)} commits to {dataset!r} were announced before, and may publish erased rows.",
                todo=f"Run `eqn release reconcile {dataset}`, then `eqn release erase {dataset} --resume`.",
            )


def search(store: ObjectStore, dataset: str, wanted: ErasureList) -> Found:
    """Find the rows that `wanted` would erase; writes nothing."""
    each = itertools.count(1)  # each id and text by itself, to tell which of them are not there
    numbered = ErasureList(dict(zip(wanted.ids, each, strict=False)), dict(zip(wanted.texts, each, strict=False)))
    looking = _Looking(store, check_dataset_name(dataset), numbered)
    releases, faults = [], []
    for number in release_numbers(store, dataset):
        try:
            affected = looking.at_release(read_manifest(store, dataset, number))
        except ArtifactRefused as error:
            faults.append(error.what)
            continue
        if affected.rows:
            releases.append(affected)
    folders = () if faults else tuple(looking.unpublished())
    unmatched = {
        digest for digest, place in (*numbered.ids.items(), *numbered.texts.items()) if place not in looking.met
    }
    return Found(looking.rows, tuple(releases), folders, frozenset(unmatched), tuple(faults))


def erase(store: ObjectStore, dataset: str, wanted: ErasureList, *, by: str, reason: str = "") -> Erased:
    """Erase the rows with these ids or texts from `dataset`, on record; what is on record already gets no other one.

    Raises what `resume` raises.
    """
    known = list_of(read_erasures(store, check_dataset_name(dataset)))
    if not (wanted.ids.keys() <= known.ids.keys() and wanted.texts.keys() <= known.texts.keys()):
        write_erasure(store, dataset, new_erasure(wanted, by=by, reason=reason))
    return resume(store, dataset)


def resume(store: ObjectStore, dataset: str) -> Erased:
    """Apply every record of `dataset` to every release; where that was done before, nothing changes.

    Raises:
        UsageError: there is no such dataset.
        ArtifactRefused: a record cannot be read.
        StorageFull, StoreUnavailable: what was done until then stays.

    """
    records = read_erasures(store, check_dataset_name(dataset))
    if not records:
        read_manifest(store, dataset)  # there must be a release
        return Erased(0, (), (), (), ())
    done: dict[int, Affected] = {}
    folders: list[str] = []
    looking = _Looking(store, dataset, list_of(records))
    for pause in (*_PAUSES, None):
        # In this order: whatever is announced later meets the record, whatever was before is a release by now.
        announced = _outdated_commits(store, dataset, len(records))
        faults: list[str] = []
        for number, affected in _redacted_releases(store, dataset, records, looking, faults):
            done[number] = affected.after(done.get(number))
        with _noted(faults):
            folders += [] if faults else looking.unpublished(remove=True)
        if not announced or pause is None:
            break
        time.sleep(pause)
        known, records = records, read_erasures(store, dataset)
        if records != known:
            looking = _Looking(store, dataset, list_of(records))
    store.sweep(dataset, older_than=_LEFTOVER_SECONDS)
    releases = tuple(affected for _, affected in sorted(done.items()))
    faults = [*dict.fromkeys(faults)]
    return Erased(len(records), releases, tuple(dict.fromkeys(folders)), tuple(faults), tuple(announced))


@contextlib.contextmanager
def _noted(faults: list[str]) -> Iterator[None]:
    """Note what is damaged, and let the rest go on."""
    try:
        yield
    except ArtifactRefused as error:
        faults.append(error.what)


def _outdated_commits(store: ObjectStore, dataset: str, newest: int) -> list[str]:
    """Give the announcements of releases whose runs did not know of all erasures."""
    outdated = []
    for key in open_commits(store, dataset):
        with contextlib.suppress(KeyError):  # settled just now
            try:
                erasures = Manifest.from_bytes(store.get(key), where=store.address(key)).erasures
            except ArtifactRefused:
                erasures = 0
            if erasures < newest:
                outdated.append(key)
    return outdated


def redacted_releases(store: ObjectStore, dataset: str) -> list[int]:
    """Give the numbers of the releases from which rows were taken."""
    return [number for number, redaction in sorted(newest_redactions(store, dataset).items()) if redaction]


class _Looking:
    """Looks for erased rows; a file that stands in several releases is read once."""

    def __init__(self, store: ObjectStore, dataset: str, erasures: ErasureList) -> None:
        self._store, self._dataset, self._erasures = store, dataset, erasures
        self._known: dict[str, int] = {}
        self.rows = 0
        """Rows looked at."""
        self.met: set[int] = set()
        """Records of which a row was found."""

    def at_release(self, manifest: Manifest) -> Affected:
        """Count the erased rows of a release.

        Raises:
            ArtifactRefused: a file is not as it was published.

        """
        rows: collections.Counter[str] = collections.Counter()
        files = 0
        for entry in manifest.inputs:
            for name in (*entry.parts, *entry.quarantine):
                found = self._in_file(manifest, name)
                rows[entry.name] += found
                files += bool(found)
        self.rows += manifest.rows_in
        inputs = tuple(name for name, count in rows.items() if count)
        return Affected(manifest.release, rows.total(), files, inputs)

    def unpublished(self, *, remove: bool = False) -> list[str]:
        """Give the folders that nobody published from and that hold erased rows or files that cannot be read.

        With `remove` they are given up, and what is left in folders that were given up before goes as well.

        Raises:
            ArtifactRefused: a manifest cannot be read.

        """
        needed = needed_folders(self._store, self._dataset)
        found = []
        for folder in list(self._store.folders(f"{self._dataset}/files")):
            if folder in needed:
                continue
            marked = self._store.exists(collected_key(self._dataset, folder))
            if self._in_folder(folder, any_file=marked):
                found.append(folder)
        return give_up(self._store, self._dataset, found) if remove else found

    def _in_file(self, manifest: Manifest, name: str) -> int:
        entry, key = manifest.files[name], f"{manifest.path}/{name}"
        if entry.sha256 not in self._known:
            try:
                content = self._store.get(key)
            except KeyError:
                content = b""
            if hashlib.sha256(content).hexdigest() != entry.sha256:
                raise not_as_published(self._store, key, to="look through")
            self._known[entry.sha256] = self._count(content, name)
        return self._known[entry.sha256]

    def _in_folder(self, folder: str, *, any_file: bool) -> bool:
        """Tell whether an unpublished folder must go."""
        place = files_key(self._dataset, folder)
        for key in self._store.list(place):
            name = key.removeprefix(f"{place}/")
            if any_file:
                return True
            if not name.startswith((DATA, QUARANTINE)):
                continue
            try:
                if self._count(self._store.get(key), name):
                    return True
            except KeyError:  # removed just now
                continue
            except (OSError, ValueError):  # nobody can use it, and nobody knows what is in it
                return True
        return False

    def _count(self, content: bytes, name: str) -> int:
        found = [records for records in erased_in(content, name, self._erasures) if records]
        self.met.update(itertools.chain.from_iterable(found))
        return len(found)


def _redacted_releases(
    store: ObjectStore, dataset: str, records: Sequence[Erasure], looking: _Looking, faults: list[str]
) -> Iterator[tuple[int, Affected]]:
    """Redact every release and remove its old files; gives what was done, and notes what is damaged in `faults`."""
    old: set[str] = set()

    def remove() -> None:
        with _noted(faults):
            give_up(store, dataset, sorted(old))
        old.clear()

    for number in release_numbers(store, dataset):
        affected = None
        with _noted(faults):
            try:
                affected, left = _redacted(store, dataset, number, records, looking)
            except StorageFull:
                remove()  # room for the next attempt
                raise
            old |= left
        if affected is not None:
            yield number, affected
        if len(old) >= _TOGETHER:
            remove()
    remove()


def _redacted(
    store: ObjectStore, dataset: str, number: int, records: Sequence[Erasure], looking: _Looking
) -> tuple[Affected | None, set[str]]:
    """Redact a release until it holds none of these rows; gives what was done, and its folders that must go.

    Raises:
        ArtifactRefused: a file of it is not as it was published.

    """
    reports: dict[str, None] = {}
    for attempt in range(_FOLDERS):
        manifest = read_manifest(store, dataset, number)
        if manifest.erasures > len(records):
            _require_record(store, manifest)  # a rival's
        if manifest.erasures >= len(records):
            break
        try:
            found = looking.at_release(manifest)
            if not found.rows:
                break
            reports |= _remove_reports(store, dataset, number)
            folder = _folder(store, manifest, len(records), attempt)
            commit_redaction(store, redact(store, manifest, folder, records))
        except (FolderUnusable, FilesCollected):
            continue
        except ArtifactRefused:
            if read_manifest(store, dataset, number) == manifest:
                raise
            continue  # a rival has redacted it, and its old files are gone
        reports |= _remove_reports(store, dataset, number)  # those that were made meanwhile
        _conclude(store, dataset, number)
        # A rival's manifest may be the one that counts.
        old = {manifest.folder, folder} - {read_manifest(store, dataset, number).folder}
        return dataclasses.replace(found, reports=tuple(reports)), old
    else:
        raise StoreUnavailable(
            f"expected to write release {number} of {dataset!r} anew; {_FOLDERS} folders were unusable.",
            todo=f"Run `eqn release gc {dataset} --grace 0`, then `eqn release erase {dataset} --resume`.",
        )
    if manifest.redactions:
        _conclude(store, dataset, number)  # an erasure may have been interrupted before it did
    # A rival came first, and does not know which reports were removed here.
    return Affected(number, 0, 0, (), tuple(reports)) if reports else None, set()


def _require_record(store: ObjectStore, manifest: Manifest) -> None:
    if newest_erasure(store, manifest.dataset) < manifest.erasures:
        raise ArtifactRefused(
            f"expected {store.address(erasure_key(manifest.dataset, manifest.erasures))}, the record of an erasure "
            f"that release {manifest.release} knows of; it is gone.",
            todo="Restore it: without it nobody knows which rows must stay out.",
        )


def _folder(store: ObjectStore, manifest: Manifest, erasure: int, attempt: int) -> str:
    """Give the name of a folder that was not given up, after as many others."""
    names = (redacted_folder_name(manifest.job, erasure, number) for number in itertools.count())
    free = (name for name in names if not store.exists(collected_key(manifest.dataset, name)))
    return next(itertools.islice(free, attempt, None))


def _conclude(store: ObjectStore, dataset: str, number: int) -> None:
    """Let readers outside EQN see the newest manifest of a release, and take away what announced it."""
    while True:
        manifest = read_manifest(store, dataset, number)
        erasure = manifest.erasures
        key = manifest_key(dataset, number, redaction=erasure)
        store.put_if_absent(key, manifest.to_bytes())  # whoever restored a backup may have forgotten it
        # Also where it is there already: an interrupted erasure may have left another one.
        store.put(manifest_key(dataset, number), store.get(key))
        if read_manifest(store, dataset, number).erasures == erasure:
            break
    settle_redactions(store, dataset, number, erasure=erasure)


def _remove_reports(store: ObjectStore, dataset: str, number: int) -> dict[str, None]:
    folder = f"{dataset}/reports/{number}"
    keys = list(store.list(folder))
    for key in keys:
        store.delete(key)
    return dict.fromkeys(key.removeprefix(f"{folder}/") for key in keys)
