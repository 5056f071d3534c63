"""Copies that the service makes by itself: only where it has proved that they keep to the condition of a put.

Moto ignores that condition on a copy; the proxy before it honours it, or lies.
"""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from eqn.errors import StorageFull, StoreUnavailable
from eqn.store import s3
from eqn.store.doctor import examine, require_sound
from eqn.store.memory import MemoryStore
from eqn.store.s3 import S3Store
from tests.store.faults import (
    conflict,
    copy_checked_too_early,
    copy_of_nothing,
    copy_refused_and_made,
    copy_refused_as,
    error_in_200,
    honoured_copy,
    lost_answer,
    reset,
    slow_down,
)
from tests.store.proxy import Action, Answer, Call, Entry, FaultProxy, failure
from tests.store.servers import Service, fresh_store

SMALL = {"keys": 1, "writers": 2, "listed": 2, "large": 1000}
LARGE = os.urandom(300_000)
COPY = "x-amz-copy-source"


@pytest.fixture
def store(moto_server: Service, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """A store behind the proxy, with two objects in it, whose client gives up early."""
    monkeypatch.setattr(s3, "ATTEMPTS", 2)
    monkeypatch.setattr(s3, "_LONGEST_PAUSE", 0.01)
    store = fresh_store(dataclasses.replace(moto_server, endpoint=proxy.endpoint), monkeypatch)
    store.put("old/part", LARGE)
    store.put("taken", b"other")
    proxy.log.clear()
    return store


@pytest.fixture
def copier(store: S3Store, proxy: FaultProxy) -> S3Store:
    """The store of a service that honours the condition on copies, and has proved it."""
    proxy.add(honoured_copy, header=COPY)
    assert store.fault_of_copies() == ""
    proxy.heal()
    proxy.log.clear()
    return store


def asked(proxy: FaultProxy, key: str) -> list[tuple[str, int | None]]:
    """Give what was asked about a key and told."""
    return [(entry.method, entry.status) for entry in proxy.log if entry.path.endswith(key)]


def sent(log: list[Entry]) -> int:
    return sum(entry.bytes for entry in log)


def everything_in(store: S3Store) -> list[str]:
    return [entry.key for entry in S3Store(store.bucket).objects("")]


def test_a_service_that_can_be_trusted_copies_by_itself(store: S3Store, proxy: FaultProxy) -> None:
    """No bytes of the object pass through this machine, neither for the trial nor for the copies after it."""
    proxy.add(honoured_copy, header=COPY)

    assert store.copy_if_absent("old/part", "new/part +%41")
    assert not store.copy_if_absent("old/part", "new/part +%41")
    assert not store.copy_if_absent("old/part", "taken")

    assert sent(proxy.log) < 50_000 < len(LARGE)
    assert asked(proxy, "old/part") == [("HEAD", 200)] * 3
    assert asked(proxy, "new/part%20%2B%2541") == [("PUT", 200), ("PUT", 412)]
    assert store.get("new/part +%41") == LARGE
    assert store.get("taken") == b"other"


def test_the_trial_is_made_once_and_leaves_nothing(store: S3Store, proxy: FaultProxy) -> None:
    """At the first copy of a store, whichever thread makes it; afterwards a copy is two requests."""
    proxy.add(honoured_copy, header=COPY)
    assert proxy.log == []

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda n: store.copy_if_absent("old/part", f"new/{n % 2}"), range(4)))
    tried = [entry for entry in proxy.log if "_doctor/" in entry.path and entry.method == "DELETE"]
    proxy.log.clear()
    again = store.copy_if_absent("old/part", "new/2")

    assert (sum(told), again) == (2, True)
    assert len(tried) == len({entry.path for entry in tried}) == 6
    assert [entry.method for entry in proxy.log] == ["HEAD", "PUT"]
    assert everything_in(store) == [f"some/prefix/{key}" for key in ("new/0", "new/1", "new/2", "old/part", "taken")]


LIARS: dict[str, tuple[Action, str]] = {
    "moto": (Call.forward, "it ignores If-None-Match on a copy"),
    "claims": (copy_refused_as(200), "it ignores If-None-Match on a copy"),
    "refuses and copies": (copy_refused_and_made, "it ignores If-None-Match on a copy"),
    "two steps": (copy_checked_too_early(), "it checks If-None-Match on a copy and copies in two steps"),
    "304": (copy_refused_as(304), "it does not answer 412 to a copy onto a key that is there"),
    "501": (lambda _: failure(501, "NotImplemented"), "it does not copy to a free key with If-None-Match"),
    "403": (lambda _: failure(403, "AccessDenied"), "it does not copy to a free key with If-None-Match"),
    "always 412": (lambda _: failure(412, "PreconditionFailed"), "it does not copy to a free key with If-None-Match"),
    "error in 200": (error_in_200, "it does not copy to a free key with If-None-Match"),
    "no result": (lambda _: Answer(200, []).resized(b""), "it does not copy to a free key with If-None-Match"),
    "no bytes": (copy_of_nothing, "a copy has other bytes than its source"),
    "no answer": (lost_answer, "the service cannot be reached"),
}


