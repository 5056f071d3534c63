"""The annotated table: the input's columns, and ours beside them. The types derive from the contract.

Nothing of the user's is overwritten: a column named like an emotion becomes `gold_<emotion>`, one that collides with
`truncated` or `labels`, or with `entropy` or `conformal` where these are written, becomes `input_<name>`. `Joy` counts
as `joy`: SQL does not tell them apart, and DuckDB would give the user's column to whoever asks for ours.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eqn.annotation.uncertainty import COLUMN_MEANINGS, CONFORMAL_COLUMN, ENTROPY_COLUMN
from eqn.corpus.contract import ID_COLUMN, LABELS_COLUMN, RESERVED_COLUMNS, TEXT_COLUMN, TRUNCATED_COLUMN
from eqn.emotions import EMOTIONS, INDEX
from eqn.errors import DataRefused

if TYPE_CHECKING:
    import pyarrow as pa

    from eqn.annotation.annotator import Annotation


def output_name(column: str, *, uncertainty: bool = False) -> str:
    """Give the name under which an input's column stands in the annotated table, with the `uncertainty` or without.

    >>> output_name("joy"), output_name("Labels"), output_name("author")
    ('gold_joy', 'input_Labels', 'author')
    >>> output_name("entropy"), output_name("entropy", uncertainty=True)
    ('entropy', 'input_entropy')
    """
    name = column.lower()
    if name in INDEX:
        return f"gold_{column}"
    is_ours = name in RESERVED_COLUMNS or (uncertainty and name in COLUMN_MEANINGS)
    return f"input_{column}" if is_ours else column


def output_schema(columns: Sequence[tuple[str, "pa.DataType"]], *, uncertainty: bool = False) -> "pa.Schema":
    """Give the annotated table's schema for an input with these other columns, with the `uncertainty` or without.

    Raises:
        DataRefused: two columns would end up with the same name.

    """
    import pyarrow as pa

    names = [output_name(name, uncertainty=uncertainty) for name, _ in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataRefused(
            f"expected columns that stay distinct beside the 28 emotions; {', '.join(twice)} would stand twice.",
            todo="Rename these columns of the input.",
        )
    asked = [
        pa.field(ENTROPY_COLUMN, pa.float32(), nullable=False),
        pa.field(CONFORMAL_COLUMN, pa.list_(pa.string()), nullable=False),
    ]
    return pa.schema(
        [
            pa.field(ID_COLUMN, pa.string(), nullable=False),
            pa.field(TEXT_COLUMN, pa.string(), nullable=False),
            *(pa.field(name, kind) for name, (_, kind) in zip(names, columns, strict=True)),
            pa.field(TRUNCATED_COLUMN, pa.bool_(), nullable=False),
            *(pa.field(name, pa.float32(), nullable=False) for name in EMOTIONS),
            pa.field(LABELS_COLUMN, pa.list_(pa.string()), nullable=False),
            *(asked if uncertainty else ()),
        ]
    )


def annotated_table(rows: "pa.Table", annotation: "Annotation", schema: "pa.Schema") -> "pa.Table":
    """Put `annotation` beside `rows` (id, text and the file's other columns), in the columns of `schema`."""
    import pyarrow as pa

    found = annotation.uncertainty
    table = renamed(rows, uncertainty=found is not None)
    table = table.append_column(TRUNCATED_COLUMN, pa.array(annotation.truncated, pa.bool_()))
    for i, name in enumerate(EMOTIONS):
        table = table.append_column(name, pa.array(annotation.scores[:, i], pa.float32()))
    table = table.append_column(LABELS_COLUMN, pa.array(annotation.labels, pa.list_(pa.string())))
    if found is not None:
        table = table.append_column(ENTROPY_COLUMN, pa.array(found.entropy, pa.float32()))
        table = table.append_column(CONFORMAL_COLUMN, pa.array(found.conformal, pa.list_(pa.string())))
    return conformed(table, schema)


def renamed(rows: "pa.Table", *, uncertainty: bool = False) -> "pa.Table":
    """Give `rows` (id, text and the file's other columns) under the names of the annotated table; see `output_name`."""
    others = (output_name(name, uncertainty=uncertainty) for name in rows.column_names[2:])
    return rows.rename_columns([ID_COLUMN, TEXT_COLUMN, *others])


def conformed(table: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    """Give the columns of `schema` out of `table`, in the types of `schema`; nulls where it has no such column."""
    import pyarrow as pa

    here = set(table.column_names)
    columns = [
        table.column(field.name).cast(field.type) if field.name in here else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
