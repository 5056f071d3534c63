"""The fault proxy before a real S3 server: each action does what it says, seen with plain boto3 and raw HTTP."""

import dataclasses
import http.client
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError, ReadTimeoutError

from eqn.errors import StoreUnavailable
from tests.store import faults
from tests.store.proxy import Action, Call, FaultProxy, Pace
from tests.store.servers import Service, fresh_store


@pytest.fixture
def server(moto_server: Service) -> str:
    """Give the address of moto's server."""
    return moto_server.endpoint


@pytest.fixture
def proxy(server: str) -> Iterator[FaultProxy]:
    with FaultProxy(server) as between:
        yield between


class Bucket:
    """A new bucket, through the proxy and without retries; `direct` is the way around the proxy."""

    def __init__(self, server: str, proxy: FaultProxy) -> None:
        self.name = f"bucket-{uuid4().hex}"
        self.direct, self.client = client(server), client(proxy.endpoint)
        self.direct.create_bucket(Bucket=self.name)

    def put(self, key: str, content: bytes, *, new: bool = False) -> int:
        condition = {"IfNoneMatch": "*"} if new else {}
        return self._status(self.client.put_object, Key=key, Body=content, **condition)

    def get(self, key: str) -> bytes | int:
        try:
            return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()  # type: ignore[no-any-return]
        except ClientError as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])

    def head(self, key: str) -> int:
        return self._status(self.client.head_object, Key=key)

    def copy(self, source: str, key: str) -> int:
        origin = {"Bucket": self.name, "Key": source}
        return self._status(self.client.copy_object, Key=key, CopySource=origin, IfNoneMatch="*")

    def delete(self, key: str) -> int:
        return self._status(self.client.delete_object, Key=key)

    def keys(self) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def truth(self, key: str) -> bytes | None:
        """Give what the server really has."""
        try:
            return self.direct.get_object(Bucket=self.name, Key=key)["Body"].read()  # type: ignore[no-any-return]
        except self.direct.exceptions.NoSuchKey:
            return None

    def _status(self, call: Any, **arguments: object) -> int:
        try:
            return int(call(Bucket=self.name, **arguments)["ResponseMetadata"]["HTTPStatusCode"])
        except ClientError as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def client(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106  moto takes any
        config=Config(
            retries={"total_max_attempts": 1},
            read_timeout=2,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@pytest.fixture
def bucket(server: str, proxy: FaultProxy) -> Bucket:
    return Bucket(server, proxy)


EVERY_BYTE = bytes(range(256)) * 100

IN_CHUNKS = b"5;chunk-signature=0\r\nhello\r\n0;chunk-signature=0\r\n\r\n"
CHUNKED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request",
    "Content-Type": "application/octet-stream",
    "Content-Encoding": "aws-chunked",
    "x-amz-decoded-content-length": "5",
    "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
}
"""Headers of a put of `IN_CHUNKS`, whose content is "hello"."""


def test_without_rules_everything_passes_and_is_logged(bucket: Bucket, proxy: FaultProxy) -> None:
    """Bytes, odd keys, conditions, listings and errors are those of the server."""
    odd = "a b/ü+%41&=.txt"

    assert (bucket.put(odd, EVERY_BYTE), bucket.put(odd, b"", new=True), bucket.head(odd)) == (200, 412, 200)
    assert bucket.get(odd) == bucket.truth(odd) == EVERY_BYTE
    assert (bucket.keys(), bucket.get("missing"), bucket.delete(odd)) == ([odd], 404, 204)
    told = [200, 412, 200, 200, 200, 404, 204]
    assert [(entry.status, entry.served, entry.done) for entry in proxy.log] == [
        (status, (status,), "forward") for status in told
    ]
    assert [entry.method for entry in proxy.log] == ["PUT", "PUT", "HEAD", "GET", "GET", "GET", "DELETE"]
    assert proxy.log[0].path == f"/{bucket.name}/a%20b/%C3%BC%2B%2541%26%3D.txt"


def test_a_signed_request_keeps_its_host_header(proxy: FaultProxy) -> None:
    """What a client signed for the proxy's address is what the server sees."""
    with socket.create_server(("127.0.0.1", 0)) as echo, FaultProxy(f"http://127.0.0.1:{echo.getsockname()[1]}") as own:
        asking = threading.Thread(target=lambda: client(own.endpoint).put_object(Bucket="b", Key="k", Body=b"bytes"))
        asking.start()
        with echo.accept()[0] as accepted:
            received = accepted.recv(10_000)
            while not received.endswith(b"bytes"):
                received += accepted.recv(10_000)
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            asking.join()

    lines = received.decode().split("\r\n")
    assert lines[0] == "PUT /b/k HTTP/1.1"
    assert [line for line in lines if line.startswith("Host:")] == [f"Host: {own.endpoint.removeprefix('http://')}"]
    assert len([line for line in lines if line.startswith("Authorization: ")]) == 1


@pytest.mark.stack
def test_signatures_stay_valid(ceph_server: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that checks them takes what comes through the proxy, and refuses what an action has changed."""
    with FaultProxy(ceph_server.endpoint) as proxy:
        store = fresh_store(dataclasses.replace(ceph_server, endpoint=proxy.endpoint), monkeypatch)
        assert [store.put_if_absent("a b/ü+%41", content) for content in (b"first", b"second")] == [True, False]
        assert (store.get("a b/ü+%41"), list(store.list("a b"))) == (b"first", ["a b/ü+%41"])
        proxy.add(faults.ignored_condition, header="If-None-Match")
        with pytest.raises(StoreUnavailable, match="the secret key does not belong to the access key"):
            store.put_if_absent("a b/ü+%41", b"third")


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_a_body_in_signed_chunks_behind_expect_arrives(bucket: Bucket, proxy: FaultProxy, *, chunked: bool) -> None:
    """The client waits for "100 Continue", then sends aws-chunked; the second request uses the same connection."""
    body, framing = IN_CHUNKS, f"Content-Length: {len(IN_CHUNKS)}"
    if chunked:
        body, framing = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), "Transfer-Encoding: chunked"
    head = [f"PUT /{bucket.name}/key HTTP/1.1", "Host: localhost", "Expect: 100-continue", framing]
    head += [f"{name}: {value}" for name, value in CHUNKED.items()]
    with socket.create_connection(("127.0.0.1", int(proxy.endpoint.rpartition(":")[2])), timeout=10) as connection:
        for _ in range(2):
            connection.sendall("\r\n".join([*head, "", ""]).encode())
            assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(body)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, answer.read()) == (200, b"")

    assert bucket.truth("key") == b"hello"


def test_a_lost_answer_is_a_done_write(bucket: Bucket, proxy: FaultProxy) -> None:
    """The client sees a broken connection, the server has the bytes; `times` ends the fault."""
    proxy.add(faults.lost_answer, method="PUT", times=1)

    with pytest.raises(ConnectionClosedError):
        bucket.put("key", b"bytes", new=True)
    assert bucket.truth("key") == b"bytes"
    assert (proxy.log[0].status, proxy.log[0].served, proxy.log[0].done) == (None, (200,), "lost_answer")
    assert bucket.put("key", b"again", new=True) == 412


@pytest.mark.parametrize("action", [faults.unknown_outcome, faults.unknown_outcome_as_503])
def test_after_an_unknown_outcome_the_server_is_down_until_healed(
    bucket: Bucket, proxy: FaultProxy, action: Action
) -> None:
    """The write is done, and nobody can look."""
    proxy.add(action, method="PUT")
    if action is faults.unknown_outcome:
        with pytest.raises(ConnectionClosedError):
            bucket.put("key", b"bytes")
    else:
        assert bucket.put("key", b"bytes") == 503
    assert bucket.truth("key") == b"bytes"
    assert (bucket.get("key"), bucket.head("key"), bucket.put("key", b"")) == (503, 503, 503)
    proxy.heal()

    assert (bucket.get("key"), bucket.put("key", b"new"), bucket.truth("key")) == (b"bytes", 200, b"new")


@pytest.mark.parametrize(("action", "status"), [(faults.slow_down, 503), (faults.conflict, 409)])
def test_a_refusal_does_not_reach_the_server(bucket: Bucket, proxy: FaultProxy, action: Action, status: int) -> None:
    proxy.add(action, method="PUT")

    assert bucket.put("key", b"bytes") == status
    assert bucket.truth("key") is None
    assert proxy.log[0].served == ()


def test_a_reset_does_not_reach_the_server(bucket: Bucket, proxy: FaultProxy) -> None:
    proxy.add(faults.reset, method="PUT")

    with pytest.raises(ConnectionClosedError, match="Connection was closed") as refused:
        bucket.put("key", b"bytes")
    assert "reset by peer" in repr(refused.value.__cause__ or refused.value.__context__)
    assert bucket.truth("key") is None


def test_chance_is_drawn_from_the_seed(server: str) -> None:
    """The same seed gives the same faults, in about the share asked for, and another seed gives others."""

    def told(seed: int) -> list[int | None]:
        with FaultProxy(server, seed=seed) as proxy:
            proxy.add(faults.slow_down, chance=0.3)
            proxy.add(faults.conflict, chance=0.1)
            reader = Bucket(server, proxy)
            for _ in range(100):
                reader.head("missing")
            return [entry.status for entry in proxy.log]

    first = told(1)

    assert first == told(1) != told(2)
    assert (15 <= first.count(503) <= 45, 1 <= first.count(409) <= 20) == (True, True)


def test_a_rule_counts_the_requests_that_fit(bucket: Bucket, proxy: FaultProxy) -> None:
    """Method, path, header, a question of one's own, and how many came before decide."""
    chosen = {"method": "PUT", "path": "releases/", "header": "If-None-Match", "when": lambda asked: b"x" in asked.body}
    rule = proxy.add(faults.slow_down, skip=1, times=1, **chosen)

    told = [bucket.put(f"releases/{n}", b"x", new=True) for n in range(4)]
    others = [bucket.put("releases/9", b"x"), bucket.put("9", b"x", new=True), bucket.put("releases/10", b"", new=True)]

    assert told == [200, 503, 200, 200]
    assert others == [200, 200, 200]
    assert (rule.seen, rule.fired) == (4, 1)


@pytest.mark.parametrize(
    ("action", "told", "content"),
    [
        (faults.ignored_condition, 200, b"second"),
        (faults.refused_as_304, 304, b"first"),
        (faults.refused_as_200, 200, b"first"),
        (faults.refused_then_overwritten, 200, b"second"),
        (faults.check_then_write(), 412, b"first"),
    ],
)
def test_liars_about_conditions(bucket: Bucket, proxy: FaultProxy, action: Action, told: int, content: bytes) -> None:
    """The first writer is told the truth; what the second is told, and what it did."""
    proxy.add(action, header="If-None-Match")

    assert bucket.put("key", b"first", new=True) == 200
    assert bucket.put("key", b"second", new=True) == told
    assert bucket.truth("key") == content


def test_a_check_that_is_not_one_step_with_the_write_lets_two_win(bucket: Bucket, proxy: FaultProxy) -> None:
    proxy.add(faults.check_then_write(0.2), header="If-None-Match")
    told: list[int] = []
    writers = [threading.Thread(target=lambda: told.append(bucket.put("key", b"x", new=True))) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert told == [200, 200]


def test_stale_reads_show_what_was_read_last(bucket: Bucket, proxy: FaultProxy) -> None:
    """New keys are missing, overwritten and deleted ones old, each for two reads; the truth is another."""
    proxy.add(faults.stale_reads(2))
    bucket.put("key", b"first")

    assert [bucket.head("key"), bucket.get("key"), bucket.get("key")] == [404, 404, b"first"]
    bucket.put("key", b"second")
    assert [bucket.get("key"), bucket.get("key"), bucket.get("key")] == [b"first", b"first", b"second"]
    bucket.delete("key")
    assert bucket.truth("key") is None
    assert [bucket.get("key"), bucket.head("key"), bucket.get("key")] == [b"second", 200, 404]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"after": "PUT", "known": False}, [404, b"2", 404]),
        ({"after": "PUT", "known": True}, [b"1", b"1", 404]),
        ({"after": "DELETE"}, [b"1", b"2", b"2"]),
    ],
    ids=["new keys", "overwritten keys", "deleted keys"],
)
def test_stale_reads_can_be_chosen(
    bucket: Bucket, proxy: FaultProxy, choice: dict[str, Any], expected: list[bytes | int]
) -> None:
    """What is read first after a key was made, overwritten and deleted."""
    proxy.add(faults.stale_reads(1, **choice))
    seen = []
    for write in (lambda: bucket.put("key", b"1"), lambda: bucket.put("key", b"2"), lambda: bucket.delete("key")):
        write()
        seen.append(bucket.get("key"))
        bucket.get("key")

    assert seen == expected


