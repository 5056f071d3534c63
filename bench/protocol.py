"""What the publish protocol costs: a release beside a bare write of the same parts, by turns, and beside annotating.

    pip install 'eqn[pipeline]'
    python bench/protocol.py --data DIR                            the champion, 100,000 rows, three rounds, a directory
    python bench/protocol.py MODEL --data DIR --quick              another model, 16,384 rows and one round
    eval "$(infra/services/s3.sh DIR)"
    python bench/protocol.py --data DIR --store s3://NAME          an S3 bucket, which is made where it is missing, too
    python bench/protocol.py --data DIR --markdown                 the tables of bench/protocol.md

    bare        reads the rows, and puts each part as it is ready: a file that is written and closed, an object that is
                put; nothing is synced, hashed, announced, listed or described
    protocol    `eqn.release.publish`: the same parts hashed, put if absent and synced, the figures of the card and of
                croissant.json, the announcement, the manifest
    annotate    the whole job with the model: scan, quality gate, annotation, protocol

Bare and protocol do not compute: intensities that were drawn before stand in for the model's, and both write the same
Parquet bytes. Each way runs in a process of its own in each round, in another order each time; the clock of these two
starts when the inputs are scanned and the model is loaded, and so does the count of their peak memory. What the
protocol costs is its time less that of the bare write in the same round; of annotating the same rows it may be at most
5 %.
"""

import argparse
import contextlib
import dataclasses
import json
import statistics
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.annotating.machine import machine_facts
from bench.annotating.ours import EndToEnd, write_input
from bench.annotating.report import markdown
from bench.annotating.workload import length_facts, repeated
from bench.publishing.one_run import ANNOTATE, BARE, PROTOCOL, in_a_process
from eqn.annotation.shards import ROWS
from eqn.corpus.choice import choose_corpus
from eqn.errors import UsageError
from eqn.exits import ending
from eqn.model.package import read_package
from eqn.registry.resolution import resolve
from eqn.settings import load_settings
from eqn.store.s3 import split_address
from eqn.terminal import table

MOST = 0.05
"""The share of annotating that the protocol may cost."""
FULL, QUICK = (100_000, 3), (2 * ROWS, 1)
"""Rows, and rounds."""

Tell = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Timed:
    """One run of one way."""

    seconds: float
    processor_seconds: float
    """On all cores, which a busy machine changes little."""
    peak_bytes: int
    """Most memory of its process."""
    parts: str
    """Digest of the bytes of all parts; empty where a model made them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """What the protocol costs on one kind of store; medians over rounds."""

    store: str
    seconds: float
    """More than the bare write."""
    share: float
    """Of annotating the same rows."""
    processor_share: float
    """The same of the processors' time."""
    slower: float
    """As a share of the bare write, which computes nothing either."""
    peak_bytes: float
    """More memory than the bare write."""


@dataclasses.dataclass(slots=True)
class Report:
    """Everything that was measured."""

    machine: Mapping[str, Any]
    back_end: str
    rows: int
    lengths: Mapping[str, float]
    """Of `length_facts`."""
    annotate: list[Timed] = dataclasses.field(default_factory=list)
    writes: dict[str, dict[str, list[Timed]]] = dataclasses.field(default_factory=dict)
    """Runs of each way but annotating, by the kind of store."""

    def costs(self) -> list[Cost]:
        """Give what the protocol costs, store by store; the differences are those of runs in one round."""
        job = _median(run.seconds for run in self.annotate)
        work = _median(run.processor_seconds for run in self.annotate)
        return [
            Cost(
                store=store,
                seconds=(more := _median(one.seconds - other.seconds for one, other in _pairs(ways))),
                share=more / job,
                processor_share=_median(one.processor_seconds - other.processor_seconds for one, other in _pairs(ways))
                / work,
                slower=more / _median(run.seconds for run in ways[BARE]),
                peak_bytes=_median(one.peak_bytes - other.peak_bytes for one, other in _pairs(ways)),
            )
            for store, ways in self.writes.items()
        ]

    def as_json(self) -> dict[str, Any]:
        """Give everything as JSON values."""
        costs = self.costs()
        facts = {"limit": MOST, "met": all(cost.share <= MOST for cost in costs)}
        return facts | {"costs": [dataclasses.asdict(cost) for cost in costs]} | dataclasses.asdict(self)

    def about(self) -> str:
        """Say in words what it was measured on."""
        facts = self.machine
        able = f" with {', '.join(facts['features'])}" if facts["features"] else ""
        return (
            f"{self.rows:,} texts of {self.lengths['mean']:.0f} characters on average, "
            f"in {-(-self.rows // ROWS)} parts; {facts['cores']} cores{able} ({facts['processor']}), "
            f"{facts['threads']} threads; python {facts['versions']['python']}, torch {facts['versions']['torch']}; "
            f"annotated by {self.back_end}."
        )

    def tables(self) -> dict[str, list[dict[str, str]]]:
        """Give the tables that people read, by their titles."""
        return {
            "What the protocol costs": [
                {
                    "store": cost.store,
                    "more seconds": f"{cost.seconds:+.2f}",
                    "of annotating": f"{cost.share:+.1%}",
                    "limit": f"{MOST:.0%}",
                    "met": "yes" if cost.share <= MOST else "no",
                    "of its processor time": f"{cost.processor_share:+.1%}",
                    "of the bare write": f"{cost.slower:+.0%}",
                    "more memory": f"{cost.peak_bytes / 1e6:+,.0f} MB",
                }
                for cost in self.costs()
            ],
            "Medians, lowest and highest": [
                *(
                    {"store": store, "way": way, "seconds": _range(runs), "peak memory": _memory(runs)}
                    for store, ways in self.writes.items()
                    for way, runs in ways.items()
                ),
                {
                    "store": "directory",
                    "way": ANNOTATE,
                    "seconds": _range(self.annotate),
                    "peak memory": _memory(self.annotate),
                },
            ],
        }


