"""Secrets leave no trace: canaries in every place where a secret may be given, and then a look at every byte."""

import contextlib
import dataclasses
import gzip
import html
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.faults.canaries import leaks, small
from tests.faults.promises import Trials
from tests.servers import await_answer, running
from tests.store.servers import Service

ROOT = Path(__file__).parents[2]

SECRETS = {
    "access key": "canaryAccess7q2ZpL4t",
    "secret key": 'canary/Secret+7q2"ZpLw==',
    "session token": "canary/Session+Wm31xK//bQ",
    "MLflow password": 'canary"mlflow/4Tb9+x',
    "other MLflow password": "canary-other-mlflow-88sd",
    "database password": 'canary"database/9Hk2+y',
    "Prefect password": "canary-prefect-5gT2",
    "gateway password": 'canary"gateway/2Lm8+z',
    "endpoint password": "canary-endpoint-3Vb6",
    "metrics token": "canary-metrics-token-6Yt4",
}
"""Each with what must be escaped somewhere: quotes, slashes, plus signs."""


def with_password(address: str, name: str) -> str:
    """Put a user and a password into an address."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://someone:{quote(SECRETS[name], safe='')}@{rest}"


def variables(**more: str) -> dict[str, str]:
    """Give the environment in which everything runs: all canaries, and nothing of whoever runs the tests."""
    foreign = ("EQN_", "AWS_", "MLFLOW_", "PREFECT_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "AWS_ACCESS_KEY_ID": SECRETS["access key"],
        "AWS_SECRET_ACCESS_KEY": SECRETS["secret key"],
        "AWS_SESSION_TOKEN": SECRETS["session token"],
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_TRACKING_USERNAME": "someone",
        "MLFLOW_TRACKING_PASSWORD": SECRETS["other MLflow password"],
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "EQN_METRICS_TOKEN": SECRETS["metrics token"],
        "EQN_LOG_LEVEL": "debug",
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "eqn",
        "PREFECT_API_AUTH_STRING": f"someone:{SECRETS['Prefect password']}",
        "PREFECT_SERVER_API_AUTH_STRING": f"someone:{SECRETS['Prefect password']}",
        "DO_NOT_TRACK": "1",
        "NO_PROXY": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        **more,
    }


def configuration(folder: Path, text: str) -> Path:
    """Write an mlflow.yaml into a folder of its own; gives the folder."""
    folder.mkdir(parents=True)
    (folder / "mlflow.yaml").write_text(text, "utf-8")
    return folder


def registry_yaml(**changes: object) -> str:
    return yaml.safe_dump(yaml.safe_load((ROOT / "mlflow.yaml").read_text("utf-8")) | changes)


# --- that the look finds what is there


def _database(path: Path, secret: bytes) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("create table logs (message text, content blob)")
        # Longer than a page, so that in the file itself it is torn.
        connection.execute(
            "insert into logs values (?, ?)", ("x" * 4000 + secret.decode() + "x" * 9000, zlib.compress(secret))
        )
        connection.commit()


def _parquet(path: Path, secret: bytes) -> None:
    pq.write_table(pa.table({"text": [f"{number} {secret.decode()}" for number in range(9)]}), path, compression="zstd")


def _zip(path: Path, secret: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.gz", gzip.compress(secret * 9))


@pytest.mark.promise(34)
@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "plant",
    [
        lambda path, secret: path.write_bytes(b"key=" + secret + b"\n"),
        lambda path, secret: path.write_text(quote(secret.decode(), safe="")),
        lambda path, secret: path.write_text(small(quote(secret.decode(), safe=""))),
        lambda path, secret: path.write_bytes(b"Basic " + b64encode(b"someone:" + secret)),
        lambda path, secret: path.write_bytes(b64encode(b"me:" + secret + b"!")),
        lambda path, secret: path.write_text(json.dumps({"uri": f"a{secret.decode()}b"})),
        lambda path, secret: path.write_text(repr([secret.decode()])),
        lambda path, secret: path.write_text(secret.hex()),
        lambda path, secret: path.write_bytes(gzip.compress(b"line\n" + secret)),
        _database,
        _parquet,
        _zip,
    ],
    ids=["plain", "url", "url small", "basic", "base64", "json", "python", "hex", "gzip", "sqlite", "parquet", "zip"],
)
def test_a_planted_canary_is_found(tmp_path: Path, plant: Callable[[Path, bytes], object], name: str) -> None:
    """In every form, whatever holds it; and nothing is found where nothing was planted."""
    (tmp_path / "harmless.log").write_text("canary, database, someone@127.0.0.1", "utf-8")
    assert leaks(tmp_path, SECRETS) == []
    plant(tmp_path / "planted", SECRETS[name].encode())

    found = leaks(tmp_path, SECRETS)

    assert found
    assert all(line.startswith("planted") and f": {name}, " in line for line in found)


# --- errors


class _Echo(BaseHTTPRequestHandler):
    """Refuses everybody, and repeats what they sent: what a careless service writes into its errors."""

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        heard = f"{self.path} {dict(self.headers.items())}"
        if "AWS4" in self.headers.get("Authorization", ""):
            content = f"<Error><Code>SignatureDoesNotMatch</Code><Message>{html.escape(heard)}</Message></Error>"
        else:
            content = json.dumps({"error_code": "PERMISSION_DENIED", "message": heard})
        status = 200 if self.path.startswith("/health") else 403
        self.send_response(status)
        self.send_header("Content-Length", str(len(content.encode())))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content.encode())

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _refuse  # noqa: N815  their names there

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """A server that repeats what it hears; its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclasses.dataclass(frozen=True)
class Forced:
    """An error that is forced."""

    name: str
    action: str
    ends: str
    """Name of the error's class."""
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    configuration: str = ""