def test_new_keys_are_left_out_of_listings(bucket: Bucket, proxy: FaultProxy) -> None:
    """For as many listings as asked; older keys are listed."""
    bucket.put("old", b"")
    proxy.add(faults.hidden_from_lists(2))
    bucket.put("new + ü", b"")

    assert [bucket.keys() for _ in range(3)] == [["old"], ["old"], ["new + ü", "old"]]
    assert bucket.get("new + ü") == b""


@pytest.mark.parametrize(
    ("action", "read"),
    [
        (faults.flipped_get, EVERY_BYTE[:12800] + b"\x01" + EVERY_BYTE[12801:]),
        (faults.truncated_get, EVERY_BYTE[:12800]),
    ],
)
def test_what_is_read_can_be_damaged(bucket: Bucket, proxy: FaultProxy, action: Action, read: bytes) -> None:
    """The object itself and listings are whole, and an object without bytes cannot be damaged."""
    proxy.add(action)
    bucket.put("key", EVERY_BYTE)
    bucket.put("empty", b"")

    assert bucket.get("key") == read
    assert bucket.truth("key") == EVERY_BYTE
    assert (bucket.keys(), bucket.get("empty"), bucket.get("missing")) == (["empty", "key"], b"", 404)


@pytest.mark.parametrize("content", [EVERY_BYTE, b"x"])
def test_an_interrupted_read_ends_in_an_error(bucket: Bucket, proxy: FaultProxy, content: bytes) -> None:
    """Half of the announced bytes come, then the end of the connection."""
    proxy.add(faults.interrupted_get)
    bucket.put("key", content)

    with pytest.raises(HTTPClientError) as broken:
        bucket.get("key")
    assert not isinstance(broken.value, ReadTimeoutError)
    assert "IncompleteRead" in str(broken.value)


