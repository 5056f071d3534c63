"""Commits over a bad line to a real S3 server: answers that get lost, and a store that falls silent."""

from collections.abc import Callable
from pathlib import Path

import pytest

from eqn.errors import CommitUnknown
from eqn.records import ReleaseRef
from eqn.release import commit
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.commit import announced_folders, reconcile
from eqn.store import s3
from eqn.store.s3 import S3Store
from tests.store import faults
from tests.store.proxy import FaultProxy

Publish = Callable[..., tuple[ReleaseRef, int]]
MANIFEST = {"method": "PUT", "path": r"/releases/\d+\.json"}


@pytest.fixture
def line(moto_store: S3Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Callable[[], S3Store]:
    """Give a function that opens the store through the proxy; a dead line is given up after seconds, not minutes."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setattr(s3, "ATTEMPTS", 2)
    monkeypatch.setattr(commit, "_PAUSES", (0.0, 0.0))
    return lambda: S3Store(moto_store.bucket, moto_store.prefix)


@pytest.mark.parametrize("trials", [pytest.param(2, id="2"), pytest.param(50, id="50", marks=pytest.mark.stack)])
def test_a_lost_answer_on_the_commit_is_no_conflict(
    publish_files: Publish, inbox: Path, line: Callable[[], S3Store], proxy: FaultProxy, trials: int
) -> None:
    """The server wrote the manifest, its answer never came: boto3 asks again and is refused. It is a success, once."""
    store = line()
    for trial in range(trials):
        dataset = f"trial-{trial}"
        rule = proxy.add(faults.lost_answer, **MANIFEST, times=1)
        release, _ = publish_files(inbox / "c.parquet", store=store, dataset=dataset)

        assert rule.fired == 1
        refused = [entry for entry in proxy.log if "/releases/1.json" in entry.path and entry.status == 412]
        assert len(refused) == 1  # the trap was there
        assert (release.number, release.already_published) == (1, False)
        assert release_numbers(store, dataset) == [1]
        verify(store, read_manifest(store, dataset))
        assert announced_folders(store, dataset) == set()
        proxy.heal()
        proxy.log.clear()


@pytest.mark.parametrize("action", [faults.unknown_outcome, faults.unknown_outcome_as_503])
@pytest.mark.parametrize("trials", [pytest.param(1, id="1"), pytest.param(15, id="15", marks=pytest.mark.stack)])
@pytest.mark.timeout(1200)
def test_an_unknown_outcome_deletes_nothing_and_is_resolved(
    publish_files: Publish,
    inbox: Path,
    line: Callable[[], S3Store],
    proxy: FaultProxy,
    action: Callable[..., object],
    trials: int,
) -> None:
    """Applied, and then the store is down: nobody can know. When it is back, `reconcile` does; a rerun does nothing."""
    for trial in range(trials):
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


def test_an_overloaded_store_costs_time_only(
    publish_files: Publish, inbox: Path, line: Callable[[], S3Store], proxy: FaultProxy, golden: str
) -> None:
    """A tenth of all requests meets 503, 409 or a reset: the release is the undisturbed one."""
    proxy.add(faults.slow_down, chance=0.1)
    proxy.add(faults.conflict, method="PUT", header="If-None-Match", chance=0.1)
    proxy.add(faults.reset, chance=0.05)
    s3.ATTEMPTS = 5  # as it is; put back with the fixture's patch
    store = line()

    release, _ = publish_files(inbox, store=store)

    assert {entry.done for entry in proxy.log} > {"forward"}
    proxy.heal()
    manifest = read_manifest(store, "letters")
    verify(store, manifest)
    assert (release.number, manifest.content_digest) == (1, golden)
