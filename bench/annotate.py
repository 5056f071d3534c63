"""How fast EQN annotates, beside other ways to get the same scores from the same weights: all in one run, by turns.

    pip install 'eqn[pipeline,bench,ray]'
    python bench/annotate.py --data DIR                      the champion, or the model in the box; forty minutes
    python bench/annotate.py --data DIR --quick              the same with fewer texts, in under five minutes
    python bench/annotate.py MODEL --texts letters.csv       another model, and one's own texts
    python bench/annotate.py --data DIR --markdown           the tables of bench/annotate.md

In a quick run what a job costs once weighs more, so that the figures end to end are lower.

Ways, all with as many threads as torch takes here, and the same weights:

    seed                 pad to 128, batches of 16, float32, written cell by cell into columns of a pandas frame
    hf_pipeline          the Hugging Face pipeline: batches of 32 padded to their longest, float32
    ort_fp32_unsorted    ONNX Runtime: batches of 8 padded to their longest, float32
    ort_int8_unsorted    the same with 8-bit weights and dynamically quantized states
    ort_int8_sorted      the same, all texts sorted by length before
    end_to_end           EQN: a CSV file in, checked, annotated and published; the clock runs from scan to commit
    compute_only         EQN's same back end on texts that were encoded before
    compute_only_floats  EQN's bf16 back end (fp32 where that is not native), held against one product of two matrices
                         of 4096 x 4096 on the same threads; `bench.annotating.products` says what is counted

The others get lists of texts and read and write no files. A round gives each way its turn, after the ceiling; rates are
medians over rounds, ratios those of medians. A slow way gets a part of the texts: every so-manieth in the order of
length, from another place in each round, so that lengths are distributed as in all of them. Workloads: a long-tailed
mix, made by joining comments of GoEmotions' test split, to which the ratios refer, and that split itself, repeated to
the same number of texts. Memory and scaling: jobs of 100,000 and 1,000,000 rows, each in a fresh process. Where Ray is
installed and the run is not a quick one, a local cluster with an actor for each core takes turns with this process.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console

from bench.annotating.growth import grown
from bench.annotating.machine import Ceiling, machine_facts
from bench.annotating.ours import ComputeOnly, EndToEnd, blocks_of, read_texts, write_input
from bench.annotating.peers import Peer, make_peers
from bench.annotating.products import waste
from bench.annotating.report import BESIDE_RAY, COMPUTE, FLOATS, LARGEST_PEAK, OURS, RAY, Report, Workload, markdown
from bench.annotating.workload import length_facts, mixed_texts, repeated, slice_of
from eqn.annotation.shards import ROWS
from eqn.corpus.choice import choose_corpus
from eqn.errors import UsageError
from eqn.exits import ending
from eqn.model.back_ends import fault_of
from eqn.model.package import Package, read_package
from eqn.registry.resolution import resolve
from eqn.settings import load_settings
from eqn.terminal import table


class Sizes(NamedTuple):
    """How much is measured."""

    texts: int
    rounds: int
    rows: tuple[int, int]
    """Of the two jobs of short texts."""
    ray_shards: int
    """Of the jobs in turn with Ray; 0 leaves it out."""


FULL = Sizes(texts=32_768, rounds=5, rows=(100_000, 1_000_000), ray_shards=8)
QUICK = Sizes(texts=6_144, rounds=3, rows=(10_000, 100_000), ray_shards=0)
LEAST_TEXTS = 1_024
"""Below that a slow way would get fewer than one batch."""
FLOATS_SHARE = 2
"""The floating-point back end, when it is not the chosen one, gets one text of so many."""
_COMPARED = 128
"""Texts on which scores are compared."""

Tell = Callable[[str], None]


class Bench:
    """Every way made ready, to be measured on any workload."""

    def __init__(self, package: Package, folder: Path, tell: Tell) -> None:
        self._package, self._folder, self._tell = package, folder, tell
        tell("choosing a back end")
        self.ours = EndToEnd(package, folder)
        self.floats = "fp32" if fault_of("bf16", package) else "bf16"
        self.compute = ComputeOnly(self.ours.choice.name, package)
        self.float_compute = self.compute if self.compute.name == self.floats else ComputeOnly(self.floats, package)
        tell("exporting to ONNX")
        self.peers: list[Peer] = make_peers(package, folder, torch.get_num_threads())
        self.ceiling = Ceiling(torch.bfloat16 if self.floats == "bf16" else torch.float32)

    def words(self) -> dict[str, str]:
        """Say what each way is."""
        return {peer.name: peer.words for peer in self.peers} | {
            OURS: f"EQN end to end, {self.ours.choice.name}",
            COMPUTE: f"EQN compute only, {self.ours.choice.name}",
            FLOATS: f"EQN compute only, {self.floats}",
            RAY: "EQN end to end over Ray, an actor for each core",
            BESIDE_RAY: "EQN end to end in one process, in turn with Ray",
        }

    def shares(self) -> dict[str, int]:
        """Give the share of each way in the texts."""
        return {peer.name: peer.share for peer in self.peers} | {OURS: 1, COMPUTE: 1, FLOATS: FLOATS_SHARE}

    def differences(self, texts: Sequence[str]) -> dict[str, float]:
        """Give how far each way's intensities are from float32, on average, which also warms it up."""
        from eqn.annotation.annotator import Annotator

        exact = Annotator.load(self._package.path, back_end="fp32").scores(texts)
        found = {peer.name: peer.scores(texts) for peer in self.peers} | {OURS: self.ours.annotator.scores(texts)}
        return {name: float(np.abs(scores - exact).mean()) for name, scores in found.items()}

    def workload(self, name: str, texts: Sequence[str]) -> Workload:
        """Describe texts: lengths, and what each way pads."""
        shards = self.compute.encode(texts)
        lengths = [length for shard in shards for length in shard.lengths()]
        tokens, blocks = sum(lengths), blocks_of(shards)
        wasted = {peer.name: waste(tokens, peer.rows(lengths)) for peer in self.peers}
        ours = waste(tokens, sum(len(block.ids) for block in blocks))
        return Workload(name, length_facts(texts), tokens / len(texts), wasted | dict.fromkeys((OURS, COMPUTE), ours))

    def round(self, workload: Workload, texts: Sequence[str], turn: int) -> None:
        """Give every way its turn, and note its rate."""
        for peer in self.peers:
            some = slice_of(texts, peer.share, turn)
            started = time.perf_counter()
            peer.scores(some)
            self._note(workload, peer.name, len(some) / (time.perf_counter() - started))
        shards = self.compute.encode(texts)
        alone = self.compute.run(shards)
        self._note(workload, COMPUTE, len(texts) / alone.seconds)
        file = write_input(self._folder / "texts.csv", iter(texts))
        self._note(workload, OURS, len(texts) / self.ours.seconds(file))
        if self.float_compute is not self.compute:
            some = slice_of(texts, FLOATS_SHARE, turn)
            alone = self.float_compute.run(self.float_compute.encode(some))
            self._note(workload, FLOATS, len(some) / alone.seconds)
        workload.operations.append(alone.operations / alone.seconds)

    def ray(self, workload: Workload, texts: Sequence[str], rounds: int) -> None:
        """Let Ray's actors and this process do the same job by turns, after one that is not counted."""
        from eqn.annotation.ray_cluster import connected
        from eqn.annotation.ray_engine import RayEngine

        file = write_input(self._folder / "texts.csv", iter(texts))
        with connected(None), RayEngine(self.ours.annotator) as engine:
            self.ours.seconds(file, engine)
            for _ in range(rounds):
                self._note(workload, BESIDE_RAY, len(texts) / self.ours.seconds(file))
                self._note(workload, RAY, len(texts) / self.ours.seconds(file, engine))

    def _note(self, workload: Workload, way: str, rate: float) -> None:
        workload.add(way, rate)
        self._tell(f"{workload.name}: {way} {rate:,.0f} texts/s")


