"""An inbox as tables of a bounded size, so that the rules can be held against any number of rows.

    rows  ->  what the rules need to know of each row, in a scratch file  ->  one table for every PIECE_ROWS rows

Some of it depends on all other rows: whether the id comes again, how much of the file is in quarantine. Therefore all
rows are measured before the first table comes. No text gets into the scratch file, which has no name and goes by
itself. Memory holds one piece, and 8 bytes for each accepted row; where ids come again, 40 for each such row.
"""

import itertools
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from eqn.corpus.identity import ID_BYTES, KEY_BYTES, id_digest, repeated
from eqn.quality.tables import safe

if TYPE_CHECKING:  # so that importing the gate loads neither pandas nor numpy
    from pandas import DataFrame

    from eqn.quality.recurring import Recurring

PIECE_ROWS = 32_768
"""Rows of a table, some 20 MB. Great Expectations takes 0.15 seconds for it, 0.1 of them for any table at all."""


class InboxRow(NamedTuple):
    """One row of one inbox file, after the reader's verdict."""

    file: str
    row: int
    """Its number in the file, as the reader counts."""
    id: str | None
    """None when a quarantined row has none."""
    text: str | None
    """None when a quarantined row has none. The gate takes its length and lets it go."""
    reason: str | None = None
    """Why the row is in quarantine; None for an accepted row."""


def inbox_tables(rows: Iterable[InboxRow], scratch: Path) -> Iterator["DataFrame"]:
    """Give one line for each row of the inbox, in tables of PIECE_ROWS lines; at least one table.

    `rows` is read once, before the first table comes, and may be a generator. `scratch` is a folder with space for
    some 60 bytes a row.

    | column | meaning |
    |---|---|
    | file, id, reason | as in the row |
    | place | `letters.csv row 7` |
    | characters, visible_characters | length of the text, 0 if there is none; without white space at its ends |
    | times_in_file, files_of_id | accepted rows only: how often the id is accepted in this file; in how many files |
    | quarantined_share | quarantined rows only: the share of the file's rows that is in quarantine |
    """
    with tempfile.TemporaryFile(dir=scratch) as file:
        yield from _Measured(rows, file).tables()


_Measures = tuple[str, int, str | None, str | None, int, int]
"""File, row, id, reason, characters, visible characters."""


class _Measured:
    """The rows of an inbox, measured."""

    def __init__(self, rows: Iterable[InboxRow], file: IO[bytes]) -> None:
        """Read all `rows`, and write into `file` what the rules need of each."""
        import pyarrow as pa

        self._file = file
        self._numbers: dict[str, int] = {}
        self._rows_of, self._refused_of = Counter[int](), Counter[int]()
        self._keys = bytearray()
        self._schema = pa.schema(
            [
                ("file", pa.int32()),
                ("row", pa.int64()),
                ("id", pa.string()),
                ("reason", pa.string()),
                ("characters", pa.int64()),
                ("visible_characters", pa.int64()),
                ("digest", pa.binary(ID_BYTES)),
            ]
        )
        with pa.ipc.new_stream(file, self._schema) as target:
            for piece in _pieces(_measures(rows)):
                target.write_batch(self._batch(piece))

    def tables(self) -> Iterator["DataFrame"]:
        """Give the tables."""
        recurring = self._recurring()
        for batch in self._batches():
            yield self._table(batch, recurring)

    def _batch(self, piece: Sequence[_Measures]) -> Any:
        """Give the piece as it is written, and count what spans pieces."""
        import pyarrow as pa

        files, numbers, ids, reasons, *lengths = zip(*piece, strict=True) if piece else ((),) * 6
        codes = [self._numbers.setdefault(file, len(self._numbers)) for file in files]
        self._rows_of.update(codes)
        self._refused_of.update(code for code, reason in zip(codes, reasons, strict=True) if reason is not None)
        # An id in quarantine meets nobody. What is compared is the id as it was given, not as it is shown.
        digests = [
            None if identifier is None or reason is not None else id_digest(identifier)
            for identifier, reason in zip(ids, reasons, strict=True)
        ]
        self._keys += b"".join(digest[:KEY_BYTES] for digest in digests if digest is not None)
        shown = [[safe(word) for word in words] for words in (ids, reasons)]
        return pa.record_batch([codes, numbers, *shown, *lengths, digests], schema=self._schema)

    def _batches(self) -> Iterator[Any]:
        import pyarrow as pa

        self._file.seek(0)
        yield from pa.ipc.open_stream(self._file)

    def _recurring(self) -> "Recurring":
        import numpy as np

        from eqn.quality.recurring import Recurring

        suspects = np.frombuffer(repeated(self._keys), np.uint64)
        self._keys, pairs = bytearray(), bytearray()
        for batch in self._batches() if len(suspects) else ():
            keys = _digests(batch).view(np.uint64)[::2]
            at = np.minimum(np.searchsorted(suspects, keys), len(suspects) - 1)
            pairs += _pairs(batch)[(suspects[at] == keys) & _present(batch, "digest")].tobytes()
        return Recurring(pairs)

    def _table(self, batch: Any, recurring: "Recurring") -> "DataFrame":
        import numpy as np
        import pandas as pd

        codes, pairs = batch.column("file").to_numpy(), _pairs(batch)
        names = [safe(name) for name in self._numbers]
        files = [names[code] for code in codes]
        rows = batch.column("row").to_pylist()
        shares = np.array([self._refused_of[code] / self._rows_of[code] for code in range(len(names))])

        def where(column: str, values: Any) -> Any:
            return np.where(_present(batch, column), values, np.nan)

        words = {
            "file": files,
            "place": [f"{file} row {row}" for file, row in zip(files, rows, strict=True)],
            "id": batch.column("id").to_pylist(),
            "reason": batch.column("reason").to_pylist(),
        }
        numbers = {
            "characters": batch.column("characters").to_numpy(),
            "visible_characters": batch.column("visible_characters").to_numpy(),
            "times_in_file": where("digest", recurring.times_in_file(pairs)),
            "files_of_id": where("digest", recurring.files_of_id(pairs)),
            "quarantined_share": where("reason", shares[codes]),
        }
        # dtype=object: pandas' string type would turn None into NaN, and nothing is to be guessed about ids.
        return pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in words.items()} | numbers)


def _measures(rows: Iterable[InboxRow]) -> Iterator[_Measures]:
    # The texts go here, row by row.
    for file, row, identifier, text, reason in rows:
        yield file, row, identifier, reason, len(text or ""), len((text or "").strip())


def _pieces(measures: Iterator[_Measures]) -> Iterator[list[_Measures]]:
    """Give PIECE_ROWS at a time; an inbox without rows is one empty piece."""
    yield list(itertools.islice(measures, PIECE_ROWS))
    while piece := list(itertools.islice(measures, PIECE_ROWS)):
        yield piece


def _present(batch: Any, column: str) -> Any:
    return batch.column(column).is_valid().to_numpy(zero_copy_only=False)


def _digests(batch: Any) -> Any:
    import numpy as np

    # Where there is none, of whatever bytes: `_present` tells.
    return np.frombuffer(batch.column("digest").buffers()[1], f"S{ID_BYTES}", len(batch))


def _pairs(batch: Any) -> Any:
    from eqn.quality.recurring import pairs_of

    return pairs_of(_digests(batch), batch.column("file").to_numpy())
