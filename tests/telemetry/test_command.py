"""`eqn metrics` as a person and a supervisor call it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from eqn.cli import run as cli
from eqn.settings import Settings
from eqn.telemetry.ledger import Ledger
from eqn.telemetry.run import observed


def _annotate(settings: Settings) -> None:
    with observed(settings, flow="annotate", dataset="letters") as run:
        run.rows(40, 400)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_ended(settings: Settings, ending: signal.Signals) -> None:
    """A run that comes later is there at the next question; both ways of ending it are no failure."""
    exporter = subprocess.Popen(
        [sys.executable, "-m", "eqn.cli", "metrics", "serve", "--port", "0"],
        env=os.environ, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert exporter.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/metrics", exporter.stderr.readline())
        assert found is not None
        assert "eqn_telemetry_readable 1.0" in _read(found[0])
        _annotate(settings)
        assert 'eqn_rows_annotated_total{dataset="letters"} 40.0' in _read(found[0])

        exporter.send_signal(ending)

        assert exporter.wait(30) == 0
        assert exporter.stderr.read() == ""
    finally:
        exporter.kill()
        exporter.communicate()


def test_a_port_that_is_taken_is_told(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code = cli(["metrics", "serve", "--port", str(taken.getsockname()[1])])

    assert code == 2
    assert "expected to listen on 127.0.0.1:" in capsys.readouterr().err


def test_figures_are_shown(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["metrics", "show"]) == 0
    assert capsys.readouterr().out == "No run was counted yet.\n"
    _annotate(settings)

    assert cli(["metrics", "show"]) == 0
    assert re.search(r"eqn_tokens_total +letters +400", capsys.readouterr().out)
    assert cli(["metrics", "show", "--json"]) == 0
    assert {"name": "eqn_tokens_total", "labels": {"dataset": "letters"}, "value": 400.0} in json.loads(
        capsys.readouterr().out
    )


def test_a_ledger_that_cannot_be_read_is_told(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    Ledger(settings.metrics).path.mkdir(parents=True)

    assert cli(["metrics", "show"]) == 5
    assert "move it away" in capsys.readouterr().err


@pytest.mark.parametrize(("level", "lines"), [(None, 0), ("info", 2)])
def test_the_command_line_logs_only_when_asked(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    level: str | None,
    lines: int,
) -> None:
    """By default a command shows what it always showed."""
    if level:
        monkeypatch.setenv("EQN_LOG_LEVEL", level)
    assert cli(["metrics", "show"]) == 0
    capsys.readouterr()

    _annotate(settings)

    assert len(capsys.readouterr().err.splitlines()) == lines


def test_a_wrong_level_is_a_mistake_of_the_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EQN_LOG_LEVEL", "loud")

    assert cli(["metrics", "show"]) == 2
    assert "EQN_LOG_LEVEL" in capsys.readouterr().err


def _read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  loopback
        content: bytes = answer.read()
    return content.decode()
