"""Ids: which rows of a file repeat or contradict an earlier id, and which ids rows get where the file has none.

A scan notes 8 bytes for every row that is good by itself: the beginning of its id's digest, or of its text's where the
file has no ids. Sorted, they show which keys stand more than once. Where a file has ids these are only suspects: a
second look at the file compares their rows by longer digests (16 bytes of an id, 8 of a text). Then the repeats are
known, and another pass over the same file asks for each of these rows, in the same order, and gets its id or its fault.
Between them stands `Identity`: nothing at all for a file in which no key stands twice.
"""

import array
import bisect
import dataclasses
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator

from eqn.corpus.contract import Reason
from eqn.corpus.rows import Fault

_KEPT, _REPEATED, _CONFLICTING = range(3)
_FAULTS = {
    _REPEATED: Fault(Reason.REPEATED_ROW, "the same id with the same text stood earlier in the file"),
    _CONFLICTING: Fault(Reason.CONFLICTING_ID, "the same id stands in the file with another text"),
}
_NO_ID = Fault(Reason.MISSING_ID, "the file has ids, and this row's is empty, null or absent")

ID_BYTES = 16
"""Width of the digest that stands for an id."""
KEY_BYTES = 8
"""Width of the keys that `repeated` compares: the beginning of a digest."""

_TEXT_BYTES = 8
_PLACE_BYTES = 6
_RECORD_BYTES = ID_BYTES + _TEXT_BYTES + _PLACE_BYTES
_WINDOW = 1 << 16


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """What a scan learnt about the ids of a file."""

    given: bool
    """Whether the file has ids."""
    verdicts: bytes = dataclasses.field(default=b"", repr=False)
    """With ids: one byte for each row that is good by itself, or nothing when all ids differ."""
    repeated: bytes = dataclasses.field(default=b"", repr=False)
    """Without ids: the keys of the texts that occur more than once, as `repeated` gives them."""


class IdentityScan:
    """Notes the rows of one file that are good by themselves."""

    def __init__(self) -> None:
        self.missing = 0
        """Rows without an id in a file that has ids."""
        self.noted = 0
        """Rows that took part, the missing ones left out."""
        self._given = False
        self._keys = bytearray()

    def note(self, identifier: str | None, text: str, *, given: bool) -> None:
        """Note one row; `given` tells whether the file has shown any id up to it."""
        if given and not self._given:
            # jsonl: the first id of the file makes all rows before it rows that lack theirs.
            self._given, self.missing, self.noted = True, self.noted, 0
            self._keys.clear()
        if identifier is not None:
            self.noted += 1
            self._keys += id_digest(identifier)[:KEY_BYTES]
        elif given:
            self.missing += 1
        else:
            self.noted += 1
            self._keys += _text_key(text)

    def finish(self, *, given: bool, again: Callable[[], Iterable[tuple[str, str]]]) -> Identity:
        """Decide about all rows that were noted.

        `again` gives the ids and texts of the rows that have an id once more, in the same order; it is only called
        when ids seem to repeat.
        """
        if given and not self._given:
            self.missing, self.noted = self.noted, 0
            return Identity(given=True)
        keys, self._keys = repeated(self._keys), bytearray()
        if not given:
            return Identity(given=False, repeated=keys)
        return Identity(given=True, verdicts=_verdicts(again(), keys, rows=self.noted) if keys else b"")


