"""Pushing to a gateway: whole states, in turn, with a password that stays out of sight, and never a reason to fail."""

import base64
import fcntl
import os
import socket

import pytest

from eqn.settings import Settings, load_settings
from eqn.telemetry.logs import configure_logging
from eqn.telemetry.run import observed
from tests.telemetry.gateway import gateway
from tests.telemetry.values import values


def _run(settings: Settings) -> None:
    with observed(settings, flow="annotate", dataset="letters") as run:
        run.rows(40, 400)


def test_each_run_pushes_the_state_of_its_machine(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pushed is the ledger, not this run's share: a group that is replaced never goes back."""
    with gateway() as server:
        monkeypatch.setenv("EQN_PUSHGATEWAY_URL", f"http://{server.address}")
        _run(load_settings())
        _run(load_settings())

    methods, paths, passwords, contents = zip(*server.heard, strict=True)
    assert methods == ("PUT", "PUT")
    assert set(paths) == {f"/metrics/job/eqn/instance/{socket.gethostname()}"}
    assert set(passwords) == {None}
    assert 'eqn_rows_annotated_total{dataset="letters"} 40.0' in contents[0]
    assert 'eqn_rows_annotated_total{dataset="letters"} 80.0' in contents[1]


def test_a_password_in_the_address_is_sent_and_not_logged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("debug")
    with gateway() as server:
        server.status = 401
        monkeypatch.setenv("EQN_PUSHGATEWAY_URL", f"http://me:c4n%2Fary@{server.address}/")
        settings = load_settings()
        _run(settings)

    assert server.heard[0][2] == "Basic " + base64.b64encode(b"me:c4n/ary").decode()
    told = capsys.readouterr().err
    assert '"level": "warning", "event": "the metrics of this run cannot be kept or pushed"' in told
    assert "c4n" not in told + repr(settings)
    assert values(settings)['eqn_runs_total{dataset="letters",flow="annotate",outcome="succeeded"}'] == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "not an address", "http://[bad"])
def test_a_gateway_that_cannot_be_reached_fails_no_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("EQN_PUSHGATEWAY_URL", address)
    _run(load_settings())

    assert values(settings)['eqn_runs_total{dataset="letters",flow="annotate",outcome="succeeded"}'] == 1


def test_a_turn_that_does_not_come_is_let_go(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process holds the turn: this run ends without having pushed; the next one pushes its share as well."""
    monkeypatch.setattr("eqn.telemetry.push._SECONDS_TO_ANSWER", 0.1)
    with gateway() as server:
        monkeypatch.setenv("EQN_PUSHGATEWAY_URL", f"http://{server.address}")
        settings.metrics.mkdir(parents=True)
        turn = os.open(settings.metrics / "push.lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(turn, fcntl.LOCK_EX)
        _run(load_settings())
        assert server.heard == []
        os.close(turn)
        monkeypatch.setattr("eqn.telemetry.push._SECONDS_TO_ANSWER", 5.0)
        _run(load_settings())

    assert len(server.heard) == 1
    assert 'eqn_rows_annotated_total{dataset="letters"} 80.0' in server.heard[0][3]