def test_what_is_written_can_be_damaged(bucket: Bucket, proxy: FaultProxy) -> None:
    """One bit of the content changes, also where it lies behind the size of a chunk."""
    proxy.add(faults.flipped_put, method="PUT")
    address = f"{proxy.endpoint}/{bucket.name}/chunked"
    urllib.request.urlopen(urllib.request.Request(address, IN_CHUNKS, CHUNKED, method="PUT")).close()  # noqa: S310  ours

    assert (bucket.put("key", b"hello"), bucket.put("empty", b"")) == (200, 200)
    assert (bucket.truth("key"), bucket.truth("chunked"), bucket.truth("empty")) == (b"iello", b"iello", b"")


def test_latency_is_forwarded_later(bucket: Bucket, proxy: FaultProxy) -> None:
    """A client that waits long enough gets its answer; one that does not has written all the same."""
    proxy.add(faults.latency(0.05), times=1)
    assert (bucket.put("key", b"bytes"), proxy.log[-1].done) == (200, "late")

    proxy.add(faults.latency(2.5))
    with pytest.raises(ReadTimeoutError):
        bucket.put("late", b"bytes")


def test_silence_ends_when_the_proxy_is_healed(bucket: Bucket, proxy: FaultProxy) -> None:
    """The request is taken and neither answered nor forwarded."""
    proxy.add(faults.silence(), method="PUT")
    with pytest.raises(ReadTimeoutError):
        bucket.put("key", b"bytes")
    assert proxy.log == []
    proxy.heal()

    assert (bucket.truth("key"), bucket.put("key", b"now")) == (None, 200)


