"""The whole walk against a real `mlflow server` on loopback: track, register, promote, resolve."""

import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eqn.errors import ArtifactRefused, StoreUnavailable
from eqn.records import CorpusRef, ModelRef
from eqn.registry import tracking
from eqn.registry.champions import Moved, rollback
from eqn.registry.connection import connect
from eqn.registry.promotion import promote
from eqn.registry.resolution import resolve
from eqn.registry.versions import find, list_versions, register
from eqn.settings import Settings, load_settings
from tests.registry.conftest import GOOD, PROJECT, PackageWriter
from tests.servers import await_answer, free_port, running

CORPUS = CorpusRef("sample", "/data/sample", "ab" * 32, {"train": 10, "dev": 5, "test": 5})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[tuple[str, int, Path]]:
    """Start a server with its own database and artifacts; give its address, process id and artifact folder."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "mlflow.db")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    command = [sys.executable, "-m", "mlflow", "server", *arguments, *stores]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with running(command, folder=folder, environment=environment, log=folder / "log") as process:
        await_answer(f"{address}/health", process, folder / "log")
        yield address, process.pid, folder / "files"


@pytest.fixture
def team(server: tuple[str, int, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Settings of a team: MLflow on the server; each test has an experiment and a registered model of its own."""
    settings = load_settings(PROJECT)
    name = request.node.name.partition("[")[0]
    registry = settings.registry.model_copy(update={"experiment": name, "registered_model": name})
    return settings.model_copy(
        update={
            "home": tmp_path / "home",
            "store": str(tmp_path / "home" / "releases"),
            "tracking_uri": server[0],
            "registry": registry,
        },
    )


def trained(settings: Settings, package: PackageWriter, **facts: object) -> ModelRef:
    """Register a package as training does."""
    with tracking.run(settings, "training", params={"epochs": 2}, corpus=CORPUS) as run:
        run.metrics({"dev/macro_f1": 0.4}, step=1)
        return register(package(**facts), run.id, settings, validation_passed=True)


def test_the_main_walk_works_against_a_server(
    team: Settings, package: PackageWriter, capfd: pytest.CaptureFixture[str]
) -> None:
    """Track, register, promote, resolve, find and go back, with nothing but the server's address; and silently."""
    name = team.registry.registered_model
    first = trained(team, package)
    assert promote(None, team).promote
    second = trained(team, package, dev=GOOD | {"macro_f1": 0.5}, recipe="large")
    assert promote(None, team).promote
    third = trained(team, package, dev=GOOD | {"macro_f1": 0.1})
    assert not promote(None, team).promote

    assert resolve("champion", team).digest == second.digest
    assert resolve(f"models:/{name}/1", team).digest == first.digest
    key = list_versions(team)[0].training_key
    found = find(key, team)
    assert found is not None
    assert found.digest == third.digest
    assert rollback(team) == Moved(2, 1)
    assert resolve("champion", team).version == 1
    run = connect(team).get_run(connect(team).get_model_version(name, "1").run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"dev/macro_f1": 0.4})
    assert capfd.readouterr() == ("", "")


def test_files_changed_on_the_server_are_refused(
    team: Settings, package: PackageWriter, server: tuple[str, int, Path]
) -> None:
    """What the server delivers is compared with the registered digest."""
    trained(team, package, weights=b"the weights of this test")
    (weights,) = (
        path for path in server[2].rglob("model.safetensors") if path.read_bytes() == b"the weights of this test"
    )
    weights.write_bytes(b"the weights of this tesT")

    with pytest.raises(ArtifactRefused):
        resolve("1", team)
    weights.unlink()
    with pytest.raises(ArtifactRefused):
        resolve("1", team)
    assert list(team.models.iterdir()) == []


def test_files_that_are_gone_are_told_without_the_password(
    team: Settings, package: PackageWriter, server: tuple[str, int, Path]
) -> None:
    """MLflow's own words repeat the address as it was given."""
    address = server[0].replace("//", "//someone:s3cret-passw0rd@")
    with_password = team.model_copy(update={"tracking_uri": address})
    trained(with_password, package, weights=b"weights that go")
    weights = [path for path in server[2].rglob("model.safetensors") if path.read_bytes() == b"weights that go"]
    assert weights
    for path in weights:
        shutil.rmtree(path.parent)

    with pytest.raises(ArtifactRefused, match="version 1 cannot be read") as refused:
        resolve("1", with_password)
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))


def test_a_server_that_stops_answering_is_reported(
    team: Settings, server: tuple[str, int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that hangs in the middle of a run ends it with exit code 5 after a bounded time."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    started = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable) as caught, tracking.run(team, "hanging") as run:  # noqa: PT012
            os.killpg(server[1], signal.SIGSTOP)
            run.metrics({"x": 1.0}, step=0)
    finally:
        os.killpg(server[1], signal.SIGCONT)

    assert time.monotonic() - started < 20
    assert caught.value.exit_code == 5
    notes: Any = getattr(caught.value, "__notes__", [])
    assert "could not be ended" in notes[0]
