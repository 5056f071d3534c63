"""Ctrl-C in the middle of a large file: a quick end, nothing published, and a rerun that only does the rest."""

import collections
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from eqn.annotation.shards import ROWS
from eqn.errors import INTERRUPTED
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.store.directory import DirectoryStore

QUICKLY = 10
"""Seconds from Ctrl-C to the end."""


def start(file: Path, package: Path, store: Path, home: Path) -> subprocess.Popen[str]:
    command = ["annotate", str(file), "--dataset", "big", "--model", str(package), "--out", str(store), "--json"]
    return subprocess.Popen(
        # A shell's background job, as this test may be, ignores Ctrl-C, and so would its children.
        ["env", "--default-signal=INT", sys.executable, "-m", "eqn.cli", *command, "--back-end", "fp32"],
        env=os.environ | {"EQN_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_ends_soon_and_the_rerun_loses_and_doubles_no_row(package: Path, tmp_path: Path) -> None:
    """A real process, a real SIGINT after its first part: exit code 130, a sentence, and what is done is kept."""
    rows = 3 * ROWS + 100
    file = tmp_path / "big.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["id", "text"])
        writer.writerows((f"r{row}", f"so says row {row}") for row in range(rows))
    store = DirectoryStore(tmp_path / "store")

    interrupted = start(file, package, store.root, tmp_path / "home")
    try:
        while not (written := sorted(store.root.glob("big/files/*/data/*.parquet"))) and interrupted.poll() is None:
            time.sleep(0.02)
        interrupted.send_signal(signal.SIGINT)
        _, said = interrupted.communicate(timeout=QUICKLY)
    finally:
        interrupted.kill()
        interrupted.wait()

    assert interrupted.returncode == INTERRUPTED, said
    assert "interrupted. Run the same command again: finished work is kept." in said
    assert "Traceback" not in said
    assert release_numbers(store, "big") == []
    kept = {path: path.stat().st_mtime_ns for path in written}

    rerun = start(file, package, store.root, tmp_path / "home")
    printed, said = rerun.communicate()

    assert rerun.returncode == 0, said
    assert json.loads(printed)["rows"] == rows
    manifest = read_manifest(store, "big")
    verify(store, manifest)
    parts = sorted(Path(store.address(manifest.path), "data").iterdir())
    assert len(parts) == 4
    assert set(kept) <= set(parts)
    assert all(path.stat().st_mtime_ns == time_of for path, time_of in kept.items())
    table = pq.read_table(parts, columns=["id", "text"])
    assert collections.Counter(table.column("id").to_pylist()) == collections.Counter(f"r{row}" for row in range(rows))
    assert all(
        text == f"so says row {name[1:]}"
        for name, text in zip(table.column("id").to_pylist(), table.column("text").to_pylist(), strict=True)
    )
