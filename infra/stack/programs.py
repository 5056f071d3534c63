"""The programs that supervisord keeps running: their commands and environments."""

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from infra.stack.places import Memory, Places

POOLS: Mapping[str, int] = {"cpu": 2, "gpu": 1}
"""The work pools, and how many flow runs the worker of each carries out at a time."""
BUCKET = "eqn"

SECONDS_BETWEEN_HEARTBEATS = 30
"""Of a flow run, the least that Prefect takes. An automation marks a run as crashed after three that did not come."""
_SECONDS_BETWEEN_WORKERS_HEARTBEATS = 10
_SECONDS_BETWEEN_QUERIES = 5
_SECONDS_FOR_DATABASE = 30
"""For a connection or a query of Prefect's server: training may keep both cores busy."""

_QUIET = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


@dataclasses.dataclass(frozen=True)
class Program:
    """One program under supervisord."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    priority: int = 20
    """Programs with higher numbers end earlier."""
    user: str = ""
    """The account it runs as, if not this one; it then takes its environment from nobody."""
    stop_signal: str = "TERM"
    seconds_to_stop: int = 20
    alone: bool = True
    """Whether what a killed predecessor left behind is ended first."""


def worker_of(pool: str) -> str:
    """Give the name of the program that works for `pool`."""
    return f"worker-{pool}"


def address_of(server: str, memory: Memory) -> str:
    """Give the address of a server for clients."""
    return f"http://127.0.0.1:{memory.ports[server]}"


def team_environment(places: Places, memory: Memory, s3: Mapping[str, str]) -> dict[str, str]:
    """Give the variables by which `eqn`, the flows and Prefect's command line use this stack."""
    mlflow = address_of("mlflow", memory)
    variables = {
        "EQN_HOME": str(places.home),
        "EQN_STORE": f"s3://{BUCKET}/releases",
        "EQN_INBOX": f"s3://{BUCKET}/inbox",
        "EQN_PAGES_URL": address_of("pages", memory),
        "EQN_TRACKING_URI": mlflow,
        "MLFLOW_TRACKING_URI": mlflow,
        "PREFECT_API_URL": f"{address_of('prefect', memory)}/api",
        "PREFECT_HOME": str(places.prefect),
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",  # the default would be pickle
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(SECONDS_BETWEEN_HEARTBEATS),
        **_storage_environment(s3),
        **_QUIET,
    }
    if memory.goemotions:
        variables["EQN_GOEMOTIONS"] = memory.goemotions
    return variables


def programs_of(
    places: Places,
    memory: Memory,
    *,
    s3: Mapping[str, str],
    passwords: Mapping[str, str],
    postgres: Path,
    postgres_user: str,
) -> dict[str, Program]:
    """Give every program; `postgres` is the folder of PostgreSQL's own programs, `s3` the service's variables."""
    team = team_environment(places, memory, s3)
    return {
        "postgres": _postgres(postgres, postgres_user, memory),
        "prefect": _prefect(places, memory, passwords["prefect"]),
        "mlflow": _mlflow(memory, passwords["mlflow"], s3),
        "metrics": _served(("metrics", "serve"), memory.ports["metrics"], team),
        "pages": _served(("release", "serve"), memory.ports["pages"], team),
        **{worker_of(pool): _worker(pool, limit, team, places.scratch) for pool, limit in POOLS.items()},
    }


def prefect_database(memory: Memory, password: str) -> dict[str, str]:
    """Give the variables by which Prefect's server finds its database."""
    return {"PREFECT_SERVER_DATABASE_CONNECTION_URL": _database("postgresql+asyncpg", "prefect", memory, password)}


def mlflow_database(memory: Memory, password: str) -> dict[str, str]:
    """Give the variables by which MLflow's server finds its database."""
    return {"MLFLOW_BACKEND_STORE_URI": _database("postgresql+psycopg2", "mlflow", memory, password)}


def _database(driver: str, name: str, memory: Memory, password: str) -> str:
    return f"{driver}://{name}:{quote(password, safe='')}@127.0.0.1:{memory.ports['postgres']}/{name}"


def _storage_environment(s3: Mapping[str, str]) -> dict[str, str]:
    others = [name for name in os.environ.get("NO_PROXY", "").split(",") if name]
    return {
        **s3,
        # Newer checksums than some services know.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": ",".join(dict.fromkeys([*others, "127.0.0.1", "localhost"])),
    }


def _postgres(binaries: Path, user: str, memory: Memory) -> Program:
    return Program(
        command=(str(binaries / "postgres"), "-D", memory.cluster, "-p", str(memory.ports["postgres"])),
        priority=10,
        user=user,
        stop_signal="INT",  # end now, with everything written
    )


def _prefect(places: Places, memory: Memory, password: str) -> Program:
    port = str(memory.ports["prefect"])
    return Program(
        command=(sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port),
        environment={
            **prefect_database(memory, password),
            "PREFECT_HOME": str(places.prefect),
            "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",  # done before
            "PREFECT_SERVER_DATABASE_TIMEOUT": str(_SECONDS_FOR_DATABASE),
            "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": str(_SECONDS_FOR_DATABASE),
            # In memory, the default, a restart of the server would forget who holds a place and leave it taken.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_SERVER_METRICS_ENABLED": "true",
            "PREFECT_SERVER_UI_API_URL": f"{address_of('prefect', memory)}/api",
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(places.prefect / "ui"),
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            **_QUIET,
        },
    )


def _mlflow(memory: Memory, password: str, s3: Mapping[str, str]) -> Program:
    port = memory.ports["mlflow"]
    options = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--workers": "2",
        "--artifacts-destination": f"s3://{BUCKET}/mlflow",
        "--allowed-hosts": f"127.0.0.1:{port},localhost:{port}",
    }
    return Program(
        command=(sys.executable, "-m", "mlflow", "server", *(part for option in options.items() for part in option)),
        environment={
            **mlflow_database(memory, password),
            **_storage_environment(s3),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # nothing here hands it jobs
            **_QUIET,
        },
    )


def _served(command: tuple[str, str], port: int, team: Mapping[str, str]) -> Program:
    """Give a server of EQN itself."""
    return Program(command=(sys.executable, "-m", "eqn.cli", *command, "--port", str(port)), environment=team)


def _worker(pool: str, limit: int, team: Mapping[str, str], scratch: Path) -> Program:
    return Program(
        command=(
            *(sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--name", pool, "--type", "process"),
            *("--limit", str(limit), "--install-policy", "never", "--no-create-pool-if-not-found"),
        ),
        environment={
            **team,
            "TMPDIR": str(scratch),
            "PREFECT_WORKER_HEARTBEAT_SECONDS": str(_SECONDS_BETWEEN_WORKERS_HEARTBEATS),
            "PREFECT_WORKER_QUERY_SECONDS": str(_SECONDS_BETWEEN_QUERIES),
        },
        priority=30,
        alone=False,  # flow runs go on when their worker dies
    )