BROKEN = f"tracking_uri: '{quote(SECRETS['MLflow password'])}\n}}: ]{SECRETS['endpoint password']}"
"""No YAML, with secrets where it breaks."""


def forced(echo: str) -> list[Forced]:
    nobody = f"127.0.0.1:{closed_port()}"
    down = "StoreUnavailable"
    on_s3 = {"EQN_STORE": "s3://releases/all"}
    return [
        Forced("the store is down", "read_store", down, on_s3 | {"AWS_ENDPOINT_URL": f"http://{nobody}"}),
        Forced("the store refuses", "read_store", down, on_s3 | {"AWS_ENDPOINT_URL": echo}),
        Forced(
            "the store's address holds a password", "read_store", down,
            on_s3 | {"AWS_ENDPOINT_URL": with_password(f"http://{nobody}", "endpoint password")},
        ),
        Forced(
            "the store's address is none", "read_store", "UsageError",
            on_s3 | {"AWS_ENDPOINT_URL": f"someone:{SECRETS['endpoint password']}@nowhere"},
        ),
        Forced("MLflow is down", "read_registry", down,
               {"EQN_TRACKING_URI": with_password(f"http://{nobody}", "MLflow password")}),
        Forced("MLflow refuses", "read_registry", down, {"EQN_TRACKING_URI": with_password(echo, "MLflow password")}),
        Forced("the database is down", "read_registry", down,
               {"EQN_TRACKING_URI": with_password(f"postgresql+psycopg2://{nobody}/mlflow", "database password")}),
        Forced("the database's port is none", "read_registry", "UsageError",
               {"EQN_TRACKING_URI": with_password("postgresql://127.0.0.1:none/mlflow", "database password")}),
        Forced("an address of another kind", "read_registry", "UsageError",
               {"EQN_TRACKING_URI": with_password("ftp://127.0.0.1/mlflow", "database password")}),
        Forced("a poisoned model", "load_model", "ArtifactRefused"),
        Forced("the gateway is down", "push_metrics", "EqnError",
               {"EQN_PUSHGATEWAY_URL": with_password(f"http://{nobody}", "gateway password")}),
        Forced("a configuration that is no YAML", "read_registry", "UsageError",
               configuration=BROKEN),
        Forced("a configuration with a fault", "read_registry", "UsageError",
               configuration=registry_yaml(tracking_uri=[with_password("http://127.0.0.1", "MLflow password")])),
        Forced("a configuration with a word too many", "read_registry", "UsageError",
               configuration=registry_yaml(password=SECRETS["MLflow password"])),
        Forced("settings in a log", "log_settings", "EqnError",
               {"EQN_TRACKING_URI": with_password("http://127.0.0.1:9", "MLflow password"),
                "EQN_PUSHGATEWAY_URL": with_password("http://127.0.0.1:9", "gateway password")},
               configuration=registry_yaml(tracking_uri=with_password("http://127.0.0.1", "database password"))),
    ]  # fmt: skip


@pytest.mark.promise(34)
def test_forced_errors_tell_no_secret(tmp_path: Path, echo: str, trials: Trials) -> None:
    """Each with its whole traceback, logged at debug, and as a person sees it: nothing in output, logs or state."""
    room, sources = tmp_path / "room", tmp_path / "sources"
    cases = forced(echo)
    plan = []
    for number, case in enumerate(cases):
        folder = sources / str(number)
        configuration(folder, case.configuration or registry_yaml())
        (folder / "poisoned").mkdir()
        (folder / "poisoned" / "eqn.json").write_text("{}", "utf-8")
        plan.append({"name": case.name, "action": case.action, "folder": str(folder), "variables": case.variables})
    (sources / "plan.json").write_text(json.dumps(plan), "utf-8")
    room.mkdir()

    with (room / "terminal").open("wb") as terminal:
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.forced_errors", str(sources / "plan.json")],
            cwd=ROOT, env=variables(EQN_HOME=str(room / "home")), stdout=subprocess.PIPE, stderr=terminal, check=False,
        )  # fmt: skip
    (room / "said").write_bytes(done.stdout)

    told = (room / "terminal").read_text("utf-8")
    assert done.returncode == 0, told[-3000:]
    assert leaks(room, SECRETS) == []
    lines = [line for line in done.stdout.decode().splitlines() if ": " in line]
    assert lines == [f"{case.name}: {case.ends}" for case in cases]
    assert told.count("Traceback (most recent call last)") >= len(cases)
    assert told.count('"event": "forced"') == len(cases)
    trials(len(cases), "forced tracebacks at DEBUG")


