"""What each rater said about each comment, and the share of raters who voted for each emotion.

GoEmotions publishes its ratings beside the splits (goemotions_1.csv to _3.csv): csv with a row for each rater and
comment, the columns `text`, `id`, `rater_id`, `example_very_unclear`, a column of 0 and 1 for each emotion, and some
about the comment's origin, which are not read. Columns are found by name.

    read_ratings(paths)    -> Ratings          every rating, checked
    vote_shares(paths)     -> pyarrow.Table    one row for each comment: id, text, raters, unclear, 28 shares
    write(table, path)                         as Parquet

A rater who marked a comment as very unclear chose no emotion: such a rating says nothing about the emotions, so it is
counted in `unclear` and is no part of the shares, which are votes / raters of those who did label the comment. Who
labelled it with nothing at all still counts as a rater. A comment that nobody labelled has 0 raters and null shares.

Nothing is guessed: ids are text, and a file with another column, another value than 0 and 1, two judgements of one
rater on one comment, or two texts under one id is refused. A row that says the same once more counts once.
"""

import dataclasses
import io
import itertools
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN
from eqn.corpus.csv_rows import csv_records
from eqn.corpus.inputs import InputFile, find_inputs
from eqn.corpus.lines import TextFile
from eqn.corpus.rows import Fault, good_or_faulty
from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused, UsageError
from eqn.store.new_file import write_new

RATERS_COLUMN = "raters"
UNCLEAR_COLUMN = "unclear"

_RATER = "rater_id"
_UNCLEAR = "example_very_unclear"
_ORIGIN = {"author", "subreddit", "link_id", "parent_id", "created_utc"}
_NEEDED = (TEXT_COLUMN, ID_COLUMN, _RATER, _UNCLEAR, *EMOTIONS)
_UNCLEAR_BIT = 1 << len(EMOTIONS)
_MAX_FAULTS = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Overview:
    """Figures of some ratings."""

    comments: int
    ratings: int
    """Pairs of a rater and a comment."""
    raters: int
    """Different raters."""
    unclear: int
    """Ratings that say only that the comment is very unclear."""
    repeated: int
    """Rows that said the same once more."""
    comments_by_raters: dict[int, int]
    """How many comments so many raters labelled; ascending."""
    agreement: float | None
    """Krippendorff's alpha, see `Ratings.agreement`."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """Every rating of some comments; comments stand in the order in which they first came."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    raters: NDArray[np.int64]
    """(comments) raters who labelled the comment."""
    unclear: NDArray[np.int64]
    """(comments) raters who marked it as very unclear."""
    votes: NDArray[np.int64]
    """(comments, 28) raters who voted for the emotion."""
    rater_ids: frozenset[str]
    repeated: int
    """Rows that said the same once more."""

    def vote_shares(self) -> Any:
        """Give a `pyarrow.Table` with a row for each comment.

        Columns: id and text (string), raters and unclear (int32), and the emotions in canonical order (float32, in
        [0, 1]; null where raters is 0).
        """
        import pyarrow as pa

        nobody = self.raters == 0
        shares = (self.votes / np.maximum(self.raters, 1)[:, None]).astype(np.float32)
        columns = {
            ID_COLUMN: pa.array(self.ids, pa.string()),
            TEXT_COLUMN: pa.array(self.texts, pa.string()),
            RATERS_COLUMN: pa.array(self.raters, pa.int32()),
            UNCLEAR_COLUMN: pa.array(self.unclear, pa.int32()),
        }
        for emotion, share in zip(EMOTIONS, shares.T, strict=True):
            columns[emotion] = pa.array(np.ascontiguousarray(share), pa.float32(), mask=nobody)
        return pa.table(columns)

    def agreement(self) -> float | None:
        """Give Krippendorff's alpha for 0 and 1, the mean over the emotions: 1 is full agreement, 0 is chance.

        Comments that fewer than two raters labelled say nothing about agreement, nor does an emotion for which nobody
        or everybody voted; None when nothing is left.
        """
        several = self.raters >= 2
        raters, votes = self.raters[several, None].astype(np.float64), self.votes[several].astype(np.float64)
        values, ones = raters.sum(), votes.sum(axis=0)
        observed = (2 * votes * (raters - votes) / (raters - 1)).sum(axis=0) / max(values, 1)
        expected = 2 * ones * (values - ones) / max(values * (values - 1), 1)
        varied = expected > 0
        return float(np.mean(1 - observed[varied] / expected[varied])) if varied.any() else None

    def overview(self) -> Overview:
        """Count."""
        numbers, comments = np.unique(self.raters, return_counts=True)
        return Overview(
            comments=len(self.ids),
            ratings=int(self.raters.sum() + self.unclear.sum()),
            raters=len(self.rater_ids),
            unclear=int(self.unclear.sum()),
            repeated=self.repeated,
            comments_by_raters=dict(zip(numbers.tolist(), comments.tolist(), strict=True)),
            agreement=self.agreement(),
        )


def vote_shares(paths: Sequence[str | Path]) -> Any:
    """Read rater-level files into a `pyarrow.Table` with a row for each comment; see `Ratings.vote_shares`.

    Raises:
        UsageError, DataRefused: as `read_ratings` does.

    """
    return read_ratings(paths).vote_shares()


