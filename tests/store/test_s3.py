"""The S3 store between real servers and a proxy that loses answers, fails and lies."""

import dataclasses
import hashlib
import os
import re
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.retries.standard import ExponentialBackoff

from eqn.errors import EqnError, StorageFull, StoreUnavailable, UsageError
from eqn.store import s3
from eqn.store.s3 import S3Store, StoredObject
from tests.faults.promises import Trials
from tests.store.faults import (
    conflict,
    error_in_200,
    flipped_get,
    flipped_put,
    honoured_copy,
    interrupted_get,
    lost_answer,
    reset,
    silence,
    slow_down,
    truncated_get,
)
from tests.store.proxy import Action, Answer, Call, FaultProxy, failure
from tests.store.servers import Service, fresh_store, point_to

CANARY = "canary-of-the-secret-key"


@pytest.fixture
def store(moto_server: Service, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """A store in a new bucket of moto's server, behind the proxy, whose client gives up early."""
    monkeypatch.setattr(s3, "ATTEMPTS", 2)
    monkeypatch.setattr(s3, "_LONGEST_PAUSE", 0.01)
    through = dataclasses.replace(moto_server, endpoint=proxy.endpoint, secret_key=CANARY)
    store = fresh_store(through, monkeypatch)
    proxy.log.clear()
    return store


def methods(store: S3Store) -> dict[str, Callable[[], object]]:
    """Give a call of every method that asks the service."""
    return {
        "put": lambda: store.put("a/b", b"x"),
        "put_if_absent": lambda: store.put_if_absent("a/b", b"x"),
        "get": lambda: store.get("a/b"),
        "exists": lambda: store.exists("a/b"),
        "list": lambda: list(store.list("a")),
        "folders": lambda: list(store.folders()),
        "copy_if_absent": lambda: store.copy_if_absent("a/b", "c"),
        "delete": lambda: store.delete("a/b"),
    }


def refusals(store: S3Store) -> dict[str, EqnError]:
    """Call every method and give the errors: each one sentence, with what to do, and without the secret."""
    errors: dict[str, EqnError] = {}
    for name, call in methods(store).items():
        with pytest.raises(EqnError) as refused:
            call()
        errors[name] = error = refused.value
        assert re.fullmatch(r"expected [^\n]+\.", error.what)
        assert error.todo
        assert CANARY not in f"{error}{store!r}"
    return errors


def test_a_lost_answer_is_not_taken_for_a_win(store: S3Store, proxy: FaultProxy) -> None:
    """The write was applied and its answer lost: the client asks again, so it cannot know who was first."""
    proxy.add(lost_answer, method="PUT", times=1)

    assert not store.put_if_absent("releases/1.json", b"mine")
    assert store.get("releases/1.json") == b"mine"
    assert [entry.status for entry in proxy.log if entry.method == "PUT"] == [None, 412]


@pytest.mark.parametrize("fault", [lost_answer, reset, slow_down, conflict])
def test_a_fault_that_passes_costs_time_only(store: S3Store, proxy: FaultProxy, fault: Action) -> None:
    """Plain writes and reads are simply made again."""
    proxy.add(fault, method="PUT", times=1)
    store.put("key", b"bytes")
    if fault is not conflict:
        proxy.add(fault, method="GET", times=1)

    assert store.get("key") == b"bytes"


def test_conflicting_writes_are_tried_again(store: S3Store, proxy: FaultProxy) -> None:
    """409 says neither yes nor no."""
    proxy.add(conflict, header="If-None-Match", times=3)

    assert store.put_if_absent("key", b"first")
    assert not store.put_if_absent("key", b"second")


def test_conflicts_without_end_are_given_up(store: S3Store, proxy: FaultProxy) -> None:
    """Nobody is told False whose write was never judged."""
    proxy.add(conflict, header="If-None-Match")

    with pytest.raises(StoreUnavailable, match="others wrote the same key"):
        store.put_if_absent("key", b"first")


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (failure(403, "InvalidAccessKeyId"), StoreUnavailable, "does not know the access key"),
        (failure(403, "SignatureDoesNotMatch"), StoreUnavailable, "secret key does not belong"),
        (failure(403, "AccessDenied"), StoreUnavailable, "no permission"),
        (failure(403, "SomethingNew"), StoreUnavailable, "no permission"),
        (failure(400, "ExpiredToken"), StoreUnavailable, "no longer valid"),
        (failure(403, "RequestTimeTooSkewed"), StoreUnavailable, "clock"),
        (failure(404, "NoSuchBucket"), StoreUnavailable, "there is no bucket"),
        (failure(400, "AuthorizationHeaderMalformed"), StoreUnavailable, "another region"),
        (failure(503, "SlowDown"), StoreUnavailable, "overloaded or broken"),
        (failure(500, "InternalError"), StoreUnavailable, "overloaded or broken"),
        (failure(501, "NotImplemented"), StoreUnavailable, "lacks"),
        (failure(418, "Teapot"), StoreUnavailable, "Teapot"),
        (failure(507, "InsufficientStorage"), StorageFull, "storage is full"),
        (failure(403, "QuotaExceeded"), StorageFull, "storage is full"),
        (failure(400, "InvalidBucketName"), UsageError, "bucket's name"),
    ],
)
def test_what_the_service_answers_is_told_in_a_sentence(
    store: S3Store,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    kind: type[EqnError],
    said: str,
) -> None:
    """Every method gives the same class and reason, and names the place."""
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    proxy.add(lambda _: answer)

    for error in refusals(S3Store(store.bucket)).values():
        assert type(error) is kind
        assert said in str(error)
        assert store.bucket in str(error)