def measure(package: Package, workloads: dict[str, list[str]], sizes: Sizes, *, folder: Path, tell: Tell) -> Report:
    """Measure all ways on all workloads by turns, after a turn that is not counted, and then the two jobs."""
    bench = Bench(package, folder, tell)
    comments = list(workloads.values())[-1]
    differences = bench.differences(comments[:_COMPARED])
    report = Report(
        machine=machine_facts(),
        back_end=f"{bench.ours.choice.name} ({bench.ours.choice.reason})",
        floats=bench.floats,
        words=bench.words(),
        shares=bench.shares(),
        differences=differences,
        workloads=[bench.workload(name, texts) for name, texts in workloads.items()],
    )
    tell("warming up")
    bench.ceiling.rate()
    for name, texts in workloads.items():
        bench.round(Workload(f"warming up, {name}", {}, 0, {}), slice_of(texts, 8, 0), 0)
    for turn in range(sizes.rounds):
        for workload, texts in zip(report.workloads, workloads.values(), strict=True):
            report.ceilings.append(bench.ceiling.rate())
            tell(f"round {turn + 1} of {sizes.rounds}: ceiling {report.ceilings[-1] / 1e9:,.0f} GFLOP/s")
            bench.round(workload, texts, turn)
    if sizes.ray_shards and importlib.util.find_spec("ray"):
        tell("starting Ray on this machine")
        texts = next(iter(workloads.values()))
        bench.ray(report.workloads[0], repeated(texts, sizes.ray_shards * ROWS, seed=0), max(1, sizes.rounds // 2))
    jobs = []
    for number in sizes.rows:
        jobs.append(grown(package.path, number, comments, folder))
        tell(f"{number:,} rows: {jobs[-1]['seconds']:.0f} s, {jobs[-1]['peak_bytes'] / 1e6:,.0f} MB")
    report.growth = jobs
    return report


def make_workloads(data: Path | None, file: Path | None, texts: int, *, seed: int) -> dict[str, list[str]]:
    """Give the lists of texts by name: those of `file` as they are, or the mix and GoEmotions' test split.

    Raises:
        UsageError: `file` has too few texts, or cannot be read.

    """
    if file is not None:
        found = read_texts(file)
        if len(found) < LEAST_TEXTS:
            raise UsageError(f"expected at least {LEAST_TEXTS:,} texts in {file}, got {len(found):,}.")
        return {file.name: found}
    corpus = choose_corpus(data)
    comments = corpus.test.texts
    return {
        "long-tailed mix": mixed_texts(comments, texts, seed=seed),
        f"{corpus.ref.name} test": repeated(comments, texts, seed=seed),
    }


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="champion", help="a package directory, a version, or an alias")
    parser.add_argument("--data", type=Path, help="directory with GoEmotions; else EQN_GOEMOTIONS, else the sample")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="annotate this file's texts instead")
    parser.add_argument("--seed", type=int, default=0, help="of the mix, and of the order of texts")
    parser.add_argument("--quick", action="store_true", help="fewer texts, rounds and rows: under five minutes")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON value")
    form.add_argument("--markdown", action="store_true", help="print the tables of bench/annotate.md")
    said = parser.parse_args()
    sizes, settings, people = QUICK if said.quick else FULL, load_settings(), Console(stderr=True)
    with tempfile.TemporaryDirectory() as name:
        report = measure(
            read_package(Path(resolve(said.model, settings).path)),
            make_workloads(said.data or settings.goemotions, said.texts, sizes.texts, seed=said.seed),
            sizes,
            folder=Path(name),
            tell=lambda message: people.print(message, markup=False, highlight=False),
        )  # fmt: skip
    if said.json:
        print(json.dumps(report.as_json(), indent=2))
        return 0
    print(report.about())
    for title, rows in report.tables().items():
        if said.markdown:
            print(f"\n**{title}**\n\n{markdown(rows)}")
        else:
            Console().print(table(title, rows))
    print(f"\nThe larger job may take {LARGEST_PEAK / 1e6:,.0f} MB.")
    return 0


if __name__ == "__main__":
    sys.exit(ending(main))
