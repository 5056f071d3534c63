"""Which ids come again over the files of an inbox, and how often: by sorted digests, in memory that is given and small.

Rows are pairs of an id's digest and a file's number. Most ids stand once, so only the others are kept and looked up.
"""

from typing import TYPE_CHECKING, Any

from eqn.corpus.identity import ID_BYTES

if TYPE_CHECKING:  # so that importing the gate does not load numpy
    import numpy as np
    from numpy.typing import NDArray

_PAIR_BYTES = ID_BYTES + 4


def pairs_of(digests: "NDArray[np.bytes_]", files: "NDArray[np.int32]") -> "NDArray[np.void]":
    """Give rows as pairs that can be compared byte by byte."""
    import numpy as np

    pairs = np.empty(len(digests), [("id", f"S{ID_BYTES}"), ("file", ">u4")])
    pairs["id"], pairs["file"] = digests, files
    return pairs


class Recurring:
    """The ids that come again, within a file or in several."""

    def __init__(self, pairs: bytearray) -> None:
        """Count in `pairs`: at least all rows of each id that comes again. They are sorted where they lie."""
        import numpy as np

        # As strings of bytes, for NumPy to order them byte by byte.
        rows = np.frombuffer(pairs, f"S{_PAIR_BYTES}")
        rows.sort()
        first_of_pair = _first(rows)
        later = rows[~first_of_pair]
        starts = np.flatnonzero(_first(later))
        self._pairs, self._times = later[starts], np.diff(np.append(starts, len(later))) + 1
        ids = rows.view({"names": ["id"], "formats": [f"S{ID_BYTES}"], "itemsize": _PAIR_BYTES})["id"]
        starts = np.flatnonzero(_first(ids))
        files = np.add.reduceat(first_of_pair, starts, dtype=np.int32)
        self._ids, self._files = ids[starts[files > 1]], files[files > 1]

    def times_in_file(self, pairs: "NDArray[np.void]") -> "NDArray[np.int64]":
        """Give for each pair how often it stands in all rows."""
        return _looked_up(pairs.view(f"S{_PAIR_BYTES}"), self._pairs, self._times)

    def files_of_id(self, pairs: "NDArray[np.void]") -> "NDArray[np.int64]":
        """Give for each pair in how many files its id stands."""
        return _looked_up(pairs["id"], self._ids, self._files)


def _first(values: Any) -> Any:
    """Mark the values that differ from the one before them."""
    import numpy as np

    return np.append(True, values[1:] != values[:-1])[: len(values)]


def _looked_up(values: Any, known: Any, counts: Any) -> "NDArray[np.int64]":
    """Give the counts of `values`; 1 for those that are not `known`."""
    import numpy as np

    found = np.ones(len(values), np.int64)
    if len(known):
        at = np.minimum(np.searchsorted(known, values), len(known) - 1)
        is_known = known[at] == values
        found[is_known] = counts[at[is_known]]
    return found
