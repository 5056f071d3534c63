"""Annotating what notebooks hold: lists, pandas, Arrow and Hugging Face tables. The same kind comes back.

Columns are put beside the user's, in a new table: nothing of the user's is changed in place or overwritten. A column
whose name is ours is renamed as `eqn.annotation.columns.output_name` says. A library is asked for its types only where
somebody has imported it.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eqn.annotation.columns import output_name
from eqn.annotation.uncertainty import CONFORMAL_COLUMN, ENTROPY_COLUMN
from eqn.corpus.contract import LABELS_COLUMN, TEXT_COLUMN, TRUNCATED_COLUMN
from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused, UsageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from eqn.annotation.annotator import Annotation

Annotate = Callable[[list[str]], "Annotation"]

_NAMED = 12
"""Rows that an error names."""
_DESCRIBING = (b"pandas", b"huggingface")
"""Metadata of an Arrow schema that speak of columns by their names."""


def annotated(data: Any, text: str, annotate: Annotate, *, uncertainty: bool) -> Any:
    """Give `data` with its annotation: a table as a new table of its kind, texts as a pandas DataFrame.

    `text` names a table's column of texts; `uncertainty` says whether `annotate` gives it.

    Raises:
        TypeError: `data` is nothing of this kind, or some text is none; their rows are named.
        UsageError: there is no such column; those that there are are named.
        DataRefused: two columns would end up with one name.

    """
    if _is(data, "pandas", "DataFrame"):
        return _beside_frame(data, text, annotate, uncertainty=uncertainty)
    if _is(data, "pandas", "Series"):
        return _frame(data.tolist(), annotate).set_axis(data.index)
    if _is(data, "pyarrow", "Table"):
        return _beside_arrow(data, text, annotate, uncertainty=uncertainty)
    if _is(data, "datasets", "Dataset"):
        return _beside_dataset(data, text, annotate, uncertainty=uncertainty)
    return _frame(texts_in(data), annotate)


def texts_in(data: Any) -> list[str]:
    """Give a list of the texts in `data`, which must be texts one by one; see `require_texts`."""
    if isinstance(data, str | bytes):
        raise TypeError(f"expected a list of texts, got one string; annotate([{data[:20]!r}...]) is meant")
    if isinstance(data, Mapping) or not isinstance(data, Iterable):
        raise TypeError(
            "expected a list of texts, a pandas DataFrame or Series, a pyarrow Table or a datasets.Dataset; got a "
            f"{type(data).__name__}"
        )
    return require_texts(list(data))


def require_texts(texts: Sequence[Any], *, first: int = 0) -> list[str]:
    """Give `texts` as a list; the first one is called row `first` where some are not texts.

    Raises:
        TypeError: some are not; the rows are named, a dozen of them at most.

    """
    odd = [(row, value) for row, value in enumerate(texts, first) if not _is_text(value)]
    if odd:
        named = ", ".join(f"row {row} is {_shown(value)}" for row, value in odd[:_NAMED])
        more = f", and {len(odd) - _NAMED:,} more" if len(odd) > _NAMED else ""
        raise TypeError(f"expected texts (str); {named}{more}. Leave these rows out, or fill them in.")
    return list(texts)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"{value[:20]!a}, with half of a surrogate pair"
    return "None" if value is None else f"{str(value)[:20]!r} ({type(value).__name__})"


def _is(data: Any, module: str, name: str) -> bool:
    """Tell whether `data` is of a class of a module that may not be installed."""
    return module in sys.modules and isinstance(data, getattr(sys.modules[module], name, ()))


def _frame(texts: list[Any], annotate: Annotate) -> "pd.DataFrame":
    frame = _pandas_columns(annotate(require_texts(texts)))
    frame.insert(0, TEXT_COLUMN, list(texts))
    return frame


def _beside_frame(data: "pd.DataFrame", text: str, annotate: Annotate, *, uncertainty: bool) -> "pd.DataFrame":
    import pandas as pd

    if data.columns.nlevels > 1:
        raise UsageError("expected columns with plain names; this DataFrame's have several levels.")
    names = _names(list(data.columns), text, uncertainty=uncertainty)
    ours = _pandas_columns(annotate(require_texts(data[text].tolist()))).set_axis(data.index)
    return pd.concat([data.set_axis(names, axis=1), ours], axis=1)


def _beside_arrow(data: "pa.Table", text: str, annotate: Annotate, *, uncertainty: bool) -> "pa.Table":
    names = _names(data.column_names, text, uncertainty=uncertainty)
    ours = _arrow_columns(annotate(require_texts(data.column(text).to_pylist())))
    table = data.rename_columns(names)
    if names != data.column_names:  # what described columns by their names would now describe ours
        kept = {key: said for key, said in (data.schema.metadata or {}).items() if key not in _DESCRIBING}
        table = table.replace_schema_metadata(kept or None)
    for field in ours.schema:
        table = table.append_column(field, ours.column(field.name))
    return table


def _beside_dataset(data: Any, text: str, annotate: Annotate, *, uncertainty: bool) -> Any:
    import datasets

    names = _names(data.column_names, text, uncertainty=uncertainty)
    plain = data.with_format(None)
    ours = datasets.Dataset(_arrow_columns(annotate(require_texts(list(plain[text])))))
    renamed = {old: new for old, new in zip(data.column_names, names, strict=True) if old != new}
    whole = datasets.concatenate_datasets([plain.rename_columns(renamed), ours], axis=1, split=data.split)
    return whole.with_format(data.format["type"], **data.format["format_kwargs"])


def _names(columns: list[Any], text: str, *, uncertainty: bool) -> list[Any]:
    """Give the names of the user's columns beside ours."""
    if columns.count(text) != 1:
        problem = f"the column {text!r} stands twice" if text in columns else f"there is no column {text!r}"
        raise UsageError(
            f"expected a column of texts; {problem}.",
            faults=[f"columns: {', '.join(map(str, columns)) or 'none'}"],
            todo="Name it: annotate(data, text=...)",
        )
    ours = {*EMOTIONS, LABELS_COLUMN, TRUNCATED_COLUMN, *((ENTROPY_COLUMN, CONFORMAL_COLUMN) if uncertainty else ())}
    names = [
        output_name(name, uncertainty=uncertainty) if isinstance(name, str) and name.lower() in ours else name
        for name in columns
    ]
    twice = sorted({new for old, new in zip(columns, names, strict=True) if old != new and names.count(new) > 1})
    if twice:
        raise DataRefused(
            f"expected columns that stay distinct beside the 28 emotions; {', '.join(twice)} would stand twice.",
            todo="Rename these columns.",
        )
    return names


