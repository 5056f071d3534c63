"""Profiles of releases: made part by part, kept beside the release's other reports, made anew where they do not fit."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from eqn.annotation.shards import parquet_table
from eqn.corpus.contract import ID_COLUMN, LABELS_COLUMN, TEXT_COLUMN
from eqn.drift.profile import Profile, Profiler
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused
from eqn.release.catalog import published_file, read_manifest
from eqn.release.manifest import InputEntry, Manifest
from eqn.store.interface import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = (ID_COLUMN, TEXT_COLUMN, LABELS_COLUMN, *EMOTIONS)


def profile_key(dataset: str, number: int) -> str:
    """Give the key under which the profile of release `number` is kept."""
    return f"{dataset}/reports/{number}/profile.json"


def release_profile(store: ObjectStore, manifest: Manifest) -> Profile:
    """Give the profile of a release: the one that is kept, or a new one, which is kept then.

    Raises:
        ArtifactRefused: a part of the release is not as it was published.

    """
    profile = read_profile(store, manifest)
    if profile is None:
        profile = profile_of_inputs(store, manifest, manifest.inputs)
        key = profile_key(manifest.dataset, manifest.release)
        store.put(key, profile.to_bytes(of=_digest(manifest)))
        if read_manifest(store, manifest.dataset, manifest.release) != manifest:
            store.delete(key)  # it may hold texts that were erased meanwhile
    return profile


def read_profile(store: ObjectStore, manifest: Manifest) -> Profile | None:
    """Give the profile of a release that is kept; None when there is none of this very release."""
    try:
        content = store.get(profile_key(manifest.dataset, manifest.release))
    except KeyError:
        return None
    return Profile.from_bytes(content, of=_digest(manifest))


def profile_of_inputs(store: ObjectStore, manifest: Manifest, inputs: tuple[InputEntry, ...]) -> Profile:
    """Give the profile of those rows of a release that came from `inputs`, one part in memory at a time.

    Raises:
        ArtifactRefused: a part of the release is not as it was published.

    """
    profiler = Profiler()
    for table in _tables(store, manifest, inputs):
        profiler.add(
            table.column(ID_COLUMN).to_pylist(),
            table.column(TEXT_COLUMN).to_pylist(),
            np.column_stack([table.column(name).to_numpy() for name in EMOTIONS]),
            table.column(LABELS_COLUMN).to_pylist(),
        )
    models = {str((entry.model or manifest.model)["digest"]) for entry in inputs}
    return profiler.finish(models.pop() if len(models) == 1 else "")


def _tables(store: ObjectStore, manifest: Manifest, inputs: tuple[InputEntry, ...]) -> Iterator["pa.Table"]:
    for name in (part for entry in inputs for part in entry.parts):
        content = published_file(store, manifest, name, to="read")
        try:
            yield parquet_table(content).select(list(_COLUMNS))
        except (OSError, ValueError, KeyError) as error:
            where = store.address(f"{manifest.path}/{name}")
            raise ArtifactRefused(f"expected annotated rows in {where}; it has none: {error}") from error


def _digest(manifest: Manifest) -> str:
    return hashlib.sha256(manifest.to_bytes()).hexdigest()
