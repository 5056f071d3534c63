"""Four processes want the same number at the same moment: one gets it, the others are told the truth."""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.commit import announced_folders
from eqn.release.manifest import manifest_key
from eqn.store.interface import ObjectStore, open_store
from tests.release.conftest import write_csv
from tests.release.publishers import Publisher

Address = Callable[[], str]

ROUNDS = [pytest.param(3, id="3"), pytest.param(200, id="200", marks=pytest.mark.stack)]


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.timeout(1800)
def test_one_of_four_publishers_wins(any_store: ObjectStore, package: Path, tmp_path: Path, rounds: int) -> None:
    """Two do the same work, two others something else; all are told to make release 1 and wait for each other."""
    inputs = [
        write_csv(tmp_path / f"{name}.csv", [{"id": f"{n}", "text": f"{name} {n}"} for n in range(3)])
        for name in ("one", "two", "three")
    ]
    address = any_store.address("races")
    store = open_store(address)
    wins: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        publishers = [stack.enter_context(Publisher(package)) for _ in range(4)]
        assert [publisher.hear() for publisher in publishers] == ["started"] * 4
        for number in range(rounds):
            dataset = f"race-{number}"
            for publisher, path in zip(publishers, [inputs[0], inputs[0], *inputs[1:]], strict=True):
                publisher.tell(store=address, dataset=dataset, inputs=[str(path)], expect=1, gate=True)
            assert [publisher.hear() for publisher in publishers] == ["ready"] * 4
            for publisher in publishers:
                publisher.tell()
            told = [publisher.hear() for publisher in publishers]

            winners = [one for one in told if one["exit"] == 0 and not one["already_published"]]
            assert len(winners) == 1, told
            winner = winners[0]
            for one in told:
                assert one["exit"] == (0 if one["job"] == winner["job"] else 4), told
            assert release_numbers(store, dataset) == [1]
            assert hashlib.sha256(store.get(manifest_key(dataset, 1))).hexdigest() == winner["manifest"]
            manifest = read_manifest(store, dataset)
            assert manifest.job == winner["job"]
            verify(store, manifest)
            assert announced_folders(store, dataset) == set()
            wins[winner["job"]] = wins.get(winner["job"], 0) + 1
    assert sum(wins.values()) == rounds
