"""Log lines: their fields, their form, and what never stands in them."""

import ast
import json
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eqn.errors import DataRefused, UsageError
from eqn.settings import Settings
from eqn.telemetry.context import bound
from eqn.telemetry.logs import configure_logging
from eqn.telemetry.run import observed
from tests.telemetry.conftest import RELEASE

ROOT = Path(__file__).parents[2]
CANARY = "I never told anyone that"


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    streams = capsys.readouterr()
    assert streams.out == ""
    return [json.loads(line) for line in streams.err.splitlines()]


def test_a_run_tells_its_story_with_its_ids(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line has a time, a level, a sentence and the ids of the run; standard output stays clean."""
    configure_logging("info")

    with observed(settings, flow="annotate", dataset="letters", run_id="flow-id") as run, bound(task_run="task-id"):
        with run.stage("plan"):
            pass
        run.quarantined({"empty_text": 2})
        run.released(RELEASE)

    lines = _lines(capsys)
    assert [line["event"] for line in lines] == [
        *("run started", "stage ended", "rows quarantined", "release published", "run ended")
    ]
    assert {line["flow_run"] for line in lines} == {"flow-id"}
    assert {line["dataset"] for line in lines} == {"letters"}
    assert [line.get("task_run") for line in lines] == [None, "task-id", "task-id", "task-id", None]
    assert lines[1]["stage"] == "plan"
    assert lines[2]["reasons"] == {"empty_text": 2}
    assert (lines[3]["release"], lines[3]["rows"], lines[3]["quarantined"]) == (3, 90, 10)
    assert lines[4]["outcome"] == "succeeded"
    assert all(line["level"] == "info" and line["time"].endswith("Z") for line in lines)


def test_a_failed_run_says_how_but_not_with_which_words(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Messages of errors may quote the data: the class and the frames are enough for a log."""
    configure_logging("error")

    for error in (DataRefused("no", faults=[CANARY]), ValueError(CANARY)):
        with pytest.raises(type(error)), observed(settings, flow="annotate", dataset="letters"):
            raise error

    refused, broken = _lines(capsys)
    assert (refused["event"], refused["outcome"], refused["exit_code"]) == ("run failed", "refused", 3)
    assert (broken["event"], broken["error"]) == ("run broke off", "builtins.ValueError")
    assert "test_logs.py" in broken["frames"][-1]
    assert CANARY not in json.dumps([refused, broken])


def test_only_known_fields_come_through(capsys: pytest.CaptureFixture[str]) -> None:
    """What somebody attaches by mistake is dropped."""
    configure_logging("info")

    logging.getLogger("eqn.anything").info("a sentence", extra={"text": CANARY, "rows": 3})

    (line,) = _lines(capsys)
    assert line.keys() == {"time", "level", "event", "rows", "logger"}


def test_secrets_are_taken_out_wherever_they_stand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second net: values of secret variables, and what looks like a secret, also of other libraries."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary/of+the=environment")
    monkeypatch.setenv("EQN_LOG_FORMAT", "json")
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own
    configure_logging("info")

    logging.getLogger("eqn.x").info("s", extra={"address": "https://me:canary-1@host/x?X-Amz-Signature=canary2&a=1"})
    logging.getLogger("eqn.x").info("s", extra={"reasons": {"a": ["canary/of+the=environment"]}})
    logging.getLogger("botocore").warning("password=%s AKIA%s", "canary-3", "CANARY4CANARY4CA")
    logging.getLogger("botocore").warning("{'aws_secret_access_key': 'canary-5'} Authorization: Bearer canary-token-6")

    lines = _lines(capsys)
    assert len(lines) == 4
    assert "canary" not in json.dumps(lines).lower()
    assert lines[0]["address"] == "https://[redacted]@host/x?X-Amz-Signature=[redacted]&a=1"


def test_a_long_value_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")

    logging.getLogger("eqn.x").info("s", extra={"address": "x" * 10_000})

    assert len(_lines(capsys)[0]["address"]) < 400


def test_plain_lines_cannot_order_a_terminal_about(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One record is one line, and control characters are shown, not obeyed."""
    monkeypatch.setenv("EQN_LOG_FORMAT", "text")
    configure_logging("info")

    logging.getLogger("eqn.x").info("a sentence", extra={"rows": 3, "address": "a\nb\x1b[2J"})

    (line,) = capsys.readouterr().err.splitlines()
    assert line[10:].partition(" ")[2] == "info     a sentence  rows=3  address=a\\nb\\x1b[2J"


def test_a_terminal_gets_plain_lines_without_being_asked() -> None:
    master, slave = pty.openpty()
    code = (
        "import logging\n"
        "from eqn.telemetry.logs import configure_logging\n"
        "configure_logging('info')\n"
        "logging.getLogger('eqn.x').info('a sentence')\n"
    )
    subprocess.run([sys.executable, "-c", code], stderr=slave, check=True)
    os.close(slave)

    assert b"info     a sentence\r\n" in os.read(master, 1000)
    os.close(master)


def test_calling_twice_does_not_say_everything_twice(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning")
    configure_logging("info")

    logging.getLogger("eqn.x").info("a sentence")

    assert len(_lines(capsys)) == 1


def test_the_variable_replaces_the_level(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQN_LOG_LEVEL", "error")
    configure_logging("info")

    logging.getLogger("eqn.x").warning("not wanted")
    logging.getLogger("eqn.x").error("wanted")

    assert [line["event"] for line in _lines(capsys)] == ["wanted"]


def test_other_libraries_stay_as_they_are_until_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a variable their lines are theirs."""
    configure_logging("info")
    root = logging.getLogger()
    handlers = root.handlers[:]

    configure_logging("info")

    assert root.handlers == handlers


def test_prefects_lines_come_in_the_same_form_when_asked() -> None:
    """Its console handler, its own lines and what flows print, with the flow run's id."""
    code = (
        "from prefect.logging.configuration import setup_logging\n"
        "from prefect.logging import get_logger\n"
        "from eqn.telemetry.logs import configure_logging\n"
        "setup_logging()\n"
        "configure_logging('info')\n"
        "get_logger('flow_runs').info('printed', extra={'flow_run_id': 'abc', 'flow_run_name': 'quiet-fox'})\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"EQN_LOG_FORMAT": "json", "PREFECT_LOGGING_TO_API_ENABLED": "false"},
        capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip

    line = json.loads(told)
    assert (line["event"], line["flow_run"], line["logger"]) == ("printed", "abc", "prefect.flow_runs")


def test_unknown_values_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQN_LOG_LEVEL", "loud")
    monkeypatch.setenv("EQN_LOG_FORMAT", "xml")

    with pytest.raises(UsageError) as caught:
        configure_logging("info")

    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["EQN_LOG_LEVEL", "EQN_LOG_FORMAT"]


def test_what_the_library_logs_is_a_constant_sentence() -> None:
    """A message put together from values could quote the data: no call in `eqn` does that."""
    faults = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "eqn").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if _logs(node) and not _is_constant(node)
    ]

    assert faults == []


def _logs(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"_logger", "logger"}
        and node.func.attr in {"debug", "info", "warning", "error", "critical", "exception", "log"}
    )


def _is_constant(node: ast.AST) -> bool:
    assert isinstance(node, ast.Call)
    given = node.args[0]
    sentences = [given.body, given.orelse] if isinstance(given, ast.IfExp) else [given]
    return len(node.args) == 1 and all(isinstance(sentence, ast.Constant) for sentence in sentences)