def _pairs(ways: Mapping[str, Sequence[Timed]]) -> Iterator[tuple[Timed, Timed]]:
    return zip(ways[PROTOCOL], ways[BARE], strict=True)


def _median(values: Iterator[float]) -> float:
    return statistics.median(values)


def _range(runs: Sequence[Timed]) -> str:
    found = [run.seconds for run in runs]
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def _memory(runs: Sequence[Timed]) -> str:
    return f"{statistics.median(run.peak_bytes for run in runs) / 1e6:,.0f} MB"


def measure(
    package: Path, texts: Sequence[str], rounds: int, *, buckets: Sequence[str], folder: Path, tell: Tell
) -> Report:
    """Let all ways write the same rows by turns."""
    choice = EndToEnd(read_package(package), folder).choice  # kept in the folder, for all processes
    report = Report(
        machine=machine_facts(),
        back_end=f"{choice.name} ({choice.reason})",
        rows=len(texts),
        lengths=length_facts(texts),
        writes={kind: {BARE: [], PROTOCOL: []} for kind in ("directory", *buckets)},
    )
    file = write_input(folder / "rows.csv", iter(texts))

    def run(way: str, kind: str) -> Timed:
        name = f"{way}-{uuid.uuid4().hex[:8]}"
        root = str(folder / name) if kind == "directory" else f"{kind}/{name}"
        done = Timed(**in_a_process(way, package, file, str(folder) if way == ANNOTATE else root, choice.name))
        tell(f"{kind}: {way} {done.seconds:.2f} s, {done.peak_bytes / 1e6:,.0f} MB")
        return done

    for turn in range(rounds):
        tell(f"round {turn + 1} of {rounds}")
        for kind, ways in report.writes.items():
            for way in (BARE, PROTOCOL) if turn % 2 else (PROTOCOL, BARE):
                ways[way].append(run(way, kind))
        report.annotate.append(run(ANNOTATE, "directory"))
    if len(parts := {run.parts for ways in report.writes.values() for runs in ways.values() for run in runs}) > 1:
        raise RuntimeError(f"the ways wrote {len(parts)} different sets of parts")
    return report


def make_bucket(address: str) -> str:
    """Make the bucket of an address if it is missing, and give the address without a slash at its end.

    Raises:
        UsageError: it is no s3:// address.

    """
    import boto3

    bucket, _ = split_address(address)
    client = boto3.client("s3")
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
        client.create_bucket(Bucket=bucket)
    return address.rstrip("/")


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="champion", help="a package directory, a version, or an alias")
    parser.add_argument("--data", type=Path, help="directory with GoEmotions; else EQN_GOEMOTIONS, else the sample")
    parser.add_argument("--store", action="append", default=[], metavar="S3", help="s3://bucket, measured as well")
    parser.add_argument("--rows", type=int, help="instead of 100,000")
    parser.add_argument("--rounds", type=int, help="instead of 3")
    parser.add_argument("--quick", action="store_true", help="two parts, one round")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON value")
    form.add_argument("--markdown", action="store_true", help="print the tables of bench/protocol.md")
    said = parser.parse_args()
    usual_rows, usual_rounds = QUICK if said.quick else FULL
    rows, rounds = (
        usual_rows if said.rows is None else said.rows,
        usual_rounds if said.rounds is None else said.rounds,
    )
    if rows < 1 or rounds < 1:
        raise UsageError(f"expected at least 1 row and 1 round; got {rows} and {rounds}.")
    settings, people = load_settings(), Console(stderr=True)
    package = Path(resolve(said.model, settings).path)
    buckets = [make_bucket(address) for address in said.store]
    with tempfile.TemporaryDirectory(prefix="eqn-protocol-") as name:
        report = measure(
            package,
            repeated(choose_corpus(said.data or settings.goemotions).test.texts, rows, seed=0),
            rounds,
            buckets=buckets,
            folder=Path(name),
            tell=lambda message: people.print(message, markup=False, highlight=False),
        )
    if said.json:
        print(json.dumps(report.as_json(), indent=2))
        return 0
    print(report.about())
    for title, shown in report.tables().items():
        if said.markdown:
            print(f"\n**{title}**\n\n{markdown(shown)}")
        else:
            Console().print(table(title, shown))
    return 0


if __name__ == "__main__":
    sys.exit(ending(main))