def test_an_answer_that_is_not_s3s_is_told(store: S3Store, proxy: FaultProxy) -> None:
    """Any web server may stand at a wrong address."""
    page = b"<html>Welcome!</html>"
    proxy.add(lambda _: Answer(200, [("Content-Type", "text/html")]).resized(page), method="GET")
    proxy.add(lambda _: Answer(200, [("Content-Type", "text/html")]).resized(page), method="PUT")

    for name, call in methods(store).items():
        if name != "delete":
            with pytest.raises(StoreUnavailable):
                call()


ERRORS = ("InternalError", "SlowDown", "NoSuchUpload", "ServiceUnavailable")
CALLS = (
    *("put", "put_if_absent", "get", "exists", "list", "folders", "copy_if_absent", "delete", "find", "objects"),
    *("age", "download"),
)


@pytest.mark.promise(17)
@pytest.mark.parametrize("name", CALLS)
def test_an_error_within_a_success_is_an_error(
    store: S3Store,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    trials: Trials,
) -> None:
    """A service may start its answer with 200 and fail afterwards: no call takes that for a success."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)
    calls = methods(store) | {
        "find": lambda: store.find("a/b"),
        "objects": lambda: store.objects("a"),
        "age": lambda: store.age("a/b"),
        "download": lambda: store.download("a/b", tmp_path / "file"),
    }
    assert set(calls) == set(CALLS)
    taken = name != "put_if_absent"  # else it would be refused before anything goes wrong
    before = ["a/b"] if taken else []
    if taken:
        store.put("a/b", b"old")
    for trial in range(20):
        etag = [("ETag", f'"{hashlib.md5(b"x", usedforsecurity=False).hexdigest()}"')] * (trial % 2)
        answer = failure(200, ERRORS[trial % len(ERRORS)])
        proxy.add(lambda _, answer=answer, etag=etag: answer._replace(headers=[*answer.headers, *etag]))
        with pytest.raises(StoreUnavailable):
            calls[name]()
        proxy.heal()
        assert list(store.list("")) == before
        assert not taken or store.get("a/b") == b"old"
    trials(20, "calls answered by 200 with an error inside", store="moto")


@pytest.mark.promise(17)
def test_an_error_within_the_success_of_a_copy_is_an_error(
    store: S3Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, trials: Trials
) -> None:
    """A service that has proved that it copies, and fails within its 200 then: the bytes are put instead."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)
    store.put("a/b", b"old")
    proxy.add(honoured_copy, header="x-amz-copy-source")
    assert store.fault_of_copies() == ""
    proxy.heal()
    for trial in range(20):
        proxy.add(lambda _, n=trial: failure(200, ERRORS[n % len(ERRORS)]), header="x-amz-copy-source")
        proxy.log.clear()
        assert store.copy_if_absent("a/b", f"copies/{trial}")
        assert [entry.status for entry in proxy.log if entry.done != "forward"] == [200] * s3.ATTEMPTS
        proxy.heal()
        assert store.get(f"copies/{trial}") == b"old"
    trials(20, "calls answered by 200 with an error inside", store="moto")


