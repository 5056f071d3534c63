"""The promises of a store, each with a probe that tries it on scratch keys."""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from eqn.errors import EqnError, StoreUnavailable
from eqn.store.s3 import S3Store
from eqn.store.scratch import Scratch

_EVERY_BYTE = bytes(range(256)) * 16
_ODD_NAMES = (
    *("a b  c", "plus+percent%41%2Bpercent", "query?x=1&y=2#z", "ünï-日本-😀"),
    *("<tag>&amp;'\"", "~!*(){}[]^`|$,;:@="),
)
_TWO_STEPS = "the store checks and writes in two steps, so releases published at once could overwrite each other"

Probe = Callable[[Scratch, list[str]], str]
"""Tries one promise, adds its faults to the list, and gives the sentence for the case that there are none."""


def _race(scratch: Scratch, faults: list[str]) -> str:
    """Let all writers put each key at the same time, then one more writer when it is there."""
    keys, writers = scratch.effort.keys, scratch.effort.writers
    names = [f"race/{n}.json" for n in range(keys)]
    told: list[dict[str, bool]] = [{} for _ in range(writers)]
    errors: list[EqnError] = []
    barrier = threading.Barrier(writers)

    def write(writer: int) -> None:
        try:
            for name in names:
                barrier.wait()
                try:
                    told[writer][name] = scratch.put_if_absent(name, _content(name, f"writer {writer}"))
                except StoreUnavailable as error:
                    scratch.contact()  # the race goes on unless the store has gone
                    errors.append(error)
        except threading.BrokenBarrierError:
            pass  # another writer was stopped by an error, which it raises
        except BaseException:
            barrier.abort()
            raise

    for writing in [scratch.pool.submit(write, writer) for writer in range(writers)]:
        writing.result()
    outcomes: list[_Outcome] = []

    def judge(name: str) -> None:
        winners = [writer for writer in range(writers) if told[writer].get(name)]
        came = scratch.read(name)
        # The answer to the write that won can be lost; then its writer was told False, as all others.
        expected = [_content(name, f"writer {writer}") for writer in winners or range(writers)]
        late = scratch.put_if_absent(name, _content(name, "late"))
        changed = scratch.read(name) == _content(name, "late")
        outcomes.append(_Outcome(len(winners), came is not None, came in expected, late, changed))

    try:
        scratch.each(judge, names)
    finally:
        faults.extend(_faults_of(outcomes))
    if errors:
        raise errors[0]
    return f"{keys} keys, {writers} writers at once on each: one was told that it wrote, and its bytes stayed."


class _Outcome(NamedTuple):
    """How the race for one key ended."""

    winners: int
    there: bool
    right: bool
    """Whether the bytes that were read are those of a winner."""
    late: bool
    """What a writer was told who came when the key was there."""
    changed: bool
    """Whether that writer changed the key."""


def _faults_of(outcomes: list[_Outcome]) -> Iterator[str]:
    several = [outcome for outcome in outcomes if outcome.winners > 1]
    gone = [outcome for outcome in outcomes if not outcome.there]
    wrong = [outcome for outcome in outcomes if outcome.there and not outcome.right]
    late = [outcome for outcome in outcomes if outcome.late or outcome.changed]

    def share(some: list[_Outcome]) -> str:
        return f"{len(some)} of {len(outcomes)} keys"

    if several:
        why = _cause(told=late[0].late, changed=late[0].changed) if late else _TWO_STEPS
        yield f"Two writers of one key were both told that they wrote it ({share(several)}): {why}."
    elif late:
        why = _cause(told=late[0].late, changed=late[0].changed)
        yield f"A key that was there was written again ({share(late)}): {why}."
    if gone:
        yield f"Nothing was there after all had written ({share(gone)})."
    if wrong:
        yield f"Other bytes were read than those of a writer who was told that it wrote ({share(wrong)})."
    if outcomes and not any(outcome.winners for outcome in outcomes):
        yield "Not one writer of a new key was told that it wrote it."


