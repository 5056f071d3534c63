"""One promoter at a time: numbered leases in the object store, and what was done under each.

    _promotion/<registered model>/leases/7.json            somebody took lease 7; who, is written in it
                                         7.move.json       and was about to move the champion alias
                                         7.late.json       and moved it when lease 8 was taken already
                                         7.released.json   and ended well

Every key is written once and stays, so that the numbers order all that ever happened. Clocks decide nothing: times in
the files are for people. Whoever waits counts a lease's age by a monotonic clock from the moment of first seeing it as
the highest one, and takes the next number when it has expired; its holder counts from before it was taken, acts only
in the first half of its time, and looks whether a higher number is there just before and just after it acts.
"""

import contextlib
import dataclasses
import json
import os
import random
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

from eqn.errors import ArtifactRefused, EqnError, StoreUnavailable
from eqn.failpoints import reached
from eqn.store.interface import ObjectStore

LEASE_SECONDS = 30.0
"""After this time without a release, a lease counts as that of a dead process."""

_PATIENCE_SECONDS = 120.0
"""How long to wait for one's turn: several dead holders in a row."""
_SAFE_SHARE = 0.5
"""The share of its lease's time in which a holder may act."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
"""Seconds between two looks at the leases."""
_ATTEMPTS = 10

_TAKEN, _MOVE, _LATE, _RELEASED = "", ".move", ".late", ".released"
_NAME = re.compile(r"([1-9][0-9]*)(|\.move|\.late|\.released)\.json")

_Result = TypeVar("_Result")


class Overtaken(Exception):
    """The lease is lost, or too old to act on: what was decided under it must be decided again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """A move of the champion alias, as it was announced."""

    lease: int
    before: int | None
    """The version that was champion."""
    after: int
    finished: bool
    """The lease was released: the alias was moved. Otherwise its holder may have died before."""


@dataclasses.dataclass(frozen=True, slots=True)
class Trail:
    """What the leases tell of the champion alias."""

    last: Move | None
    """The move under the highest lease that has one."""
    late: frozenset[int]
    """Leases whose holders moved the alias when they were overtaken already."""
    undone: frozenset[int]
    """The versions to which they moved it, since the last move."""


