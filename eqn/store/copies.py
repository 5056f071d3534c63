"""Whether a service can be trusted to copy an object by itself, tried out on scratch keys.

Amazon's S3 refuses a copy to a key that is there, if it is asked to. Others honour that condition on a put and overlook
it on a copy, or check it and copy in two steps: there a copy could replace a part that a rival has published.
"""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from eqn.errors import EqnError
from eqn.store.interface import ObjectStore
from eqn.store.scratch import SCRATCH

Copy = Callable[[str, str], bool | None]
"""Lets the service copy a key to another one unless that exists; None when it did neither that nor refuse it."""

_ONE, _TWO = b"one\n" * 20, b"another\n" * 20
_RACES, _RACERS = 3, 4
"""Keys that are raced for, and copies of two sources to each of them at once."""


def fault_of_copies(store: ObjectStore, copy: Copy) -> str:
    """Say what speaks against letting the service of `store` make copies, by `copy`; "" when nothing does.

    A service that fails or goes away meanwhile has proved nothing, which is said as well. No scratch key stays.
    """
    trial = _Trial(store, copy)
    try:
        fault = trial.fault()
    except KeyError:
        fault = "a key was not there after it was written"
    except EqnError as error:
        fault = error.what.removesuffix(".")
    finally:
        left = trial.remove()
    return fault or left


class _Trial:
    """One trial, in a folder of its own."""

    def __init__(self, store: ObjectStore, copy: Copy) -> None:
        self._store, self._copy = store, copy
        self._folder = f"{SCRATCH}/{secrets.token_hex(8)}"
        self._written: list[str] = []

    def fault(self) -> str:
        """Give the first fault that is found."""
        one, two, free = self._new("one"), self._new("two"), self._new("free")
        self._store.put(one, _ONE)
        self._store.put(two, _TWO)
        # Where the answer to the copy got lost, the service says that the key is there: what counts are the bytes.
        if self._copy(one, free) is None:
            return "it does not copy to a free key with If-None-Match"
        if self._store.get(free) != _ONE:
            return "a copy has other bytes than its source"
        told = self._copy(one, two)
        if told or self._store.get(two) != _TWO:
            return "it ignores If-None-Match on a copy"
        if told is None:
            return "it does not answer 412 to a copy onto a key that is there"
        if not all(self._one_wins((one, two), self._new(f"contested-{n}")) for n in range(_RACES)):
            return "it checks If-None-Match on a copy and copies in two steps"
        return ""

    def remove(self) -> str:
        """Delete what was written and say what may be left."""
        try:
            for key in self._written:
                self._store.delete(key)
        except EqnError as error:
            return f"scratch keys may be left in {self._store.address(self._folder)}: {error.what.removesuffix('.')}"
        return ""

    def _one_wins(self, sources: tuple[str, str], key: str) -> bool:
        """Let all copy to one key at the same time, and tell whether one at most was told that it did, and has."""
        with ThreadPoolExecutor(_RACERS) as pool:
            told = list(pool.map(lambda racer: self._copy(sources[racer % 2], key), range(_RACERS)))
        winners = [racer for racer in range(_RACERS) if told[racer]]
        expected = {(_ONE, _TWO)[racer % 2] for racer in winners or range(_RACERS)}
        return len(winners) <= 1 and self._store.get(key) in expected

    def _new(self, name: str) -> str:
        key = f"{self._folder}/{name}"
        self._written.append(key)  # before it is written: nobody knows what a write that fails leaves behind
        return key