def test_an_error_can_hide_in_a_200(bucket: Bucket, proxy: FaultProxy) -> None:
    """A copy that was not made is answered with 200; boto3 looks into the body and calls it 500."""
    bucket.put("source", b"bytes")
    proxy.add(faults.error_in_200, method="PUT", header="x-amz-copy-source")
    with pytest.raises(ClientError, match="InternalError"):
        bucket.client.copy_object(Bucket=bucket.name, Key="copy", CopySource={"Bucket": bucket.name, "Key": "source"})

    assert (proxy.log[-1].status, proxy.log[-1].served) == (200, ())
    assert bucket.truth("copy") is None


@pytest.mark.parametrize(
    ("action", "told", "content"),
    [
        (Call.forward, 200, b"source"),
        (faults.honoured_copy, 412, b"first"),
        (faults.copy_refused_as(200), 200, b"first"),
        (faults.copy_refused_as(304), 304, b"first"),
        (faults.copy_refused_and_made, 412, b"source"),
        (faults.copy_checked_too_early(0), 412, b"first"),
        (faults.copy_of_nothing, 412, b"first"),
    ],
    ids=["moto", "honest", "200", "304", "412 and made", "two steps", "nothing"],
)
def test_services_that_copy(bucket: Bucket, proxy: FaultProxy, action: Action, told: int, content: bytes) -> None:
    """What a copy onto a key that is there is told, and what it did; one to a free key is made."""
    proxy.add(action, header="x-amz-copy-source")
    bucket.put("source", b"source")
    bucket.put("taken", b"first")

    assert (bucket.copy("source", "free"), bucket.copy("source", "taken")) == (200, told)
    made = b"" if action is faults.copy_of_nothing else b"source"
    assert (bucket.truth("free"), bucket.truth("taken")) == (made, content)


