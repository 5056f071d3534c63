"""A team's operation from end to end: deployments, real workers and servers, and what is left when any of them dies."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.stack.processes import marked
from tests.stack.team import CORPUS, FlowRun, Team, data_of, letters

MANY = 100_000
"""Rows of an annotation that is to be killed: a dozen parts of a tiny network."""
POOLS = {"validate": "cpu", "train": "gpu", "promote": "cpu"}


# --- the life of a release


def test_a_champion_comes_from_deployments_on_their_pools(team: Team, life: dict[str, FlowRun]) -> None:
    """Validate and promote run on the CPU pool, training on the GPU pool, and each watching command succeeds."""
    assert {name: run.state for name, run in life.items()} == dict.fromkeys(POOLS, "COMPLETED"), [
        run.message for run in life.values()
    ]
    assert {name: run.worker_pool for name, run in life.items()} == POOLS
    assert [run.code for run in life.values()] == [0, 0, 0]
    assert "corpus-validation" in team.artifacts(life["validate"])
    assert "promotion-decision" in team.artifacts(life["promote"])


@pytest.fixture(scope="module")
def first(team: Team, champion: str) -> FlowRun:
    """A file in the team's inbox, and the nightly deployment pressed."""
    team.drop("inbox/monday.csv", [*letters(300), ("007", "NA"), ("", ""), ("twice", "a"), ("twice", "b")])
    return team.press("annotate/nightly")


def test_a_file_in_the_inbox_becomes_a_verified_release(team: Team, first: FlowRun) -> None:
    """Rows in = rows out + rows quarantined, every byte is as published, and the run shows where it all is."""
    manifest = team.manifest("inbox")

    assert (first.state, first.code) == ("COMPLETED", 0), team.logs(first)
    assert manifest.release == 1
    assert (manifest.rows_in, manifest.rows_out, manifest.rows_quarantined) == (304, 301, 3)
    assert json.loads(team.eqn("release", "verify", "inbox", "--json"))["verified"] is True
    assert {"inbox-validation", "release-inbox"} <= team.artifacts(first).keys()


def test_everyday_tools_read_the_release_on_s3(team: Team, first: FlowRun) -> None:
    """Pandas and DuckDB see the same rows, ids as they were; nothing of EQN is needed."""
    import duckdb
    import pandas as pd
    from pyarrow import dataset
    from pyarrow.fs import S3FileSystem

    path = team.eqn("release", "path", "inbox").strip().removeprefix("s3://") + "/data"
    files = S3FileSystem(
        endpoint_override=team.environment["AWS_ENDPOINT_URL"],
        access_key=team.environment["AWS_ACCESS_KEY_ID"],
        secret_key=team.environment["AWS_SECRET_ACCESS_KEY"],
    )

    frame = pd.read_parquet(path, filesystem=files)
    release = dataset.dataset(path, filesystem=files)  # noqa: F841  DuckDB finds it by its name
    strongest = duckdb.sql("select id, text from release where id = '007'").fetchall()

    assert len(frame) == 301
    assert strongest == [("007", "NA")]
    assert frame["id"].iloc[0] == "letter-000000"


def test_the_same_again_publishes_nothing_new(team: Team, first: FlowRun) -> None:
    again = team.press("annotate/nightly")

    assert again.state == "COMPLETED", team.logs(again)
    assert team.releases("inbox") == [1]
    assert "already published" in team.logs(again)


def test_a_new_file_makes_the_next_release(team: Team, first: FlowRun) -> None:
    """It holds the new rows and, byte for byte, what was there before."""
    team.drop("inbox/tuesday.csv", letters(50, name="more"))

    run = team.press("annotate/nightly")

    old, new = team.manifest("inbox", 1), team.manifest("inbox", 2)
    assert run.state == "COMPLETED", team.logs(run)
    assert new.rows_out == old.rows_out + 50
    assert {old.files[part].sha256 for part in old.inputs[0].parts} <= set(data_of(new).values())


