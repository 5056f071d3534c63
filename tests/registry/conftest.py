"""Packages, settings and registered versions for the registry's tests: real files, real MLflow, real SQLite."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from eqn.emotions import EMOTIONS
from eqn.records import ModelRef
from eqn.registry import tracking
from eqn.registry.connection import connect
from eqn.registry.versions import register
from eqn.settings import Settings, load_settings

PROJECT = Path(__file__).parents[2]
GOOD = {"macro_f1": 0.40, "micro_f1": 0.50, "map": 0.45, "brier": 0.040}
PackageWriter = Callable[..., Path]
Trainer = Callable[..., ModelRef]


def write_package(
    path: Path,
    *,
    dev: Mapping[str, float] = GOOD,
    corpus: str = "sample",
    train_rows: int = 1000,
    recipe: str = "tiny",
    weights: bytes = b"weights",
) -> Path:
    """Write a directory that is a package in every respect but that its weights are no network."""
    path.mkdir(parents=True)
    files = {
        "config.json": b"{}",
        "model.safetensors": weights,
        "tokenizer.json": b"{}",
        "README.md": b"# A model\n",
    }
    for name, content in files.items():
        (path / name).write_bytes(content)
    facts = {
        "format": 1,
        "labels": EMOTIONS,
        "thresholds": dict.fromkeys(EMOTIONS, 0.5),
        "max_tokens": 128,
        "pooling": "mean",
        "training_key": hashlib.sha256(f"{recipe} on {corpus}".encode()).hexdigest(),
        "recipe": {"name": recipe, "epochs": 2},
        "backbone": {"name": "tiny", "digest": "0" * 64},
        "corpus": {
            "name": corpus,
            "digest": hashlib.sha256(corpus.encode()).hexdigest(),
            "rows": {"train": train_rows, "dev": 100, "test": 100},
        },
        "metrics": {"dev": dict(dev), "test": {name: value - 0.01 for name, value in dev.items()}},
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in files.items()
        },
    }
    (path / "eqn.json").write_text(json.dumps(facts), "utf-8")
    return path


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh MLflow database: creating one takes more than a second, copying it nothing."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(load_settings(PROJECT).model_copy(update={"tracking_uri": f"sqlite:///{path}"}))
    return path


@pytest.fixture
def bare_settings(tmp_path: Path) -> Settings:
    """Settings whose state folder does not exist yet."""
    home = tmp_path / "home"
    address = f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    return load_settings(PROJECT).model_copy(
        update={"home": home, "store": str(home / "releases"), "tracking_uri": address}
    )


@pytest.fixture
def settings(bare_settings: Settings, empty_database: Path) -> Settings:
    """Settings whose MLflow database is there and empty."""
    folder = bare_settings.home / "mlflow"
    folder.mkdir(parents=True)
    shutil.copy(empty_database, folder / "mlflow.db")
    return bare_settings


@pytest.fixture
def package(tmp_path: Path) -> PackageWriter:
    """Give a function that writes a package and gives its directory."""
    written = iter(range(1000))

    def write(**facts: Any) -> Path:
        number = next(written)
        facts.setdefault("weights", f"weights {number}".encode())
        return write_package(tmp_path / "packages" / str(number), **facts)

    return write


@pytest.fixture
def trained(settings: Settings, package: PackageWriter) -> Trainer:
    """Give a function that registers a package with the figures it is given, as training does."""

    def train(**facts: Any) -> ModelRef:
        with tracking.run(settings, "a run") as run:
            return register(package(**facts), run.id, settings, validation_passed=True)

    return train
