"""What the cards of a release tell of it: of a plan that was carried out, or of a release whose rows were redacted."""

import collections
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from eqn.records import ModelRef

if TYPE_CHECKING:
    import pyarrow as pa

Maker = tuple[str, Mapping[str, Any], int]
"""Who annotated some rows: the model's digest, its arithmetic, and how many rows."""


class Described(Protocol):
    """What the cards are made of, beside the sums over the rows."""

    @property
    def dataset(self) -> str:
        """Its name."""

    @property
    def job(self) -> str:
        """Digest of inputs, model and options."""

    @property
    def model(self) -> ModelRef:
        """The model at work."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The form of the rows and the arithmetic."""

    @property
    def rows(self) -> int:
        """Rows of all inputs."""

    @property
    def rows_erased(self) -> int:
        """Those of them that were erased on request."""

    @property
    def rows_of_others(self) -> list[Maker]:
        """Rows that were annotated in another way, most rows first."""

    @property
    def schema(self) -> "pa.Schema":
        """The columns of the data; without a part of it nobody asks."""

    @property
    def promise(self) -> str | None:
        """What the conformal sets promise; None where the columns of the uncertainty are not written."""


def makers(rows_by_maker: Iterable[Maker]) -> list[Maker]:
    """Add up rows by their makers; most rows first."""
    rows: collections.Counter[str] = collections.Counter()
    for digest, arithmetic, count in rows_by_maker:
        rows[json.dumps([digest, arithmetic], sort_keys=True)] += count
    ordered = sorted(rows.items(), key=lambda pair: (-pair[1], pair[0]))
    return [(*json.loads(maker), count) for maker, count in ordered]