def _pandas_columns(annotation: "Annotation") -> "pd.DataFrame":
    import pandas as pd

    frame = pd.DataFrame(annotation.scores, columns=list(EMOTIONS))
    found = {LABELS_COLUMN: annotation.labels, TRUNCATED_COLUMN: np.array(annotation.truncated, dtype=bool)}
    if annotation.uncertainty is not None:
        found |= {ENTROPY_COLUMN: annotation.uncertainty.entropy, CONFORMAL_COLUMN: annotation.uncertainty.conformal}
    return frame.assign(**found)


def _arrow_columns(annotation: "Annotation") -> "pa.Table":
    import pyarrow as pa

    columns = {name: pa.array(annotation.scores[:, i], pa.float32()) for i, name in enumerate(EMOTIONS)}
    columns[LABELS_COLUMN] = pa.array(annotation.labels, pa.list_(pa.string()))
    columns[TRUNCATED_COLUMN] = pa.array(annotation.truncated, pa.bool_())
    if annotation.uncertainty is not None:
        columns[ENTROPY_COLUMN] = pa.array(annotation.uncertainty.entropy, pa.float32())
        columns[CONFORMAL_COLUMN] = pa.array(annotation.uncertainty.conformal, pa.list_(pa.string()))
    return pa.table(columns)
