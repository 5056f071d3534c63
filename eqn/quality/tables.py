"""What the corpus suite looks at: one dataframe, with the derived columns that the rules need; and what tables show.

No text ever enters a table, be it this one or one of an inbox (`eqn.quality.inbox_tables`), only its length and in how
many splits it occurs, so no report on a table can leak one.

Ids and file names do enter, made safe for a page: Great Expectations 1.24 writes the cells of its tables into HTML as
they are, and an id such as `<script>` would run in the reader's browser. `as_shown` takes that safety off again.
"""

import html
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from eqn.corpus.contract import SPLITS
from eqn.emotions import EMOTIONS

if TYPE_CHECKING:  # so that importing the gate loads neither pandas nor numpy
    from pandas import DataFrame, Series

    from eqn.corpus.goemotions import Corpus


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


def safe(word: str | None) -> str | None:
    """Give an id, a file's name or another word of a user's as it may enter a table.

    >>> safe("<b>")
    '&lt;b&gt;'
    """
    if word is None:
        return None
    # Control characters and halves of surrogate pairs are written out: terminals obey the former, and pandas and UTF-8
    # files refuse the latter.
    printable = word if word.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in word)
    return html.escape(printable)


def as_shown(cell: str) -> str:
    """Give an id or a place out of a table as a terminal may show it.

    >>> as_shown("&lt;b&gt;")
    '<b>'
    """
    return html.unescape(cell)


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
    return pd.Series([safe(value) for value in values], dtype=object)


def _integers(values: Iterable[int]) -> "Series":
    import pandas as pd

    return pd.Series(list(values), dtype="int64")