def test_the_log_counts_bytes(bucket: Bucket, proxy: FaultProxy) -> None:
    """Those of bodies, in both directions."""
    bucket.put("key", EVERY_BYTE)
    bucket.get("key")
    bucket.head("key")

    assert [entry.bytes for entry in proxy.log] == [len(EVERY_BYTE), len(EVERY_BYTE), 0]


def test_the_log_tells_attempts_of_one_call_from_other_calls(bucket: Bucket, proxy: FaultProxy) -> None:
    """By the mark that boto3 sets; other clients set none."""
    patient = bucket.client.meta.config.merge(Config(retries={"total_max_attempts": 2, "mode": "standard"}))
    again = boto3.client(
        "s3",
        endpoint_url=proxy.endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",  # noqa: S106  moto takes any
        config=patient,
    )
    proxy.add(faults.reset, times=1)
    again.put_object(Bucket=bucket.name, Key="key", Body=b"")
    bucket.head("key")
    with urllib.request.urlopen(f"{proxy.endpoint}/{bucket.name}"):  # noqa: S310  loopback
        pass

    first, second, other, stranger = (entry.call for entry in proxy.log)
    assert first == second != other
    assert "" not in {first, other}
    assert stranger == ""


def test_a_slow_line_delivers_everything_bit_by_bit(bucket: Bucket, proxy: FaultProxy) -> None:
    """In both directions, as slow as asked, until it is healed."""
    proxy.pace = Pace(5000, 0.02)
    started = time.monotonic()
    bucket.put("key", EVERY_BYTE)
    assert bucket.get("key") == EVERY_BYTE
    took = time.monotonic() - started
    proxy.heal()

    assert took >= 2 * 0.02 * (len(EVERY_BYTE) // 5000)
    assert proxy.pace is None
    assert bucket.truth("key") == EVERY_BYTE


def test_a_proxy_that_was_left_answers_nobody(server: str) -> None:
    """Neither new connections nor those that are still open."""
    with FaultProxy(server) as proxy:
        address = proxy.endpoint.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().read()
    connection.request("GET", "/")

    assert connection.getresponse().status == 503
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(address, timeout=10).request("GET", "/")