class IdentityGiver:
    """Gives each row its id in a later pass over the file."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._asked = 0
        self._repeated = memoryview(identity.repeated).cast("Q")
        self._occurrences = array.array("Q", bytes(len(identity.repeated)))

    def give(self, identifier: str | None, text: str) -> str | Fault:
        """Give the id of the next row that is good by itself, or its fault."""
        if not self._identity.given:
            return self._from_text(text)
        if identifier is None:
            return _NO_ID
        verdicts, place = self._identity.verdicts, self._asked
        self._asked += 1
        # Past the end only when the file has grown since its scan, which the reader finds out by its digest.
        verdict = verdicts[place] if place < len(verdicts) else _KEPT
        return identifier if verdict == _KEPT else _FAULTS[verdict]

    def _from_text(self, text: str) -> str:
        key = _text_key(text)
        occurrence, place = 1, _place(self._repeated, key)
        if place is not None:
            occurrence = self._occurrences[place] = self._occurrences[place] + 1
        return f"{key.hex()}-{occurrence}"


def duplicates(identity: Identity) -> dict[Reason, int]:
    """Count the rows that are quarantined because of their id."""
    counts = {fault.reason: identity.verdicts.count(verdict) for verdict, fault in _FAULTS.items()}
    return {reason: count for reason, count in counts.items() if count}


def id_digest(identifier: str) -> bytes:
    """Give the ID_BYTES that stand for an id, halves of surrogate pairs or not; the first KEY_BYTES are its key."""
    return hashlib.blake2b(identifier.encode("utf-8", "surrogatepass"), digest_size=ID_BYTES).digest()


def repeated(keys: bytearray) -> bytes:
    """Give the keys of KEY_BYTES each that stand more than once in `keys`, each once, in order as native integers.

    `keys` is sorted where it lies. On top of it this takes 2 bytes a key, or 8 where every one stands twice.
    """
    import numpy as np

    ordered = np.frombuffer(keys, np.uint64)
    ordered.sort()
    again = ordered[1:] == ordered[:-1]
    again[1:] &= ~again[:-1]  # of each run, its second key alone
    second = ordered[1:][again]
    del again
    found: bytes = second.tobytes()
    return found


def _text_key(text: str) -> bytes:
    # Its 16 hex digits are the first part of the id that the contract promises.
    return hashlib.sha256(text.encode()).digest()[:KEY_BYTES]


def _place(keys: memoryview, key: bytes) -> int | None:
    """Find `key` among keys in order."""
    wanted = int.from_bytes(key, sys.byteorder)
    place = bisect.bisect_left(keys, wanted)
    return place if place < len(keys) and keys[place] == wanted else None


def _verdicts(ids_and_texts: Iterable[tuple[str, str]], suspects: bytes, *, rows: int) -> bytes:
    keys, records = memoryview(suspects).cast("Q"), bytearray()
    for place, (identifier, text) in enumerate(ids_and_texts):
        digest = id_digest(identifier)
        if _place(keys, digest[:KEY_BYTES]) is not None:
            records += digest
            records += hashlib.blake2b(text.encode(), digest_size=_TEXT_BYTES).digest()
            records += place.to_bytes(_PLACE_BYTES)
    verdicts = bytearray()
    for first, end in _equal_ids(records):
        verdicts = verdicts or bytearray(rows)
        # In order of texts, then of places: texts are all equal when the outermost are, and the earliest row is first.
        same = _text_of(records, first) == _text_of(records, end - 1)
        for at in range(first, end):
            verdicts[_place_of(records, at)] = _REPEATED if same else _CONFLICTING
        if same:
            verdicts[_place_of(records, first)] = _KEPT
    return bytes(verdicts)


def _text_of(records: bytearray, at: int) -> bytearray:
    return records[at * _RECORD_BYTES + ID_BYTES : (at + 1) * _RECORD_BYTES - _PLACE_BYTES]


def _place_of(records: bytearray, at: int) -> int:
    end = (at + 1) * _RECORD_BYTES
    return int.from_bytes(records[end - _PLACE_BYTES : end])


def _equal_ids(records: bytearray) -> Iterator[tuple[int, int]]:
    """Sort `records` where they lie, and give where each run of two and more with the same id begins and ends.

    Sorting and comparing happen in NumPy; only places that are equal to a neighbour come out of it.
    """
    import numpy as np

    # As strings of bytes, for NumPy to order them byte by byte.
    np.frombuffer(records, f"S{_RECORD_BYTES}").sort()
    shape = np.dtype({"names": ["id"], "formats": [f"S{ID_BYTES}"], "itemsize": _RECORD_BYTES})
    ids = np.frombuffer(records, shape)["id"]
    start = end = -1
    for low in range(0, len(ids) - 1, _WINDOW):
        window = ids[low : low + _WINDOW + 1]
        for hit in np.flatnonzero(window[1:] == window[:-1]).tolist():
            if low + hit != end:
                if end > start:
                    yield start, end + 1
                start = low + hit
            end = low + hit + 1
    if end > start:
        yield start, end + 1
