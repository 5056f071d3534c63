"""Twenty processes run the job of the schedule at once while files arrive: releases stay whole, in order, and complete.

The deployment's limit lets one run at a time; this is what the protocol keeps without it. Runs of equal work share a
folder and may compute a part twice, but it is written once, and published once.
"""

import collections
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.commit import announced_folders
from eqn.store.interface import ObjectStore, open_store
from tests.faults.promises import Trials


@pytest.mark.promise(7)
@pytest.mark.stack
@pytest.mark.timeout(900)
def test_twenty_at_once_lose_no_row_and_publish_no_work_twice(
    any_store: ObjectStore, package: Path, inbox: Path, tmp_path: Path, trials: Trials
) -> None:
    """Every run ends with a release; no number is left out, no job is there twice, and each file's rows stand once."""
    address = any_store.address("crowd")
    done = subprocess.run(
        [sys.executable, "-m", "tests.release.crowd", str(package), str(inbox), "20", "4"],
        env=os.environ | {"EQN_HOME": str(tmp_path / "home"), "EQN_STORE": address, "TOKENIZERS_PARALLELISM": "false"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout.splitlines()[-1])
    assert len(ends) == 20
    assert all(end.isdigit() for end in ends), json.dumps(ends, indent=1)

    store = open_store(address)
    numbers = release_numbers(store, "inbox")
    assert numbers == list(range(1, len(numbers) + 1))
    assert {int(end) for end in ends} == set(numbers)
    manifests = [read_manifest(store, "inbox", number) for number in numbers]
    assert len({manifest.job for manifest in manifests}) == len(manifests)
    for manifest in manifests:
        verify(store, manifest)
        assert len({entry.name for entry in manifest.inputs}) == len(manifest.inputs)
    assert announced_folders(store, "inbox") == set()
    biggest = max(manifests, key=lambda manifest: len(manifest.inputs))
    tables = [
        pq.read_table(io.BytesIO(store.get(f"{biggest.path}/{part}")))
        for entry in biggest.inputs
        for part in entry.parts
    ]
    texts = collections.Counter(text for table in tables for text in table.column("text").to_pylist())
    assert sum(texts.values()) == biggest.rows_out
    for entry in biggest.inputs:
        if entry.name.endswith(".txt"):
            number = entry.name.removesuffix(".txt")
            assert (texts[f"one {number}"], texts[f"two {number}"]) == (1, 1)
    assert biggest.rows_out == 23 + 2 * (len(biggest.inputs) - 3)
    trials(len(ends), "runs of the schedule's job at once")