def _cause(*, told: bool, changed: bool) -> str:
    """Say what a store does with a writer who comes when the key is there: what it `told`, and whether it `changed`."""
    if told and changed:
        return "the store ignores If-None-Match, so releases on it could overwrite each other"
    if told:
        return "the store reports writes that it did not do, so a release could be called published that is not"
    return "the store changes keys in a write that it refuses, so releases on it could be damaged"


def _existing_key(scratch: Scratch, faults: list[str]) -> str:
    scratch.put_if_absent("existing/new", b"first")
    scratch.put("existing/put", b"first")
    for name in ("existing/new", "existing/put"):
        told = scratch.put_if_absent(name, b"second")
        came = scratch.read(name)
        if told or came == b"second":
            faults.append(f"A key that was there was written again: {_cause(told=told, changed=came == b'second')}.")
        else:
            faults += _difference("A key that was there and refused to a second writer", b"first", came)
    return "A key that was there was refused to a second writer and kept its bytes."


def _read_after_write(scratch: Scratch, faults: list[str]) -> str:
    def probe(name: str) -> None:
        if scratch.exists(name):
            faults.append(f"{name} is there before it was written.")
        scratch.put(name, content := _content(name, "first"))
        if not scratch.exists(name):
            faults.append(f"{name} is not there after it was written.")
        faults.extend(_difference(f"{name}, just written,", content, scratch.read(name)))

    scratch.each(probe, [f"new/{n}" for n in range(scratch.effort.keys)])
    return f"{scratch.effort.keys} new keys were there, with their bytes, as soon as they were written."


def _read_after_overwrite(scratch: Scratch, faults: list[str]) -> str:
    def probe(name: str) -> None:
        for turn in ("first", "second", "third"):
            scratch.put(name, content := _content(name, turn))
            faults.extend(_difference(f"{name}, just overwritten,", content, scratch.read(name)))

    scratch.each(probe, [f"overwritten/{n}" for n in range(scratch.effort.keys)])
    return f"{scratch.effort.keys} keys had their new bytes as soon as they were overwritten."


def _read_after_delete(scratch: Scratch, faults: list[str]) -> str:
    scratch.put("deleted/key", b"first")
    scratch.read("deleted/key")
    scratch.delete("deleted/key")
    scratch.delete("deleted/missing")
    if scratch.exists("deleted/key") or scratch.read("deleted/key") is not None:
        faults.append("A deleted key is still there.")
    scratch.put_if_absent("deleted/key", b"second")
    faults += _difference("A key written again after it was deleted", b"second", scratch.read("deleted/key"))
    return "A deleted key was gone at once and could be written again; deleting a missing one was no error."


def _listing(scratch: Scratch, faults: list[str]) -> str:
    names = [f"listing/{n % 7}/{n}" for n in range(scratch.effort.listed)]
    scratch.put("listing-of-others/1", b"")
    scratch.each(lambda name: scratch.put(name, b""), names)
    faults += _misses("A listing after writes", sorted(names), scratch.listing("listing"))
    scratch.delete(names[0])
    faults += _misses("A listing after a delete", sorted(names[1:]), scratch.listing("listing"))
    return f"{len(names)} new keys were listed, sorted, and a deleted one was not; those of other folders were not."


def _folders(scratch: Scratch, faults: list[str]) -> str:
    for name in ("tree/b/1", "tree/a/x/1", "tree/a/y/1", "tree/file"):
        scratch.put(name, b"")
    faults += _misses("The folders in a folder", ["a", "b"], scratch.folders("tree"))
    faults += _misses("The folders in an empty folder", [], scratch.folders("nothing"))
    return "The folders directly in a folder were named, and no others."


