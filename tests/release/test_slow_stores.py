"""Stores that are slow or hang: a slow one costs time only, a silent one is given up, and SIGTERM ends a hang."""

import collections
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eqn.errors import StoreUnavailable
from eqn.registry.leases import LEASE_SECONDS, Leases, Overtaken
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.store import s3
from eqn.store.directory import DirectoryStore
from eqn.store.s3 import S3Store
from tests.faults.promises import Trials
from tests.registry.test_leases import Time
from tests.release.publishers import Publisher
from tests.release.test_clocks import published
from tests.store.faults import latency, silence
from tests.store.proxy import Answer, Call, FaultProxy, Pace

SOON = 10.0
"""Seconds from SIGTERM to the end."""

few_or_twenty = pytest.mark.parametrize(
    "number", [pytest.param(2, id="2"), pytest.param(20, id="20", marks=pytest.mark.faults)]
)


@pytest.fixture
def through(moto_store: S3Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], S3Store]:
    """Give a function that opens a new store of this name on moto, behind the proxy."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    return lambda name: S3Store(moto_store.bucket, name)


def slow_answers(proxy: FaultProxy, share: float) -> None:
    proxy.add(latency(2.0 * share))


def slow_line(proxy: FaultProxy, share: float) -> None:
    proxy.pace = Pace(1024, 0.1 * share)  # 10 KB a second


def slices(proxy: FaultProxy, share: float) -> None:
    proxy.pace = Pace(50, 0.01 * share)


@pytest.mark.promise(14)
@pytest.mark.parametrize("slowness", [slow_answers, slow_line, slices])
@pytest.mark.parametrize(
    ("number", "share"), [pytest.param(2, 0.02, id="2"), pytest.param(20, 1.0, id="20", marks=pytest.mark.faults)]
)
def test_a_slow_store_costs_time_only(
    inbox: Path,
    proxy: FaultProxy,
    through: Callable[[str], S3Store],
    tmp_path: Path,
    slowness: Callable[[FaultProxy, float], None],
    number: int,
    share: float,
    trials: Trials,
) -> None:
    """Two seconds before each answer, 10 KB a second, or 50 bytes at a time: nothing is asked twice or given up."""
    files = inbox / "a.csv", inbox / "c.parquet"
    published(DirectoryStore(tmp_path / "golden"), *files)
    golden = read_manifest(DirectoryStore(tmp_path / "golden"), "letters").content_digest
    stores = [through(f"trial-{trial}") for trial in range(number)]
    stores[0].exists("connected")  # what is imported is so by one thread
    slowness(proxy, share)
    with ThreadPoolExecutor(number) as pool:
        list(pool.map(lambda store: published(store, *files), stores))

    proxy.heal()
    for store in stores:
        assert read_manifest(store, "letters").content_digest == golden
        verify(store, read_manifest(store, "letters"))
    assert set(collections.Counter(entry.call for entry in proxy.log).values()) == {1}
    trials(number, f"runs on {slowness.__name__.replace('_', ' ')}", store="moto")


@pytest.mark.promise(14)
@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_a_silent_store_is_given_up_within_its_deadlines(
    proxy: FaultProxy, through: Callable[[str], S3Store], trials: Trials
) -> None:
    """It takes requests and never answers: five of them, each after 30 seconds at the latest, whatever was asked."""
    calls: list[Callable[[S3Store], object]] = [
        lambda store: store.put("key", b"bytes"),
        lambda store: store.put_if_absent("key", b"bytes"),
        lambda store: store.get("key"),
        lambda store: store.exists("key"),
        lambda store: list(store.list("")),
        lambda store: list(store.folders()),
        lambda store: store.delete("key"),
        lambda store: store.age("key"),
    ]
    stores = [through(f"trial-{trial}") for trial in range(20)]
    for store in stores:
        store.exists("connected")
    proxy.log.clear()
    proxy.add(silence(600))
    longest = s3.ATTEMPTS * (s3.SECONDS_TO_CONNECT + s3.SECONDS_TO_ANSWER)

    def ask(trial: int) -> float:
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="does not answer in time"):
            calls[trial % len(calls)](stores[trial])
        return time.monotonic() - started

    with ThreadPoolExecutor(20) as pool:
        took = list(pool.map(ask, range(20)))
    proxy.heal()

    assert max(took) <= longest
    trials(20, f"silences given up after {longest:.0f} s at most", store="moto")


@pytest.mark.promise(14)
@few_or_twenty
def test_a_run_that_hangs_ends_on_sigterm_and_goes_on_later(
    inbox: Path, proxy: FaultProxy, through: Callable[[str], S3Store], tmp_path: Path, number: int, trials: Trials
) -> None:
    """At any request that gets no answer: the process is gone soon, and a rerun ends in the undisturbed content."""
    files = inbox / "a.csv", inbox / "c.parquet"
    published(DirectoryStore(tmp_path / "golden"), *files)
    golden = read_manifest(DirectoryStore(tmp_path / "golden"), "letters").content_digest
    draw = random.Random(number)  # noqa: S311  requests to hang at
    with Publisher() as publisher:
        assert publisher.hear() == "started"
        for trial in range(number):
            store = through(f"trial-{trial}")
            hanging = proxy.add(silence(600), skip=draw.randrange(15))
            child = publisher.fork(
                store=f"s3://{store.bucket}/{store.prefix}", dataset="letters", inputs=[str(file) for file in files]
            )
            while not hanging.fired:
                time.sleep(0.01)
            started = time.monotonic()
            os.kill(child, signal.SIGTERM)
            assert publisher.hear()["status"] == -signal.SIGTERM
            assert time.monotonic() - started < SOON
            proxy.heal()
            published(store, *files)
            assert release_numbers(store, "letters") == [1]
            verify(store, read_manifest(store, "letters"))
            assert read_manifest(store, "letters").content_digest == golden
    trials(number, "hangs ended by SIGTERM", store="moto")


@pytest.mark.promise(14)
@pytest.mark.faults
def test_the_command_line_ends_on_sigterm_in_a_hang(
    inbox: Path, package: Path, proxy: FaultProxy, through: Callable[[str], S3Store], tmp_path: Path, trials: Trials
) -> None:
    """As a service manager sends it: no traceback, no release, and the same command publishes later."""
    store = through("letters")
    out = ["--out", f"s3://{store.bucket}/{store.prefix}", "--dataset", "letters", "--model", str(package)]
    command = [sys.executable, "-m", "eqn.cli", "annotate", str(inbox / "c.parquet"), *out, "--back-end", "fp32"]
    environment = os.environ | {"EQN_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    hanging = proxy.add(silence(600), skip=5)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as eqn:
        while not hanging.fired:
            assert eqn.poll() is None
            time.sleep(0.05)
        eqn.terminate()
        _, said = eqn.communicate(timeout=SOON)
    assert eqn.returncode == -signal.SIGTERM
    assert "Traceback" not in said
    proxy.heal()
    assert release_numbers(store, "letters") == []
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
    verify(store, read_manifest(store, "letters"))
    trials(1, "hang of the command line ended by SIGTERM", store="moto")


@contextlib.contextmanager
def answers_after(proxy: FaultProxy, seconds: float, clock: Time) -> Iterator[None]:
    """Let every answer take so long, by a clock of the test's own."""

    def late(call: Call) -> Answer:
        clock.now += seconds
        return call.forward()

    proxy.add(late)
    try:
        yield
    finally:
        proxy.heal()