# --- what dies in the middle


@pytest.fixture(scope="module")
def undisturbed(team: Team, champion: str) -> dict[str, str]:
    """Digests of the release of many rows that nobody disturbed."""
    team.drop("many/letters.csv", letters(MANY))
    run = team.press("annotate/nightly", inbox=team.inbox("many"), dataset="undisturbed")
    assert run.state == "COMPLETED", team.logs(run)
    return data_of(team.manifest("undisturbed"))


@contextmanager
def reader(team: Team, dataset: str) -> Iterator[list[str]]:
    """Read the latest release again and again meanwhile; gives what was wrong with it."""
    faults: list[str] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.wait(0.3):
            try:
                team.latest(dataset)
            except Exception as error:  # noqa: BLE001  whatever it is, the test tells it
                faults.append(repr(error))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield faults
    finally:
        ended.set()
        thread.join()


def begun(team: Team, dataset: str) -> str:
    """Press the nightly deployment on many rows, and come back when it has written its first part."""
    run = team.press("annotate/nightly", watch=False, inbox=team.inbox("many"), dataset=dataset)
    team.begun(dataset)
    return run.id


@pytest.mark.promise(31)
def test_a_killed_flow_run_is_marked_crashed_and_the_next_finishes(team: Team, undisturbed: dict[str, str]) -> None:
    """After kill -9 of its processes readers see nothing, the server says Crashed, and the next run's release is the
    one that an undisturbed run gives.
    """
    with reader(team, "killed") as faults:
        run = begun(team, "killed")
        processes = marked(PREFECT__FLOW_RUN_ID=run)
        for process in processes:
            os.kill(process, signal.SIGKILL)
        assert processes
        assert team.releases("killed") == []
        crashed = team.ended(run, seconds=240)
        left = team.parts("killed")

        finished = team.press("annotate/nightly", inbox=team.inbox("many"), dataset="killed")

    assert crashed.state == "CRASHED", crashed
    assert 0 < left < len(undisturbed), "it was killed in the middle"
    assert finished.state == "COMPLETED", team.logs(finished)
    assert data_of(team.manifest("killed")) == undisturbed
    assert team.releases("killed") == [1]
    assert not faults


@pytest.mark.promise(31)
@pytest.mark.parametrize("program", ["worker-cpu", "prefect", "postgres", "mlflow"])
def test_whatever_program_dies_comes_back_and_the_work_is_done(
    team: Team, undisturbed: dict[str, str], program: str
) -> None:
    """After kill -9 in the middle of an annotation supervisord starts it anew, and the run or the next one finishes."""
    dataset = f"without-{program}"
    with reader(team, dataset) as faults:
        run = begun(team, dataset)
        before = team.programs()[program]
        os.kill(before, signal.SIGKILL)
        team.back(program, before)
        team.healthy()
        ended = team.ended(run, seconds=300)

        finished = team.press("annotate/nightly", inbox=team.inbox("many"), dataset=dataset)

    assert ended.state in {"COMPLETED", "CRASHED", "FAILED"}
    assert finished.state == "COMPLETED", team.logs(finished)
    assert data_of(team.manifest(dataset)) == undisturbed
    assert team.releases(dataset) == [1]
    assert not faults


@pytest.mark.promise(31)
def test_a_worker_killed_with_its_runs_is_replaced(team: Team, undisturbed: dict[str, str]) -> None:
    """Kill -9 of the worker and of everything that it started, as when a machine runs out of memory."""
    run = begun(team, "all-killed")
    before = team.programs()["worker-cpu"]
    os.kill(before, signal.SIGKILL)
    for process in marked(PREFECT__FLOW_RUN_ID=run):
        os.kill(process, signal.SIGKILL)

    crashed = team.ended(run, seconds=240)
    team.back("worker-cpu", before)
    finished = team.press("annotate/nightly", inbox=team.inbox("many"), dataset="all-killed")

    assert crashed.state == "CRASHED", crashed
    assert finished.state == "COMPLETED", team.logs(finished)
    assert data_of(team.manifest("all-killed")) == undisturbed


