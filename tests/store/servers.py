"""Real S3 services on loopback for tests: moto's server, and Ceph for tests marked `stack`.

The fixtures are there for every test: `tests/conftest.py` imports them.
Every server ends with the test process, however that ends.
"""

import contextlib
import dataclasses
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from eqn.store.s3 import S3Store

S3_SCRIPT = Path(__file__).parents[2] / "infra" / "services" / "s3.sh"

_MOTO = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)      # PR_SET_PDEATHSIG: end when the parent does
if os.getppid() != int(sys.argv[1]):            # it may have ended before that call
    sys.exit()
import logging
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
signal.pause()
"""

_CEPH = """
import ctypes, os, signal, subprocess, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)      # as above; the daemons themselves are stopped below
parent, script, folder = sys.argv[1:]
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
try:
    if os.getppid() == int(parent):
        subprocess.run(["bash", script, folder], check=True)
        print("ready", flush=True)
        signal.pause()
finally:
    subprocess.run(["bash", script, "--stop", folder], check=False)
"""


@dataclasses.dataclass(frozen=True)
class Service:
    """A running S3 service."""

    endpoint: str
    access_key: str
    secret_key: str = dataclasses.field(repr=False)

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables by which any program finds the service."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,  # nothing of whoever runs the tests
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }


def point_to(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let S3 clients made from now on talk to `service` and to nobody else."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in service.variables.items():
        monkeypatch.setenv(name, value)


def fresh_store(service: Service, monkeypatch: pytest.MonkeyPatch, prefix: str = "some/prefix") -> S3Store:
    """Point to `service` and give a store in a new bucket there."""
    point_to(service, monkeypatch)
    store = S3Store(f"test-{uuid.uuid4().hex}", prefix)
    with store._client("") as client:
        client.create_bucket(Bucket=store.bucket)
    return store


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Service]:
    """Moto's S3 in a process of its own."""
    with _running(_MOTO) as server:
        assert server.stdout is not None
        yield Service(server.stdout.readline().strip(), "moto-access-key", "moto-secret-key")


@pytest.fixture(scope="session")
def ceph_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Ceph's S3 gateway, started by `infra/services/s3.sh`; for tests marked `stack`."""
    with _running(_CEPH, str(S3_SCRIPT), str(tmp_path_factory.mktemp("s3"))) as server:
        assert server.stdout is not None
        said = "".join(iter(server.stdout.readline, "ready\n"))
        variables = dict(re.findall(r"^export (\w+)=(\S+)$", said, re.MULTILINE))
        yield Service(variables["AWS_ENDPOINT_URL"], variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])


@pytest.fixture
def moto_store(moto_server: Service, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """Give a store in a new bucket of moto's server; the environment points there."""
    return fresh_store(moto_server, monkeypatch)


@contextlib.contextmanager
def _running(script: str, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """Run a script that serves until it is told to end; Ctrl-C reaches the tests only, which then tell it."""
    command = [sys.executable, "-c", script, str(os.getpid()), *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield server
    finally:
        server.terminate()
        server.communicate(timeout=60)
