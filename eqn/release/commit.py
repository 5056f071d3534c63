"""The commit of a release: of all who want a number, one gets it, and everybody learns the truth.

    <dataset>/releases/<n>.json                            the manifest: its appearance is the commit
    <dataset>/commits/<folder>/<n>-<commit id>.json        an announced commit: the same manifest, until its outcome
                                                           is known
    <dataset>/collected/<folder>                           a folder of files that is given up
    <dataset>/releases/<n>.erasure-<k>.json                the manifest after erasure k: its appearance is that commit
    <dataset>/commits/<folder>/<n>.<k>-<commit id>.json    its announcement

The answer to a write can get lost, and a store may stop answering while it writes. Whoever is told that the number is
taken therefore reads what is there: a manifest with its own commit id is its own success, one of the same job says that
the work is published already, any other is a rival's. Where nothing can be read the outcome is unknown: nothing is
deleted, and the announcement lets `reconcile` find out later, from any machine.

Nobody publishes rows that were erased meanwhile: an erasure writes its record first and looks for announcements and
releases after that, a commit is announced first and looks for records after that. One of the two sees the other.
"""

import contextlib
import dataclasses
import re
import time
from collections.abc import Callable

from eqn.errors import ArtifactRefused, CommitUnknown, Conflict, EqnError, StorageFull, StoreUnavailable
from eqn.failpoints import reached
from eqn.release.catalog import find_job, release_numbers, verify
from eqn.release.erasures import newest_erasure
from eqn.release.manifest import Manifest, collected_key, job_of, manifest_key
from eqn.store.interface import ObjectStore

_ATTEMPTS = 100
"""Rivals that may publish first, one after the other, before this run gives up."""
_PAUSES = (1.0, 2.0, 4.0)
"""Seconds between the attempts at a commit whose answer did not come; the store's own retries come on top."""

GRACE_HOURS = 24.0
"""A run whose youngest file is older than this is taken for dead."""
_REDACTION = re.compile(r"([1-9][0-9]*)\.([1-9][0-9]*)-.+\.json")
_ANOTHER = "See `eqn release list {}`, then run again with another --expect or without: the work is kept."

Draft = Callable[[int], Manifest]
"""Gives this commit's manifest under a release number."""


@dataclasses.dataclass(frozen=True, slots=True)
class Committed:
    """The release that holds the work."""

    manifest: Manifest
    already_published: bool
    """It was there before, or a rival with the same work was faster."""


class FilesCollected(Exception):
    """The folder was given up before the commit, or lacks files: they must be written again, elsewhere."""


class Outdated(Conflict):
    """Rows were erased since this run read its inputs; what it has written may hold them."""


def commit(store: ObjectStore, draft: Draft, *, after: int, expect: int | None = None) -> Committed:
    """Publish under the next free number, or under `expect` alone.

    The caller knows that no release up to number `after` is of this job.

    Raises:
        Conflict: the number `expect` is taken or not the next one, or this work has another; or a hundred rivals came
            first.
        CommitUnknown: the store stopped answering; see `reconcile`.
        FilesCollected: files of the job are missing.
        Outdated: rows were erased meanwhile.

    """
    first = draft(1)
    dataset, job = first.dataset, first.job
    for _ in range(_ATTEMPTS):
        twin, last = twin_or_last(store, dataset, job, after=after, expect=expect)
        if twin is not None:
            settle(store, dataset, job)
            return Committed(twin, already_published=True)
        after = last
        mine = draft(after + 1)
        mine.check()  # a manifest that readers would refuse must never be written
        there = _announce_and_put(store, mine)
        if there is not None and there.job == job:
            settle(store, dataset, job)
            return Committed(there, already_published=there.commit_id != mine.commit_id)
        _withdraw(store, mine)
    raise Conflict(
        f"expected to publish {dataset!r}; {_ATTEMPTS} other releases came first, one after the other.",
        todo="Run the same command again: everything is annotated already.",
    )


def commit_redaction(store: ObjectStore, mine: Manifest) -> None:
    """Put the manifest of a redacted release in the place of all earlier ones, unless a later erasure's is there.

    Of rivals with the same erasure one is first, and then its manifest is the one that is there.

    Raises:
        FilesCollected: the folder is given up, or files are missing.
        StorageFull, StoreUnavailable: it may have been written all the same.

    """
    mine.check()
    store.put(_announcement(mine), mine.to_bytes())
    try:
        _require_files(store, mine)
    except (EqnError, FilesCollected):
        _withdraw(store, mine)
        raise
    key = manifest_key(mine.dataset, mine.release, redaction=mine.erasures)
    store.put_if_absent(key, mine.to_bytes())


