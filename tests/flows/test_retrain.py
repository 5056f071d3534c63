"""The flow `retrain`: a challenger beside the champion, and a person with the last word."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import torch
from prefect import flow, get_client
from prefect.artifacts import Artifact
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.flow_runs import resume_flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings

from eqn.corpus.choice import choose_corpus
from eqn.quality.inputs import validated_corpus
from eqn.records import Contest, Decision, EmotionContest, Gain
from eqn.registry.champions import champion_of, set_champion
from eqn.registry.connection import connect
from eqn.registry.training_run import train_and_register
from eqn.registry.versions import VersionRow, list_versions
from eqn.settings import Settings, load_settings
from eqn.training.recipes import recipe_named
from flows.contests import question_about, table_of
from flows.retrain import retrain
from tests.servers import await_answer, free_port, running

ROOT = Path(__file__).parents[2]
CONTEST = Contest(
    candidate=3,
    champion=2,
    corpus="letters|<b>",
    corpus_digest="0" * 64,
    rows=240,
    candidate_figures={"macro_f1": 0.52, "map": 0.5, "micro_f1": 0.6, "brier": 0.02},
    champion_figures={"macro_f1": 0.5, "map": 0.51, "micro_f1": 0.6, "brier": 0.021},
    gains={"macro_f1": Gain(0.02, -0.001, 0.041), "map": Gain(-0.01, -0.02, 0.001)},
    emotions=(EmotionContest("grief", 6, 0.5, 0.2), EmotionContest("joy", 80, 0.6, 0.6)),
)


_POOL = "trainers"


def champion(settings: Settings) -> int | None:
    """Give the champion's version."""
    row = champion_of(list_versions(settings), settings)
    return row.version if row else None


def test_the_table_shows_both_and_the_difference() -> None:
    """Each figure beside the champion's, intervals where there are some, the emotions below, data's words escaped."""
    table = table_of(CONTEST)

    assert "| macro F1 | 0.5200 | 0.5000 | +0.0200 | -0.0010 to +0.0410 |" in table
    assert "| Brier | 0.0200 | 0.0210 | -0.0010 |  |" in table
    assert "| grief | 6 | 0.500 | 0.200 | +0.300 |" in table
    assert "<b>" not in table


def test_the_first_model_stands_alone_in_the_table() -> None:
    """Without a champion there is nothing to subtract."""
    alone = dataclasses.replace(CONTEST, champion=None, champion_figures={}, gains={}, emotions=())

    assert "| macro F1 | 0.5200 |  |  |  |" in table_of(alone)
    assert "champion, none" in table_of(alone)


def test_the_question_says_what_is_at_stake() -> None:
    """Who would replace whom, why, by how much, and what happens without an answer."""
    decision = Decision(promote=False, reasons=("It is better.",), candidate=3, champion=2, held=True)
    asked = question_about(CONTEST, decision, days=7)

    assert "Does version 3 become champion, instead of version 2?" in asked
    assert "It is better" in asked
    assert "macro F1 0.5200 against the champion's 0.5000: +0.0200, 95 % interval -0.0010 to +0.0410" in asked
    assert "grief (+0.300)" in asked
    assert "within 7 days the champion stays" in asked