@pytest.mark.parametrize("name", LIARS)
def test_a_service_that_cannot_be_trusted_is_read_and_written(store: S3Store, proxy: FaultProxy, name: str) -> None:
    """The copies are right all the same, a taken key keeps its bytes, and the doctor says why, without a fault."""
    liar, reason = LIARS[name]
    proxy.add(liar, header=COPY)

    assert store.copy_if_absent("old/part", "new/part")
    assert not store.copy_if_absent("old/part", "taken")

    assert asked(proxy, "old/part") == [("GET", 200)] * 2
    assert (store.get("new/part"), store.get("taken")) == (LARGE, b"other")
    assert reason in store.fault_of_copies()
    checks = examine(store, **SMALL)
    require_sound(checks, "s3://here")
    said = next(check.what for check in checks if check.name == "server-side copy")
    assert said == f"Not used, so that what is copied is read and sent again: {store.fault_of_copies()}."
    proxy.heal()
    assert everything_in(store) == [f"some/prefix/{key}" for key in ("new/part", "old/part", "taken")]


def test_the_doctor_says_that_copies_can_be_used(store: S3Store, proxy: FaultProxy) -> None:
    """Its own check of copies then tries those of the service."""
    proxy.add(honoured_copy, header=COPY)
    checks = {check.name: check for check in examine(store, **SMALL)}

    require_sound(list(checks.values()), "s3://here")
    assert checks["server-side copy"].what.startswith("The service copies by itself and refuses a taken key")
    assert [status for method, status in asked(proxy, "copy/taken") if method == "PUT"] == [200, 412]
    assert "no server" in next(
        check.what for check in examine(MemoryStore(), **SMALL) if check.name == "server-side copy"
    )


def test_a_trial_that_cannot_be_cleaned_up_proves_nothing(store: S3Store, proxy: FaultProxy) -> None:
    """What may be left is said by the doctor; copies are made all the same."""
    proxy.add(lambda _: failure(403, "AccessDenied"), method="DELETE")
    proxy.add(honoured_copy, header=COPY)

    assert store.copy_if_absent("old/part", "new/part")
    assert store.fault_of_copies().startswith(f"scratch keys may be left in s3://{store.bucket}/some/prefix/_doctor/")
    assert ("GET", 200) in asked(proxy, "old/part")


def test_scratch_keys_that_cannot_be_written_are_no_hindrance(store: S3Store, proxy: FaultProxy) -> None:
    """Whoever may write a dataset's folder alone can copy as before."""
    proxy.add(lambda _: failure(403, "AccessDenied"), path="_doctor/")

    assert store.copy_if_absent("old/part", "new/part")
    assert "no permission" in store.fault_of_copies()


