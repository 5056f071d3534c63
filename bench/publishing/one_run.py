"""One way to write annotated rows, once, in a process of its own: how long it takes, and the most memory it has.

    python -m bench.publishing.one_run WAY PACKAGE FILE ROOT BACK_END      one JSON value on standard output

WAY is `bare`, `protocol` or `annotate`; ROOT a directory or s3://bucket/prefix; what is written there is removed.
"""

import argparse
import hashlib
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.annotating.machine import peak_memory
from bench.annotating.ours import EndToEnd, write_input
from bench.publishing.stand_in import StandIn
from eqn.annotation.annotator import Annotator
from eqn.annotation.shards import parquet_bytes
from eqn.corpus.inputs import find_inputs
from eqn.errors import UsageError
from eqn.model.package import read_package
from eqn.records import ModelRef
from eqn.release.catalog import read_manifest
from eqn.release.plan import Plan, make_plan
from eqn.release.publish import publish
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore, open_store
from eqn.store.s3 import split_address

if TYPE_CHECKING:
    from collections.abc import Callable

BARE, PROTOCOL, ANNOTATE = "bare", "protocol", "annotate"
_REPOSITORY = Path(__file__).parents[2]


def in_a_process(way: str, package: Path, file: Path, root: str, back_end: str) -> dict[str, Any]:
    """Let a fresh process do it; give `seconds`, `processor_seconds`, `peak_bytes` and the digest of all `parts`."""
    command = [sys.executable, "-m", "bench.publishing.one_run", way, str(package), str(file), root, back_end]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_REPOSITORY), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)  # noqa: S603  ours
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def write_barely(store: ObjectStore, plan: Plan) -> list[str]:
    """Read the rows and write their parts as anybody would; give the keys."""
    engine, put, numbers = StandIn(), _bare_put(store), itertools.count()
    keys = []
    for source in plan.sources:
        for batch in plan.batches(source):
            keys.append(f"bare/part-{next(numbers):05d}.parquet")
            put(keys[-1], parquet_bytes(engine.start(batch.table, plan.schema, uncertainty=False).rows))
    return keys


def _bare_put(store: ObjectStore) -> "Callable[[str, bytes], object]":
    """Give a function that writes a file without syncing it, or puts an object in one plain request."""
    if isinstance(store, DirectoryStore):
        Path(store.address("bare")).mkdir(parents=True)
        return lambda key, content: Path(store.address(key)).write_bytes(content)
    import boto3

    client = boto3.client("s3")

    def put(key: str, content: bytes) -> None:
        bucket, whole = split_address(store.address(key))
        client.put_object(Bucket=bucket, Key=whole, Body=content)

    return put


def publish_all(store: ObjectStore, plan: Plan, annotator: Annotator) -> list[str]:
    """Publish a release of the same parts; give their keys."""
    publish(store, plan, annotator, engine=StandIn())
    manifest = read_manifest(store, plan.dataset)
    return [f"{manifest.path}/{name}" for entry in manifest.inputs for name in entry.parts]


def measured(way: str, package: Path, file: Path, root: str, back_end: str) -> dict[str, Any]:
    """Do it in this process; see `in_a_process`."""
    import pyarrow.parquet  # noqa: F401  it is no part of either way

    if way == ANNOTATE:
        job = EndToEnd(read_package(package), Path(root))
        job.seconds(write_input(Path(root) / "first.csv", iter(["a job before, which loads what any job loads"])))
        started = time.process_time()
        seconds = job.seconds(file)
        spent = time.process_time() - started
        return {"seconds": seconds, "processor_seconds": spent, "peak_bytes": peak_memory(), "parts": ""}
    annotator, store = Annotator.load(package, back_end=back_end), open_store(root)
    if any(True for _ in store.list("")):
        raise UsageError(f"expected an empty place in {root}: what is written there is removed.", todo="Name another.")
    model = ModelRef(str(package), annotator.package.digest)
    plan = make_plan(store, "bench", find_inputs([str(file)]), model=model, annotator=annotator)
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak is counted from here on
    started, spent = time.perf_counter(), time.process_time()
    keys = write_barely(store, plan) if way == BARE else publish_all(store, plan, annotator)
    seconds, spent, peak = time.perf_counter() - started, time.process_time() - spent, peak_memory()
    digest = hashlib.sha256(b"".join(hashlib.sha256(store.get(key)).digest() for key in keys))
    for key in list(store.list("")):
        store.delete(key)
    return {"seconds": seconds, "processor_seconds": spent, "peak_bytes": peak, "parts": digest.hexdigest()}


def main() -> None:
    """Do it and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=[BARE, PROTOCOL, ANNOTATE])
    parser.add_argument("package", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("root")
    parser.add_argument("back_end")
    said = parser.parse_args()
    print(json.dumps(measured(said.way, said.package, said.file, said.root, said.back_end)))


if __name__ == "__main__":
    main()
