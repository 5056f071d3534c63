"""Figures of a release, gathered part by part: for its card, and the ids that meet across inputs."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eqn.annotation.uncertainty import CONFORMAL_COLUMN, ENTROPY_COLUMN
from eqn.corpus.identity import KEY_BYTES, id_digest, repeated
from eqn.emotions import EMOTIONS

if TYPE_CHECKING:
    import pyarrow as pa


@dataclasses.dataclass(slots=True)
class Summary:
    """Sums over annotated rows; bounded memory but for 8 bytes per row of the ids' digests, and 10 to compare them."""

    rows: int = 0
    truncated: int = 0
    unlabelled: int = 0
    """Rows without a label."""
    total: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.zeros(len(EMOTIONS)))
    """Sum of each emotion's intensity."""
    labelled: NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(len(EMOTIONS), dtype=np.int64))
    """Rows that carry each emotion as a label."""
    uncertainty: bool = False
    """Whether the parts hold the columns of `eqn.annotation.uncertainty`."""
    entropy: float = 0.0
    """Sum of the rows' entropies, in bits."""
    in_sets: int = 0
    """Sum of the sizes of the rows' conformal sets."""
    empty_sets: int = 0
    """Rows whose conformal set is empty."""
    _keys: bytearray = dataclasses.field(default_factory=bytearray)

    def add(self, table: "pa.Table") -> None:
        """Take in one part."""
        import pyarrow.compute as pc

        self.rows += len(table)
        self.truncated += pc.sum(table.column("truncated"), min_count=0).as_py()
        self.total += [float(np.sum(table.column(name).to_numpy(), dtype=np.float64)) for name in EMOTIONS]
        labels = table.column("labels").combine_chunks()
        counts = {pair["values"]: pair["counts"] for pair in pc.value_counts(labels.flatten()).to_pylist()}
        self.labelled += [counts.get(name, 0) for name in EMOTIONS]
        self.unlabelled += int(np.count_nonzero(labels.value_lengths().to_numpy(zero_copy_only=False) == 0))
        if self.uncertainty:
            self.entropy += float(np.sum(table.column(ENTROPY_COLUMN).to_numpy(), dtype=np.float64))
            sizes = table.column(CONFORMAL_COLUMN).combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
            self.in_sets += int(sizes.sum())
            self.empty_sets += int(np.count_nonzero(sizes == 0))
        self._keys += b"".join(id_digest(identifier)[:KEY_BYTES] for identifier in table.column("id").to_pylist())

    def ids_in_several_files(self) -> int:
        """Count the ids that stand in more than one input: within one, they are unique."""
        return len(repeated(self._keys)) // KEY_BYTES

    def mean(self) -> NDArray[np.float64]:
        """Give the mean intensity of each emotion."""
        return self.total / max(self.rows, 1)


def shares(counts: Any, rows: int) -> list[float]:
    """Give `counts` as shares of `rows`."""
    return [float(count) / max(rows, 1) for count in counts]