def read_ratings(paths: Sequence[str | Path]) -> Ratings:
    """Read rater-level files (csv, plain or .gz; or folders and globs of them); a comment may stand in several.

    Raises:
        UsageError: there are no such files, or they are no csv.
        DataRefused: rows or headers are not as they must be; the message names up to twenty faults and counts all.

    """
    files = find_inputs([str(path) for path in paths])
    foreign = [file.name for file in files if file.format != "csv"]
    if foreign:
        raise UsageError("expected csv files of ratings; these are none:", faults=foreign, todo="Leave them out.")
    reading = _Reading()
    for file in files:
        reading.read(file)
    return reading.ratings()


def write(table: Any, path: Path) -> None:
    """Write `table` as Parquet to `path`, whole or not at all; a file that is there must be the same.

    Raises:
        UsageError: there is another file, or a folder, at `path`.
        StorageFull: the disk is full.
        StoreUnavailable: the place cannot be written to.

    """
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_new(path, buffer.getvalue())


class _Reading:
    """Gathers the ratings of all files."""

    def __init__(self) -> None:
        self._comments: dict[str, int] = {}
        self._texts: list[str] = []
        self._said: dict[tuple[int, str], int] = {}  # of a comment, by a rater: a bit for each emotion, and one more
        self._rows = 0
        self._faults: list[str] = []

    def read(self, file: InputFile) -> None:
        """Take the rows of one file."""
        with TextFile(file) as opened:
            records = csv_records(opened)
            _, header = next(records, (b"", []))
            faults = [header.detail] if isinstance(header, Fault) else list(_header_faults(header))
            self._faults += [f"{file.name}, header: {fault}" for fault in faults]
            if faults or isinstance(header, Fault):
                return
            width, pick = len(header), operator.itemgetter(*(header.index(name) for name in _NEEDED))
            for number, (raw, fields) in enumerate(records, start=1):
                if isinstance(fields, Fault):
                    fault = fields.detail
                elif len(fields) != width:
                    fault = f"{len(fields)} field(s), the header has {width}"
                else:
                    fault = self._take(raw, *pick(fields))
                if fault:
                    self._faults.append(f"{file.name}, row {number}: {fault}")

    def _take(self, raw: bytes, text: str, identifier: str, rater: str, unclear: str, *cells: str) -> str:
        """Note one rating; gives what is wrong with it, else nothing."""
        if (fault := good_or_faulty(raw, identifier, text, None).fault) is not None:
            return fault.detail
        wrong = list(_wrong_values(identifier, rater, unclear, cells))
        if wrong:
            return "; ".join(wrong)
        said = int("".join(cells), 2) | (_UNCLEAR_BIT if unclear == "True" else 0)
        if said > _UNCLEAR_BIT:
            return f"expected no emotion where {_UNCLEAR} is True"
        comment = self._comments.setdefault(identifier, len(self._texts))
        if comment == len(self._texts):
            self._texts.append(text)
        elif self._texts[comment] != text:
            return f"the comment {identifier!r} had another text before"
        before = self._said.setdefault((comment, rater), said)
        if before != said:
            return f"the rater {rater!r} judged the comment {identifier!r} otherwise before"
        self._rows += 1
        return ""

    def ratings(self) -> Ratings:
        """Give what was read.

        Raises:
            DataRefused: there were faults, or no rows.

        """
        if self._faults:
            more = [f"... and {len(self._faults) - _MAX_FAULTS} more"] * (len(self._faults) > _MAX_FAULTS)
            raise DataRefused(
                f"expected a row for each rater and comment; {len(self._faults)} fault(s):",
                faults=self._faults[:_MAX_FAULTS] + more,
                todo="Correct these rows, or fetch the files again.",
            )
        if not self._said:
            raise DataRefused("expected at least one rating; the files have only headers.", todo="Give other files.")
        comments = np.fromiter((comment for comment, _ in self._said), np.int64, len(self._said))
        said = np.fromiter(self._said.values(), np.int64, len(self._said))
        unclear = said == _UNCLEAR_BIT
        count = len(self._texts)
        votes = [np.bincount(comments[(said >> bit) & 1 == 1], minlength=count) for bit in range(len(EMOTIONS))]
        return Ratings(
            ids=tuple(self._comments),
            texts=tuple(self._texts),
            raters=np.bincount(comments[~unclear], minlength=count),
            unclear=np.bincount(comments[unclear], minlength=count),
            votes=np.stack(votes[::-1], axis=1),  # the first emotion is the highest bit
            rater_ids=frozenset(rater for _, rater in self._said),
            repeated=self._rows - len(self._said),
        )


def _header_faults(names: Sequence[str]) -> Iterator[str]:
    missing = [name for name in _NEEDED if name not in names]
    unknown = sorted(set(names) - {*_NEEDED} - _ORIGIN)
    twice = sorted({name for name in names if names.count(name) > 1})
    for what, which in (("lacks", missing), ("has unknown columns", unknown), ("has more than once", twice)):
        if which:
            shown = ", ".join(repr(name[:40]) for name in itertools.islice(which, _MAX_FAULTS))
            yield f"{what} {shown}" + f" and {len(which) - _MAX_FAULTS} more" * (len(which) > _MAX_FAULTS)


def _wrong_values(identifier: str, rater: str, unclear: str, cells: tuple[str, ...]) -> Iterator[str]:
    if not identifier:
        yield f"expected an {ID_COLUMN}, got nothing"
    if not rater:
        yield f"expected a {_RATER}, got nothing"
    if unclear not in {"True", "False"}:
        yield f"expected True or False in {_UNCLEAR}, got {unclear[:40]!r}"
    if cells.count("0") + cells.count("1") != len(EMOTIONS):
        for name, cell in zip(EMOTIONS, cells, strict=True):
            if cell not in {"0", "1"}:
                yield f"expected 0 or 1 in {name}, got {cell[:40]!r}"
