"""A writer that dies, or a line that breaks, in the middle of a large object: the object is not there, nothing is."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Self
from urllib.parse import urlsplit

import pytest

from eqn.store.s3 import S3Store
from tests.faults.promises import Trials
from tests.store.servers import Service, fresh_store

SIZE = 15 * 2**20
"""Bytes: three parts of the least size that S3 allows, where an object is put in parts."""
WRITER = f"""
import os, sys
from eqn.store.s3 import S3Store

store = S3Store(*sys.argv[1:3])
store.exists("key")                 # what is imported and connected need not be again in a child
content = os.urandom({SIZE})
for line in sys.stdin:
    child = os.fork()
    if not child:
        print(os.getpid(), flush=True)
        sys.stdin.readline()
        os._exit(0 if S3Store(*sys.argv[1:3]).put_if_absent("key", content) else 9)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Relay:
    """A line to a server on which a listener hears how many bytes were sent; at `limit` of them it is cut."""

    def __init__(self, server: str) -> None:
        self._server = (urlsplit(server).hostname or "", urlsplit(server).port or 80)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.limit: int | None = None
        self.reached = threading.Event()
        self.cut = threading.Event()
        """The client was let down, and the server knows it."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listening.accept()[0]
                server = socket.create_connection(self._server)
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, asks: bool) -> None:  # noqa: FBT001  one of two ways
        passed = 0
        with contextlib.suppress(OSError):
            while some := source.recv(1 << 16):
                left = self.limit - passed if asks and self.limit is not None else len(some)
                target.sendall(some[:left])
                passed += len(some)
                if left < len(some):
                    self.reached.set()
                    while source.recv(1 << 16):  # until the client dies
                        pass
                    break
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        if self.reached.is_set():
            self.cut.set()


@contextlib.contextmanager
def writer(store: S3Store, endpoint: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that puts a large object in a child each time that it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, store.bucket, store.prefix],
        env=os.environ | {"AWS_ENDPOINT_URL": endpoint},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def uploads(store: S3Store) -> list[object]:
    """Give the uploads in parts that are under way in the bucket."""
    with store._client("") as client:
        return list(client.list_multipart_uploads(Bucket=store.bucket).get("Uploads", []))


@pytest.mark.promise(16)
@pytest.mark.parametrize("number", [pytest.param(3, id="3"), pytest.param(50, id="50", marks=pytest.mark.faults)])
@pytest.mark.parametrize("server", ["moto", pytest.param("ceph", marks=pytest.mark.faults)])
def test_a_writer_killed_within_an_object_leaves_nothing(
    server: str, number: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, trials: Trials
) -> None:
    """kill -9 after any number of bytes: no key, no upload in parts, no listing of it; the rerun writes it whole."""
    service: Service = request.getfixturevalue(f"{server}_server")
    store = fresh_store(service, monkeypatch)
    draw = random.Random(0)  # noqa: S311  places to kill at
    with Relay(service.endpoint) as relay, writer(store, relay.endpoint) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(number):
            relay.limit = draw.randrange(2000, SIZE)
            relay.reached.clear()
            relay.cut.clear()
            process.stdin.write("again\n")
            child = int(process.stdout.readline())
            process.stdin.write("go\n")
            assert relay.reached.wait(60)
            os.kill(child, signal.SIGKILL)
            assert int(process.stdout.readline()) == -signal.SIGKILL
            assert relay.cut.wait(60)
            relay.limit = None
            assert not store.exists("key")
            assert list(store.list("")) == uploads(store) == []
            process.stdin.write("again\n")
            process.stdout.readline()
            process.stdin.write("go\n")
            assert int(process.stdout.readline()) == 0
            assert len(store.get("key")) == SIZE
            assert uploads(store) == []
            store.delete("key")
    trials(number, "kills within a put", store=server)