@pytest.mark.promise(32)
def test_a_killed_training_gives_the_gpu_back(team: Team, champion: str) -> None:
    """The lock and the deployment's only slot are free again for the next run, also after a restart of the server."""
    asked = {"directory": CORPUS, "recipe": "plain", "backbone": "tiny", "seed": 7}
    run = team.press("train/gpu", watch=False, **asked).id
    team.until(lambda: bool(team.api("get", "/v2/concurrency_limits/gpu")["active_slots"]), "nothing took the GPU")
    server = team.programs()["prefect"]
    os.kill(server, signal.SIGKILL)
    processes = marked(PREFECT__FLOW_RUN_ID=run)
    for process in processes:
        os.kill(process, signal.SIGKILL)
    team.back("prefect", server)
    team.healthy()

    crashed = team.ended(run, seconds=240)
    finished = team.press("train/gpu", **asked)

    assert processes
    assert crashed.state == "CRASHED", crashed
    assert finished.state == "COMPLETED", team.logs(finished)


# --- servers that are away


def test_without_mlflow_a_run_says_so_and_publishes_nothing(team: Team, champion: str) -> None:
    team.drop("away/letters.csv", letters(10))
    with team.without("mlflow"):
        run = team.press("annotate/nightly", inbox=team.inbox("away"), dataset="away")

    assert run.state == "FAILED"
    assert re.match(r"MLflow at \S+ cannot be reached: nothing listens there\.$", one_sentence(run)), run.message
    assert "Traceback" not in team.logs(run)
    assert team.releases("away") == []


def test_without_s3_a_run_says_so(team: Team, champion: str) -> None:
    with without_s3(team):
        run = team.press("annotate/nightly", inbox=team.inbox("away"), dataset="away")

    assert run.state == "FAILED"
    assert "s3://" in one_sentence(run), run.message
    assert "Traceback" not in team.logs(run)


def test_refused_credentials_are_said_and_not_tried_again(team: Team, champion: str) -> None:
    """A worker with a wrong key: one attempt, one sentence, and the key is nowhere in it."""
    wrong = "not-the-key-" + "x" * 28
    deployment = team.api("get", "/deployments/name/annotate/nightly")["id"]
    asked = {
        "parameters": {"inbox": team.inbox("away"), "dataset": "away"},
        "job_variables": {"env": {"AWS_SECRET_ACCESS_KEY": wrong}},
    }
    run = team.ended(team.api("post", f"/deployments/{deployment}/create_flow_run", asked)["id"])

    assert run.state == "FAILED"
    assert one_sentence(run).startswith("expected to use s3://"), run.message
    assert "secret key" in run.message
    assert wrong not in team.logs(run)
    assert "etry" not in team.logs(run)


def test_without_prefects_server_a_person_is_told(team: Team) -> None:
    with team.without("prefect"):
        done = team.command("flows.deploy")

    assert done.returncode == 5
    assert "Prefect server" in done.stderr
    assert "Traceback" not in done.stderr


def one_sentence(run: FlowRun) -> str:
    """Give what the state says of the error, without Prefect's own words before it."""
    said = run.message.partition("Flow run encountered an exception: ")[2] or run.message
    return (said.partition(": ")[2] or said).splitlines()[0]


@contextmanager
def without_s3(team: Team) -> Iterator[None]:
    """Keep the S3 service down."""
    script, folder = "infra/services/s3.sh", str(team.home / "stack" / "s3")
    port = team.environment["AWS_ENDPOINT_URL"].rpartition(":")[2]
    subprocess.run(["bash", script, "--stop", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["bash", script, folder, port], check=True, capture_output=True)
        team.healthy()
