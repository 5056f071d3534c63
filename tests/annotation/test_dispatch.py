"""Which shard goes to which worker: the bookkeeping of the engine on a cluster."""

import pytest

from eqn.annotation.dispatch import ATTEMPTS, Dispatch
from eqn.errors import StoreUnavailable


def dispatch_with(*, workers: int, shards: int) -> Dispatch:
    dispatch = Dispatch()
    for worker in range(workers):
        dispatch.join(worker)
    for shard in range(shards):
        dispatch.add(shard)
    return dispatch


def test_shards_go_out_in_their_order_two_to_a_worker() -> None:
    dispatch = dispatch_with(workers=2, shards=6)

    assert dispatch.assignments() == [(0, 0), (1, 1), (0, 2), (1, 3)]
    assert dispatch.assignments() == []
    dispatch.done(1, 1)
    assert dispatch.assignments() == [(1, 4)]


def test_nothing_goes_out_without_workers() -> None:
    """Shards wait for the first worker that joins."""
    dispatch = dispatch_with(workers=0, shards=1)

    assert dispatch.assignments() == []
    dispatch.join(7)
    assert dispatch.assignments() == [(7, 0)]


def test_a_lost_workers_shards_come_before_later_ones() -> None:
    """Whoever waits for the oldest shard waits no longer than needed."""
    dispatch = dispatch_with(workers=2, shards=6)
    dispatch.assignments()
    dispatch.lost(0, wanted=range(6), reason="")
    dispatch.done(1, 1)
    dispatch.done(1, 3)

    assert dispatch.workers == 1
    assert dispatch.assignments() == [(1, 0), (1, 2)]


def test_a_shard_that_nobody_wants_is_not_begun_again() -> None:
    dispatch = dispatch_with(workers=1, shards=2)
    dispatch.assignments()
    dispatch.lost(0, wanted=[1], reason="")
    dispatch.join(0)

    assert dispatch.assignments() == [(0, 1)]


def test_a_shard_is_dropped_only_while_it_waits() -> None:
    dispatch = dispatch_with(workers=1, shards=3)
    dispatch.assignments()

    assert [dispatch.drop(shard) for shard in range(3)] == [False, False, True]
    dispatch.done(0, 0)
    assert dispatch.assignments() == []


def test_a_shard_that_ends_every_worker_ends_the_work() -> None:
    """The reason of the last loss is told; shards that were only on their way are held to nothing."""
    dispatch = dispatch_with(workers=1, shards=2)
    for attempt in range(ATTEMPTS - 1):
        assert dispatch.assignments() == [(0, 0), (0, 1)]
        dispatch.lost(0, wanted=range(2), reason=f"loss {attempt}")
        dispatch.join(0)
    dispatch.assignments()

    with pytest.raises(StoreUnavailable, match="the last one so: out of memory"):
        dispatch.lost(0, wanted=range(2), reason="out of memory")


def test_results_that_get_lost_count_as_attempts() -> None:
    dispatch = dispatch_with(workers=1, shards=1)
    for _ in range(ATTEMPTS - 1):
        assert dispatch.assignments() == [(0, 0)]
        dispatch.retry(0, 0, reason="its node is gone")
    assert dispatch.assignments() == [(0, 0)]

    with pytest.raises(StoreUnavailable, match="its node is gone"):
        dispatch.retry(0, 0, reason="its node is gone")
