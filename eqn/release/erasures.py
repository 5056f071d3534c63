"""The records of what was erased: <dataset>/erasures/<k>.json, numbered from 1 on, written once and never changed.

Neither ids nor texts stand in them, only their sha256: enough to know a row again, whatever file it comes in. Whoever
can guess an id or a text can find out by its digest whether it was erased, and short ids, such as numbers, are soon
guessed. So the records are for the same eyes as the data.
"""

import dataclasses
import json
import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from eqn import __version__
from eqn.corpus.erased import ErasureList
from eqn.errors import ArtifactRefused
from eqn.store.interface import ObjectStore

_FORMAT = 1
_RECORD = re.compile(r"([1-9][0-9]*)\.json")
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One order to erase rows."""

    ids: tuple[str, ...]
    """sha256 of each id in UTF-8, in hex, sorted."""
    texts: tuple[str, ...]
    """sha256 of each text in UTF-8, in hex, sorted."""
    when: str
    """ISO 8601 in UTC."""
    by: str
    """Who ordered it."""
    reason: str
    """In their words; may be empty."""
    eqn_version: str = __version__
    attempt: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    """Tells one's own record from a rival's where the answer to a write got lost."""

    def to_bytes(self) -> bytes:
        """Give the record as it is stored."""
        facts = {"format": _FORMAT} | dataclasses.asdict(self)
        return (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str) -> "Erasure":
        """Read a record; `where` is for the message.

        Raises:
            ArtifactRefused: it is none.

        """
        try:
            facts = json.loads(content)
            form = facts.pop("format")
            record = cls(**facts | {"ids": tuple(facts["ids"]), "texts": tuple(facts["texts"])})
            record.check(form)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ArtifactRefused(
                f"expected the record of an erasure in {where}; it cannot be read: {error}",
                todo="Restore the file, or upgrade EQN: without it nobody knows which rows must stay out.",
            ) from error
        return record

    def check(self, form: object) -> None:
        """Raise ValueError where it is of an unknown format, or holds something else than digests."""
        if form != _FORMAT:
            raise ValueError(f"its format is {form!r}")
        if not all(_DIGEST.fullmatch(digest) for digest in (*self.ids, *self.texts)):
            raise ValueError("it holds something else than digests")


def new_erasure(erasures: ErasureList, *, by: str, reason: str) -> Erasure:
    """Make the record of what is ordered now."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    ids, texts = tuple(sorted(erasures.ids)), tuple(sorted(erasures.texts))
    return Erasure(ids=ids, texts=texts, when=when, by=by, reason=reason)


def erasure_key(dataset: str, number: int) -> str:
    """Give the key of record `number`."""
    return f"{dataset}/erasures/{number}.json"


def newest_erasure(store: ObjectStore, dataset: str) -> int:
    """Give the number of the newest record; 0 when there is none."""
    folder = f"{dataset}/erasures"
    names = (_RECORD.fullmatch(key.removeprefix(f"{folder}/")) for key in store.list(folder))
    return max((int(name[1]) for name in names if name), default=0)


def read_erasures(store: ObjectStore, dataset: str) -> list[Erasure]:
    """Give all records, the first one first.

    Raises:
        ArtifactRefused: one cannot be read, or is gone.

    """
    records = []
    for number in range(1, newest_erasure(store, dataset) + 1):
        key = erasure_key(dataset, number)
        try:
            content = store.get(key)
        except KeyError:
            content = b""
        records.append(Erasure.from_bytes(content, where=store.address(key)))
    return records


def list_of(records: Sequence[Erasure]) -> ErasureList:
    """Give all that is erased by `records`, the first ones of a dataset."""
    ids: dict[str, int] = {}
    texts: dict[str, int] = {}
    for number, record in enumerate(records, 1):
        for digest in record.ids:
            ids.setdefault(digest, number)
        for digest in record.texts:
            texts.setdefault(digest, number)
    return ErasureList(ids, texts)


def write_erasure(store: ObjectStore, dataset: str, record: Erasure) -> int:
    """Write a record under the next free number, and give that."""
    content = record.to_bytes()
    while True:
        number = newest_erasure(store, dataset) + 1
        key = erasure_key(dataset, number)
        # False may also mean that the answer to one's own write got lost.
        if store.put_if_absent(key, content) or store.get(key) == content:
            return number
