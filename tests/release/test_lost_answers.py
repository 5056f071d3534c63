"""Commits over a bad line to a real S3 server: answers that get lost, and a store that falls silent."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from eqn.errors import CommitUnknown
from eqn.records import ReleaseRef
from eqn.registry.leases import Leases, Move
from eqn.release import commit
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.commit import announced_folders, reconcile
from eqn.store import s3
from eqn.store.s3 import S3Store
from tests.faults.promises import Trials
from tests.store import faults
from tests.store.proxy import FaultProxy

Publish = Callable[..., tuple[ReleaseRef, int]]
MANIFEST = {"method": "PUT", "path": r"/releases/\d+\.json"}
FILES = {"manifests": r"/releases/\d+\.json", "parts": r"/data/part-\d+\.parquet", "cards": r"/README\.md"}
"""Objects that are written once, and their paths."""


@pytest.fixture
def line(moto_store: S3Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Callable[[], S3Store]:
    """Give a function that opens the store through the proxy; a dead line is given up after seconds, not minutes."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setattr(s3, "ATTEMPTS", 2)
    monkeypatch.setattr(commit, "_PAUSES", (0.0, 0.0))
    return lambda: S3Store(moto_store.bucket, moto_store.prefix)


few_or_fifty = pytest.mark.parametrize(
    "number", [pytest.param(2, id="2"), pytest.param(50, id="50", marks=pytest.mark.faults)]
)


@pytest.mark.promise(8)
@few_or_fifty
@pytest.mark.parametrize("what", FILES)
def test_a_lost_answer_on_a_file_of_a_release_is_no_conflict(
    publish_files: Publish,
    inbox: Path,
    line: Callable[[], S3Store],
    proxy: FaultProxy,
    what: str,
    number: int,
    trials: Trials,
) -> None:
    """The server wrote it, its answer never came: boto3 asks again and is refused. It is a success, once."""
    store = line()
    for trial in range(number):
        dataset = f"trial-{trial}"
        rule = proxy.add(faults.lost_answer, method="PUT", path=FILES[what], times=1)
        release, _ = publish_files(inbox / "c.parquet", store=store, dataset=dataset)

        assert rule.fired == 1
        refused = [entry for entry in proxy.log if re.search(FILES[what], entry.path) and entry.status == 412]
        assert len(refused) == 1  # the trap was there
        assert (release.number, release.already_published) == (1, False)
        assert release_numbers(store, dataset) == [1]
        assert len(set(store.folders(f"{dataset}/files"))) == 1
        verify(store, read_manifest(store, dataset))
        assert announced_folders(store, dataset) == set()
        proxy.heal()
        proxy.log.clear()
    trials(number, f"lost answers on {what}", store="moto")


@pytest.mark.promise(8)
@few_or_fifty
@pytest.mark.parametrize("kind", ["", ".move", ".released"], ids=["lease", "move", "release"])
def test_a_lost_answer_on_a_record_of_a_promotion_is_no_conflict(
    line: Callable[[], S3Store], proxy: FaultProxy, kind: str, number: int, trials: Trials
) -> None:
    """Whoever meets the own lease holds it, and nobody waits for a turn; each record is there once."""
    store, waited = line(), list[float]()
    for trial in range(number):
        leases = Leases(store, f"model-{trial}", sleep=waited.append)
        rule = proxy.add(faults.lost_answer, method="PUT", path=rf"/leases/1{re.escape(kind)}\.json", times=1)
        with leases.hold() as lease:
            lease.announce(1, 2)
            lease.require(leases.trail())
            lease.confirm(2)

        assert (rule.fired, [entry.status for entry in proxy.log].count(412)) == (1, 1)
        assert (lease.number, leases.trail().last, waited) == (1, Move(1, 1, 2, finished=True), [])
        assert len(list(store.list(f"_promotion/model-{trial}"))) == 3
        proxy.heal()
        proxy.log.clear()
    trials(number, "lost answers on promotion records", store="moto")


@pytest.mark.promise(9)
@pytest.mark.parametrize("action", [faults.unknown_outcome, faults.unknown_outcome_as_503])
@pytest.mark.parametrize("number", [pytest.param(1, id="1"), pytest.param(15, id="15", marks=pytest.mark.faults)])
@pytest.mark.timeout(1200)
def test_an_unknown_outcome_deletes_nothing_and_is_resolved(
    publish_files: Publish,
    inbox: Path,
    line: Callable[[], S3Store],
    proxy: FaultProxy,
    action: Callable[..., object],
    number: int,
    trials: Trials,
) -> None:
    """Applied, and then the store is down: nobody can know. When it is back, `reconcile` does; a rerun does nothing."""
    for trial in range(number):
        store, dataset = line(), f"{action.__name__.replace('_', '-')}-{trial}"
        proxy.add(action, **MANIFEST, times=1)
        with pytest.raises(CommitUnknown):
            publish_files(inbox / "c.parquet", store=store, dataset=dataset)

        assert "DELETE" not in {entry.method for entry in proxy.log}
        proxy.heal()
        [resolved] = reconcile(store, dataset)
        assert (resolved.release, resolved.outcome) == (1, "published")
        verify(store, read_manifest(store, dataset))
        rerun, read = publish_files(inbox / "c.parquet", store=store, dataset=dataset)
        assert (rerun.number, rerun.already_published, read) == (1, True, 0)
        assert release_numbers(store, dataset) == [1]
        proxy.log.clear()
    trials(number, "unknown outcomes", store="moto")