class Leases:
    """The leases of one registered model."""

    def __init__(
        self,
        store: ObjectStore,
        model: str,
        *,
        seconds: float = LEASE_SECONDS,
        patience: float = _PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`seconds` is the lease time, the same for everybody; `patience` how long to wait for one's turn."""
        self._store = store
        self._folder = f"_promotion/{quote(model, safe='')}/leases"
        self._model = model
        self._seconds = seconds
        self._patience = patience
        self._sleep = sleep
        self.clock = clock

    @contextlib.contextmanager
    def hold(self) -> Iterator["Lease"]:
        """Take the next lease, waiting for one's turn, and release it at the end of the block.

        After an error it is left to expire: a request that got no answer may still be carried out.

        Raises:
            StoreUnavailable: others were always first.

        """
        lease = self.take()
        reached("promotion.lease-taken")
        yield lease
        # All is done; a lease that cannot be released expires.
        with contextlib.suppress(EqnError):
            lease.write(_RELEASED, {})

    def take(self) -> "Lease":
        """Take the next lease as soon as the highest one is released or has expired.

        Raises:
            StoreUnavailable: others were always first. Nothing was decided, and the same call may succeed later.

        """
        holder = uuid.uuid4().hex
        give_up = self.clock() + self._patience
        watched, since, pause = 0, self.clock(), _SHORTEST_PAUSE
        while True:
            keys = self.listed()
            highest = max(keys[_TAKEN], default=0)
            now = self.clock()
            if highest != watched:
                watched, since, pause = highest, now, _SHORTEST_PAUSE
            if highest == 0 or highest in keys[_RELEASED] or now - since >= self._seconds:
                lease = self._claim(highest + 1, holder)
                if lease:
                    return lease
            if now >= give_up:
                raise StoreUnavailable(
                    f"expected to have a turn at promoting {self._model!r} within {self._patience:g} s; "
                    f"{self._holder_of(highest)}.",
                    todo=f"Run the same command again; a holder that died is passed over after {self._seconds:g} s.",
                )
            # Waiters that looked at the same moment must not do so again and again.
            self._sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  no secret
            pause = min(2 * pause, _LONGEST_PAUSE)

    def trail(self) -> Trail:
        """Read what the leases tell of the champion alias.

        Raises:
            ArtifactRefused: a record is not readable.

        """
        keys = self.listed()
        number = max(keys[_MOVE], default=0)
        last = None
        if number:
            before, after = self._read(number, _MOVE, "before", "after")
            last = Move(number, before, after, finished=number in keys[_RELEASED])
        notes = [self._read(late, _LATE, "after", "highest") for late in keys[_LATE]]
        undone = frozenset(after for after, highest in notes if highest >= number)
        return Trail(last, frozenset(keys[_LATE]), undone)

    def listed(self) -> dict[str, set[int]]:
        """Give the numbers of the leases for each kind of key."""
        found: dict[str, set[int]] = {_TAKEN: set(), _MOVE: set(), _LATE: set(), _RELEASED: set()}
        for key in self._store.list(self._folder):
            name = _NAME.fullmatch(key.removeprefix(f"{self._folder}/"))
            if name:
                found[name[2]].add(int(name[1]))
        return found

    def write(self, number: int, kind: str, facts: Mapping[str, object]) -> bool:
        """Write one key of the lease `number`; False when it is there already."""
        return self._store.put_if_absent(self._key(number, kind), json.dumps(facts).encode())

    def _claim(self, number: int, holder: str) -> "Lease | None":
        started = self.clock()  # before anybody can see the lease
        who = f"{socket.gethostname()}, process {os.getpid()}"
        taken = datetime.now(UTC).isoformat(timespec="seconds")
        written = self.write(number, _TAKEN, {"holder": holder, "who": who, "taken": taken})
        # A store that repeats a request whose answer was lost finds our own key there.
        if written or self._read(number, _TAKEN, "holder") == [holder]:
            return Lease(self, number, act_until=started + _SAFE_SHARE * self._seconds)
        return None

    def _holder_of(self, number: int) -> str:
        who, taken = self._read(number, _TAKEN, "who", "taken")
        return f"lease {number} is held by {who} since {taken} by the clock there"

    def _key(self, number: int, kind: str) -> str:
        return f"{self._folder}/{number}{kind}.json"

    def _read(self, number: int, kind: str, *names: str) -> list[Any]:
        key = self._key(number, kind)
        try:
            facts = json.loads(self._store.get(key))
            return [facts[name] for name in names]
        except (KeyError, ValueError, TypeError) as error:
            raise ArtifactRefused(
                f"the record of a promotion in {self._store.address(key)} is gone or was changed.",
                todo="Remove its folder when no promotion is under way: it is begun anew.",
            ) from error


@dataclasses.dataclass(frozen=True, slots=True)
class Lease:
    """The right to move the champion alias, for a while."""

    leases: Leases
    number: int
    act_until: float
    """The moment, by the clock of `leases`, after which nothing may be begun."""

    def write(self, kind: str, facts: Mapping[str, object]) -> None:
        """Write a key of this lease; only its holder does."""
        self.leases.write(self.number, kind, facts)

    def announce(self, before: int | None, after: int) -> None:
        """Write down that the alias is about to go from `before` to `after`."""
        self.write(_MOVE, {"before": before, "after": after})

    def require(self, seen: Trail) -> None:
        """Make sure that the alias may be moved now; `seen` is what the decision knew of earlier moves.

        Raises:
            Overtaken: a higher lease was taken, too much time has passed, or an earlier move turned out to be late.

        """
        keys = self.leases.listed()
        if (
            max(keys[_TAKEN], default=0) != self.number
            or keys[_LATE] != seen.late
            or self.leases.clock() > self.act_until
        ):
            raise Overtaken

    def confirm(self, after: int) -> None:
        """Look once more, with the alias moved to `after`.

        Raises:
            Overtaken: a higher lease was taken meanwhile. That this move undid its holder's is written down: the next
                holder, whoever it is, puts it right.

        """
        highest = max(self.leases.listed()[_TAKEN], default=0)
        if highest != self.number:
            self.write(_LATE, {"after": after, "highest": highest})
            raise Overtaken


def until_it_holds(attempt: Callable[[], _Result | None]) -> _Result:
    """Repeat `attempt` while it is overtaken or gives None, and give its result.

    Raises:
        StoreUnavailable: it was overtaken every time.

    """
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(Overtaken):
            result = attempt()
            if result is not None:
                return result
    raise StoreUnavailable(
        f"expected to move the champion alias; it failed {_ATTEMPTS} times because others did, or because MLflow took "
        "too long to answer.",
        todo="Run the same command again, when there is less going on.",
    )