def test_a_missing_bucket_is_never_an_empty_store(moto_server: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader is not told that nothing was published where the address is wrong, but how to make the bucket."""
    point_to(moto_server, monkeypatch)

    errors = refusals(S3Store("nowhere", "prefix"))

    assert {type(error) for error in errors.values()} == {StoreUnavailable}
    assert all("there is no bucket 'nowhere'" in str(error) for error in errors.values())
    assert all("aws s3 mb s3://nowhere" in error.todo for error in errors.values())


@pytest.fixture
def closed(moto_server: Service, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where nobody listens; the environment points there."""
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    point_to(dataclasses.replace(moto_server, endpoint=f"http://{host}", secret_key=CANARY), monkeypatch)
    return host


def test_a_service_that_is_not_there_is_named(closed: str) -> None:
    """With its address, and the variable that holds it."""
    for error in refusals(S3Store("letters")).values():
        assert type(error) is StoreUnavailable
        assert error.what.endswith(f" at http://{closed}, but the service cannot be reached.")
        assert "AWS_ENDPOINT_URL" in error.todo


def test_what_an_endpoint_hides_is_not_shown(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that somebody wrote into the URL stay out of messages."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:{CANARY}@{closed}")

    assert all(f"http://{closed}" in str(error) for error in refusals(S3Store("letters")).values())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no credentials"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "no credentials"),
        ({"AWS_PROFILE": "nobody"}, "no credentials"),
    ],
)
def test_missing_credentials_are_named(
    closed: str, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], said: str
) -> None:
    """None at all, half of them, or a profile that is not there: the variables to set are named."""
    for name, value in change.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)

    for error in refusals(S3Store("letters")).values():
        assert type(error) is StoreUnavailable
        assert said in error.what
        assert "AWS_SECRET_ACCESS_KEY" in error.todo