@pytest.mark.promise(14)
@few_or_twenty
def test_a_turn_at_promoting_is_kept_or_given_up_by_the_time_that_the_store_took(
    proxy: FaultProxy, through: Callable[[str], S3Store], number: int, trials: Trials
) -> None:
    """In the first half of its lease's time a holder acts; later, or without an answer, it leaves that to the next."""
    draw, acted = random.Random(0), list[bool]()  # noqa: S311  seconds to wait
    for trial in range(number):
        store, clock = through(f"trial-{trial}"), Time()
        seconds = draw.uniform(0.5, 2.5) if trial % 2 else draw.uniform(5, 14)
        silent = trial % 4 == 0

        def promote(store: S3Store = store, clock: Time = clock, *, silent: bool = silent) -> None:
            with Leases(store, "eqn", clock=clock.clock, sleep=clock.sleep).hold() as lease:
                seen = lease.leases.trail()
                if silent:
                    raise StoreUnavailable("no answer came")
                lease.require(seen)
                lease.announce(None, 1)
                lease.confirm(1)

        try:
            with answers_after(proxy, seconds, clock):
                promote()
            acted.append(True)
        except (Overtaken, StoreUnavailable):
            acted.append(False)
        waited = Time()
        following = Leases(store, "eqn", clock=waited.clock, sleep=waited.sleep)
        assert following.take().number == 2
        assert (waited.now >= LEASE_SECONDS) == (not acted[-1])
        last = following.trail().last
        assert (last is not None and last.finished) == acted[-1]
    assert set(acted) == {True, False}
    trials(number, "turns at promoting on a slow store", store="moto")
