"""Structured logs on standard error: JSON lines for machines, plain lines in a terminal.

Library code logs with the standard library: a constant sentence, and what belongs to it as `extra`. Of that, only the
fields named here come through, and of an error only its class and where it was raised: messages of errors and all else
may hold words from the data.
"""

import json
import logging
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, TextIO

from eqn.settings import load_log_settings, secrets_in_environment
from eqn.telemetry.context import bound_facts
from eqn.telemetry.redaction import redactor

FIELDS = {
    *("flow", "flow_run", "task_run", "job", "dataset", "release", "mlflow_run", "model_version"),  # which run
    *("stage", "seconds", "outcome", "exit_code"),  # what it did, and how that ended
    *("rows", "quarantined", "reasons", "breaches", "texts_per_second", "address"),
}
"""What `extra` may hold. Everything else in it is dropped."""
_RENAMED = {"flow_run_id": "flow_run", "task_run_id": "task_run"}
"""As Prefect calls them in its own records."""
_FRAMES = 8

Event = MutableMapping[str, Any]


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is at that moment."""

    def __init__(self, form: str | None) -> None:
        super().__init__()
        self.setFormatter(_Formatter(form))

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        pass  # StreamHandler sets what it was made with


class _Formatter(logging.Formatter):
    """Formats with structlog, which is loaded for the first line that is written."""

    def __init__(self, form: str | None) -> None:
        super().__init__()
        self._form = form
        self._formatter: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        if self._formatter is None:
            self._formatter = _structlog_formatter(self._form or ("text" if sys.stderr.isatty() else "json"))
        return self._formatter.format(record)


def configure_logging(default_level: str) -> None:
    """Log what `eqn` has to say to standard error; calling it again changes nothing but the level and the form.

    EQN_LOG_LEVEL replaces `default_level`. Other libraries are left as they are, unless EQN_LOG_LEVEL or EQN_LOG_FORMAT
    is set: then their warnings come in the same form, Prefect's lines included.

    Raises:
        UsageError: a variable has an unknown value.

    """
    asked = load_log_settings()
    logger = logging.getLogger("eqn")
    logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, _Handler)]
    logger.addHandler(_Handler(asked.format))
    logger.setLevel((asked.level or default_level).upper())
    logger.propagate = False
    if asked.level or asked.format:
        root = logging.getLogger()
        if not root.handlers:
            root.addHandler(_Handler(asked.format))
        for handler in root.handlers:
            handler.setFormatter(_Formatter(asked.format))


def _structlog_formatter(form: str) -> logging.Formatter:
    from structlog.processors import TimeStamper
    from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name

    redacted = redactor(secrets_in_environment())

    def final(_logger: Any, _name: str, event: Event) -> str:
        return (_line if form == "text" else _json)(redacted(event))

    return ProcessorFormatter(
        processor=final,
        foreign_pre_chain=[
            ExtraAdder(),
            _without_the_rest,
            add_log_level,
            add_logger_name,
            TimeStamper(fmt="iso", utc=True, key="time"),
        ],
    )


def _without_the_rest(_logger: Any, _name: str, event: Event) -> Event:
    """Keep the sentence, what it belongs to, and of an error its class and its frames."""
    given = {**bound_facts(), **event}
    kept = {_RENAMED.get(name, name): value for name, value in given.items() if _RENAMED.get(name, name) in FIELDS}
    record: logging.LogRecord = event["_record"]
    if record.exc_info:
        kept |= _error(*record.exc_info)
    return {"event": event["event"], **kept, "_record": record, "_from_structlog": False}


def _error(
    kind: type[BaseException] | None, _error: BaseException | None, trace: TracebackType | None
) -> dict[str, object]:
    if kind is None:
        return {}
    frames = traceback.extract_tb(trace)[-_FRAMES:]
    return {
        "error": f"{kind.__module__}.{kind.__qualname__}",
        "frames": [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames],
    }


def _json(event: dict[str, Any]) -> str:
    first = {name: event.pop(name) for name in ("time", "level", "event")}
    return json.dumps(first | event, allow_nan=False)


def _line(event: dict[str, Any]) -> str:
    """Give a line for a person, in which nothing can order the terminal about."""
    time, level, sentence = (event.pop(name) for name in ("time", "level", "event"))
    event.pop("logger")
    rest = "".join(f"  {name}={value}" for name, value in event.items())
    line = f"{time[:19]}Z {level:<8} {sentence}{rest}"
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