@pytest.fixture
def own(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A state folder of its own, with the server that all tests of flows share."""
    monkeypatch.setenv("EQN_HOME", str(tmp_path / "home"))
    return load_settings()


def test_a_run_that_nobody_can_resume_holds_the_challenger_and_says_how_to_answer(
    own: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Started by hand, it cannot wait: the question stands in the registry. Later runs train nothing again."""
    held = retrain(recipe="plain", backbone="tiny", mode="ask")
    assert held is not None
    assert (held.held, champion(own)) == (True, None)
    assert "eqn promote 1 --yes (or --no)" in caplog.text

    promoted = retrain(recipe="plain", backbone="tiny", mode="automatic")
    assert promoted is not None
    assert (promoted.promote, champion(own), len(list_versions(own))) == (True, 1, 1)

    assert retrain(recipe="plain", backbone="tiny", seed=1, only_if_needed=True) is None
    assert len(list_versions(own)) == 1
    for key in ("champion-contest", "promotion-decision", "trained-model"):
        assert Artifact.get(key) is not None


# What follows needs a server whose runs can be resumed, and a worker.


@dataclasses.dataclass(frozen=True)
class Team:
    """A Prefect server with the deployment retrain/asking, a worker, and what they work on."""

    settings: Settings
    api: str
    deployment: UUID

    def start(self, **parameters: object) -> UUID:
        """Press the button."""
        with get_client(sync_client=True) as client:
            run = client.create_flow_run_from_deployment(self.deployment, parameters=parameters)
        return run.id

    def wait(self, run: UUID) -> FlowRun:
        """Wait until a run has ended, or waits for a person."""
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            with get_client(sync_client=True) as client:
                found: FlowRun = client.read_flow_run(run)
            if found.state and (found.state.is_final() or found.state.is_paused()):
                return found
            time.sleep(0.5)
        pytest.fail("the run did not end")

    def question(self, run: UUID) -> str:
        """Give what the form says."""
        state = self.wait(run).state
        assert state is not None
        keys = state.state_details.run_input_keyset
        assert keys is not None
        with get_client(sync_client=True) as client:
            text: str = json.loads(client.read_flow_run_input(run, keys["description"]))
        return text

    def changes(self) -> list[Mapping[str, Any]]:
        """Give the payloads of the events of a new champion, the oldest first."""
        found = self.post("/events/filter", {"filter": {"event": {"name": ["eqn.champion.changed"]}, "order": "ASC"}})
        return [event["payload"] for event in found["events"]]

    def post(self, path: str, body: object) -> Any:
        """Ask the server."""
        request = urllib.request.Request(  # noqa: S310  loopback
            self.api + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def row(self, version: int) -> VersionRow:
        """Give a registered version."""
        return next(row for row in list_versions(self.settings) if row.version == version)


def _register(settings: Settings, seed: int, macro_f1: float) -> int:
    """Train for a moment, and register with that figure: the policy is to like what comes later."""
    corpus = choose_corpus(None)
    validation = validated_corpus(corpus, docs=settings.data_docs)
    brief = dataclasses.replace(recipe_named("plain"), epochs=1)
    version = train_and_register(settings, corpus, validation, brief, backbone="tiny", seed=seed).model.version
    client: Any = connect(settings)
    for name, figure in {"macro_f1": macro_f1, "micro_f1": 0.0, "map": 0.0, "brier": 1.0}.items():
        client.set_model_version_tag("eqn", str(version), f"eqn.dev.{name}", str(figure))
    return version


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Start the server and the worker; version 1 is champion, version 2 another poor model."""
    folder = tmp_path_factory.mktemp("team")
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    ours = {"EQN_HOME": str(folder / "home"), "PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": api}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "true", "OMP_NUM_THREADS": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("EQN_", "PREFECT_"))}
    environment |= ours | quiet | {"PREFECT_RESULTS_DEFAULT_SERIALIZER": "json"}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    log = folder / "log"
    with contextlib.ExitStack() as ends:

        def start(*arguments: str) -> "subprocess.Popen[bytes]":
            command = [sys.executable, "-m", "prefect", *arguments]
            return ends.enter_context(running(command, folder=ROOT, environment=environment, log=log))

        ends.callback(torch.set_num_threads, threads)
        server = start("server", "start", "--host", "127.0.0.1", "--port", str(port))
        await_answer(f"{api}/health", server, log)
        with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_URL: api}):
            for name in ("EQN_GOEMOTIONS", "EQN_INBOX", "EQN_STORE", "EQN_TRACKING_URI"):
                patch.delenv(name, raising=False)
            patch.setenv("EQN_HOME", ours["EQN_HOME"])
            settings = load_settings()
            for seed in (1, 2):
                _register(settings, seed, macro_f1=0.01 * seed)
            set_champion(1, settings)
            deployment = _deploy()
            start("worker", "start", "--pool", _POOL)
            yield Team(settings, api, deployment)


def _deploy() -> UUID:
    """Register the deployment retrain/asking."""
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=_POOL, type="process"))
    ours: Any = flow.from_source(source=str(ROOT), entrypoint="flows/retrain.py:retrain")
    deployment: UUID = ours.deploy(
        name="asking", work_pool_name=_POOL, build=False, push=False, concurrency_limit=1, print_next_steps=False
    )
    return deployment


@pytest.fixture
def asked(team: Team) -> UUID:
    """Give a run that waits for a person; the challenger is version 3, trained by the first of these runs."""
    client: Any = connect(team.settings)
    if champion(team.settings) != 1:
        set_champion(1, team.settings)
    if len(list_versions(team.settings)) == 3:
        for tag in ("eqn.answer", "eqn.decision", "eqn.champion_since", "eqn.champion_before"):
            client.delete_model_version_tag("eqn", "3", tag)
    run = team.start(recipe="plain", backbone="tiny", mode="ask")
    found = team.wait(run)
    assert found.state is not None
    assert found.state.name == "Suspended", found.state.message
    return run


@pytest.mark.team
@pytest.mark.timeout(1800)
def test_a_no_keeps_the_champion_for_good(team: Team, asked: UUID) -> None:
    """The run waits with the comparison in its form; after a no, later runs neither train nor ask again."""
    assert "Does version 3 become champion, instead of version 1?" in team.question(asked)
    assert champion(team.settings) == 1
    with pytest.raises(RuntimeError, match="decision"):
        resume_flow_run(asked, run_input={"decision": "perhaps", "name": "Ada"})

    resume_flow_run(asked, run_input={"decision": "keep", "name": "Ada", "reason": "sounds wrong"})
    ended = team.wait(asked)
    again = team.wait(team.start(recipe="plain", backbone="tiny", mode="ask"))

    assert [run.state_name for run in (ended, again)] == ["Completed", "Completed"]
    assert champion(team.settings) == 1
    assert len(list_versions(team.settings)) == 3
    answer = json.loads(team.row(3).answer)
    assert (answer["promote"], answer["who"], answer["why"]) == (False, "Ada", "sounds wrong")


@pytest.mark.team
@pytest.mark.timeout(1800)
def test_a_yes_promotes_the_challenger_that_was_shown(team: Team, asked: UUID) -> None:
    """Started again from its first line, the run trains nothing, judges the same version, and tells of the champion."""
    resume_flow_run(asked, run_input={"decision": "promote", "name": "Ada"})

    assert team.wait(asked).state_name == "Completed"
    assert champion(team.settings) == 3
    assert len(list_versions(team.settings)) == 3
    deadline = time.monotonic() + 60
    while not team.changes() and time.monotonic() < deadline:
        time.sleep(0.5)  # events travel on their own
    assert [(change["version"], change["previous"]) for change in team.changes()] == [(3, 1)]


@pytest.mark.team
@pytest.mark.timeout(1800)
def test_an_answer_does_not_count_for_another_champion(team: Team, asked: UUID) -> None:
    """Somebody else was promoted while the run waited: it asks anew about the new pair, and then does what is said."""
    set_champion(2, team.settings)
    resume_flow_run(asked, run_input={"decision": "promote", "name": "Ada"})

    assert team.wait(asked).state_name == "Suspended"
    assert champion(team.settings) == 2
    assert "Does version 3 become champion, instead of version 2?" in team.question(asked)

    resume_flow_run(asked, run_input={"decision": "promote", "name": "Grace"})
    assert team.wait(asked).state_name == "Completed"
    assert champion(team.settings) == 3
    assert json.loads(team.row(3).answer)["who"] == "Grace"
