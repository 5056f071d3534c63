"""Ids that stand in several files of a release: how many there are is known; here is found which, in fixed memory.

Of each id 8 bytes of its digest are noted, as long as these lie below a limit that is halved whenever too many do. So
what is looked at is every id of a small release, and a fair sample of a large one's.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from eqn.corpus.identity import KEY_BYTES, id_digest, repeated

MOST_NOTED = 1 << 20
"""Ids that are noted at a time, 8 bytes each."""


class Meetings:
    """Notes the ids of one file after the other; within a file, ids are unique."""

    def __init__(self, most: int = MOST_NOTED) -> None:
        self._most, self._shift = most, 0
        self._keys = np.empty(0, dtype=np.uint64)

    @property
    def share(self) -> float:
        """The share of all ids that is looked at, in (0, 1]."""
        return 0.5**self._shift

    def note(self, identifiers: Iterable[str]) -> None:
        """Note ids of one part."""
        keys = np.frombuffer(b"".join(id_digest(one)[:KEY_BYTES] for one in identifiers), dtype=np.uint64)
        self._keys = np.concatenate([self._keys, keys[self._is_looked_at(keys)]])
        while len(self._keys) > self._most:
            self._shift += 1
            self._keys = self._keys[self._is_looked_at(self._keys)]

    def keys(self, most: int) -> set[bytes]:
        """Give the keys of some ids that were noted more than once, at most so many."""
        found = repeated(bytearray(self._keys.tobytes()))
        return {found[at : at + KEY_BYTES] for at in range(0, min(len(found), most * KEY_BYTES), KEY_BYTES)}

    def _is_looked_at(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        return (keys >> np.uint64(64 - self._shift)) == 0 if self._shift else np.ones(len(keys), dtype=np.bool_)


@dataclasses.dataclass(frozen=True, slots=True)
class SharedId:
    """An id that stands in several files."""

    id: str
    files: tuple[str, ...]


class Owners:
    """Looks up, for keys of ids, the ids and the files that they stand in."""

    def __init__(self, keys: set[bytes]) -> None:
        self._keys = keys
        self._files: dict[str, dict[str, None]] = {}

    def note(self, file: str, identifiers: Iterable[str]) -> None:
        """Look through the ids of one part of `file`."""
        for one in identifiers:
            if id_digest(one)[:KEY_BYTES] in self._keys:
                self._files.setdefault(one, {})[file] = None

    def shared(self) -> list[SharedId]:
        """Give those that stand in several files, in order of their first appearance."""
        return [SharedId(one, tuple(files)) for one, files in self._files.items() if len(files) > 1]
