"""Whether a store keeps the promises on which releases rest, tried out on scratch keys.

Some servers that speak S3 ignore the condition of a put, check it too early, or answer a refusal in a way of their own.
What a store claims says little; what it does under racing writers says enough to refuse it before a release is lost.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from eqn.errors import EqnError, StorageFull, StoreUnavailable
from eqn.store.interface import ObjectStore
from eqn.store.probes import PROBES, Probe
from eqn.store.scratch import Effort, Scratch

_SHOWN = 3
"""Faults of one check that are spelt out."""


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, tried."""

    name: str
    passed: bool
    what: str
    """What was tried and held; or, when it did not pass, all faults."""
    seconds: float


def examine(
    store: ObjectStore,
    *,
    keys: int = 100,
    writers: int = 8,
    listed: int = 1100,
    large: int = 16 * 2**20,
    report: Callable[[str], object] = lambda _: None,
) -> list[Check]:
    """Try every promise of `ObjectStore` on scratch keys, which are removed at the end, and give what held.

    Args:
        store: any store; releases in it are not touched.
        keys: how many keys are raced for, and read after writes.
        writers: how many threads race for each key.
        listed: how many keys a listing must hold; S3 gives at most 1000 in one answer.
        large: size of the large object in bytes.
        report: is told what is tried next, and which scratch keys stay behind when the examination breaks off.

    Raises:
        StoreUnavailable: the store cannot be reached, or not any more.
        StorageFull: there is no room for the scratch keys.

    """
    with ThreadPoolExecutor(writers) as pool:
        scratch = Scratch(store, pool, Effort(keys, writers, listed, large))
        scratch.contact()
        try:
            scratch.put("first", b"")  # who may not write at all learns that alone
            checks = [_check(name, probe, scratch, report) for name, probe in PROBES.items()]
        except BaseException:
            for fault in _left_by(scratch):
                report(fault)
            raise
        return [*checks, _check("clean up", _clean_up, scratch, report)]


def require_sound(checks: Sequence[Check], where: str) -> None:
    """Refuse the store at `where` unless it passed every check.

    Raises:
        StoreUnavailable: it did not; all faults are named.

    """
    faults = [f"{check.name}: {check.what}" for check in checks if not check.passed]
    if faults:
        raise StoreUnavailable(
            f"expected {where} to keep what releases rest on; {len(faults)} of {len(checks)} checks failed.",
            faults=faults,
            todo="Do not publish to it. Use a directory, or an S3 server that honours conditional writes.",
        )


def _check(name: str, probe: Probe, scratch: Scratch, report: Callable[[str], object]) -> Check:
    report(f"trying: {name} ...")
    faults: list[str] = []
    started, what = time.monotonic(), ""
    try:
        what = probe(scratch, faults)
    except StorageFull:
        raise
    except EqnError as error:
        if isinstance(error, StoreUnavailable):
            scratch.contact()  # one that has gone has no faults to be listed
        faults.append(f"An error came in place of an answer: {error.what}")
    if faults:
        more = len(faults) - _SHOWN
        what = " ".join(faults[:_SHOWN] + [f"There are {more} more faults of this kind."] * (more > 0))
    return Check(name, not faults, what, round(time.monotonic() - started, 3))


def _clean_up(scratch: Scratch, faults: list[str]) -> str:
    faults += _left_by(scratch)
    return "The scratch keys were removed."


def _left_by(scratch: Scratch) -> list[str]:
    """Remove the scratch keys and say which may be left."""
    try:
        left = scratch.remove()
    except EqnError as error:
        return [f"Scratch keys may be left in {scratch.address}: {error.what}"]
    return [f"{left} deleted scratch keys are still listed in {scratch.address}."] * (left > 0)
