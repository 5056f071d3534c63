"""A fresh environment from the package index: both servers start, and the main job runs on them."""

import contextlib
import json
import os
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.lock import LOCK, read_lock
from tests.faults.promises import Trials
from tests.servers import await_answer, free_port, running

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

FLOW = """
import json
from eqn.settings import load_settings
from flows.embedded import server_of
from flows.pipeline import pipeline
with server_of(load_settings()):
    outcome = pipeline(backbone="tiny")
print(json.dumps({"rows": outcome.release.rows, "number": outcome.release.number}))
"""

pytestmark = pytest.mark.promise(33)


def requirements() -> list[Requirement]:
    """Give every requirement of the project on a package of others, extras included."""
    lines = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]
    return [found for found in map(Requirement, lines) if found.name != "eqn"]


@pytest.mark.parametrize(
    ("name", "bad"), [("fastapi", "0.151.0"), ("sqlalchemy", "2.1.0"), ("prefect", "4.0.0"), ("mlflow", "4.0.0")]
)
def test_versions_that_break_the_servers_are_shut_out(name: str, bad: str) -> None:
    """From these on, Prefect's or MLflow's server was seen to break, or nobody has tried."""
    (found,) = [each for each in requirements() if each.name == name]

    assert bad not in found.specifier
    assert read_lock()[name] in found.specifier


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("torch", "2.10.0"),
        ("transformers", "5.9.0"),
        ("mlflow", "3.17.1"),
        ("prefect", "3.8.7"),
        ("fastapi", "0.138.0"),
    ],
)
def test_versions_with_known_holes_are_shut_out(name: str, bad: str) -> None:
    (found,) = [each for each in requirements() if each.name == name]

    assert bad not in found.specifier


def test_every_locked_version_lies_within_the_bounds() -> None:
    pins = read_lock()
    outside = [
        f"{found}: {pins[canonicalize_name(found.name)]}"
        for found in requirements()
        if canonicalize_name(found.name) in pins and pins[canonicalize_name(found.name)] not in found.specifier
    ]

    assert outside == []


def test_what_this_environment_resolved_to_lies_within_the_bounds() -> None:
    """Read from what is installed, whoever installed it."""
    resolved = {name: version(name) for name in ("fastapi", "sqlalchemy", "prefect", "mlflow", "torch", "transformers")}

    assert _outside(resolved) == []


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("versions", ["locked", "latest"])
def test_a_fresh_install_starts_both_servers_and_runs_the_main_job(
    tmp_path: Path, versions: str, trials: Trials
) -> None:
    """From constraints.txt, and from the latest versions that the bounds allow; the repository is out of reach."""
    python = _install(tmp_path / "environment", versions)
    said = _call([python, "-m", "pip", "list", "--format", "json"], tmp_path)
    resolved = {canonicalize_name(each["name"]): each["version"] for each in json.loads(said)}
    assert _outside(resolved) == []
    pins = read_lock()
    if versions == "locked":
        different = {name: found for name, found in resolved.items() if found.partition("+")[0] != pins.get(name)}
        assert different.keys() <= {"eqn", "pip"}, different

    room = tmp_path / "room"
    room.mkdir()
    prefect, mlflow = free_port(), free_port()
    environment = _environment(room, prefect=prefect, mlflow=mlflow)
    servers = {
        "prefect": ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(prefect)],
        "mlflow": ["mlflow", "server", "--host", "127.0.0.1", "--port", str(mlflow), "--workers", "1",
                   "--artifacts-destination", str(room / "artifacts")],
    }  # fmt: skip
    with contextlib.ExitStack() as ends:
        started = {
            name: ends.enter_context(
                running([python, "-m", *command], folder=room, environment=environment, log=room / f"{name}.log")
            )
            for name, command in servers.items()
        }
        await_answer(f"http://127.0.0.1:{prefect}/api/health", started["prefect"], room / "prefect.log")
        await_answer(f"http://127.0.0.1:{mlflow}/health", started["mlflow"], room / "mlflow.log")
        outcome = json.loads(_call([python, "-c", FLOW], room, environment).splitlines()[-1])
        runs = json.loads(_ask(f"http://127.0.0.1:{prefect}/api/flow_runs/filter", {"limit": 20}))
        models = json.loads(_ask(f"http://127.0.0.1:{mlflow}/api/2.0/mlflow/registered-models/search"))

    assert outcome == {"rows": 240, "number": 1}
    assert {run["state_type"] for run in runs} == {"COMPLETED"}
    assert [model["name"] for model in models["registered_models"]] == ["eqn"]
    trials(1, f"fresh environment, {versions}: {len(resolved)} packages, both servers, the main job")


def _install(folder: Path, versions: str) -> str:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    bounds = ["--constraint", str(LOCK)] if versions == "locked" else ["--upgrade", "--upgrade-strategy", "eager"]
    _call([python, "-m", "pip", "install", "--quiet", *bounds, f"{ROOT}[pipeline]"], folder)
    _call([python, "-m", "pip", "check"], folder)
    return python


def _outside(resolved: Mapping[str, str]) -> list[str]:
    known = [(found, resolved.get(canonicalize_name(found.name))) for found in requirements()]
    return [f"{found}: {got}" for found, got in known if got and not found.specifier.contains(got, prereleases=True)]


def _environment(room: Path, *, prefect: int, mlflow: int) -> dict[str, str]:
    left_out = ("EQN_", "PREFECT_", "MLFLOW_", "AWS_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return kept | {
        "EQN_HOME": str(room / "home"),
        "EQN_TRACKING_URI": f"http://127.0.0.1:{mlflow}",
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{room / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api",
        "PREFECT_HOME": str(room / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "OMP_NUM_THREADS": "1",
    }


def _call(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    return done.stdout


def _ask(address: str, question: object = None) -> bytes:
    content = None if question is None else json.dumps(question).encode()
    request = urllib.request.Request(address, content, {"Content-Type": "application/json"})  # noqa: S310  loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  loopback
        found: bytes = answer.read()
    return found