# --- the whole life

LIFE = """
import os, sys, traceback
from prefect import flow
from eqn.exits import ending
from eqn.settings import load_settings
from flows.annotate import annotate
from flows.embedded import server_of
from flows.pipeline import pipeline

@flow
def broken():
    raise RuntimeError(f"a bug that shows everything: {load_settings()!r}")

def fails(run):
    try:
        run()
    except Exception:
        traceback.print_exc()
    else:
        sys.exit("expected an error")

with server_of(load_settings()):
    outcome = pipeline(backbone="tiny")
    fails(broken)
    fails(lambda: annotate(model=sys.argv[2], dataset="poisoned"))
    fails(lambda: annotate(inbox="s3://no-such-bucket/inbox", dataset="elsewhere"))
    right = dict(os.environ)
    for name in ("AWS_ENDPOINT_URL", "EQN_TRACKING_URI"):
        os.environ[name] = sys.argv[1]
        fails(lambda: annotate(dataset="refused"))
        os.environ.clear()
        os.environ.update(right)
print("rows", outcome.release.rows)
"""


@contextlib.contextmanager
def mlflow_server(room: Path, port: int) -> Iterator[None]:
    """Run MLflow's server with its state in `room`."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--artifacts-destination", str(room / "mlflow" / "artifacts")]
    (room / "mlflow").mkdir()
    environment = variables(MLFLOW_BACKEND_STORE_URI=f"sqlite:///{room / 'mlflow' / 'mlflow.db'}")
    log = room / "mlflow" / "log"
    with running(command, folder=room, environment=environment, log=log) as server:
        await_answer(f"http://127.0.0.1:{port}/health", server, log)
        yield


@pytest.mark.promise(34)
@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_the_whole_life_of_a_dataset_leaves_no_secret_anywhere(
    tmp_path: Path, echo: str, moto_server: Service, trials: Trials
) -> None:
    """Inputs and releases on S3, MLflow behind a password, Prefect behind another one, a gateway that is down; then
    flows that fail. Every file of it is opened: state folder, both databases, artifacts, objects, logs, output.
    """
    import boto3

    room, port = tmp_path / "room", closed_port()
    room.mkdir()
    address = with_password(f"http://127.0.0.1:{port}", "MLflow password")
    project = configuration(tmp_path / "sources", registry_yaml(tracking_uri=address))
    poisoned = room / "poisoned"
    poisoned.mkdir()
    (poisoned / "eqn.json").write_text("{}", "utf-8")
    environment = variables(
        EQN_HOME=str(room / "home"),
        EQN_STORE="s3://canaries/releases",
        EQN_INBOX="s3://canaries/inbox",
        EQN_PUSHGATEWAY_URL=with_password(f"http://127.0.0.1:{closed_port()}", "gateway password"),
        AWS_ENDPOINT_URL=moto_server.endpoint,
    )
    client = boto3.client(
        "s3", endpoint_url=moto_server.endpoint, region_name="us-east-1",
        aws_access_key_id=SECRETS["access key"], aws_secret_access_key=SECRETS["secret key"],
    )  # fmt: skip
    client.create_bucket(Bucket="canaries")
    letters = "id,text\n" + "".join(f"{number},Thank you for letter {number}!\n" for number in range(200))
    client.put_object(Bucket="canaries", Key="inbox/letters.csv", Body=letters.encode())

    with mlflow_server(room, port), (room / "terminal").open("wb") as terminal:
        done = subprocess.run(
            [sys.executable, "-c", LIFE, echo, str(poisoned)],
            cwd=project, env=environment, stdout=terminal, stderr=terminal, check=False,
        )  # fmt: skip
    for found in client.list_objects_v2(Bucket="canaries")["Contents"]:
        target = room / "bucket" / found["Key"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(client.get_object(Bucket="canaries", Key=found["Key"])["Body"].read())

    told = (room / "terminal").read_text("utf-8")
    assert done.returncode == 0, told[-5000:]
    assert "rows 200" in told
    assert told.count("Traceback (most recent call last)") >= 5
    looked_at = {"home/prefect/prefect.db", "mlflow/mlflow.db", "bucket/releases/inbox/releases/1.json", "mlflow/log"}
    assert looked_at <= {str(path.relative_to(room)) for path in room.rglob("*")}
    assert leaks(room, SECRETS) == []
    files = sum(path.is_file() for path in room.rglob("*"))
    trials(len(SECRETS), f"secrets in {files} files of a whole life")
