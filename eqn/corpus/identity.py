"""Ids: which rows of a file repeat or contradict an earlier id, and which ids rows get where the file has none.

A scan notes every row that is good by itself and then knows the repeats; a second pass over the same file asks for
each of these rows, in the same order, and gets its id or its fault. Between them stands `Identity`, a few bytes a row
at most: rows are compared by digests (16 bytes of an id, 8 of a text), which are sorted, not kept in a hash table.
"""

import dataclasses
import hashlib
from collections.abc import Iterator

from eqn.corpus.contract import Reason
from eqn.corpus.rows import Fault

_KEPT, _REPEATED, _CONFLICTING = range(3)
_FAULTS = {
    _REPEATED: Fault(Reason.REPEATED_ROW, "the same id with the same text stood earlier in the file"),
    _CONFLICTING: Fault(Reason.CONFLICTING_ID, "the same id stands in the file with another text"),
}
_NO_ID = Fault(Reason.MISSING_ID, "the file has ids, and this row's is empty, null or absent")

_ID_BYTES = 16
_TEXT_BYTES = 8
_WINDOW = 1 << 16


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """What a scan learnt about the ids of a file."""

    given: bool
    """Whether the file has ids."""
    verdicts: bytes = dataclasses.field(default=b"", repr=False)
    """With ids: one byte for each row that is good by itself, or nothing when all ids differ."""
    repeated: bytes = dataclasses.field(default=b"", repr=False)
    """Without ids: the 8-byte digests of the texts that occur more than once."""


class IdentityScan:
    """Notes the rows of one file that are good by themselves."""

    def __init__(self) -> None:
        self.missing = 0
        """Rows without an id in a file that has ids."""
        self.noted = 0
        """Rows that took part, the missing ones left out."""
        self._given = False
        self._ids = bytearray()
        self._texts = bytearray()

    def note(self, identifier: str | None, text: str, *, given: bool) -> None:
        """Note one row; `given` tells whether the file has shown any id up to it."""
        if given and not self._given:
            # jsonl: the first id of the file makes all rows before it rows that lack theirs.
            self._given, self.missing, self.noted = True, self.noted, 0
            self._texts.clear()
        if identifier is not None:
            self.noted += 1
            self._ids += hashlib.blake2b(identifier.encode(), digest_size=_ID_BYTES).digest()
            self._texts += hashlib.blake2b(text.encode(), digest_size=_TEXT_BYTES).digest()
        elif given:
            self.missing += 1
        else:
            self.noted += 1
            self._texts += _text_key(text)

    def finish(self, *, given: bool) -> Identity:
        """Decide about all rows that were noted."""
        if given and not self._given:
            self.missing, self.noted = self.noted, 0
            return Identity(given=True)
        if given:
            return Identity(given=True, verdicts=_verdicts(self._ids, self._texts))
        firsts = (run[0] * _TEXT_BYTES for run in _equal_runs(self._texts, _TEXT_BYTES))
        return Identity(given=False, repeated=b"".join(self._texts[at : at + _TEXT_BYTES] for at in firsts))


class IdentityGiver:
    """Gives each row its id in a second pass over the file."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._asked = 0
        keys = identity.repeated
        self._occurrences = {keys[at : at + _TEXT_BYTES]: 0 for at in range(0, len(keys), _TEXT_BYTES)}

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
        occurrence = 1
        if key in self._occurrences:
            occurrence = self._occurrences[key] = self._occurrences[key] + 1
        return f"{key.hex()}-{occurrence}"


def duplicates(identity: Identity) -> dict[Reason, int]:
    """Count the rows that are quarantined because of their id."""
    counts = {fault.reason: identity.verdicts.count(verdict) for verdict, fault in _FAULTS.items()}
    return {reason: count for reason, count in counts.items() if count}


def _text_key(text: str) -> bytes:
    # Its 16 hex digits are the first part of the id that the contract promises.
    return hashlib.sha256(text.encode()).digest()[:_TEXT_BYTES]


def _verdicts(ids: bytearray, texts: bytearray) -> bytes:
    verdicts = bytearray()
    for run in _equal_runs(ids, _ID_BYTES):
        verdicts = verdicts or bytearray(len(ids) // _ID_BYTES)
        first = min(run)
        expected = texts[first * _TEXT_BYTES : (first + 1) * _TEXT_BYTES]
        same = all(texts[place * _TEXT_BYTES : (place + 1) * _TEXT_BYTES] == expected for place in run)
        for place in run:
            verdicts[place] = _REPEATED if same else _CONFLICTING
        if same:
            verdicts[first] = _KEPT
    return bytes(verdicts)


def _equal_runs(keys: bytearray, width: int) -> Iterator[memoryview]:
    """Give the places of equal keys, one group after the other, only groups of two and more.

    Sorting and comparing happen in Arrow; only places that are equal to a neighbour come out of it.
    """
    import pyarrow as pa
    from pyarrow import compute

    count = len(keys) // width
    if count < 2:
        return
    array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), count, [None, pa.py_buffer(keys)])
    order = compute.array_sort_indices(array)
    places = memoryview(order.buffers()[1]).cast("Q")[:count]
    start = end = -1
    for low in range(0, count - 1, _WINDOW):
        window = array.take(order.slice(low, _WINDOW + 1))
        same = compute.equal(window.slice(1), window.slice(0, len(window) - 1))
        for hit in compute.indices_nonzero(same).to_pylist():
            if low + hit != end:
                if end > start:
                    yield places[start : end + 1]
                start = low + hit
            end = low + hit + 1
    if end > start:
        yield places[start : end + 1]
