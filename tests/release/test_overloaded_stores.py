"""Publishing to a store that fails nearly every second request: it costs time, or ends in a typed error."""

import collections
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.retries.standard import ExponentialBackoff

from eqn.errors import CommitUnknown, StoreUnavailable
from eqn.records import ReleaseRef
from eqn.release import commit
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.commit import announced_folders, reconcile
from eqn.store import s3
from eqn.store.directory import DirectoryStore
from eqn.store.s3 import S3Store
from tests.faults.promises import Trials
from tests.store import faults
from tests.store.proxy import FaultProxy, unavailable
from tests.store.servers import Service

Publish = Callable[..., tuple[ReleaseRef, int]]
MOST_RUNS = 20
"""Far more than it takes: a request that fails five times in a row is rare, and every run goes on with the last."""


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client makes as many attempts as ever, and does not wait between them."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)
    monkeypatch.setattr(s3, "_LONGEST_PAUSE", 0.0)
    monkeypatch.setattr(commit, "_PAUSES", (0.0, 0.0, 0.0))


@pytest.mark.promise(13)
@pytest.mark.parametrize("number", [pytest.param(5, id="5"), pytest.param(100, id="100", marks=pytest.mark.faults)])
@pytest.mark.timeout(3000)
def test_an_overloaded_store_costs_time_or_ends_in_a_typed_error(
    publish_files: Publish,
    inbox: Path,
    moto_server: Service,
    moto_store: S3Store,
    hurried: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    number: int,
    trials: Trials,
) -> None:
    """503 and SlowDown for 30 of 100 requests, 409 for 5 of 100 puts, resets for 10: the undisturbed content, once."""
    golden = DirectoryStore(tmp_path / "golden")
    publish_files(inbox / "a.csv", inbox / "c.parquet", store=golden)
    expected = read_manifest(golden, "letters").content_digest
    failed, met = 0, set[str]()
    for trial in range(number):
        with FaultProxy(moto_server.endpoint, seed=trial) as proxy:
            proxy.add(faults.slow_down, chance=0.15)
            proxy.add(unavailable, chance=0.15 / 0.85)
            proxy.add(faults.conflict, header="If-None-Match", chance=0.05 / 0.7)
            proxy.add(faults.reset, chance=0.1 / 0.7)
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
            store = S3Store(moto_store.bucket, f"trial-{trial}")
            for _ in range(MOST_RUNS):
                try:
                    publish_files(inbox / "a.csv", inbox / "c.parquet", store=store)
                    break
                except (StoreUnavailable, CommitUnknown):
                    failed += 1
            attempts = collections.Counter(entry.call for entry in proxy.log)
            assert 1 <= max(attempts.values()) <= s3.ATTEMPTS
            met |= {entry.done for entry in proxy.log}
        monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.endpoint)
        store = S3Store(moto_store.bucket, f"trial-{trial}")
        assert release_numbers(store, "letters") == [1]
        manifest = read_manifest(store, "letters")
        verify(store, manifest)
        assert manifest.content_digest == expected
        # A run may be told that it succeeded when it could not take its announcement away: that is done later.
        assert {found.outcome for found in reconcile(store, "letters")} <= {"published"}
        assert announced_folders(store, "letters") == set()
    assert met == {"forward", "slow_down", "unavailable", "conflict", "reset"}
    trials(number, "runs over faulty requests", store="moto")
    trials(failed, "typed errors on the way, after which the same run went on", store="moto")
