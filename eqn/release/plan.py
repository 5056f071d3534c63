"""The plan of a release: one scan of the inputs, then everything about the work is known before any of it starts."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eqn.annotation.annotator import Annotator
from eqn.annotation.columns import output_schema
from eqn.annotation.shards import ROWS, parquet_table
from eqn.annotation.uncertainty import conformal_of, promise
from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN, Reason
from eqn.corpus.erased import NOTHING_ERASED, ErasureList
from eqn.corpus.inputs import InputFile
from eqn.corpus.reader import Batch, FileScan, read_batches
from eqn.errors import DataRefused
from eqn.evaluation.conformal import Conformal
from eqn.quality.inputs import scan_all
from eqn.records import ModelRef
from eqn.release.catalog import find_job, latest_readable, published_file
from eqn.release.described import Maker, makers
from eqn.release.erasures import list_of, read_erasures
from eqn.release.manifest import InputEntry, Manifest, check_dataset_name
from eqn.release.reuse import (
    EVERYTHING,
    Named,
    NewModel,
    Wanted,
    done_by,
    form_options,
    job_digest,
    marked,
    named,
    usable_inputs,
)
from eqn.store.interface import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One input file, its scan, and what an earlier release made of the very same file."""

    file: InputFile
    scan: FileScan
    carried: InputEntry | None
    """With the model and arithmetic that made its parts, where they are not those of the plan."""

    @property
    def key(self) -> tuple[str, str]:
        """Name and digest."""
        return self.file.name, self.scan.digest

    @property
    def counts(self) -> dict[str, int]:
        """Rows for quarantine, by reason."""
        return {reason.value: count for reason, count in sorted(self.scan.quarantined.items()) if count}


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
    """The release that holds this very work already, or work that will do."""
    previous: Manifest | None
    """The latest release that can be read, whose parts are carried over where nothing changed."""
    conformal: Conformal | None = None
    """The limits of the conformal sets where the columns of `eqn.annotation.uncertainty` are written; else None."""
    erased: ErasureList = NOTHING_ERASED
    """What must not come out of the inputs again."""
    erasures: int = 0
    """Number of the newest record on that list."""

    def batches(self, source: Source) -> Iterator[Batch]:
        """Read the rows of one input in shards."""
        return read_batches(
            source.file,
            source.scan,
            text_column=self.text_column,
            id_column=self.id_column,
            erasures=self.erased,
            batch_rows=ROWS,
        )

    @property
    def uncertainty(self) -> bool:
        """Tell whether the columns of `eqn.annotation.uncertainty` are written."""
        return self.conformal is not None

    @property
    def promise(self) -> str | None:
        """Say what the conformal sets promise, where they are written."""
        return None if self.conformal is None else promise(self.conformal)

    @property
    def rows(self) -> int:
        """Rows of all inputs."""
        return sum(source.scan.rows for source in self.sources)

    @property
    def rows_erased(self) -> int:
        """Rows of all inputs that are on the list of erasures."""
        return sum(source.scan.quarantined.get(Reason.ERASED, 0) for source in self.sources)

    @property
    def rows_of_others(self) -> list[Maker]:
        """Rows that are carried over from other makers, most rows first."""
        return makers(
            (source.carried.model["digest"], source.carried.options or {}, source.scan.accepted)
            for source in self.sources
            if source.carried and source.carried.model is not None
        )

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
    new_model: NewModel = EVERYTHING,
    any_back_end: bool = False,
) -> Plan:
    """Scan `inputs` and find out what is new; writes nothing.

    What the latest release made of an unchanged file is carried over where the same model made it with the arithmetic
    of the annotator; with `any_back_end` where the same model made it, and for "new files" whoever made it.

    Raises:
        ArtifactRefused: a part that is to be carried over is not as it was published.
        DataRefused: an input cannot be used, or columns of several inputs do not go together.
        UsageError: the dataset's name cannot be used, or the model cannot tell its `uncertainty`.

    """
    check_dataset_name(dataset)
    conformal = conformal_of(annotator.package) if uncertainty else None
    records = read_erasures(store, dataset)
    erased = list_of(records)
    scans = scan_all(inputs, text_column=text_column, id_column=id_column, erasures=erased)
    schema = output_schema(_columns(scans), uncertainty=uncertainty)
    form = form_options(text_column=text_column, id_column=id_column, uncertainty=uncertainty)
    digest, options = annotator.package.digest, annotator.options | form
    wanted = Wanted(
        model=digest, form=form, arithmetic=None if any_back_end else annotator.options, new_model=new_model
    )
    sources = [Source(file, found, None) for file, found in zip(inputs, scans, strict=True)]
    keys = [source.key for source in sources]
    job = anew = job_digest(digest, options, [Named(*key) for key in keys])
    previous = latest_readable(store, dataset)
    published = done_by(store, previous, wanted, keys) or find_job(store, dataset, anew)
    if previous is not None:
        usable = usable_inputs(previous, wanted)
        sources = _carrying(sources, {key: marked(previous, entry, digest, options) for key, entry in usable.items()})
        if not published and not _widens(_schema_of(store, previous, sources), schema):
            sources = _carrying(sources, {})
        job = job_digest(
            digest, options, [named(source.carried) if source.carried else Named(*source.key) for source in sources]
        )
    if not published and job != anew:
        published = find_job(store, dataset, job)
    return Plan(
        dataset=dataset,
        job=job,
        model=model,
        options=options,
        text_column=text_column,
        id_column=id_column,
        sources=tuple(sources),
        schema=schema,
        published=published,
        previous=previous,
        conformal=conformal,
        erased=erased,
        erasures=len(records),
    )


def _carrying(sources: Sequence[Source], usable: Mapping[tuple[str, str], InputEntry]) -> list[Source]:
    """Note what can be carried over; not the parts of a file that the reader judges otherwise than it did then."""
    found = [(source, usable.get(source.key)) for source in sources]
    return [
        dataclasses.replace(
            source,
            carried=entry if entry and (entry.rows, entry.quarantined) == (source.scan.rows, source.counts) else None,
        )
        for source, entry in found
    ]


def _schema_of(store: ObjectStore, previous: Manifest, sources: Sequence[Source]) -> "pa.Schema":
    """Give the schema of the parts to carry over, which is one for a whole release; an empty one where there are none.

    Raises:
        ArtifactRefused: the first part is not as it was published.

    """
    import pyarrow as pa

    parts = (part for source in sources if source.carried for part in source.carried.parts)
    part = next(parts, None)
    return pa.schema([]) if part is None else parquet_table(published_file(store, previous, part)).schema


def _widens(old: "pa.Schema", new: "pa.Schema") -> bool:
    """Tell whether parts of the schema `old` become parts of `new` as if annotated anew.

    Columns may come and go, and become text. What became text beside another input stays text for good: its type
    cannot be read back from it.
    """
    import pyarrow as pa

    return all(field.type in (old.field(field.name).type, pa.string()) for field in new if field.name in old.names)


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
