"""Processes that want the same number at the same moment, or come back late: one gets it, the others are told so."""

import contextlib
import hashlib
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from eqn.errors import Conflict
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.commit import announced_folders
from eqn.release.manifest import manifest_key
from eqn.store.interface import ObjectStore, open_store
from tests.faults.promises import Trials
from tests.release.conftest import write_csv
from tests.release.publishers import Publisher

STOPS = (
    *("publish.part-written", "publish.parts-written", "publish.documents-written"),
    *("commit.announced", "commit.files-seen"),
)
"""Failpoints before the manifest, at which a run is held up."""


@pytest.fixture
def inputs(tmp_path: Path) -> list[list[str]]:
    """Three files, each an input of its own."""
    return [
        [str(write_csv(tmp_path / f"{name}.csv", [{"id": f"{n}", "text": f"{name} {n}"} for n in range(3)]))]
        for name in ("one", "two", "three")
    ]


@pytest.fixture
def publishers() -> Iterator[list[Publisher]]:
    """Four processes."""
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(Publisher()) for _ in range(4)]
        assert [publisher.hear() for publisher in running] == ["started"] * 4
        yield running


@pytest.mark.promise(7)
@pytest.mark.parametrize(
    ("any_store", "rounds"),
    [
        ("directory", 30),
        ("moto", 5),
        pytest.param("ceph", 20, marks=pytest.mark.stack),
        *(pytest.param(store, 200, marks=pytest.mark.faults) for store in ("directory", "moto", "ceph")),
    ],
    indirect=["any_store"],
)
@pytest.mark.timeout(1800)
def test_one_of_four_publishers_wins(
    any_store: ObjectStore, publishers: list[Publisher], inputs: list[list[str]], trials: Trials, rounds: int
) -> None:
    """Two do the same work, two others something else; all are told to make release 1 and wait for each other."""
    address = any_store.address("races")
    store = open_store(address)
    for number in range(rounds):
        dataset = f"race-{number}"
        for publisher, paths in zip(publishers, [inputs[0], *inputs], strict=True):
            publisher.tell(store=address, dataset=dataset, inputs=paths, expect=1, gate=True)
        assert [publisher.hear() for publisher in publishers] == ["ready"] * 4
        for publisher in publishers:
            publisher.tell()
        told = [publisher.hear() for publisher in publishers]

        winners = [one for one in told if one["exit"] == 0 and not one["already_published"]]
        assert len(winners) == 1, told
        winner = winners[0]
        for one in told:
            assert one["exit"] == (0 if one["job"] == winner["job"] else Conflict.exit_code), told
        assert release_numbers(store, dataset) == [1]
        assert hashlib.sha256(store.get(manifest_key(dataset, 1))).hexdigest() == winner["manifest"]
        manifest = read_manifest(store, dataset)
        assert manifest.job == winner["job"]
        verify(store, manifest)
        assert announced_folders(store, dataset) == set()
    trials(rounds, "races of four")


def digests(store: ObjectStore, dataset: str) -> dict[str, str]:
    """Give the digest of each file of release 1, and of its manifest."""
    keys = [manifest_key(dataset, 1), *store.list(read_manifest(store, dataset, 1).path)]
    return {key: hashlib.sha256(store.get(key)).hexdigest() for key in keys}


@pytest.mark.promise(10)
@pytest.mark.parametrize(
    ("any_store", "rounds"),
    [
        ("directory", 20),
        ("moto", 2),
        *(pytest.param(store, 60, marks=pytest.mark.faults) for store in ("directory", "moto")),
        pytest.param("ceph", 20, marks=pytest.mark.faults),
    ],
    indirect=["any_store"],
)
@pytest.mark.timeout(1800)
def test_who_stood_still_too_long_cannot_overwrite_a_successor(
    any_store: ObjectStore, publishers: list[Publisher], inputs: list[list[str]], trials: Trials, rounds: int
) -> None:
    """A run is stopped, taken for dead and cleaned up after; another publishes; the first one goes on.

    It ends as published already where the other did the same work, else in a conflict; with no number asked for, as
    release 2. What the other published stays, byte for byte.
    """
    zombie, successor, *_ = publishers
    address, draw = any_store.address("zombies"), random.Random(0)  # noqa: S311  which case
    store = open_store(address)
    cases = list(itertools.product(STOPS, (True, False), (1, None), (True, False)))
    draw.shuffle(cases)
    for number, (stop, same, expect, cleaned) in zip(range(rounds), itertools.cycle(cases), strict=False):
        dataset = f"zombie-{number}"
        where = {"store": address, "dataset": dataset}
        zombie.fork(**where, inputs=inputs[0], expect=expect, failpoint=f"{stop}:stop")
        assert zombie.hear() == {"stopped": True}
        if cleaned:
            successor.do(**where, do="collect")
        published = successor.do(**where, inputs=inputs[0 if same else 1])
        assert (published["exit"], published["number"], published["already_published"]) == (0, 1, False)
        before = digests(store, dataset)
        zombie.tell()
        ended = zombie.hear()["status"]

        assert ended == (0 if same or expect is None else Conflict.exit_code), (stop, same, expect, cleaned)
        assert digests(store, dataset) == before
        assert release_numbers(store, dataset) == ([1] if same or expect else [1, 2])
        for release in release_numbers(store, dataset):
            verify(store, read_manifest(store, dataset, release))
        assert announced_folders(store, dataset) == set()
    trials(rounds, "runs that were stopped and overtaken")
