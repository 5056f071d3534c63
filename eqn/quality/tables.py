"""What the suites look at: a corpus or an inbox as one dataframe, with the derived columns that the rules need.

No text ever enters a table, only its length and in how many splits it occurs, so no report on a table can leak one.

Ids and file names do enter, made safe for a page: Great Expectations 1.24 writes the cells of its tables into HTML as
they are, and an id such as `<script>` would run in the reader's browser. `as_shown` takes that safety off again.
"""

import dataclasses
import html
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from eqn.corpus.contract import SPLITS
from eqn.emotions import EMOTIONS

if TYPE_CHECKING:  # so that importing the gate loads neither pandas nor numpy
    from pandas import DataFrame, Series

    from eqn.corpus.goemotions import Corpus


@dataclasses.dataclass(frozen=True, slots=True)
class InboxRow:
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


def corpus_table(corpus: "Corpus") -> "DataFrame":
    """Give one line for each row of all three splits.

    | column | meaning |
    |---|---|
    | id | null when it is blank |
    | place | `train row 7`, counting from 1 |
    | split | train, dev or test |
    | characters, visible_characters | length of the text; the same without white space at its ends |
    | label_count | how many labels the row has |
    | times_in_split, splits_of_id | how often the id occurs in this split; in how many splits |
    | splits_of_text | in how many splits exactly this text occurs |
    | admiration ... neutral | how often the row has this label: 0 or 1 |
    """
    import pandas as pd

    splits = [corpus.split(name) for name in SPLITS]
    names = [split.name for split in splits for _ in split.ids]
    ids = [identifier for split in splits for identifier in split.ids]
    texts = [text for split in splits for text in split.texts]
    labels = [row for split in splits for row in split.labels]
    columns = {
        "id": _words(identifier if identifier.strip() else None for identifier in ids),
        "place": _words(f"{split.name} row {row}" for split in splits for row in range(1, len(split) + 1)),
        "split": _words(names),
        "characters": _integers(len(text) for text in texts),
        "visible_characters": _integers(len(text.strip()) for text in texts),
        "label_count": _integers(len(row) for row in labels),
        "times_in_split": _integers(_times(list(zip(names, ids, strict=True)))),
        "splits_of_id": _integers(_spread(ids, names)),
        "splits_of_text": _integers(_spread(texts, names)),
    }
    emotions = {emotion: _integers(row.count(label) for row in labels) for label, emotion in enumerate(EMOTIONS)}
    return pd.DataFrame(columns | emotions)


def inbox_table(rows: Iterable[InboxRow]) -> "DataFrame":
    """Give one line for each row of the inbox. `rows` is read once, and may be a generator.

    | column | meaning |
    |---|---|
    | file, id, reason | as in the row |
    | place | `letters.csv row 7` |
    | characters, visible_characters | length of the text, 0 if there is none; without white space at its ends |
    | times_in_file, files_of_id | accepted rows only: how often the id is accepted in this file; in how many files |
    | quarantined_share | quarantined rows only: the share of the file's rows that is in quarantine |
    """
    import pandas as pd

    # The texts go here, row by row; what stays of a few 100,000 rows is small.
    measured = [(r.file, r.row, r.id, r.reason, len(r.text or ""), len((r.text or "").strip())) for r in rows]
    files = [file for file, *_ in measured]
    refused = [file for file, _, _, reason, *_ in measured if reason is not None]
    # An id in quarantine meets nobody.
    accepted_ids = [identifier if reason is None else None for _, _, identifier, reason, *_ in measured]
    rows_of, refused_of = Counter(files), Counter(refused)
    return pd.DataFrame(
        {
            "file": _words(files),
            "place": _words(f"{file} row {row}" for file, row, *_ in measured),
            "id": _words(identifier for _, _, identifier, *_ in measured),
            "reason": _words(reason for _, _, _, reason, *_ in measured),
            "characters": _integers(length for *_, length, _ in measured),
            "visible_characters": _integers(length for *_, length in measured),
            "times_in_file": _where(accepted_ids, _times(list(zip(files, accepted_ids, strict=True)))),
            "files_of_id": _where(accepted_ids, _spread(accepted_ids, files)),
            "quarantined_share": _where(
                [reason for _, _, _, reason, *_ in measured], [refused_of[file] / rows_of[file] for file in files]
            ),
        }
    )


def as_shown(cell: str) -> str:
    """Give an id or a place out of a table as a terminal may show it.

    >>> as_shown("&lt;b&gt;")
    '<b>'
    """
    return html.unescape(cell)


def _safe(word: str | None) -> str | None:
    if word is None:
        return None
    # Control characters and halves of surrogate pairs are written out: terminals obey the former, and pandas and UTF-8
    # files refuse the latter.
    printable = word if word.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in word)
    return html.escape(printable)


# The counting is done on what was given, not on what is shown, and without pandas: it refuses to group by halves of
# surrogate pairs.


def _times(values: Sequence[Hashable]) -> list[int]:
    """Give for each value how often it occurs: [a, b, a] becomes [2, 1, 2]."""
    times = Counter(values)
    return [times[value] for value in values]


def _spread(values: Sequence[Hashable], groups: Sequence[str]) -> list[int]:
    """Give for each value in how many groups it occurs: [a, b, a] in [1, 1, 2] becomes [2, 1, 2]."""
    groups_of = Counter(value for value, _ in set(zip(values, groups, strict=True)))
    return [groups_of[value] for value in values]


def _words(values: Iterable[str | None]) -> "Series":
    import pandas as pd

    # dtype=object: pandas' string type would turn None into NaN, and nothing is to be guessed about ids.
    return pd.Series([_safe(value) for value in values], dtype=object)


def _integers(values: Iterable[int]) -> "Series":
    import pandas as pd

    return pd.Series(list(values), dtype="int64")


def _where(present: Sequence[str | None], values: Sequence[float]) -> "Series":
    """Give the values, null where nothing is present."""
    import pandas as pd

    kept = [None if mark is None else value for mark, value in zip(present, values, strict=True)]
    return pd.Series(kept, dtype="float64")
