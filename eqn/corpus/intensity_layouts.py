"""People's scores of how strong an emotion is, in the layouts in which they are published; nothing is read here.

| layout | columns | scores |
|---|---|---|
| SemEval-2018 | ID, Tweet, Affect Dimension, Intensity Score | EI-reg and V-reg, 0 to 1 |
| EmoInt | no header: id, text, emotion, score | WASSA-2017, 0 to 1 |
| EmoBank | text, V, A | valence and arousal, 1 to 5 |
| vote shares | text and the 28 emotions | as `eqn data votes` writes them, 0 to 1 |
| emotion and score | text, emotion, score | any scale |
| valence and arousal | text, and one or both of valence, arousal | any scale |

A file of any layout may have the columns `id` and `split`; other columns are not looked at. What was scored is a
target: one of the 28 emotions, valence or arousal.

SemEval's test files hold rows made for another question (`2018-En-mystery-...`) that carry 0.000 in place of a score:
they are dropped by their id, and counted.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN
from eqn.corpus.raters import RATERS_COLUMN
from eqn.emotions import EMOTIONS, INDEX
from eqn.errors import DataRefused

VALENCE = "valence"
AROUSAL = "arousal"
TARGETS: tuple[str, ...] = (*EMOTIONS, VALENCE, AROUSAL)
"""What people may have scored, in the order in which it is reported."""

ALL_ROWS = "all"
"""The name under which a caller asks for the rows of every split."""
SPLIT_COLUMN = "split"

LEAST_ROWS = 3
"""Two rows always correlate perfectly."""

_MAX_FAULTS = 20
_MYSTERY = "2018-En-mystery-"
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """How one kind of file says what was scored, and how."""

    name: str
    long: tuple[str, str] | None = None
    """Columns of the target's name and of its score, where each row has one score."""
    wide: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Target of each column of scores, where a row has several."""
    least: int = 0
    """So many of the wide columns must be there."""
    text: str = TEXT_COLUMN
    id: str = ID_COLUMN
    scale: tuple[float, float] = (-math.inf, math.inf)
    """Lowest and highest score."""

    def fits(self, columns: Collection[str]) -> bool:
        """Tell whether a file with these columns is of this layout."""
        there = self.text in columns and sum(column in columns for column in self.wide) >= self.least
        return there and all(column in columns for column in self.long or ())


SEMEVAL = Layout("SemEval-2018", long=("Affect Dimension", "Intensity Score"), text="Tweet", id="ID", scale=(0.0, 1.0))
EMOINT = Layout("EmoInt", long=("emotion", "score"), scale=(0.0, 1.0))
EMOBANK = Layout("EmoBank", wide={"V": VALENCE, "A": AROUSAL}, least=2, scale=(1.0, 5.0))
SHARES = Layout("vote shares", wide={name: name for name in EMOTIONS}, least=len(EMOTIONS), scale=(0.0, 1.0))
SCORED = Layout("emotion and score", long=("emotion", "score"))
DIMENSIONS = Layout("valence and arousal", wide={VALENCE: VALENCE, AROUSAL: AROUSAL}, least=1)

_WITH_HEADER = (SEMEVAL, EMOBANK, SHARES, SCORED, DIMENSIONS)
_TODO = (
    "Columns that are understood: ID, Tweet, Affect Dimension, Intensity Score (SemEval-2018); text, V, A (EmoBank); "
    "text and the 28 emotions; text, emotion, score; text and valence or arousal; or tab-separated without header: "
    "id, text, emotion, score (EmoInt)."
)


class ScoredRow(NamedTuple):
    """One row of a file, its cells as they came."""

    number: int
    """From 1 on, without the header."""
    id: str
    """Empty where the file gives none."""
    text: str
    cells: Mapping[str, object]
    """The other columns: strings from text files; numbers from Parquet; None where there is nothing."""


@dataclasses.dataclass(frozen=True, slots=True)
class ScoredTable:
    """The rows of one file."""

    name: str
    layout: Layout
    columns: Collection[str]
    rows: Sequence[ScoredRow]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Gold:
    """What people said about one target."""

    rows: NDArray[np.int64]
    """Places of the scored texts among all texts, ascending."""
    scores: NDArray[np.float64]
    """As the file has them, in the same order; never all the same."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Intensities:
    """Texts and people's scores of them, from files of one layout."""

    layout: Layout
    files: tuple[str, ...]
    split: str
    """The split that the rows are of, or `all`."""
    ids: tuple[str, ...]
    """In parallel with the texts; empty where a file gives none."""
    texts: tuple[str, ...]
    gold: Mapping[str, Gold]
    """By target, in the order of TARGETS."""
    useless: tuple[str, ...]
    """Emotions of vote shares that were left out: every row has the same share, so that nothing correlates with it."""
    mystery: int
    """Rows that were dropped because SemEval gives no scores for them."""
    other_splits: int
    """Rows that were dropped because they are of another split."""
    unrated: int
    """Rows of vote shares that were dropped because nobody labelled them."""
    several_raters: int | None
    """Texts with at least two raters; None where the files do not say how many there were."""


