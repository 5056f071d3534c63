"""EQN's own way: from a file to a release as `eqn annotate` does it, and what of that is computing alone."""

import csv
import dataclasses
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.annotating.products import Shape
from eqn.annotation.annotator import Annotator
from eqn.annotation.choice import Choice, chosen_back_end
from eqn.annotation.shards import ROWS
from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN
from eqn.corpus.inputs import find_inputs
from eqn.model.back_ends import BackEnd
from eqn.model.packing import Block, packed_blocks
from eqn.records import ModelRef, ReleaseRef
from eqn.release.annotate import Prepared, Request, check_inputs, publish_prepared
from eqn.release.plan import make_plan
from eqn.store.directory import DirectoryStore

if TYPE_CHECKING:
    from eqn.annotation.engine import Engine
    from eqn.model.back_ends import Computing
    from eqn.model.encoding import Encoded
    from eqn.model.package import Package


class EndToEnd:
    """A file in, a release out, with the model loaded before, as it is once for a job of any length."""

    def __init__(self, package: "Package", folder: Path) -> None:
        self._package, self._folder = package, folder
        self.choice: Choice = chosen_back_end(package, folder / "back_ends")
        self.annotator = Annotator.load(package.path, back_end=self.choice.name)

    def seconds(self, file: Path, engine: "Engine | None" = None) -> float:
        """Scan `file`, hold it against the contract, annotate and publish it into a new store; it is removed then."""
        place = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            request = Request(
                dataset="bench",
                inputs=find_inputs([str(file)]),
                model=ModelRef(str(self._package.path), self._package.digest),
                store=DirectoryStore(place / "releases"),
                docs=place / "data_docs",
                choices=self._folder / "back_ends",
            )
            started = time.perf_counter()
            self._publish(request, engine)
            return time.perf_counter() - started
        finally:
            shutil.rmtree(place)

    def _publish(self, request: Request, engine: "Engine | None") -> ReleaseRef:
        plan = make_plan(request.store, request.dataset, request.inputs, model=request.model, annotator=self.annotator)
        prepared = Prepared(request, plan, self.annotator, self.choice)
        return publish_prepared(prepared, check_inputs(prepared), engine=engine)


@dataclasses.dataclass(frozen=True, slots=True)
class Timed:
    """What a back end did, and how long it took."""

    seconds: float
    operations: int
    """Floating-point operations of its products, or as many integer ones."""


class ComputeOnly:
    """Scoring of texts that were encoded before, over the same shards, two of them under way as in a job."""

    def __init__(self, name: str, package: "Package") -> None:
        self.name = name
        self._back_end = BackEnd(name, package)
        self.shape = shape_of(package)

    def encode(self, texts: Sequence[str]) -> "list[Encoded]":
        """Encode texts in shards."""
        return [self._back_end.encode(texts[start : start + ROWS]) for start in range(0, len(texts), ROWS)]

    def run(self, shards: "Sequence[Encoded]") -> Timed:
        """Compute all shards."""
        started, operations = time.perf_counter(), 0
        under_way: list[Computing] = []
        for shard in shards:
            following = self._back_end.start(shard)
            operations += _finished(under_way, self.shape)
            under_way = following
        operations += _finished(under_way, self.shape)
        return Timed(time.perf_counter() - started, operations)


def _finished(under_way: "Sequence[Computing]", shape: Shape) -> int:
    for computing in under_way:
        computing.future.result()
    return shape.packed([computing.block for computing in under_way])


def shape_of(package: "Package") -> Shape:
    """Give the shape of a package's network."""
    from eqn.model.package import load_network

    config: Any = load_network(package)[0].encoder.config
    return Shape(config.num_hidden_layers, config.hidden_size, config.intermediate_size)


def blocks_of(shards: "Sequence[Encoded]") -> list[Block]:
    """Pack shards as the back ends do."""
    return [block for shard in shards for block in packed_blocks(shard.ids)]


def write_input(place: Path, texts: Iterator[str]) -> Path:
    """Write texts as a CSV file with ids, and give it."""
    with place.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([ID_COLUMN, TEXT_COLUMN])
        writer.writerows((f"row-{number}", text) for number, text in enumerate(texts, 1))
    return place


def read_texts(file: Path) -> list[str]:
    """Read the texts of any file that `eqn annotate` takes.

    Raises what its reader raises.
    """
    from eqn.corpus.reader import read_batches, scan

    texts: list[str] = []
    for found in find_inputs([str(file)]):
        for batch in read_batches(found, scan(found), batch_rows=ROWS):
            texts += batch.table.column(1).to_pylist()
    return texts
