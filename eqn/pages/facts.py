"""What a page tells of a release, gathered in one pass over its parts."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eqn.annotation.uncertainty import ENTROPY_COLUMN
from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN, TRUNCATED_COLUMN
from eqn.drift.records import read_drift
from eqn.errors import ArtifactRefused, UsageError
from eqn.pages.examples import Examples, Rows
from eqn.pages.parts import annotated_parts, intensities, label_flags, quarantined_parts
from eqn.pages.rejects import Rejects
from eqn.pages.shared_ids import Meetings, Owners, SharedId
from eqn.pages.tally import Sums, Tally
from eqn.records import Drift
from eqn.release.catalog import read_manifest
from eqn.release.manifest import Manifest
from eqn.store.interface import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa

SHARED_IDS = 12
"""Ids in several files that are shown."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that is on the page."""

    manifest: Manifest
    tally: Tally
    examples: Examples
    rejects: Rejects
    shared_ids: tuple[SharedId, ...]
    """Some of the ids that stand in several files."""
    ids_looked_at: float
    """Share of all ids among which these were looked for."""
    previous: Manifest | None
    """The release before, where it can be read."""
    before: Sums
    """Sums over that release; empty without it."""
    fresh: Sums
    """Sums over the rows that the release before did not hold."""
    drift: Drift | None


def gather(store: ObjectStore, manifest: Manifest) -> Facts:
    """Read a release, and of the one before it what both do not share.

    Raises:
        ArtifactRefused: a part is not as it was published.

    """
    fresh = Sums()
    tally, examples, meetings = Tally(), Examples(), Meetings()
    previous = _previous(store, manifest)
    known: dict[str, Sums] = {entry.sha256: Sums() for entry in previous.files.values()} if previous else {}
    for part in annotated_parts(store, manifest):
        table, scores, flags = part.table, intensities(part.table), label_flags(part.table)
        sums = tally.add(scores, flags, sum(table.column(TRUNCATED_COLUMN).to_pylist()))
        if part.sha256 in known:
            known[part.sha256] = sums
        else:
            fresh.add(sums)
        entropy = (
            table.column(ENTROPY_COLUMN).to_numpy().astype(float) if ENTROPY_COLUMN in table.schema.names else None
        )
        examples.add(part.file, scores, flags, _rows_of(table), entropy=entropy)
        if manifest.ids_in_several_files:
            meetings.note(table.column(ID_COLUMN).to_pylist())
    rejects = Rejects()
    for part in quarantined_parts(store, manifest):
        rejects.add(part.table)
    return Facts(
        manifest=manifest,
        tally=tally,
        examples=examples,
        rejects=rejects,
        shared_ids=_shared_ids(store, manifest, meetings),
        ids_looked_at=meetings.share,
        previous=previous,
        before=_sums(store, previous, known) if previous else Sums(),
        fresh=fresh,
        drift=read_drift(store, manifest.dataset, manifest.release),
    )


def _previous(store: ObjectStore, manifest: Manifest) -> Manifest | None:
    """Give the release before, if it is there and whole enough to be compared with."""
    if manifest.previous is None:
        return None
    try:
        return read_manifest(store, manifest.dataset, manifest.previous)
    except (ArtifactRefused, UsageError):  # a damaged release is no reason to tell nothing of this one
        return None


def _sums(store: ObjectStore, previous: Manifest, known: dict[str, Sums]) -> Sums:
    """Give the sums over the release before; parts that the newer one holds as well are not read again."""
    whole = Sums()
    read = {sha256 for sha256, sums in known.items() if sums.rows}
    for entry in previous.inputs:
        for name in entry.parts:
            whole.add(known[previous.files[name].sha256])
    try:
        for part in annotated_parts(store, previous, but=read):
            flags = label_flags(part.table)
            whole.add(Sums(len(flags), intensities(part.table).sum(axis=0), flags.sum(axis=0)))
    except ArtifactRefused:
        return Sums()
    return whole


def _shared_ids(store: ObjectStore, manifest: Manifest, meetings: Meetings) -> tuple[SharedId, ...]:
    """Look through the parts again for the ids that met, if any did."""
    keys = meetings.keys(SHARED_IDS)
    owners = Owners(keys)
    if keys:
        for part in annotated_parts(store, manifest):
            owners.note(part.file, part.table.column(ID_COLUMN).to_pylist())
    return tuple(owners.shared())


def _rows_of(table: "pa.Table") -> Rows:
    import pyarrow as pa

    def rows(numbers: Sequence[int]) -> list[tuple[str, str]]:
        taken = table.select([ID_COLUMN, TEXT_COLUMN]).take(pa.array(numbers, pa.int64()))
        return list(zip(*(column.to_pylist() for column in taken.columns), strict=True))

    return rows
