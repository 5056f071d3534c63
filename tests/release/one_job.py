"""A whole job in a process of its own: scan, quality gate, annotation, release; how long it takes, how much memory.

    python -m tests.release.one_job ENGINE PACKAGE FILE FOLDER      one JSON value on standard output

ENGINE is `stand-in`, which computes nothing, or `model`. What is published goes into a new store below FOLDER.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from bench.annotating.machine import peak_memory
from bench.publishing.stand_in import StandIn
from eqn.annotation.annotator import Annotator
from eqn.annotation.choice import chosen_back_end
from eqn.corpus.inputs import find_inputs
from eqn.model.package import read_package
from eqn.records import ModelRef
from eqn.release.annotate import Prepared, Request, check_inputs, publish_prepared
from eqn.release.catalog import read_manifest
from eqn.release.plan import make_plan
from eqn.store.directory import DirectoryStore

ROOT = Path(__file__).parents[2]


def measured(engine: str, package: Path, file: Path, folder: Path) -> dict[str, Any]:
    """Let a fresh process do the job; give `rows`, `quarantined` by reason, `seconds` and `peak_bytes`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.release.one_job", engine, str(package), str(file), str(folder)],
        cwd=ROOT,
        env=os.environ | {"TOKENIZERS_PARALLELISM": "false"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    engine, package, file, folder = sys.argv[1], *map(Path, sys.argv[2:])
    torch.set_num_threads(1)
    annotator = Annotator.load(package, back_end="fp32")
    choice = chosen_back_end(read_package(package), folder / "choices")
    request = Request(
        dataset="letters",
        inputs=find_inputs([str(file)]),
        model=ModelRef(str(package), annotator.package.digest),
        store=DirectoryStore(folder / "releases"),
        docs=folder / "docs",
        choices=folder / "choices",
    )
    started = time.perf_counter()
    plan = make_plan(request.store, request.dataset, request.inputs, model=request.model, annotator=annotator)
    prepared = Prepared(request, plan, annotator, choice)
    publish_prepared(prepared, check_inputs(prepared), engine=StandIn() if engine == "stand-in" else None)
    seconds = time.perf_counter() - started
    manifest = read_manifest(request.store, "letters")
    print(  # noqa: T201  its way to speak
        json.dumps(
            {
                "rows": manifest.rows_out,
                "quarantined": dict(manifest.inputs[0].quarantined),
                "seconds": seconds,
                "peak_bytes": peak_memory(),
            }
        )
    )


if __name__ == "__main__":
    main()
