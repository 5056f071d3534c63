"""The plan of a release: one scan of the inputs, then everything about the work is known before any of it starts."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from eqn.annotation.annotator import Annotator
from eqn.annotation.columns import output_schema
from eqn.annotation.shards import ROWS
from eqn.annotation.uncertainty import conformal_of
from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN, VERSION
from eqn.corpus.inputs import InputFile
from eqn.corpus.reader import Batch, FileScan, read_batches
from eqn.errors import DataRefused
from eqn.evaluation.conformal import Conformal
from eqn.quality.inputs import scan_all
from eqn.records import ModelRef
from eqn.release.catalog import find_job, latest_readable
from eqn.release.manifest import InputEntry, Manifest, check_dataset_name
from eqn.store.interface import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One input file, its scan, and what an earlier release made of the very same file."""

    file: InputFile
    scan: FileScan
    carried: InputEntry | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What publishing would do."""

    dataset: str
    job: str
    """Digest of inputs, model and options."""
    model: ModelRef
    options: dict[str, Any]
    text_column: str
    id_column: str
    sources: tuple[Source, ...]
    schema: "pa.Schema"
    published: Manifest | None
    """The release that holds this very work already."""
    previous: Manifest | None
    """The latest release that can be read, whose parts are carried over where nothing changed."""
    conformal: Conformal | None = None
    """The limits of the conformal sets where the columns of `eqn.annotation.uncertainty` are written; else None."""

    def batches(self, source: Source) -> Iterator[Batch]:
        """Read the rows of one input in shards."""
        return read_batches(
            source.file, source.scan, text_column=self.text_column, id_column=self.id_column, batch_rows=ROWS
        )

    @property
    def uncertainty(self) -> bool:
        """Tell whether the columns of `eqn.annotation.uncertainty` are written."""
        return self.conformal is not None

    @property
    def rows(self) -> int:
        """Rows of all inputs."""
        return sum(source.scan.rows for source in self.sources)

    @property
    def rows_to_annotate(self) -> int:
        """Accepted rows of the inputs that cannot be carried over."""
        return sum(source.scan.accepted for source in self.sources if source.carried is None)


def make_plan(
    store: ObjectStore,
    dataset: str,
    inputs: Sequence[InputFile],
    *,
    model: ModelRef,
    annotator: Annotator,
    text_column: str = TEXT_COLUMN,
    id_column: str = ID_COLUMN,
    uncertainty: bool = False,
) -> Plan:
    """Scan `inputs` and find out what is new; writes nothing.

    Raises:
        DataRefused: an input cannot be used, or columns of several inputs do not go together.
        UsageError: the dataset's name cannot be used, or the model cannot tell its `uncertainty`.

    """
    check_dataset_name(dataset)
    conformal = conformal_of(annotator.package) if uncertainty else None
    scans = scan_all(inputs, text_column=text_column, id_column=id_column)
    schema = output_schema(_columns(scans), uncertainty=uncertainty)
    options = annotator.options | {"shard_rows": ROWS, "text_column": text_column, "id_column": id_column}
    if uncertainty:  # and only then: jobs without it are the same as ever
        options["uncertainty"] = True
    named = [(file.name, found.digest) for file, found in zip(inputs, scans, strict=True)]
    facts = [VERSION, annotator.package.digest, options, named]
    job = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    previous = latest_readable(store, dataset)
    same_work = previous is not None and (previous.contract, previous.model["digest"], previous.options) == (
        VERSION,
        annotator.package.digest,
        options,
    )
    known = {(entry.name, entry.sha256): entry for entry in previous.inputs} if previous and same_work else {}
    return Plan(
        dataset=dataset,
        job=job,
        model=model,
        options=options,
        text_column=text_column,
        id_column=id_column,
        sources=tuple(
            Source(file, found, known.get((file.name, found.digest))) for file, found in zip(inputs, scans, strict=True)
        ),
        schema=schema,
        published=find_job(store, dataset, job),
        previous=previous,
        conformal=conformal,
    )


def _columns(scans: Sequence[FileScan]) -> list[tuple[str, "pa.DataType"]]:
    """Give the union of the inputs' other columns, in order of first appearance; unlike types meet as text.

    Raises:
        DataRefused: unlike types, and one of them cannot be written as text.

    """
    import pyarrow as pa

    types: dict[str, pa.DataType] = {}
    faults = []
    for column in (column for found in scans for column in found.columns):
        known = types.setdefault(column.name, column.type)
        if known != column.type:
            if not (_has_text(known) and _has_text(column.type)):
                faults.append(f"{column.name!r} is {known} in one input and {column.type} in another")
            types[column.name] = pa.string()
    if faults:
        raise DataRefused(
            "expected columns of one type in all inputs, or of types that can be written as text.",
            faults=faults,
            todo="Convert, rename or drop these columns, or publish the inputs as two datasets.",
        )
    return list(types.items())


def _has_text(kind: "pa.DataType") -> bool:
    """Tell whether any value of this type can be written as text."""
    import pyarrow as pa

    bytes_ = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    try:
        pa.nulls(0, kind).cast(pa.string())
    except pa.ArrowNotImplementedError:
        return False
    return not bytes_