@pytest.mark.parametrize("endpoint", ["nonsense", "http://", "http://host:99999", "ftp://host", f"u:{CANARY}@host"])
def test_an_endpoint_that_is_no_url_is_a_mistake_of_the_user(
    closed: str, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """No attempt would help, and a password in it is not repeated."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL") as refused:
        S3Store("letters").get("key")
    assert CANARY not in str(refused.value)


def test_a_service_that_redirects_is_told(store: S3Store, proxy: FaultProxy) -> None:
    """As many do from http to https."""
    proxy.add(lambda _: failure(301, "Moved"))

    with pytest.raises(StoreUnavailable, match="redirects to another address"):
        store.get("key")


def test_settings_of_the_client_that_cannot_be_read_are_a_mistake_of_the_user(
    closed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A region that is none, and a damaged configuration file."""
    monkeypatch.setenv("AWS_REGION", "no region!")
    assert {type(error) for error in refusals(S3Store("letters")).values()} == {UsageError}

    monkeypatch.delenv("AWS_REGION")
    (tmp_path / "config").write_text("[default\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert all("AWS_CONFIG_FILE" in error.todo for error in refusals(S3Store("letters")).values())


def test_profiles_and_their_endpoints_are_used(
    moto_store: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What boto3 reads counts here as well."""
    moto_store.put("key", b"bytes")
    lines = [
        "[profile letters]",
        f"endpoint_url = {os.environ['AWS_ENDPOINT_URL']}",
        "aws_access_key_id = a",
        "aws_secret_access_key = b",
    ]
    (tmp_path / "config").write_text("\n".join(lines))
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "letters")

    assert S3Store(moto_store.bucket, moto_store.prefix).get("key") == b"bytes"


@pytest.mark.promise(14)
def test_a_silent_service_is_given_up(store: S3Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes requests and never answers is asked as often as the store promises, and no more."""
    monkeypatch.setattr(s3, "SECONDS_TO_ANSWER", 0.2)
    store = S3Store(store.bucket, store.prefix)
    rule = proxy.add(silence())

    with pytest.raises(StoreUnavailable, match="does not answer in time"):
        store.put_if_absent("key", b"bytes")
    assert rule.fired == s3.ATTEMPTS


@pytest.mark.promise(15)
@pytest.mark.parametrize("damage", [flipped_get, truncated_get, interrupted_get, error_in_200])
def test_bytes_damaged_on_their_way_are_read_again(
    store: S3Store, proxy: FaultProxy, damage: Action, tmp_path: Path
) -> None:
    """Nobody ever gets them; who asks gets the whole, if it comes in time, into memory or into a file."""
    content = bytes(range(256)) * 1000
    store.put("key", content)
    proxy.add(damage, method="GET", times=s3._READS - 1)
    assert store.get("key") == content

    proxy.heal()
    proxy.add(damage, method="GET", times=s3._READS - 1)
    store.download("key", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content

    proxy.add(damage, method="GET")
    with pytest.raises(StoreUnavailable, match="whole and unchanged"):
        store.get("key")


@pytest.mark.promise(15)
def test_bytes_damaged_before_they_arrive_are_told(store: S3Store, proxy: FaultProxy) -> None:
    """The service holds them against the MD5 that was sent, or the store against the one that comes back."""
    proxy.add(flipped_put, method="PUT")

    for put in (store.put, store.put_if_absent):
        with pytest.raises(StoreUnavailable):
            put(put.__name__, b"bytes")


@pytest.mark.promise(15)
def test_bytes_damaged_before_they_arrive_are_sent_again(store: S3Store, proxy: FaultProxy) -> None:
    """A service that stored others has said so: the key is this call's own, and nobody else's is ever replaced."""
    for put in (store.put, store.put_if_absent):
        proxy.add(flipped_put, method="PUT", times=s3._WRITES - 1)
        told = put(put.__name__, b"bytes")
        proxy.heal()
        assert told in {None, True}
        assert store.get(put.__name__) == b"bytes"
    proxy.add(flipped_put, method="PUT")
    assert not store.put_if_absent("put", b"mine")
    assert store.get("put") == b"bytes"


def test_an_etag_that_is_no_digest_is_not_taken_for_one(store: S3Store, proxy: FaultProxy) -> None:
    """Objects encrypted with KMS have 32 hexadecimal digits there that are not their MD5; those in parts a dash."""
    for etag, encryption in [("0" * 32, "aws:kms"), ("0" * 32 + "-2", "AES256")]:

        def disguise(call: Call, etag: str = etag, encryption: str = encryption) -> Answer:
            answer = call.forward()
            kept = [pair for pair in answer.headers if pair[0].lower() != "etag"]
            return answer._replace(headers=[*kept, ("ETag", f'"{etag}"'), ("x-amz-server-side-encryption", encryption)])

        proxy.heal()
        proxy.add(disguise)
        store.put("key", b"bytes")
        assert store.get("key") == b"bytes"


@pytest.mark.promise(16)
def test_a_large_object_goes_in_one_request(store: S3Store, proxy: FaultProxy) -> None:
    """Parts would not honour the condition, and would outlive a writer that is killed between them."""
    content = os.urandom(20_000_000)

    assert store.put_if_absent("key", content)
    assert [entry.method for entry in proxy.log] == ["PUT"]
    assert store.get("key") == content


def test_long_listings_come_in_pages(store: S3Store, proxy: FaultProxy) -> None:
    """Nothing is lost between two pages of the service."""
    keys = [f"folder-{n}/{n}" for n in range(7)]
    for key in keys:
        store.put(key, b"")
    proxy.add(
        lambda call: call.forward(call.request._replace(path=f"{call.request.path}&max-keys=2")), path="list-type"
    )
    proxy.log.clear()

    assert list(store.list("")) == keys
    assert list(store.folders()) == [f"folder-{n}" for n in range(7)]
    assert len(proxy.log) == 8


def test_objects_of_others_do_no_harm(store: S3Store) -> None:
    """Drawn folders are no keys; names that no file could have are not listed, but `objects` shows them."""
    with store._client("") as client:
        for key in ("some/prefix/", "some/prefix/a/", "some/prefix/a/b", "some/prefix/a//c", "some/prefix/a/../d"):
            client.put_object(Bucket=store.bucket, Key=key, Body=b"12")

    assert list(store.list("")) == list(store.list("a")) == ["a/b"]
    assert list(store.folders()) == ["a"]
    assert list(store.folders("a")) == []
    assert [entry.key for entry in store.objects("a")] == ["a/../d", "a//c", "a/b"]
    assert StoredObject("a/b", "c20ad4d76fe97759aa27a0c99bff6710", 2) in store.objects("a")


def test_a_store_may_be_a_whole_bucket(moto_server: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a prefix, keys are the objects' names."""
    store = fresh_store(moto_server, monkeypatch, prefix="")
    store.put("a/b", b"bytes")
    store.copy_if_absent("a/b", "c")

    assert list(store.list("")) == ["a/b", "c"]
    assert list(store.folders()) == ["a"]
    assert S3Store(store.bucket, "a").get("b") == b"bytes"
    assert store.address("a/b") == f"s3://{store.bucket}/a/b"


def test_threads_may_share_a_store_from_its_first_call_on(moto_store: S3Store) -> None:
    """The client is made once, by whoever comes first; of all that write a key, one is told True."""
    store, writers = S3Store(moto_store.bucket), 8
    barrier = threading.Barrier(writers)

    def write(writer: int) -> bool:
        barrier.wait()
        return store.put_if_absent("key", str(writer).encode())

    with ThreadPoolExecutor(writers) as pool:
        won = list(pool.map(write, range(writers)))

    assert sorted(won) == [False] * 7 + [True]
    assert store.get("key") == str(won.index(True)).encode()


def test_a_download_to_no_place_is_told(moto_store: S3Store, tmp_path: Path) -> None:
    """The file's place is named, not the service's."""
    moto_store.put("key", b"bytes")

    with pytest.raises(StoreUnavailable, match=re.escape(str(tmp_path / "missing/file"))):
        moto_store.download("key", tmp_path / "missing" / "file")


@pytest.mark.stack
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"access_key": "NOBODYSKEY"}, "does not know the access key"),
        ({"secret_key": CANARY}, "secret key does not belong"),
    ],
)
def test_a_real_service_refuses_wrong_credentials(
    ceph_server: Service, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str], said: str
) -> None:
    """Every method says which half is wrong."""
    bucket = fresh_store(ceph_server, monkeypatch).bucket
    point_to(dataclasses.replace(ceph_server, **wrong), monkeypatch)

    for error in refusals(S3Store(bucket)).values():
        assert type(error) is StoreUnavailable
        assert said in error.what


@pytest.mark.stack
def test_a_real_service_knows_no_missing_bucket(ceph_server: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never an empty store."""
    point_to(ceph_server, monkeypatch)

    assert all("there is no bucket" in str(error) for error in refusals(S3Store("nowhere")).values())
