"""Numbered leases: who may move the champion alias, and what is known of those who did. Time is given by the tests."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eqn.errors import ArtifactRefused, StoreUnavailable, Transient
from eqn.registry.leases import LEASE_SECONDS, Leases, Move, Overtaken, until_it_holds
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore
from eqn.store.memory import MemoryStore

FOLDER = "_promotion/eqn/leases"
KEYS = f"{FOLDER}/{{}}.json"


class Time:
    """A monotonic clock that moves when somebody sleeps, or is told to."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.meanwhile: Callable[[], object] = lambda: None

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return DirectoryStore(tmp_path / "store") if request.param == "directory" else MemoryStore()


def leases(store: ObjectStore, time: Time | None = None) -> Leases:
    """Give one process' view of the leases; each has a clock of its own."""
    time = time or Time()
    return Leases(store, "eqn", clock=time.clock, sleep=time.sleep)


def test_a_released_lease_is_followed_by_the_next_at_once(store: ObjectStore) -> None:
    """The numbers count up from 1, nobody waits, and every key stays."""
    time = Time()
    numbers = []
    for _ in range(3):
        with leases(store, time).hold() as lease:
            numbers.append(lease.number)

    assert (numbers, time.now) == ([1, 2, 3], 0.0)
    assert len(list(store.list(FOLDER))) == 6


def test_numbers_are_counted_and_not_spelled(store: ObjectStore) -> None:
    """After 9 comes 10, and after 10 comes 11."""
    for number in range(1, 12):
        with leases(store).hold() as lease:
            assert lease.number == number


@pytest.mark.parametrize("start", [0.0, 1e6])
def test_the_lease_of_a_dead_holder_is_passed_over_when_its_time_is_over(store: ObjectStore, start: float) -> None:
    """The time counts from when the waiter first saw the lease, by the waiter's clock, wherever that stands."""
    leases(store, Time(now=5e5)).take()
    time = Time(start)

    assert leases(store, time).take().number == 2
    assert LEASE_SECONDS <= time.now - start < LEASE_SECONDS + 2


@pytest.mark.parametrize("days", [-1, 1])
def test_a_wall_clock_that_is_wrong_changes_nothing(store: ObjectStore, days: int) -> None:
    """A lease that says it was taken yesterday, or tomorrow, expires like any other."""
    taken = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    store.put(KEYS.format(1), json.dumps({"holder": "x", "who": "somebody", "taken": taken}).encode())
    time = Time()

    assert leases(store, time).take().number == 2
    assert LEASE_SECONDS <= time.now < LEASE_SECONDS + 2


def test_a_lease_that_is_released_while_one_waits_is_followed_at_once(store: ObjectStore) -> None:
    """A waiter looks again and again."""
    first = leases(store).take()
    time = Time()
    time.meanwhile = lambda: first.write(".released", {}) if time.now > 3 else None

    assert leases(store, time).take().number == 2
    assert 3 < time.now < 5


def test_every_new_holder_has_the_whole_time(store: ObjectStore) -> None:
    """A waiter that saw lease 1 for long counts from the beginning when lease 2 appears."""
    leases(store).take()
    time = Time()

    def overtake() -> None:
        if time.now > LEASE_SECONDS - 3 and not store.exists(KEYS.format(2)):
            leases(store, Time(1e9)).write(2, "", {"holder": "x", "who": "a rival", "taken": "just now"})

    time.meanwhile = overtake
    assert leases(store, time).take().number == 3
    assert time.now > 2 * LEASE_SECONDS - 3


def test_waiting_has_an_end(store: ObjectStore) -> None:
    """Where others are always first, the holder is named, and the error is one after which flows try again."""
    leases(store).take()
    time = Time()

    def others() -> None:
        number = int(time.now // 10) + 2
        leases(store).write(number, "", {"holder": "x", "who": f"rival {number}", "taken": "just now"})

    time.meanwhile = others
    with pytest.raises(StoreUnavailable, match=r"lease 1\d is held by rival 1\d since just now") as caught:
        leases(store, time).take()
    assert isinstance(caught.value, Transient)
    assert time.now < 125


def test_a_holder_may_act_while_nobody_is_ahead(store: ObjectStore) -> None:
    """In the first half of its time, with the highest number, and not otherwise."""
    time = Time()
    mine = leases(store, time)
    lease = mine.take()
    time.now = LEASE_SECONDS / 2
    lease.require(mine.trail())
    lease.confirm(1)

    time.now += 0.001
    with pytest.raises(Overtaken):
        lease.require(mine.trail())


def test_a_holder_who_was_overtaken_may_not_act(store: ObjectStore) -> None:
    """However young its lease is by its own clock: a suspended machine's clock may stand still."""
    mine = leases(store)
    lease = mine.take()
    leases(store).take()

    with pytest.raises(Overtaken):
        lease.require(mine.trail())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, StoreUnavailable, Overtaken])
