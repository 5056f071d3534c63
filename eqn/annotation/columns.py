"""The annotated table: the input's columns, and ours beside them. The types derive from the contract.

Nothing of the user's is overwritten: a column named like an emotion becomes `gold_<emotion>`, one that collides with
`truncated` or `labels` becomes `input_<name>`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eqn.corpus.contract import ID_COLUMN, LABELS_COLUMN, RESERVED_COLUMNS, TEXT_COLUMN, TRUNCATED_COLUMN
from eqn.emotions import EMOTIONS, INDEX
from eqn.errors import DataRefused

if TYPE_CHECKING:
    import pyarrow as pa

    from eqn.annotation.annotator import Annotation


def output_name(column: str) -> str:
    """Give the name under which an input's column stands in the annotated table.

    >>> output_name("joy"), output_name("labels"), output_name("author")
    ('gold_joy', 'input_labels', 'author')
    """
    if column in INDEX:
        return f"gold_{column}"
    return f"input_{column}" if column in RESERVED_COLUMNS else column


def output_schema(columns: Sequence[tuple[str, "pa.DataType"]]) -> "pa.Schema":
    """Give the annotated table's schema for an input with these other columns.

    Raises:
        DataRefused: two columns would end up with the same name.

    """
    import pyarrow as pa

    names = [output_name(name) for name, _ in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataRefused(
            f"expected columns that stay distinct beside the 28 emotions; {', '.join(twice)} would stand twice.",
            todo="Rename these columns of the input.",
        )
    return pa.schema(
        [
            pa.field(ID_COLUMN, pa.string(), nullable=False),
            pa.field(TEXT_COLUMN, pa.string(), nullable=False),
            *(pa.field(name, kind) for name, (_, kind) in zip(names, columns, strict=True)),
            pa.field(TRUNCATED_COLUMN, pa.bool_(), nullable=False),
            *(pa.field(name, pa.float32(), nullable=False) for name in EMOTIONS),
            pa.field(LABELS_COLUMN, pa.list_(pa.string()), nullable=False),
        ]
    )


def annotated_table(rows: "pa.Table", annotation: "Annotation", schema: "pa.Schema") -> "pa.Table":
    """Put `annotation` beside `rows` (id, text and the file's other columns), in the columns of `schema`."""
    import pyarrow as pa

    ours = {ID_COLUMN: rows.column(0), TEXT_COLUMN: rows.column(1)}
    ours |= {output_name(name): rows.column(name) for name in rows.column_names[2:]}
    ours[TRUNCATED_COLUMN] = pa.array(annotation.truncated, pa.bool_())
    ours |= {name: pa.array(annotation.scores[:, i], pa.float32()) for i, name in enumerate(EMOTIONS)}
    ours[LABELS_COLUMN] = pa.array(annotation.labels, pa.list_(pa.string()))
    return pa.table([fitted(ours.get(field.name), field, len(rows)) for field in schema], schema=schema)


def fitted(column: "pa.ChunkedArray | pa.Array | None", field: "pa.Field", rows: int) -> "pa.ChunkedArray | pa.Array":
    """Give `column` in the type of `field`; nulls when the file has no such column."""
    import pyarrow as pa

    if column is None:
        return pa.nulls(rows, field.type)
    return column if column.type == field.type else column.cast(field.type)
