"""Settings with a state folder of their own, and what runs are told about."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from eqn.records import Drift, DriftComparison, DriftMeasure, ReleaseRef
from eqn.settings import Settings, load_settings

RELEASE = ReleaseRef("letters", 3, "/somewhere", rows=90, quarantined=10)
DRIFT = Drift(
    "letters",
    3,
    90,
    (
        DriftComparison("release 2", 80, (DriftMeasure("joy", "distance", 0.3, 0.1),)),
        DriftComparison("release 2, new files only", 70, (DriftMeasure("joy", "distance", 0.4, 0.5),)),
        DriftComparison("training data", 500, (DriftMeasure("text length", "distance", 0.05, 0.1),)),
    ),
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A fresh state folder."""
    monkeypatch.setenv("EQN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EQN_PUSHGATEWAY_URL", raising=False)
    return load_settings()


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("EQN_LOG_LEVEL", "EQN_LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    loggers = [logging.getLogger(), logging.getLogger("eqn")]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    formatters = [(handler, handler.formatter) for handler in loggers[0].handlers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
    for handler, formatter in formatters:
        handler.setFormatter(formatter)
