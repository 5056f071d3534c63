"""The file of out-of-fold scores: for each training row, what models say that have not seen it.

    write_scores(path, split.ids, split.texts, scores, corpus_digest=corpus.ref.digest)
    scores = read_scores(path).aligned(corpus)      # (rows, 28), in the order of corpus.train

Parquet with one row for each row of the training split, in any order:

| column | type | content |
|---|---|---|
| id | string | the comment's id, as in train.tsv |
| text | string | its text |
| admiration ... neutral | float32 | a score in [0, 1] from a model that was trained without this row |

The 28 columns are written in canonical order and found by name. The file's metadata hold `eqn.out_of_fold` (the version
of this contract) and `eqn.corpus` (the digest of the corpus), so that scores of another corpus are refused.
"""

import dataclasses
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN
from eqn.emotions import EMOTIONS, order_from
from eqn.errors import ArtifactRefused, UsageError
from eqn.store.new_file import write_new

if TYPE_CHECKING:  # importing this needs neither numpy nor pyarrow
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from eqn.corpus.goemotions import Corpus

VERSION = "1"

_VERSION_KEY = b"eqn.out_of_fold"
_CORPUS_KEY = b"eqn.corpus"
_SHOWN = 5
_TODO = "Write it from this corpus: eqn train --data DIR --recipe eqn --out MODEL --out-of-fold FILE"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class OutOfFoldScores:
    """The content of a file; ids, texts and the rows of scores run in parallel."""

    path: str
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    scores: "NDArray[np.float32]"
    """(rows, 28) in [0, 1], canonical order."""
    corpus_digest: str
    """Digest of the corpus that was scored."""

    def aligned(self, corpus: "Corpus") -> "NDArray[np.float32]":
        """Give the scores as a (rows, 28) array in the order of the training split of `corpus`.

        Raises:
            ArtifactRefused: they are scores of another corpus, or not exactly one row for each training row.

        """
        if self.corpus_digest != corpus.ref.digest:
            raise ArtifactRefused(
                f"expected scores of the corpus {corpus.ref.name} (digest {corpus.ref.digest[:16]}); "
                f"{self.path} has those of another one (digest {self.corpus_digest[:16]}).",
                todo=_TODO,
            )
        wanted = list(zip(corpus.train.ids, corpus.train.texts, strict=True))
        there = list(zip(self.ids, self.texts, strict=True))
        if there == wanted:
            return self.scores
        if Counter(there) != Counter(wanted):
            raise ArtifactRefused(
                f"expected one row for each of the {len(wanted):,} training rows; {self.path} has others:",
                faults=list(_differences(there, wanted)),
                todo=_TODO,
            )
        # A row that stands twice has the same id and text, so it does not matter which of its scores comes first.
        places: dict[tuple[str, str], list[int]] = {}
        for place, row in enumerate(there):
            places.setdefault(row, []).append(place)
        return self.scores[[places[row].pop(0) for row in wanted]]