def test_an_interrupted_trial_is_cleaned_up_and_made_again(
    store: S3Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C is no proof of anything."""

    def interrupted(key: str) -> bytes:
        raise KeyboardInterrupt

    proxy.add(honoured_copy, header=COPY)
    with monkeypatch.context() as now:
        now.setattr(store, "get", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.copy_if_absent("old/part", "new/part")

    assert everything_in(store) == ["some/prefix/old/part", "some/prefix/taken"]
    assert store.fault_of_copies() == ""


def test_a_lost_answer_in_the_trial_is_no_lie(store: S3Store, proxy: FaultProxy) -> None:
    """The copy was made; asked again, the service says that the key is there."""

    def lost(call: Call) -> None:
        honoured_copy(call)

    proxy.add(lost, path="/free", header=COPY, times=1)
    proxy.add(lost, path="/contested-0", header=COPY, times=1)
    proxy.add(honoured_copy, header=COPY)

    assert store.fault_of_copies() == ""


def test_a_lost_answer_is_not_taken_for_a_win(copier: S3Store, proxy: FaultProxy) -> None:
    """As with a put: the copy was made, asked again the service says that the key is there."""
    proxy.add(lost_answer, header=COPY, times=1)
    proxy.add(honoured_copy, header=COPY)

    assert not copier.copy_if_absent("old/part", "new/part")
    assert copier.get("new/part") == LARGE
    assert [status for method, status in asked(proxy, "new/part") if method == "PUT"] == [None, 412]


@pytest.mark.parametrize("fault", [lost_answer, reset, slow_down, error_in_200])
def test_a_fault_that_passes_costs_time_only(copier: S3Store, proxy: FaultProxy, fault: Action) -> None:
    """Bytes are where they should be, and none was read for that."""
    proxy.add(fault, header=COPY, times=1)
    proxy.add(honoured_copy, header=COPY)
    copier.copy_if_absent("old/part", "new/part")

    assert sent(proxy.log) < 5_000
    assert copier.get("new/part") == LARGE


@pytest.mark.parametrize(
    "refusal",
    [
        slow_down,
        conflict,
        error_in_200,
        lambda _: failure(412, "PreconditionFailed"),
        lambda _: failure(403, "AccessDenied"),
        lambda _: failure(400, "InvalidRequest"),
    ],
    ids=["503", "409", "error in 200", "412 for the source", "403", "400"],
)
def test_what_the_service_does_not_copy_is_read_and_written(
    copier: S3Store, proxy: FaultProxy, refusal: Action
) -> None:
    """Such as an object whose tags the user may not read, or that has changed since it was looked at."""
    proxy.add(refusal, header=COPY)

    assert copier.copy_if_absent("old/part", "new/part")
    assert not copier.copy_if_absent("old/part", "taken")
    assert (copier.get("new/part"), copier.get("taken")) == (LARGE, b"other")


def test_a_source_that_changes_meanwhile_is_copied_as_it_is_then(copier: S3Store, proxy: FaultProxy) -> None:
    """The service is asked for the content that was looked at; it says the same as of a taken key."""

    def changed_afterwards(call: Call) -> Answer:
        answer = call.forward()
        copier.put("old/part", b"changed")
        return answer

    proxy.add(changed_afterwards, method="HEAD", path="old/part", times=1)
    proxy.add(honoured_copy, header=COPY)

    assert copier.copy_if_absent("old/part", "new/part")
    assert copier.get("new/part") == b"changed"
    assert [status for method, status in asked(proxy, "new/part") if method == "PUT"] == [412, 200]


def test_what_is_too_large_for_one_copy_is_read_and_written(
    copier: S3Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service is not even asked."""
    monkeypatch.setattr(s3, "LARGEST_COPY", len(LARGE) - 1)
    assert copier.copy_if_absent("old/part", "new/part")
    assert copier.copy_if_absent("taken", "new/small")

    assert asked(proxy, "old/part") == [("HEAD", 200), ("GET", 200)]
    assert asked(proxy, "taken") == [("HEAD", 200)]
    assert copier.get("new/part") == LARGE


def test_a_missing_source_and_a_copy_onto_itself_are_as_ever(copier: S3Store, proxy: FaultProxy) -> None:
    proxy.add(honoured_copy, header=COPY)

    assert not copier.copy_if_absent("taken", "taken")
    with pytest.raises(KeyError):
        copier.copy_if_absent("missing", "new/part")
    with pytest.raises(KeyError):
        copier.copy_if_absent("missing", "missing")
    assert (copier.get("taken"), copier.exists("new/part")) == (b"other", False)


def test_a_copy_with_other_bytes_is_told(copier: S3Store, proxy: FaultProxy) -> None:
    """The service states the MD5 of what it made, unless it encrypts with keys of its own."""

    def damaged(call: Call, *headers: tuple[str, str]) -> Answer:
        answer = call.forward()
        body = b'<CopyObjectResult><ETag>"00000000000000000000000000000000"</ETag></CopyObjectResult>'
        return answer._replace(headers=[*answer.headers, *headers]).resized(body)

    proxy.add(damaged, header=COPY, times=1)
    with pytest.raises(StoreUnavailable, match="new/part to hold the bytes that it was given"):
        copier.copy_if_absent("old/part", "new/part")

    proxy.add(lambda call: damaged(call, ("x-amz-server-side-encryption", "aws:kms")), header=COPY)
    assert copier.copy_if_absent("old/part", "new/encrypted")


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (reset, StoreUnavailable, "cannot be reached"),
        (slow_down, StoreUnavailable, "overloaded or broken"),
        (lambda _: failure(403, "ExpiredToken"), StoreUnavailable, "no longer valid"),
        (lambda _: failure(507, "InsufficientStorage"), StorageFull, "storage is full"),
    ],
)
def test_a_store_that_goes_away_is_told_in_a_sentence(
    copier: S3Store, proxy: FaultProxy, fault: Action, kind: type[Exception], said: str
) -> None:
    """In the words that every other method has for it."""
    proxy.add(fault)

    with pytest.raises(kind, match=said):
        copier.copy_if_absent("old/part", "new/part")


@pytest.mark.stack
def test_ceph_is_copied_rightly(ceph_server: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it makes copies by itself, which its version decides, or not."""
    store = fresh_store(ceph_server, monkeypatch)
    store.put("old/part", LARGE)
    store.put("taken", b"other")

    assert [store.copy_if_absent("old/part", key) for key in ("new/part", "new/part", "taken")] == [True, False, False]
    assert (store.get("new/part"), store.get("taken")) == (LARGE, b"other")
    assert sorted(store.list("")) == ["new/part", "old/part", "taken"]
