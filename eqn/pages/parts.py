"""The files of a release for a page: one part after the other, each held against the manifest first."""

import dataclasses
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eqn.annotation.columns import output_schema
from eqn.annotation.shards import parquet_table
from eqn.corpus.contract import LABELS_COLUMN
from eqn.corpus.quarantine import quarantine_schema
from eqn.emotions import EMOTIONS, INDEX
from eqn.errors import ArtifactRefused
from eqn.release.catalog import published_file
from eqn.release.manifest import Manifest
from eqn.store.interface import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One part of a release."""

    file: str
    """The input that its rows come from."""
    sha256: str
    table: "pa.Table"
    """The columns that every release has; the input's others are left out."""


def annotated_parts(store: ObjectStore, manifest: Manifest, *, but: Collection[str] = ()) -> Iterator[Part]:
    """Give the annotated parts in the order of their rows, without those whose sha256 is in `but`.

    Raises:
        ArtifactRefused: a part is not as it was published, or holds no annotated rows.

    """
    schema = output_schema([], uncertainty=manifest.options.get("uncertainty") is True)
    for entry in manifest.inputs:
        for name in entry.parts:
            sha256 = manifest.files[name].sha256
            if sha256 not in but:
                yield Part(entry.name, sha256, _table(store, manifest, name, schema))


def quarantined_parts(store: ObjectStore, manifest: Manifest) -> Iterator[Part]:
    """Give the parts of the quarantine; raises what `annotated_parts` raises."""
    for entry in manifest.inputs:
        for name in entry.quarantine:
            yield Part(entry.name, manifest.files[name].sha256, _table(store, manifest, name, quarantine_schema()))


def intensities(table: "pa.Table") -> NDArray[np.float64]:
    """Give the intensities (rows, 28) as they were rounded, without what 32 bits add to them."""
    columns = [table.column(name).to_numpy().astype(np.float64) for name in EMOTIONS]
    return np.round(np.stack(columns, axis=1), 4)


def label_flags(table: "pa.Table") -> NDArray[np.bool_]:
    """Give for each row and emotion (rows, 28) whether it is a label."""
    labels = table.column(LABELS_COLUMN).combine_chunks()
    flags = np.zeros((len(table), len(EMOTIONS)), dtype=np.bool_)
    lengths = labels.value_lengths().to_numpy()
    names = labels.flatten().dictionary_encode()
    positions = np.array([INDEX[name] for name in names.dictionary.to_pylist()], dtype=np.int64)
    flags[np.repeat(np.arange(len(table)), lengths), positions[names.indices.to_numpy()]] = True
    return flags


def _table(store: ObjectStore, manifest: Manifest, name: str, schema: "pa.Schema") -> "pa.Table":
    content = published_file(store, manifest, name, to="read")
    try:
        table = parquet_table(content).select(schema.names).cast(schema)
        table.validate(full=True)
        _check_labels(table)
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactRefused(
            f"expected rows of a release in {store.address(f'{manifest.path}/{name}')}; it has none: {error}"
        ) from error
    return table


def _check_labels(table: "pa.Table") -> None:
    if LABELS_COLUMN not in table.column_names:
        return
    names = table.column(LABELS_COLUMN).combine_chunks().flatten().unique().to_pylist()
    foreign = set(names) - set(EMOTIONS)
    if foreign:
        raise ValueError(f"{len(foreign)} of its labels are no emotions")