def write_scores(
    path: Path, ids: Sequence[str], texts: Sequence[str], scores: "NDArray[np.float32]", *, corpus_digest: str
) -> None:
    """Write out-of-fold scores: `scores` is (rows, 28) in [0, 1], canonical order, its rows parallel to `ids`.

    The file appears whole or not at all, and never takes the place of another one.

    Raises:
        ValueError: shapes differ, or a score is no number in [0, 1].
        UsageError: there is another file at `path`.
        StorageFull, StoreUnavailable: it could not be written.

    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    if scores.shape != (len(ids), len(EMOTIONS)) or len(texts) != len(ids):
        raise ValueError(f"expected scores of shape ({len(ids)}, {len(EMOTIONS)}) for {len(texts)} texts")
    if not _are_shares(scores):
        raise ValueError("expected scores in [0, 1]")
    columns = {ID_COLUMN: pa.array(ids, pa.string()), TEXT_COLUMN: pa.array(texts, pa.string())}
    for emotion, column in zip(EMOTIONS, scores.T, strict=True):
        columns[emotion] = pa.array(np.ascontiguousarray(column, dtype=np.float32))
    metadata = {_VERSION_KEY: VERSION.encode(), _CORPUS_KEY: corpus_digest.encode()}
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns).replace_schema_metadata(metadata), buffer, compression="zstd")
    write_new(path, buffer.getvalue())


def read_scores(path: Path) -> OutOfFoldScores:
    """Read a file of out-of-fold scores.

    Raises:
        UsageError: there is no such file.
        ArtifactRefused: it is not what `write_scores` writes; all faults are named.

    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    if not path.is_file():
        raise UsageError(f"expected a file of out-of-fold scores; there is no file {path}.", todo=_TODO)
    try:
        with parquet.ParquetFile(path) as file:  # not read_table, which makes columns of folders called a=b
            table = file.read()
        table.validate(full=True)
    except (OSError, pa.ArrowException) as error:
        raise ArtifactRefused(f"expected Parquet with out-of-fold scores in {path}; it has none: {error}") from error
    faults = list(_faults(table))
    if faults:
        raise ArtifactRefused(
            f"expected the columns id, text and the 28 emotions in {path}; {len(faults)} fault(s):",
            faults=faults,
            todo=_TODO,
        )
    scores = np.stack([table[emotion].to_numpy().astype(np.float32) for emotion in EMOTIONS], axis=1)
    if not _are_shares(scores):
        raise ArtifactRefused(f"expected scores in [0, 1]; {path} has others.", todo=_TODO)
    return OutOfFoldScores(
        path=str(path),
        ids=tuple(table[ID_COLUMN].to_pylist()),
        texts=tuple(table[TEXT_COLUMN].to_pylist()),
        scores=scores,
        corpus_digest=table.schema.metadata[_CORPUS_KEY].decode("ascii", "replace"),
    )


def _faults(table: "pa.Table") -> Iterator[str]:
    """Say what keeps a table from being one of out-of-fold scores."""
    metadata = table.schema.metadata or {}
    version = metadata.get(_VERSION_KEY, b"").decode("ascii", "replace")
    if version != VERSION:
        yield f"expected version {VERSION} in its metadata {_VERSION_KEY.decode()}, got {version[:20]!r}"
    if not metadata.get(_CORPUS_KEY):
        yield f"its metadata {_CORPUS_KEY.decode()} do not say which corpus was scored"
    yield from _column_faults(table)


def _column_faults(table: "pa.Table") -> Iterator[str]:
    import pyarrow as pa

    names = table.column_names
    for name in (ID_COLUMN, TEXT_COLUMN):
        if names.count(name) != 1:
            yield f"expected one column {name}, got {names.count(name)}"
        elif not (pa.types.is_string(table[name].type) or pa.types.is_large_string(table[name].type)):
            yield f"expected text in the column {name}, got {table[name].type}"
        elif table[name].null_count:
            yield f"{table[name].null_count:,} row(s) have no {name}"
    try:
        order_from([name for name in names if name not in {ID_COLUMN, TEXT_COLUMN}])
    except ValueError as error:
        yield str(error)
        return
    for emotion in EMOTIONS:
        column = table[emotion]
        if not pa.types.is_floating(column.type):
            yield f"expected numbers with decimals in the column {emotion}, got {column.type}"
        elif column.null_count:
            yield f"{column.null_count:,} row(s) have no score for {emotion}"


def _differences(there: Sequence[tuple[str, str]], wanted: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Say how the rows of a file differ from the training rows, both given by id and text."""
    ids_there, ids_wanted = Counter(row[0] for row in there), Counter(row[0] for row in wanted)
    texts = dict(wanted)
    kinds = {
        "missing": list((ids_wanted - ids_there).elements()),
        "unknown or repeated": list((ids_there - ids_wanted).elements()),
        "with another text": [name for name, text in there if name in texts and texts[name] != text],
    }
    for kind, ids in kinds.items():
        if ids:
            more = f" and {len(ids) - _SHOWN:,} more" * (len(ids) > _SHOWN)
            yield f"{kind}: {', '.join(repr(name[:40]) for name in ids[:_SHOWN])}{more}"


def _are_shares(scores: "NDArray[np.float32]") -> bool:
    return bool(((scores >= 0) & (scores <= 1)).all())  # not for NaN either
