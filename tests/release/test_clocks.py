"""Clocks that are wrong, differ between machines, or step back: releases and promotions come out as with right ones."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import botocore.auth
import pytest

from eqn.corpus.inputs import find_inputs
from eqn.errors import CommitUnknown, StoreUnavailable
from eqn.records import ModelRef, ReleaseRef
from eqn.registry import leases
from eqn.registry.leases import LEASE_SECONDS, Leases
from eqn.release import commit, publish
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.collection import collect
from eqn.release.manifest import manifest_key
from eqn.release.plan import make_plan
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore
from eqn.store.memory import MemoryStore
from eqn.store.s3 import S3Store
from tests.faults.promises import Trials
from tests.faults.scorer import Scorer
from tests.registry.test_leases import Time
from tests.store.proxy import FaultProxy, failure
from tests.store.servers import Service, fresh_store

DAY = 86400.0
HOUR = 3600.0

few_or_twenty = pytest.mark.parametrize(
    "number", [pytest.param(2, id="2"), pytest.param(20, id="20", marks=pytest.mark.faults)]
)


class Clock:
    """This machine's clock for everybody who asks for the time of day; how long something takes is not its business."""

    def __init__(self) -> None:
        self.wrong_by = 0.0
        """Seconds."""

    @contextlib.contextmanager
    def set(self, seconds: float) -> Iterator[None]:
        """Let it be wrong by so much for a while."""
        before, self.wrong_by = self.wrong_by, seconds
        yield
        self.wrong_by = before


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock, right = Clock(), time.time

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # nobody needs the subclass
            return datetime.fromtimestamp(right() + clock.wrong_by, tz)

    monkeypatch.setattr(time, "time", lambda: right() + clock.wrong_by)
    monkeypatch.setattr(publish, "datetime", Wrong)
    monkeypatch.setattr(leases, "datetime", Wrong)
    return clock


def published(
    store: ObjectStore, *inputs: Path, report: Callable[[int, int], None] = lambda rows, tokens: None
) -> ReleaseRef:
    """Publish inputs, scored by a stub."""
    scorer = Scorer()
    model = ModelRef("scorer", scorer.package.digest)
    plan = make_plan(store, "letters", find_inputs(list(map(str, inputs))), model=model, annotator=scorer)  # type: ignore[arg-type]  # enough of one
    return publish.publish(store, plan, scorer, report=report)  # type: ignore[arg-type]  # as above


def contents(store: ObjectStore) -> list[str]:
    """Give the content of each release, every byte of it verified."""
    manifests = [read_manifest(store, "letters", number) for number in release_numbers(store, "letters")]
    for manifest in manifests:
        verify(store, manifest)
    return [manifest.content_digest for manifest in manifests]


@pytest.fixture
def right(inbox: Path, tmp_path: Path) -> list[str]:
    """The contents of two releases when no clock is wrong."""
    store = DirectoryStore(tmp_path / "right")
    published(store, inbox / "a.csv")
    published(store, inbox)
    return contents(store)


@pytest.mark.promise(19)
@few_or_twenty
@pytest.mark.parametrize(
    ("first", "then"), [(DAY, DAY), (-DAY, -DAY), (DAY, -DAY), (0.0, DAY)], ids=["ahead", "behind", "back", "forward"]
)
def test_a_wrong_clock_changes_no_release(
    inbox: Path, tmp_path: Path, clock: Clock, right: list[str], first: float, then: float, number: int, trials: Trials
) -> None:
    """A day off, or a step within each run, while somebody collects what is a day old: the same numbers and bytes."""
    for trial in range(number):
        store = DirectoryStore(tmp_path / f"trial-{trial}")
        steps = iter([True])

        def step(rows: int, tokens: int, store: ObjectStore = store, steps: Iterator[bool] = steps) -> None:
            if next(steps, False):
                clock.wrong_by = then
                collect(store, "letters")

        for inputs in (inbox / "a.csv", inbox):
            with clock.set(first):
                published(store, inputs, report=step)
        assert release_numbers(store, "letters") == [1, 2]
        assert contents(store) == right
        assert any(store.list("letters/collected")) == (then > 0)  # the files of a run were taken from under it
    trials(number, "runs under a clock that is a day off", store="directory")