def settle_redactions(store: ObjectStore, dataset: str, number: int, *, erasure: int) -> None:
    """Take away announcements of redactions of a release up to `erasure`, after which it was written anew already."""
    for key in list(store.list(f"{dataset}/commits")):
        redaction = _REDACTION.fullmatch(key.rpartition("/")[2])
        if redaction and int(redaction[1]) == number and int(redaction[2]) <= erasure:
            store.delete(key)


def require_current(store: ObjectStore, dataset: str, erasures: int) -> None:
    """Check that nothing was erased after record `erasures`.

    Raises:
        Outdated: something was.

    """
    newest = newest_erasure(store, dataset)
    if newest > erasures:
        raise Outdated(
            f"rows of {dataset!r} were erased since this run read its inputs (record {newest}); nothing was published.",
            todo="Run the same command again: the erased rows are left out then.",
        )


def twin_or_last(
    store: ObjectStore, dataset: str, job: str, *, after: int, expect: int | None
) -> tuple[Manifest | None, int]:
    """Give the release of `job` after number `after`, if there is one, and a number up to which there surely is none.

    Raises:
        Conflict: `expect` is neither the number of that release nor, without one, the next.

    """
    # In this order: a twin that publishes between the two looks is found, not passed over.
    last = max(release_numbers(store, dataset), default=0)
    twin = find_job(store, dataset, job, after=after)
    if twin is not None:
        require_number(twin, expect)
    elif expect is not None and expect != last + 1:
        came = "other work was published under that number" if expect <= last else f"the next number is {last + 1}"
        raise Conflict(f"expected to make release {expect} of {dataset!r}; {came}.", todo=_ANOTHER.format(dataset))
    return twin, last