def _copy(scratch: Scratch, faults: list[str]) -> str:
    scratch.put("copy/source +%41", _EVERY_BYTE)
    scratch.put("copy/taken", b"old")
    for name, copied, content in (("copy/new", True, _EVERY_BYTE), ("copy/taken", False, b"old")):
        try:
            if scratch.copy("copy/source +%41", name) is not copied:
                faults.append(f"A copy to a key that {'was free' if copied else 'was taken'} said otherwise.")
            faults += _difference("A copy", content, scratch.read(name))
        except KeyError:
            faults.append("A key that was there was not found for a copy.")
    with contextlib.suppress(KeyError):
        scratch.copy("copy/missing", "copy/of-nothing")
        faults.append("A key that is not there could be copied.")
    return "Copies made by the store had the source's bytes; a taken key was left alone, a missing source refused."


def _server_side_copy(scratch: Scratch, _: list[str]) -> str:
    """Say how copies are made: a service that cannot be trusted with them costs time, and breaks no promise."""
    if not isinstance(scratch.store, S3Store):
        return "Not needed: no server keeps this store."
    fault = scratch.store.fault_of_copies()
    if fault:
        return f"Not used, so that what is copied is read and sent again: {fault}."
    return "The service copies by itself and refuses a taken key: what is copied is not sent again."


def _every_byte(scratch: Scratch, faults: list[str]) -> str:
    for name, content in {"every byte": _EVERY_BYTE, "nothing": b"", "line ends": b"\r\n\n\r\0"}.items():
        scratch.put(f"bytes/put {name}", content)
        scratch.put_if_absent(f"bytes/{name}", content)
        for way in ("put ", ""):
            faults += _difference(f"An object with {name}", content, scratch.read(f"bytes/{way}{name}"))
    return "Every value of a byte, line ends and an empty object came back as they were written."


def _odd_keys(scratch: Scratch, faults: list[str]) -> str:
    names = [f"odd/{odd}/{odd}" for odd in _ODD_NAMES]
    for name in names:
        scratch.put(name, name.encode())
    for name in names:
        faults += _difference(f"The key {name!r}", name.encode(), scratch.read(name))
    faults += _misses("A listing of odd keys", sorted(names), scratch.listing("odd"))
    faults += _misses("Folders with odd names", sorted(_ODD_NAMES), scratch.folders("odd"))
    return "Spaces, signs of URLs and XML, and letters beyond ASCII in keys were kept, read and listed."


def _large_object(scratch: Scratch, faults: list[str]) -> str:
    content = hashlib.shake_128(b"eqn").digest(scratch.effort.large)
    scratch.put("large", content)
    faults += _difference("The large object", content, scratch.read("large"))
    return f"An object of {len(content):,} bytes came back whole."


PROBES: dict[str, Probe] = {
    "one winner": _race,
    "existing key": _existing_key,
    "read after write": _read_after_write,
    "read after overwrite": _read_after_overwrite,
    "read after delete": _read_after_delete,
    "listing": _listing,
    "folders": _folders,
    "copy": _copy,
    "server-side copy": _server_side_copy,
    "every byte": _every_byte,
    "odd keys": _odd_keys,
    "large object": _large_object,
}


def _content(name: str, writer: str) -> bytes:
    """Give each writer of each key bytes of its own."""
    return f"{writer} of {name}\n".encode() * 20


def _difference(what: str, expected: bytes, came: bytes | None) -> Iterator[str]:
    """Say how the bytes that came differ from those that were written."""
    if came is None:
        yield f"{what} is not there."
    elif len(came) != len(expected):
        yield f"{what} has {len(came):,} bytes instead of {len(expected):,}."
    elif came != expected:
        place = next(place for place, pair in enumerate(zip(expected, came, strict=True)) if pair[0] != pair[1])
        yield f"{what} has other bytes than were written, the first at {place:,}."


def _misses(what: str, expected: list[str], came: list[str]) -> Iterator[str]:
    """Say how the names that came differ from those that are there."""
    missing, extra = sorted(set(expected) - set(came)), sorted(set(came) - set(expected))
    if missing:
        yield f"{what} lacks {len(missing)} of {len(expected)} names, such as {missing[0]!r}."
    if extra:
        yield f"{what} has {len(extra)} names that are not there, such as {extra[0]!r}."
    if not missing and not extra and came != expected:
        yield f"{what} is not sorted, or names something twice."
