"""The doctor accepts stores that keep their promises and refuses those that lie, with the reason."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from eqn.errors import StoreUnavailable
from eqn.store import s3
from eqn.store.directory import DirectoryStore
from eqn.store.doctor import Check, examine, require_sound
from eqn.store.interface import ObjectStore
from eqn.store.memory import MemoryStore
from eqn.store.s3 import S3Store
from tests.faults.promises import Trials
from tests.store import faults
from tests.store.proxy import Action, FaultProxy
from tests.store.servers import Service, fresh_store

SMALL = {"keys": 3, "writers": 4, "listed": 10, "large": 100_000}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that stays is not waited for."""
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    monkeypatch.setattr(s3, "_READS", 1)
    monkeypatch.setattr(s3, "_WRITES", 1)


@pytest.fixture
def liar(proxy: FaultProxy, moto_server: Service, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """A store on moto behind the proxy, which a rule makes a liar."""
    return fresh_store(Service(proxy.endpoint, moto_server.access_key, moto_server.secret_key), monkeypatch)


def faults_of(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.what for check in checks if not check.passed}


def everything_in(store: S3Store) -> list[str]:
    with store._client("") as client:
        found = client.list_objects_v2(Bucket=store.bucket)
    return [entry["Key"] for entry in found.get("Contents", [])]


@pytest.mark.promise(18)
@pytest.mark.parametrize("kind", ["directory", "memory", "moto"])
def test_a_store_that_keeps_its_promises_is_accepted(kind: str, moto_store: S3Store, tmp_path: Path) -> None:
    """Every check passes, what was there stays, and no scratch key, nor an empty folder of it, is left."""
    kinds: dict[str, ObjectStore] = {"directory": DirectoryStore(tmp_path), "memory": MemoryStore(), "moto": moto_store}
    store = kinds[kind]
    store.put("letters/releases/1.json", b"{}")

    checks = examine(store, **SMALL)
    require_sound(checks, kind)

    assert faults_of(checks) == {}
    assert [check.name for check in checks] == [
        *("one winner", "existing key", "read after write", "read after overwrite", "read after delete", "listing"),
        *("folders", "copy", "server-side copy", "every byte", "odd keys", "large object", "clean up"),
    ]
    assert list(store.list("_doctor")) == []
    assert list(store.folders()) == ["letters"]


@pytest.mark.promise(18)
@pytest.mark.faults
@pytest.mark.parametrize("kind", ["directory", "moto", pytest.param("ceph", marks=pytest.mark.stack)])
def test_a_sound_store_is_accepted_after_a_whole_examination(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As `eqn store doctor` makes it: 100 keys, 8 writers at once, listings of several pages, a large object."""
    store: ObjectStore = DirectoryStore(tmp_path)
    if kind != "directory":
        store = fresh_store(request.getfixturevalue(f"{kind}_server"), monkeypatch)

    assert faults_of(examine(store)) == {}


@pytest.mark.promise(18)
@pytest.mark.stack
def test_ceph_is_accepted(ceph_server: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """With listings of more than one page."""
    store = fresh_store(ceph_server, monkeypatch)

    assert faults_of(examine(store, **SMALL | {"writers": 8, "listed": 1010})) == {}
    assert everything_in(store) == []


IGNORES = "the store ignores If-None-Match, so releases on it could overwrite each other"
CLAIMS = "the store reports writes that it did not do, so a release could be called published that is not"
BOTH = "Two writers of one key were both told that they wrote it "
AGAIN = "A key that was there was written again: "

LIARS: list[tuple[Action, dict[str, str]]] = [
    (faults.ignored_condition, {"one winner": f"{BOTH}.*: {IGNORES}", "existing key": AGAIN + IGNORES}),
    (faults.refused_then_overwritten, {"one winner": f"{BOTH}.*: {IGNORES}", "existing key": AGAIN + IGNORES}),
    (faults.refused_as_200, {"one winner": f"{BOTH}.*: {CLAIMS}", "existing key": AGAIN + CLAIMS}),
    (faults.refused_as_304, {"one winner": "HTTP status 304", "existing key": "HTTP status 304"}),
    (faults.check_then_write(), {"one winner": f"{BOTH}.*: the store checks and writes in two steps"}),
    (faults.stale_reads(1, after="PUT", known=False), {"read after write": "new/., just written, is not there"}),
    (faults.stale_reads(1, after="PUT", known=True), {"read after overwrite": "just overwritten, has .* instead of"}),
    (faults.stale_reads(1, after="DELETE"), {"read after delete": "A deleted key is still there"}),
    (
        faults.hidden_from_lists(1),
        {
            "read after write": "new/. is not there after it was written",
            "listing": "A listing after writes lacks 10 of 10 names, such as 'listing/0/0'",
        },
    ),
    (
        faults.flipped_get,
        {"every byte": "not those of its ETag", "large object": "100,000 bytes came that are not"},
    ),
    (
        faults.truncated_get,
        {"every byte": "not those of its ETag", "large object": "50,000 bytes came that are not"},
    ),
    (faults.interrupted_get, {"large object": "the transfer broke off after"}),
    (faults.flipped_put, {"every byte": "the service stored others", "large object": "the service stored others"}),
]
WHEN: dict[Action, dict[str, str]] = {
    **{action: {"header": "If-None-Match"} for action, _ in LIARS[:5]},
    faults.flipped_put: {"method": "PUT"},
}


@pytest.mark.promise(18)
@pytest.mark.parametrize(("action", "reasons"), LIARS)
def test_a_liar_is_refused_with_the_reason(
    liar: S3Store, proxy: FaultProxy, action: Action, reasons: dict[str, str], trials: Trials
) -> None:
    """All checks are made, and the scratch keys are gone, also those that no listing shows."""
    proxy.add(action, **WHEN.get(action, {}))

    checks = examine(liar, **SMALL)
    said = faults_of(checks)
    with pytest.raises(StoreUnavailable) as refused:
        require_sound(checks, "s3://here")

    assert [check for check, reason in reasons.items() if not re.search(reason, said.get(check, ""))] == []
    assert refused.value.what == f"expected s3://here to keep what releases rest on; {len(said)} of 13 checks failed."
    assert refused.value.faults == tuple(f"{check}: {what}" for check, what in said.items())
    proxy.heal()
    assert everything_in(liar) == []
    trials(1, "examinations of liars of each kind", store="moto")


@pytest.mark.promise(18)
@pytest.mark.faults
@pytest.mark.parametrize(("action", "reasons"), LIARS[:5], ids=[action.__name__ for action, _ in LIARS[:5]])
def test_no_liar_about_conditions_slips_through(
    liar: S3Store, proxy: FaultProxy, action: Action, reasons: dict[str, str], trials: Trials
) -> None:
    """Not even the one that is right for a single writer."""
    proxy.add(action, header="If-None-Match")
    for trial in range(20):
        # A quarter of the keys that `eqn store doctor` lets people race for: on a busy machine three may not meet.
        said = faults_of(examine(S3Store(liar.bucket, f"trial-{trial}"), **SMALL | {"keys": 25, "writers": 8}))
        assert re.search(reasons["one winner"], said["one winner"])
    trials(20, "examinations of liars about conditions", store="moto")


class OnePage(MemoryStore):
    """Forgets to ask for the second page of a listing."""

    def list(self, prefix: str) -> Iterator[str]:
        yield from itertools.islice(super().list(prefix), 1000)


class Neighbours(MemoryStore):
    """Lists what starts with the same letters."""

    def list(self, prefix: str) -> Iterator[str]:
        yield from sorted(key for key in self._content if key.startswith(prefix))


class Unsorted(MemoryStore):
    def list(self, prefix: str) -> Iterator[str]:
        yield from reversed(list(super().list(prefix)))


class FilesAsFolders(MemoryStore):
    def folders(self, prefix: str = "") -> Iterator[str]:
        yield from sorted({key.removeprefix(f"{prefix}/").partition("/")[0] for key in self.list(prefix)})


class CopiesNothing(MemoryStore):
    def copy_if_absent(self, source: str, key: str) -> bool:
        return self.put_if_absent(key, self._content.get(source, b""))


class CopiesOver(MemoryStore):
    def copy_if_absent(self, source: str, key: str) -> bool:
        self.put(key, self.get(source))
        return True


class FindsNoSource(MemoryStore):
    def copy_if_absent(self, source: str, key: str) -> bool:
        raise KeyError(source)


class Decodes(MemoryStore):
    """Takes a plus sign in a key for a space."""

    def put(self, key: str, content: bytes) -> None:
        super().put(key.replace("+", " "), content)


class TextMode(MemoryStore):
    def put(self, key: str, content: bytes) -> None:
        super().put(key, content.replace(b"\r\n", b"\n"))


class Forgets(MemoryStore):
    """Keeps no more than a part of a large object."""

    def put(self, key: str, content: bytes) -> None:
        super().put(key, content[: 1 << 16])


class NeverWins(MemoryStore):
    def put_if_absent(self, key: str, content: bytes) -> bool:
        super().put_if_absent(key, content)
        return False


class WritesNothing(MemoryStore):
    def put_if_absent(self, key: str, content: bytes) -> bool:
        return False


class OverwritesAndRefuses(MemoryStore):
    def put_if_absent(self, key: str, content: bytes) -> bool:
        written = super().put_if_absent(key, content)
        self.put(key, content)
        return written


class Undead(MemoryStore):
    def delete(self, key: str) -> None:
        """Delete nothing."""


@pytest.mark.parametrize(
    ("store", "check", "reason"),
    [
        (OnePage(), "listing", "lacks 100 of 1100 names"),
        (Neighbours(), "listing", "has 1 names that are not there, such as 'listing-of-others/1'"),
        (Unsorted(), "listing", "is not sorted"),
        (FilesAsFolders(), "folders", "has 1 names that are not there, such as 'file'"),
        (CopiesNothing(), "copy", "A key that is not there could be copied"),
        (CopiesOver(), "copy", "A copy to a key that was taken said otherwise"),
        (FindsNoSource(), "copy", "A key that was there was not found for a copy"),
        (Decodes(), "odd keys", re.escape("percent%41%2Bpercent' is not there")),
        (TextMode(), "every byte", "line ends has 4 bytes instead of 5"),
        (Forgets(), "large object", "has 65,536 bytes instead of 100,000"),
        (NeverWins(), "one winner", "Not one writer of a new key was told that it wrote it"),
        (WritesNothing(), "one winner", re.escape("Nothing was there after all had written (3 of 3 keys)")),
        (OverwritesAndRefuses(), "existing key", "the store changes keys in a write that it refuses"),
        (Undead(), "read after delete", "A deleted key is still there"),
        (Undead(), "clean up", r"deleted scratch keys are still listed in memory://_doctor/\w{16}\."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, MemoryStore) else "",
)
def test_a_broken_store_is_refused_with_the_reason(store: MemoryStore, check: str, reason: str) -> None:
    """Faults of stores that no proxy plays: each is the twin in memory with one promise broken."""
    assert re.search(reason, faults_of(examine(store, **SMALL | {"listed": 1100}))[check])


def test_many_faults_of_one_kind_are_counted(liar: S3Store, proxy: FaultProxy) -> None:
    proxy.add(faults.stale_reads(1, after="PUT", known=False))

    said = faults_of(examine(liar, **SMALL | {"keys": 5}))["read after write"]

    assert len(re.findall(r"is not there\.", said)) == 3
    assert said.endswith("There are 2 more faults of this kind.")


def test_a_lost_answer_is_no_lie(liar: S3Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer whose answer is lost meets its own bytes when it asks again: it is told False, as nobody else won."""
    monkeypatch.setattr(s3, "ATTEMPTS", 3)
    lost = proxy.add(faults.lost_answer, path="race/", header="If-None-Match", times=2)

    assert faults_of(examine(S3Store(liar.bucket), **SMALL)) == {}
    assert lost.fired == 2


def test_what_is_tried_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    checks = examine(DirectoryStore(tmp_path), **SMALL, report=told.append)

    assert told == [f"trying: {check.name} ..." for check in checks]


def test_a_store_that_goes_away_is_unavailable(liar: S3Store, proxy: FaultProxy) -> None:
    """There is no list of checks then; what may be left behind is told."""
    proxy.add(faults.unknown_outcome, path="listing/3")
    told: list[str] = []

    with pytest.raises(StoreUnavailable, match="overloaded or broken"):
        examine(liar, **SMALL, report=told.append)
    assert told[-2] == "trying: listing ..."
    assert re.match(r"Scratch keys may be left in s3://\S+/_doctor/\w{16}: expected to use s3://", told[-1])


def test_nothing_is_left_when_the_examination_breaks_off(moto_store: S3Store) -> None:
    """As Ctrl-C does, in the middle."""

    def interrupt(told: str) -> None:
        if "odd keys" in told:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(moto_store, **SMALL, report=interrupt)
    assert everything_in(moto_store) == []


def test_who_may_not_write_learns_that_alone(liar: S3Store, proxy: FaultProxy) -> None:
    """A store that refuses every write, or that is not there, has no list of faults."""
    proxy.add(lambda _: faults.failure(403, "AccessDenied"), method="PUT")
    with pytest.raises(StoreUnavailable, match="no permission"):
        examine(liar, **SMALL)

    with pytest.raises(StoreUnavailable, match="no bucket"):
        examine(S3Store("missing"), **SMALL)
