"""Which shard goes to which worker, and how often one is begun: plain bookkeeping that knows no cluster."""

import bisect
import collections
from collections.abc import Container

from eqn.errors import StoreUnavailable

SHARDS_PER_WORKER = 2
"""One is computed while the next one travels."""
ATTEMPTS = 4
"""How often a shard is begun before the work is given up: one that ends four workers may be what ends them."""


class Dispatch:
    """Hands shards, which are numbered in their order, to workers, and takes back those of a lost worker."""

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._held: dict[int, list[int]] = {}
        self._attempts: collections.Counter[int] = collections.Counter()

    @property
    def workers(self) -> int:
        """Give how many workers there are."""
        return len(self._held)

    def join(self, worker: int) -> None:
        """Count on a worker from now on."""
        self._held[worker] = []

    def add(self, shard: int) -> None:
        """Let a shard wait for a worker."""
        bisect.insort(self._waiting, shard)

    def assignments(self) -> list[tuple[int, int]]:
        """Give (worker, shard) of all that is to be handed out now: oldest shard first, to who has the least to do."""
        made = []
        while self._waiting and self._held:
            worker = min(self._held, key=lambda name: len(self._held[name]))
            if len(self._held[worker]) >= SHARDS_PER_WORKER:
                break
            shard = self._waiting.pop(0)
            self._held[worker].append(shard)
            made.append((worker, shard))
        return made

    def done(self, worker: int, shard: int) -> None:
        """Note that `worker` is through with `shard`."""
        self._held[worker].remove(shard)
        del self._attempts[shard]

    def drop(self, shard: int) -> bool:
        """Let go of a shard that waits; False when it does not, so that a worker may hold it."""
        waits = shard in self._waiting
        if waits:
            self._waiting.remove(shard)
        return waits

    def retry(self, worker: int, shard: int, *, reason: str) -> None:
        """Let a shard wait again whose result got lost on its way.

        Raises:
            StoreUnavailable: that was its last attempt.

        """
        self._held[worker].remove(shard)
        self._begin_again(shard, reason)

    def lost(self, worker: int, *, wanted: Container[int], reason: str) -> None:
        """Let the shards of a lost worker wait again, as far as they are still `wanted`.

        The loss is held against the one that it computed; the others were only on their way.

        Raises:
            StoreUnavailable: that was the last attempt.

        """
        for place, shard in enumerate(self._held.pop(worker)):
            if shard in wanted and place:
                self.add(shard)
            elif shard in wanted:
                self._begin_again(shard, reason)

    def _begin_again(self, shard: int, reason: str) -> None:
        self._attempts[shard] += 1
        if self._attempts[shard] >= ATTEMPTS:
            # The same command may succeed on a cluster in better health, and goes on where this one stopped.
            raise StoreUnavailable(
                f"expected the cluster to annotate a shard within {ATTEMPTS} attempts; every worker that began on it "
                f"was lost, the last one so: {reason}",
                todo="Look at the nodes (memory, `ray status`) and run the same command again: finished work is kept.",
            )
        self.add(shard)