def layout_of(file: str, columns: Sequence[str]) -> Layout:
    """Recognise the layout of a file by its columns.

    Raises:
        DataRefused: it is none, or could be several; the message says what came.

    """
    if "rater_id" in columns:
        raise DataRefused(f"{file}: has a row for each rater; `eqn data votes` makes shares of votes of such files")
    fitting = [layout for layout in _WITH_HEADER if layout.fits(columns)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " and as ".join(layout.name for layout in fitting)
        raise DataRefused(f"{file}: its columns can be read as {names}; keep those of one")
    lacking = [name for name in EMOTIONS if name not in columns]
    more = f"; of the 28 emotions it lacks {', '.join(lacking)}" if 0 < len(lacking) < len(EMOTIONS) else ""
    raise DataRefused(f"{file}: its columns are no layout that is understood: {_listed(columns)}{more}")


def is_emoint(first: Sequence[str]) -> bool:
    """Tell whether the first line of a tab-separated file is a row of EmoInt, which has no header."""
    return len(first) == 4 and first[2] in INDEX and TEXT_COLUMN not in first


def gather(
    tables: Sequence[ScoredTable], *, split: str | None = None, preferred: str = "test", faults: Sequence[str] = ()
) -> Intensities:
    """Check the rows of all files and put their scores together by target.

    `split` names the rows to take, `all` takes every row. Without it the rows of the split `preferred` are taken where
    there are any, else every row. `faults` were found before, and are reported with those found here.

    Raises:
        DataRefused: files or rows are not as they must be, or there is nothing to correlate with; the message names up
            to twenty faults and counts all.

    """
    gathering = _Gathering(_chosen(tables, split, preferred), list(faults))
    for table in tables:
        gathering.take(table)
    return gathering.finish(tables)


class _Gathering:
    """Collects the rows of all files."""

    def __init__(self, split: str, faults: list[str]) -> None:
        self._split = split
        self._faults = faults
        self._todo = _TODO if faults else "Correct these rows, or choose others with --split."
        self._ids: list[str] = []
        self._texts: list[str] = []
        self._gold: dict[str, list[tuple[int, float]]] = collections.defaultdict(list)
        self._scored: set[tuple[str, str]] = set()
        self._dropped: collections.Counter[str] = collections.Counter()
        self._splits: collections.Counter[str] = collections.Counter()
        self._raters: list[float] = []

    def take(self, table: ScoredTable) -> None:
        """Take the rows of one file."""
        if self._split != ALL_ROWS and SPLIT_COLUMN not in table.columns:
            self._faults.append(f"{table.name}: expected a column {SPLIT_COLUMN!r}, to take the rows of {self._split}")
            return
        for row in table.rows:
            given = str(row.cells.get(SPLIT_COLUMN))
            self._splits[given] += 1
            if self._split not in (ALL_ROWS, given):
                self._dropped["other_splits"] += 1
            elif row.id.startswith(_MYSTERY):
                self._dropped["mystery"] += 1
            elif table.layout is SHARES and all(row.cells.get(name) in (None, "") for name in EMOTIONS):
                self._dropped["unrated"] += 1
            else:
                self._take_row(table, row)

    def _take_row(self, table: ScoredTable, row: ScoredRow) -> None:
        scores: dict[str, float] = {}
        wrong: list[str] = []
        for target, column, cell in _cells(table.layout, row):
            score = _number(cell)
            if target not in TARGETS:
                wrong.append(f"expected an emotion, valence or arousal in {column!r}; got {target[:40]!r}")
            elif score is None or not table.layout.scale[0] <= score <= table.layout.scale[1]:
                wrong.append(f"expected {_expected(table.layout)} for {target}, got {_shown(cell)}")
            elif row.id and (row.id, target) in self._scored:
                wrong.append(f"the id {row.id[:40]!r} has a score of {target} already")
            else:
                scores[target] = score
        if wrong:
            self._faults.append(f"{table.name}, row {row.number}: {'; '.join(wrong)}")
            return
        for target, score in scores.items():
            self._gold[target].append((len(self._texts), score))
        self._scored.update((row.id, target) for target in scores)
        self._ids.append(row.id)
        self._texts.append(row.text)
        raters = _number(row.cells.get(RATERS_COLUMN)) if table.layout is SHARES else None
        if raters is not None:
            self._raters.append(raters)

    def finish(self, tables: Sequence[ScoredTable]) -> Intensities:
        """Judge the whole.

        Raises:
            DataRefused: there were faults, or there is nothing to correlate with.

        """
        layouts = {table.layout.name: table.name for table in tables}
        if len(layouts) > 1:
            kinds = ", ".join(f"{name} ({file})" for name, file in layouts.items())
            self._faults.append(f"expected files of one layout; these are of several: {kinds}")
        elif not self._texts and not self._faults:
            self._faults.append(self._nothing())
        useless = {target: why for target in TARGETS if target in self._gold and (why := self._useless(target))}
        # Of 28 emotions some may have no vote at all in a small file; that spoils none of the others.
        if not all(table.layout is SHARES for table in tables) or len(useless) == len(self._gold):
            self._faults += useless.values()
        if self._faults:
            more = [f"... and {len(self._faults) - _MAX_FAULTS} more"] * (len(self._faults) > _MAX_FAULTS)
            raise DataRefused(
                f"expected texts with people's scores; {len(self._faults)} fault(s):",
                faults=self._faults[:_MAX_FAULTS] + more,
                todo=self._todo,
            )
        return Intensities(
            layout=tables[0].layout,
            files=tuple(table.name for table in tables),
            split=self._split,
            ids=tuple(self._ids),
            texts=tuple(self._texts),
            gold={target: _gold(self._gold[target]) for target in TARGETS if target in self._gold.keys() - useless},
            useless=tuple(useless),
            mystery=self._dropped["mystery"],
            other_splits=self._dropped["other_splits"],
            unrated=self._dropped["unrated"],
            several_raters=sum(raters >= 2 for raters in self._raters) if self._raters else None,
        )

    def _nothing(self) -> str:
        if self._dropped["other_splits"]:
            there = ", ".join(f"{name} ({rows} rows)" for name, rows in self._splits.most_common(_MAX_FAULTS))
            return f"expected rows of the split {self._split!r}; there are {there}"
        dropped = {name: rows for name, rows in self._dropped.items() if rows}
        why = "; ".join(f"{rows} dropped: {_WHY_DROPPED[name]}" for name, rows in dropped.items())
        return f"expected rows with scores; there are none{f' ({why})' if why else ''}"

    def _useless(self, target: str) -> str:
        """Say why nothing can correlate with a target's scores; empty when something can."""
        scores = [score for _, score in self._gold[target]]
        if len(scores) < LEAST_ROWS:
            return f"{target}: expected at least {LEAST_ROWS} rows with scores; there are {len(scores)}"
        if len(set(scores)) == 1:
            return f"{target}: all {len(scores)} scores are {scores[0]:g}; nothing correlates with a constant"
        return ""


_WHY_DROPPED = {"mystery": "SemEval's mystery rows have no scores", "unrated": "nobody labelled them"}


def _chosen(tables: Sequence[ScoredTable], split: str | None, preferred: str) -> str:
    if split is not None:
        return split
    given = any(row.cells.get(SPLIT_COLUMN) == preferred for table in tables for row in table.rows)
    return preferred if given else ALL_ROWS


def _cells(layout: Layout, row: ScoredRow) -> Iterator[tuple[str, str, object]]:
    """Give target, column and cell of each score in a row."""
    if layout.long:
        named, scored = layout.long
        yield str(row.cells.get(named) or ""), named, row.cells.get(scored)
    for column, target in layout.wide.items():
        if column in row.cells:
            yield target, column, row.cells[column]


def _number(cell: object) -> float | None:
    """Read a finite number; None where there is none."""
    if isinstance(cell, str):
        cell = float(cell) if _NUMBER.fullmatch(cell) else None
    if isinstance(cell, bool) or not isinstance(cell, int | float) or not math.isfinite(cell):
        return None
    return float(cell)


def _expected(layout: Layout) -> str:
    low, high = layout.scale
    return f"a score in [{low:g}, {high:g}]" if math.isfinite(low) else "a number"


def _shown(cell: object) -> str:
    return "nothing" if cell in (None, "") else repr(cell)[:40]


def _gold(scores: Sequence[tuple[int, float]]) -> Gold:
    rows, values = zip(*scores, strict=True)
    return Gold(np.array(rows, dtype=np.int64), np.array(values, dtype=np.float64))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:_MAX_FAULTS])
    return shown + f" and {len(names) - _MAX_FAULTS} more" * (len(names) > _MAX_FAULTS)
