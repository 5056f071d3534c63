"""Every single judgement in rater-level files: who chose which emotions for which comment.

`raters.py` counts votes; this keeps the raters apart, which is what judging the raters needs. The files are checked by
`raters.read_ratings` first, so only checked rows are read here.
"""

import dataclasses
import operator
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eqn.corpus.contract import ID_COLUMN
from eqn.corpus.csv_rows import csv_records
from eqn.corpus.inputs import find_inputs
from eqn.corpus.lines import TextFile
from eqn.corpus.raters import read_ratings
from eqn.corpus.rows import Fault
from eqn.emotions import EMOTIONS

_COLUMNS = (ID_COLUMN, "rater_id", "example_very_unclear", *EMOTIONS)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Judgements:
    """Judgements of comments; who marked a comment as very unclear has not judged it."""

    ids: tuple[str, ...]
    """The comments' ids, in the order in which they first came."""
    raters: tuple[str, ...]
    """The raters' ids, sorted."""
    comment: NDArray[np.int64]
    """(judgements) place of the comment in `ids`."""
    rater: NDArray[np.int64]
    """(judgements) place of the rater in `raters`."""
    labels: NDArray[np.bool_]
    """(judgements, 28) the emotions that were chosen."""


def read_judgements(paths: Sequence[str | Path]) -> Judgements:
    """Read rater-level files as `raters.read_ratings` does; a judgement that is repeated counts once.

    Raises:
        UsageError, DataRefused: as `raters.read_ratings` does.

    """
    read_ratings(paths)
    found: dict[tuple[str, str], list[bool]] = {}
    for file in find_inputs([str(path) for path in paths]):
        with TextFile(file) as opened:
            records = (fields for _, fields in csv_records(opened) if not isinstance(fields, Fault))
            header = next(records)
            pick = operator.itemgetter(*(header.index(name) for name in _COLUMNS))
            for identifier, rater, unclear, *cells in map(pick, records):
                if unclear == "False":
                    found[identifier, rater] = [cell == "1" for cell in cells]
    comments = {name: place for place, name in enumerate(dict.fromkeys(identifier for identifier, _ in found))}
    raters = {name: place for place, name in enumerate(sorted({rater for _, rater in found}))}
    return Judgements(
        ids=tuple(comments),
        raters=tuple(raters),
        comment=np.array([comments[identifier] for identifier, _ in found], np.int64),
        rater=np.array([raters[rater] for _, rater in found], np.int64),
        labels=np.array(list(found.values()), bool).reshape(-1, len(EMOTIONS)),
    )
