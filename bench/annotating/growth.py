"""One job in a process of its own: how long it takes and how much memory, as its rows grow.

    python -m bench.annotating.growth PACKAGE ROWS FOLDER < comments       one JSON value on standard output

The texts are three words each, taken from the comments on standard input again and again, so that a million rows take
minutes: what a job keeps for a row does not depend on the length of its text.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.annotating.machine import peak_memory

ROOT = Path(__file__).parents[2]
_WORDS = 3
_FIRST = 32
"""Rows of a job before, whose time is not counted: it loads what any job loads."""


def grown(package: Path, rows: int, comments: Sequence[str], folder: Path) -> dict[str, Any]:
    """Give `rows`, `seconds` and `peak_bytes` of a job of so many rows in a fresh process."""
    command = [sys.executable, "-m", "bench.annotating.growth", str(package), str(rows), str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    given = "\n".join(" ".join(comment.split()) for comment in comments)
    done = subprocess.run(  # noqa: S603  this very program
        command, input=given, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Do one job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("rows", type=int)
    parser.add_argument("folder", type=Path)
    said = parser.parse_args()
    short = [" ".join(line.split()[:_WORDS]) for line in sys.stdin.read().splitlines() if line.strip()]

    from bench.annotating.ours import EndToEnd, write_input
    from eqn.model.package import read_package

    # The choice of a back end that was made for this machine stands in the folder already.
    ours = EndToEnd(read_package(said.package), said.folder)
    with tempfile.TemporaryDirectory(dir=said.folder) as name:
        ours.seconds(write_input(Path(name) / "first.csv", iter(short[:_FIRST])))
        file = write_input(Path(name) / "short.csv", itertools.islice(itertools.cycle(short), said.rows))
        seconds = ours.seconds(file)
    print(json.dumps({"rows": said.rows, "seconds": seconds, "peak_bytes": peak_memory()}))


if __name__ == "__main__":
    main()