@pytest.mark.promise(19)
@few_or_twenty
@pytest.mark.parametrize(("mine", "rivals"), [(HOUR, 0.0), (0.0, HOUR)], ids=["ahead", "behind"])
def test_of_two_writers_an_hour_apart_the_first_to_commit_wins(
    inbox: Path, tmp_path: Path, clock: Clock, mine: float, rivals: float, number: int, trials: Trials
) -> None:
    """Whoever's clock says what: the rival puts its manifest first, so release 1 is the rival's, and mine release 2."""

    class Overtaken(DirectoryStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            if key == manifest_key("letters", 1):
                with clock.set(rivals):
                    published(DirectoryStore(self.root), inbox / "c.parquet")
            return super().put_if_absent(key, content)

    for trial in range(number):
        store = Overtaken(tmp_path / f"trial-{trial}")
        with clock.set(mine):
            assert published(store, inbox / "a.csv").number == 2
        inputs = [read_manifest(store, "letters", release).inputs[0].name for release in (1, 2)]
        assert inputs == ["c.parquet", "a.csv"]
        contents(store)
        told = [datetime.fromisoformat(read_manifest(store, "letters", release).created) for release in (1, 2)]
        assert (told[0] > told[1]) == (rivals > mine)  # the clocks did differ
    trials(number, "pairs of writers an hour apart", store="directory")


@pytest.mark.promise(19)
@few_or_twenty
def test_a_wrong_clock_changes_no_turn_at_promoting(clock: Clock, number: int, trials: Trials) -> None:
    """A dead holder is passed over after the lease's time as the waiter measures it, wherever its clock jumps."""
    draw = random.Random(0)  # noqa: S311  times of day
    for _ in range(number):
        store, waiting = MemoryStore(), Time()

        def jump() -> None:
            clock.wrong_by = draw.uniform(-DAY, DAY)

        jump()
        dead = Leases(store, "eqn").take()
        waiting.meanwhile = jump
        with Leases(store, "eqn", clock=waiting.clock, sleep=waiting.sleep).hold() as lease:
            lease.announce(None, 1)
            lease.require(lease.leases.trail())
            lease.confirm(1)
        assert (dead.number, lease.number) == (1, 2)
        assert LEASE_SECONDS <= waiting.now < LEASE_SECONDS + 2
    trials(number, "turns at promoting under clocks up to a day off", store="memory")


@pytest.mark.promise(19)
@few_or_twenty
def test_a_store_that_finds_our_clock_wrong_is_named(
    inbox: Path,
    moto_store: S3Store,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    trials: Trials,
) -> None:
    """From any request on: one sentence says what is wrong with the clock, nothing is published; a rerun goes on."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setattr(commit, "_PAUSES", (0.0,))
    skipped = range(20) if number == 20 else (0, 13)
    for skip in skipped:
        store = S3Store(moto_store.bucket, f"after-{skip}")
        proxy.add(lambda _: failure(403, "RequestTimeTooSkewed"), skip=skip)
        with pytest.raises((StoreUnavailable, CommitUnknown), match="this machine's clock differs too much"):
            published(store, inbox / "a.csv", inbox / "c.parquet")
        proxy.heal()
        assert release_numbers(store, "letters") == []
        published(store, inbox / "a.csv", inbox / "c.parquet")
        contents(store)
    trials(len(skipped), "refusals because of the clock", store="moto")


@pytest.mark.promise(19)
@pytest.mark.faults
def test_a_real_service_refuses_a_wrong_clock(
    ceph_server: Service, monkeypatch: pytest.MonkeyPatch, trials: Trials
) -> None:
    """What is signed at another time of day is refused, and the error says why."""
    store = fresh_store(ceph_server, monkeypatch)
    draw = random.Random(0)  # noqa: S311  times of day
    for _ in range(20):
        off = timedelta(seconds=draw.choice((-1, 1)) * draw.uniform(HOUR, DAY))
        with monkeypatch.context() as patch:
            patch.setattr(
                botocore.auth,
                "get_current_datetime",
                lambda remove_tzinfo=True, off=off: (datetime.now(UTC) + off).replace(tzinfo=None),
            )
            with pytest.raises(StoreUnavailable, match="this machine's clock differs too much"):
                store.put_if_absent("key", b"bytes")
        assert not store.exists("key")
    trials(20, "requests signed at another time", store="ceph")
