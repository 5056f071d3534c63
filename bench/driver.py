"""How many rows one driver of a Ray cluster can read, hand out, collect and put: with actors that compute nothing.

    pip install 'eqn[pipeline,ray]'
    python bench/driver.py --data DIR [--rows 65536] [--store s3://bucket/prefix]
    python bench/driver.py --data DIR --actor     one shard by a real model in one thread: its size, and the memory

The rows are the long-tailed mix of `bench/annotate.py`, in one CSV file, and the release has every byte that a real one
has, with random intensities. Rates are rows per second of the driver's own processor time, which a busy machine changes
little; sizes are those of the files that were written.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench.annotating.workload import length_facts, mixed_texts
from eqn.annotation import ray_actor
from eqn.annotation.annotator import Annotator
from eqn.annotation.columns import output_schema
from eqn.annotation.ray_cluster import connected
from eqn.annotation.ray_engine import RayEngine
from eqn.annotation.shards import ROWS, annotate_shard, parquet_bytes
from eqn.corpus.choice import choose_corpus
from eqn.corpus.inputs import find_inputs
from eqn.quality.inputs import validated_inbox
from eqn.registry.resolution import resolve
from eqn.release.catalog import read_manifest
from eqn.release.plan import make_plan
from eqn.release.publish import publish
from eqn.settings import load_settings
from eqn.store.interface import open_store


class RandomActor:
    """Answers at once, with as many labels as GoEmotions' comments have."""

    def load(self, _: Any, **__: Any) -> None:
        """Need nothing."""

    def annotate(self, rows: Any, schema: Any, *, uncertainty: bool) -> Any:  # noqa: ARG002  the real actor's
        """Give random intensities."""
        import numpy as np

        from eqn.annotation.annotator import Annotation
        from eqn.annotation.columns import annotated_table
        from eqn.emotions import EMOTIONS

        generator = np.random.default_rng(len(rows))
        scores = np.round(generator.beta(0.15, 3, (len(rows), len(EMOTIONS))), 4).astype(np.float32)
        labels = [[EMOTIONS[place]] for place in scores.argmax(axis=1)]
        return annotated_table(rows, Annotation(scores, [False] * len(rows), labels), schema), len(rows)


def main() -> None:
    """Measure and print one JSON value."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="directory of GoEmotions' splits")
    parser.add_argument("--rows", type=int, default=8 * ROWS)
    parser.add_argument("--store", help="store to publish in; default: a folder")
    parser.add_argument("--actor", action="store_true", help="measure what an actor does instead")
    asked = parser.parse_args()
    if asked.actor:
        print(json.dumps(one_shard(asked), indent=2))
        return
    ray_actor.ShardActor = RandomActor  # type: ignore[assignment, misc]
    with tempfile.TemporaryDirectory(prefix="eqn-driver-") as folder:
        print(json.dumps(measured(asked, Path(folder)), indent=2))


def measured(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Give the rates of a driver's steps, and the sizes of what it wrote."""
    import csv

    texts = mixed_texts(choose_corpus(asked.data).test.texts, asked.rows, seed=0)
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *((f"comment-{n:010}", text) for n, text in enumerate(texts))])
    model = resolve("champion", load_settings())
    annotator = Annotator.load(model.path, back_end="fp32")
    store, inputs = open_store(asked.store or str(folder / "releases")), find_inputs([str(folder / "rows.csv")])
    seconds: dict[str, float] = {}

    waited: dict[str, float] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        began, started = time.perf_counter(), time.process_time()
        done = step()
        seconds[name], waited[name] = time.process_time() - started, time.perf_counter() - began
        return done

    plan = timed("scan", lambda: make_plan(store, "driver", inputs, model=model, annotator=annotator))
    sources = plan.sources
    named = ([source.file for source in sources], [source.scan for source in sources])
    timed("gate", lambda: validated_inbox(*named, name="driver", docs=folder))
    timed("read again", lambda: exhaust(plan.batches(sources[0])))
    with connected(None), RayEngine(annotator) as engine:
        timed("publish", lambda: publish(store, plan, annotator, engine=engine))
    manifest = read_manifest(store, "driver")
    parts = [entry for name, entry in manifest.files.items() if name.startswith("data/")]
    return {
        "texts": length_facts(texts),
        "input_bytes_per_row": round((folder / "rows.csv").stat().st_size / asked.rows, 1),
        "bytes_per_full_part": parts[0].bytes,
        "rows_per_processor_second": {name: round(asked.rows / spent) for name, spent in seconds.items()},
        "microseconds_per_row": {name: round(1e6 * spent / asked.rows, 1) for name, spent in seconds.items()},
        "seconds_on_the_clock": {name: round(spent, 2) for name, spent in waited.items()},
        "manifest_bytes_per_part": round(len(manifest.to_bytes()) / len(parts)),
    }


def one_shard(asked: argparse.Namespace) -> dict[str, Any]:
    """Annotate a shard as an actor does, and give its size and this process' memory."""
    import pyarrow as pa
    import torch

    torch.set_num_threads(1)
    texts = mixed_texts(choose_corpus(asked.data).train.texts, ROWS, seed=0)
    rows = pa.table({"id": [f"comment-{n:010}" for n in range(ROWS)], "text": texts})
    annotator = Annotator.load(resolve("champion", load_settings()).path, threads=1)
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = annotate_shard(rows, output_schema([]), annotator)
    return {
        "texts": length_facts(texts),
        "back_end": annotator.name,
        "bytes_of_part": len(parquet_bytes(done)),
        "bytes_of_rows_in_memory": rows.nbytes,
        "bytes_of_table_in_memory": done.nbytes,
        "peak_MiB_loaded": loaded // 1024,
        "peak_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def exhaust(values: Iterable[Any]) -> None:
    """Take all and keep none."""
    for _ in values:
        pass


if __name__ == "__main__":
    main()
