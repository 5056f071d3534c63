"""`make deploy`: it leaves the same whether it is called once or twice, and says what is wrong in a sentence."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings

from eqn.exits import ending
from eqn.settings import Settings
from flows import deploy

ROOT = Path(__file__).parents[2]
SECRET = "http://127.0.0.1:9/a-secret-path"  # noqa: S105  the address is the secret
MESSAGES = ["eqn drift message", "eqn failed runs", "eqn promotions", "eqn questions"]
RULES = ["eqn drift retraining", "eqn lost runs"]


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's folder, and no variables but the test's."""
    monkeypatch.chdir(ROOT)
    for name in ("EQN_PROJECT", "EQN_WEBHOOK_URL", "PREFECT_API_AUTH_STRING"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def client(home: Settings) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as connected:
        yield connected


def _there(client: SyncPrefectClient) -> dict[str, Any]:
    """What a person sees on the server, with ids: the same things, not others of the same name."""
    return {
        "deployments": {
            row.id: (row.name, row.version, row.paused, [(s.id, s.slug, s.active) for s in row.schedules])
            for row in client.read_deployments()
        },
        "automations": {row.id: (row.name, row.enabled, row.description) for row in client.read_automations()},
        "pools": {row.id: (row.name, row.type, row.concurrency_limit) for row in client.read_work_pools()},
        "limit": client.read_global_concurrency_limit_by_name("gpu").limit,
    }


def test_twice_is_once(
    project: None, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second call changes nothing: not an id, not a schedule, nothing that a person changed meanwhile."""
    assert ending(deploy.main) == 0
    said = capsys.readouterr().out
    assert "annotate/nightly, pipeline/weekly, promote/challenger, retrain/weekly, train/gpu, validate/corpus" in said
    assert f"says no address for messages: {', '.join(MESSAGES)}" in said
    nightly = client.read_deployment_by_name("annotate/nightly")
    client.update_deployment_schedule(nightly.id, nightly.schedules[0].id, active=False)
    (rule,) = client.read_automations_by_name("eqn drift retraining")
    client.pause_automation(rule.id)
    client.update_global_concurrency_limit("gpu", GlobalConcurrencyLimitUpdate(limit=3))
    before = _there(client)

    assert ending(deploy.main) == 0

    after = _there(client)
    assert after == before
    assert {name for _, (name, *_) in before["pools"].items()} >= {"cpu", "gpu"}
    assert sorted(name for name, *_ in before["automations"].values()) == RULES
    assert {row[1] for row in before["deployments"].values()} == {version("eqn")}
    (step,) = nightly.pull_steps or []
    assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(ROOT)


def test_messages_need_an_address_which_stays_secret(
    project: None, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With EQN_WEBHOOK_URL the messages are there; the address is in nothing that the server shows, or the program."""
    monkeypatch.setenv("EQN_WEBHOOK_URL", SECRET)

    assert ending(deploy.main) == 0

    automations = client.read_automations()
    shown = [row.model_dump_json() for row in (*automations, *client.read_deployments())]
    block = client.read_block_document_by_name("eqn-messages", "webhook", include_secrets=False)
    said = capsys.readouterr()
    assert sorted(row.name for row in automations) == sorted([*MESSAGES, *RULES])
    assert all(SECRET not in words for words in (*shown, block.model_dump_json(), said.out, said.err))
    monkeypatch.delenv("EQN_WEBHOOK_URL")
    before = _there(client)
    assert ending(deploy.main) == 0  # the address is known: nothing is taken away
    assert _there(client) == before


def test_without_a_server_it_says_what_to_do(project: None, home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert ending(deploy.main) == 2

    assert "PREFECT_API_URL" in capsys.readouterr().err


def test_outside_the_project_it_says_so(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert ending(deploy.main) == 2

    assert f"expected prefect.yaml in {tmp_path}" in capsys.readouterr().err


def test_a_server_that_is_away_is_one_sentence(
    project: None, home: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with temporary_settings(updates={PREFECT_API_URL: "http://someone:password@127.0.0.1:9/api"}):
        assert ending(deploy.main) == 5

    said = capsys.readouterr().err
    assert "the Prefect server at http://127.0.0.1:9/api does not answer" in said
    assert "password" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("status", "sentence"), [(401, "refuses the credentials"), (404, "answers with status 404")])
def test_a_server_that_refuses_is_one_sentence(
    project: None, home: Settings, capsys: pytest.CaptureFixture[str], status: int, sentence: str
) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET  # noqa: N815  the handler's name for it

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with temporary_settings(updates={PREFECT_API_URL: f"http://127.0.0.1:{server.server_port}/api"}):
            assert ending(deploy.main) == 5
    finally:
        server.shutdown()
        server.server_close()

    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


def test_an_address_for_messages_that_is_none_is_refused_without_showing_it(
    project: None, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EQN_WEBHOOK_URL", "hunter2.example/hook")

    assert ending(deploy.main) == 2

    said = capsys.readouterr().err
    assert "EQN_WEBHOOK_URL" in said
    assert "hunter2" not in said
    assert os.environ["EQN_WEBHOOK_URL"] not in said