def test_after_an_error_a_lease_is_left_to_expire(store: ObjectStore, error: type[BaseException]) -> None:
    """What was sent before the error may still be carried out, so nobody is let in early."""
    with pytest.raises(error), leases(store).hold():
        raise error("while the lease was held")
    time = Time()

    assert leases(store, time).take().number == 2
    assert time.now >= LEASE_SECONDS


class LossyStore(MemoryStore):
    """A store that loses the answer to every put of a new key and finds its own write when it repeats it."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        super().put_if_absent(key, content)
        return False


def test_a_lost_answer_is_no_lost_lease() -> None:
    """Whoever finds the own mark in a lease holds it; somebody else's is respected."""
    store = LossyStore()
    with leases(store).hold() as first:
        time = Time()
        time.meanwhile = lambda: first.write(".released", {})
        assert leases(store, time).take().number == 2
        assert time.now > 0
    assert first.number == 1


def test_a_lease_that_cannot_be_released_undoes_nothing() -> None:
    """What was done under it is done; the lease expires."""

    class Broken(MemoryStore):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            if "released" in key:
                raise StoreUnavailable("gone")
            return super().put_if_absent(key, content)

    with leases(Broken()).hold() as lease:
        pass
    assert lease.number == 1


def test_of_many_only_one_holds_at_a_time(store: ObjectStore) -> None:
    """Four threads take three leases each: never two at once, and no number twice."""
    inside, most, numbers = [0], [0], []
    lock = threading.Lock()

    def work(_: int) -> None:
        for _ in range(3):
            with Leases(store, "eqn").hold() as lease:
                with lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    numbers.append(lease.number)
                lease.require(lease.leases.trail())
                with lock:
                    inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    assert most == [1]
    assert numbers == list(range(1, 13))


def test_the_trail_tells_the_last_move_and_whether_it_was_finished(store: ObjectStore) -> None:
    """By the number of its lease; leases without a move are passed over."""
    mine = leases(store)
    assert mine.trail().last is None
    with mine.hold() as lease:
        lease.announce(None, 3)
        assert mine.trail().last == Move(1, None, 3, finished=False)
    with mine.hold():
        pass

    assert mine.trail().last == Move(1, None, 3, finished=True)


def test_a_late_move_is_remembered_until_the_next_one(store: ObjectStore) -> None:
    """Whoever moved the alias over its successor's move says so, and whoever did not know of it must look again."""
    mine, others = leases(store), leases(store)
    late = mine.take()
    late.announce(1, 2)
    following = others.take()
    following.announce(1, 3)
    before = others.trail()
    following.require(before)

    with pytest.raises(Overtaken):
        late.confirm(2)
    trail = others.trail()
    assert (trail.last, trail.undone) == (Move(2, 1, 3, finished=False), {2})
    with pytest.raises(Overtaken):
        following.require(before)
    following.require(trail)

    others.take().announce(3, 4)
    assert others.trail().undone == frozenset()


def test_models_have_leases_of_their_own(store: ObjectStore) -> None:
    """A name with a slash or a blank makes no other folder."""
    names = ["eqn", "eqn/leases", "eqn 2", "..\\x"]
    for name in names:
        with Leases(store, name).hold() as lease:
            assert lease.number == 1

    assert len(list(store.folders("_promotion"))) == len(names)


def test_strange_names_among_the_leases_are_passed_over(store: ObjectStore) -> None:
    """What is not a lease does not count, however high its number."""
    for name in ["99.txt", "099.json", "99.json.bak", "99.other.json", "deeper/99.json", "-5.json"]:
        store.put(f"{FOLDER}/{name}", b"")

    assert leases(store).take().number == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"before": 1}', b"\xff"])
def test_a_record_that_was_changed_is_refused(store: ObjectStore, content: bytes) -> None:
    """The place is named, and what to do."""
    with leases(store).hold():
        store.put(f"{FOLDER}/1.move.json", content)

    with pytest.raises(ArtifactRefused, match=r"1\.move\.json") as caught:
        leases(store).trail()
    assert "Remove" in str(caught.value)


def test_what_is_overtaken_is_tried_again_and_not_for_ever() -> None:
    """An attempt that comes to nothing is repeated; one that always does ends with a transient error."""
    outcomes: list[Any] = [Overtaken(), None, "done"]

    def attempt() -> str | None:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Overtaken):
            raise outcome
        return None if outcome is None else str(outcome)

    assert until_it_holds(attempt) == "done"
    outcomes = [None, Overtaken()] * 100
    with pytest.raises(StoreUnavailable):
        until_it_holds(attempt)
    assert len(outcomes) > 100