def require_number(published: Manifest, expect: int | None) -> None:
    """Check that a release of the same work has the number that was asked for.

    Raises:
        Conflict: it has another.

    """
    if expect not in {None, published.release}:
        raise Conflict(
            f"expected to make release {expect} of {published.dataset!r}; this very work is release "
            f"{published.release} already.",
            todo=_ANOTHER.format(published.dataset),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Resolved:
    """What became of a commit whose outcome was unknown."""

    dataset: str
    release: int
    """The number under which it was to be published, or is."""
    commit_id: str
    """Or the announcement's key, where it cannot be read."""
    outcome: str
    """`published`; `unredacted`: published, with rows that were erased since it was announced; `overtaken` by a rival's
    release of that number; `incomplete`: files are missing; `unreadable`: an announcement that says nothing; `settled`
    meanwhile; `erasing`: it belongs to an erasure that has not ended."""


def reconcile(store: ObjectStore, dataset: str) -> list[Resolved]:
    """Find out what became of the announced commits of `dataset`, and finish those that can be; deletes no data.

    Raises:
        StoreUnavailable, StorageFull: the store cannot be used; what was found out until then is settled.
        CommitUnknown: it stopped answering once more.

    """
    return [_resolve(store, dataset, key) for key in list(store.list(f"{dataset}/commits"))]


def announced_folders(store: ObjectStore, dataset: str) -> set[str]:
    """Give the folders of files whose commit is announced: under way, or of an outcome that nobody learnt."""
    return {key.removeprefix(f"{dataset}/commits/").partition("/")[0] for key in store.list(f"{dataset}/commits")}


def open_commits(store: ObjectStore, dataset: str) -> list[str]:
    """Give the announcements of releases that are not published yet; those of redactions are left out."""
    return [key for key in store.list(f"{dataset}/commits") if not _REDACTION.fullmatch(key.rpartition("/")[2])]


def _resolve(store: ObjectStore, dataset: str, key: str) -> Resolved:
    try:
        mine = Manifest.from_bytes(store.get(key), where=store.address(key))
    except (KeyError, ArtifactRefused):
        mine = None
    if mine is None or key != _announcement(mine):  # damaged, or in a folder that somebody copied
        return Resolved(dataset, 0, key, "settled" if not store.exists(key) else "unreadable")
    found = Resolved(dataset, mine.release, mine.commit_id, "published")
    if mine.redactions:
        # Whoever resumes the erasure takes the announcement away.
        return dataclasses.replace(found, outcome="erasing")
    twin = find_job(store, dataset, mine.job)
    if twin is None:
        try:
            verify(store, mine)
            reached("reconcile.verified")
            # Its run may have given up and withdrawn it: a folder without an announcement may be given up any time.
            store.put_if_absent(key, mine.to_bytes())
            reached("reconcile.announced")
            _require_files(store, mine)
        except (FilesCollected, ArtifactRefused):
            _withdraw_if_old(store, mine)
            return dataclasses.replace(found, outcome="incomplete")
        twin = _put(store, mine)
        if twin is None or twin.job != mine.job:
            _withdraw(store, mine)
            return dataclasses.replace(found, outcome="overtaken")
    settle(store, dataset, mine.job)
    # Its run may be suspended just before it publishes, so what is announced cannot be kept from it: it is redacted.
    outcome = "unredacted" if twin.erasures < newest_erasure(store, dataset) else "published"
    return dataclasses.replace(found, release=twin.release, outcome=outcome)


def _announce_and_put(store: ObjectStore, mine: Manifest) -> Manifest | None:
    """Announce the commit and try it; give the manifest that is there then, None when that is damaged."""
    try:
        store.put(_announcement(mine), mine.to_bytes())
        reached("commit.announced")
        _require_files(store, mine)
        require_current(store, mine.dataset, mine.erasures)
        reached("commit.files-seen")
        return _put(store, mine)
    except CommitUnknown:
        raise
    except (EqnError, FilesCollected):
        _withdraw(store, mine)  # nothing was published, and nothing is on its way
        raise


def _put(store: ObjectStore, mine: Manifest) -> Manifest | None:
    """Write the manifest unless its number is taken; give the one that is there then, None when it is damaged."""
    lost: StoreUnavailable | None = None
    for pause in (*_PAUSES, 0.0):
        try:
            return _put_once(store, mine)
        except StoreUnavailable as error:
            # The same bytes may be put again: whichever attempt was applied, it is this commit.
            lost = error
            time.sleep(pause)
        except StorageFull:
            if lost:
                break  # an attempt before this one may yet be applied
            raise
    raise _unknown(mine, lost) from lost


def _put_once(store: ObjectStore, mine: Manifest) -> Manifest | None:
    key = manifest_key(mine.dataset, mine.release)
    try:
        if store.put_if_absent(key, mine.to_bytes()):
            reached("commit.manifest-written")
            return mine
    except StorageFull:
        if not store.exists(key):
            raise
        # The disk filled up just after: what is there tells whose it is.
    with contextlib.suppress(ArtifactRefused, KeyError):
        return Manifest.from_bytes(store.get(key), where=store.address(key))
    return None


def _require_files(store: ObjectStore, mine: Manifest) -> None:
    """Check that every file is there, in a folder that is not given up.

    The announcement stands already, and whoever gives a folder up looks for announcements after that: one of the two
    sees the other.

    Raises:
        FilesCollected: the folder is given up, or files are missing.

    """
    if store.exists(collected_key(mine.dataset, mine.folder)):
        raise FilesCollected
    if not {f"{mine.path}/{name}" for name in mine.files} <= set(store.list(mine.path)):
        raise FilesCollected


def settle(store: ObjectStore, dataset: str, job: str) -> None:
    """Take away the announcements of a job that is published; that may fail, the release stands."""
    with contextlib.suppress(EqnError):
        for key in open_commits(store, dataset):
            if job_of(key.removeprefix(f"{dataset}/commits/").partition("/")[0]) == job:
                store.delete(key)
                reached("commit.settled")


def _withdraw_if_old(store: ObjectStore, mine: Manifest) -> None:
    """Take away an announcement whose run is surely over; one of a run under way keeps its files from removal."""
    with contextlib.suppress(EqnError, KeyError):
        if store.age(_announcement(mine)) >= GRACE_HOURS * 3600:
            store.delete(_announcement(mine))


def _withdraw(store: ObjectStore, mine: Manifest) -> None:
    with contextlib.suppress(EqnError):
        store.delete(_announcement(mine))
        reached("commit.withdrawn")


def _announcement(mine: Manifest) -> str:
    number = f"{mine.release}.{mine.erasures}" if mine.redactions else f"{mine.release}"
    return f"{mine.dataset}/commits/{mine.folder}/{number}-{mine.commit_id}.json"


def _unknown(mine: Manifest, error: StoreUnavailable | None) -> CommitUnknown:
    return CommitUnknown(
        f"it is not known whether release {mine.release} of {mine.dataset!r} was published: "
        f"{error.what if error else 'no answer came'} "
        "Nothing was deleted.",
        todo=f"When the store answers again, run `eqn release reconcile {mine.dataset}`, or the same command again.",
    )
