"""A training that is remembered: tracked, registered, resumed, and never done twice. Real MLflow, tiny networks."""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from eqn.corpus.goemotions import Corpus, load_corpus
from eqn.emotions import EMOTIONS, MEANINGS
from eqn.errors import DataRefused
from eqn.evaluation.evaluate import baseline_figures
from eqn.model.backbone import backbone_digest
from eqn.model.package import FIGURES, read_package
from eqn.records import Finding, Validation
from eqn.registry.connection import connect
from eqn.registry.resolution import resolve
from eqn.registry.training_run import Trained, measure_on, train_and_register
from eqn.registry.versions import list_versions
from eqn.settings import Settings, load_settings
from eqn.training.progress import Event
from eqn.training.recipes import recipe_named
from eqn.training.run import Order, train, training_key

QUICK = recipe_named("plain", epochs=1, least_steps=40, learning_rate=1e-2, checks=4)
PROJECT = Path(__file__).parents[2]

KILLED = """
import os, signal, sys
from pathlib import Path
from eqn.corpus.goemotions import load_corpus
from eqn.records import Validation
from eqn.registry.training_run import train_and_register
from eqn.settings import load_settings
from eqn.training.recipes import recipe_named

corpus = load_corpus(Path(sys.argv[1]))

def listener(event):
    if event.step >= 30:  # the checkpoint of step 20 is there
        os.kill(os.getpid(), signal.SIGKILL)

train_and_register(
    load_settings(Path(sys.argv[2])), corpus, Validation("small", corpus.ref.digest, 112, 9, (), "docs"),
    recipe_named("plain", epochs=1, least_steps=40, learning_rate=1e-2, checks=4), backbone="tiny", seed=0,
    listener=listener,
)
"""

Train = Callable[..., Trained]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Splits in which every emotion stands twice in train, once in dev, once in test."""
    torch.set_num_threads(1)  # small networks are faster so
    folder = tmp_path_factory.mktemp("data") / "small"
    folder.mkdir()
    for split, times in (("train", 2), ("dev", 1), ("test", 1)):
        lines = [
            f"{split} {time}: {MEANINGS[name]}\t{label}\t{split}-{time}-{label}\n"
            for time in range(times)
            for label, name in enumerate(EMOTIONS)
        ]
        (folder / f"{split}.tsv").write_text("".join(lines), "utf-8")
    return load_corpus(folder)


@pytest.fixture
def validation(corpus: Corpus) -> Validation:
    findings = (Finding("warning", "short comments"),)
    return Validation("small", corpus.ref.digest, 112, 9, findings, "/docs/index.html")


@pytest.fixture
def train_here(settings: Settings, corpus: Corpus, validation: Validation) -> Train:
    """Give a function that trains and registers, in this test's state folder."""

    def run(**changes: Any) -> Trained:
        facts = {"settings": settings, "corpus": corpus, "validation": validation, "recipe": QUICK}
        return train_and_register(**facts | {"backbone": "tiny", "seed": 0} | changes)

    return run


@pytest.fixture(scope="module")
def undisturbed(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the package when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")
    figures = baseline_figures(corpus, cache=folder)
    order = Order(
        corpus=corpus, recipe=QUICK, backbone="tiny", seed=0, out=folder / "m", backbones=folder, baselines=figures
    )
    return train(order).digest


def test_a_model_is_trained_and_registered(train_here: Train, settings: Settings, corpus: Corpus) -> None:
    """There is a version whose verified package stands where it will be looked for, and nothing half-done beside."""
    heard: list[Event] = []
    trained = train_here(listener=heard.append)

    package = read_package(Path(trained.model.path))
    (row,) = list_versions(settings)
    assert not trained.reused
    assert (trained.model.version, trained.model.digest) == (1, package.digest)
    assert (row.digest, row.aliases, row.corpus_digest) == (package.digest, ("challenger",), corpus.ref.digest)
    assert trained.metrics == package.metrics == row.metrics
    assert [path.name for path in settings.models.iterdir()] == [package.digest]
    assert resolve("1", settings) == trained.model
    assert [event.step for event in heard] == [10, 20, 30, 40]
    assert all(event.dev_score is not None for event in heard)


def test_mlflow_knows_the_whole_training(train_here: Train, settings: Settings, corpus: Corpus) -> None:
    """Parameters, figures by step, final figures, the data with its digest, its validation, and the card."""
    trained = train_here()

    client: Any = connect(settings)
    run = client.get_run(client.get_model_version("eqn", "1").run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {name: str(value) for name, value in QUICK.values().items()} | {
        "backbone": "tiny",
        "seed": "0",
    }
    for name in ("loss", "learning_rate", "texts_per_second", "dev_map"):
        history = client.get_metric_history(run.info.run_id, f"training/{name}")
        assert [entry.step for entry in history] == [10, 20, 30, 40]
    assert run.data.metrics["test/macro_f1"] == pytest.approx(trained.metrics["test"]["macro_f1"])
    assert run.data.metrics["dev/brier"] == pytest.approx(trained.metrics["dev"]["brier"])
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("small", corpus.ref.digest[:36])
    assert run.data.tags["eqn.validation"] == "passed"
    assert run.data.tags["eqn.validation.findings"] == "1"
    for name in ("ece", "macro_f1_low", "map_high", "brier_low"):
        assert run.data.metrics[f"test/{name}"] == pytest.approx(trained.metrics["test"][name])


def test_several_teachers_and_rounds_are_told_apart_in_mlflow(train_here: Train, settings: Settings) -> None:
    """Each network of stage A has its own figures, under the name that people read."""
    heard: list[Event] = []
    train_here(
        recipe=dataclasses.replace(QUICK, folds=2, teachers=2, rounds=2, least_steps=4, checks=1), listener=heard.append
    )

    stages = {event.stage for event in heard}
    assert len(stages) == 9
    client: Any = connect(settings)
    metrics = client.get_run(client.get_model_version("eqn", "1").run_id).data.metrics
    assert {name.removesuffix("/loss") for name in metrics if name.endswith("/loss")} == stages


def test_the_card_in_mlflow_stands_beside_its_figures(train_here: Train, settings: Settings) -> None:
    """Every image that the card embeds is found beside it, the very file of the package."""
    package = Path(train_here().model.path)

    client: Any = connect(settings)
    run = client.get_model_version("eqn", "1").run_id
    kept = {file.path for file in client.list_artifacts(run) if not file.is_dir}
    assert kept == {"README.md", *(name for name in FIGURES if (package / name).is_file())}
    embedded = re.findall(r"!\[.*\]\((.*)\)", (package / "README.md").read_text("utf-8"))
    assert set(embedded) == kept - {"README.md"}
    for name in kept:
        assert Path(client.download_artifacts(run, name)).read_bytes() == (package / name).read_bytes()


def test_the_same_training_is_not_done_twice(train_here: Train, settings: Settings) -> None:
    """Asked again, the model is there: nothing is trained, tracked or registered, even if its files must be fetched."""

    def never(event: Event) -> None:
        pytest.fail(f"this was trained before: {event}")

    first = train_here()
    again = train_here(listener=never)
    shutil.rmtree(settings.models)
    fetched = train_here(listener=never)

    assert again == fetched == dataclasses.replace(first, reused=True)
    client: Any = connect(settings)
    assert len(client.search_runs([client.get_experiment_by_name("eqn").experiment_id])) == 1
    assert len(list_versions(settings)) == 1


def test_another_seed_or_recipe_is_another_model(train_here: Train, settings: Settings) -> None:
    """What would give other weights is trained, and registered beside the first."""
    recipe = recipe_named("plain", epochs=1, least_steps=8, checks=1)
    versions = [train_here(recipe=recipe, seed=seed).model.version for seed in (0, 1)]
    versions.append(train_here(recipe=dataclasses.replace(recipe, dropout=0.0)).model.version)

    assert versions == [1, 2, 3]
    assert len({row.training_key for row in list_versions(settings)}) == 3


@pytest.mark.parametrize("fault", ["failed", "of other data"])
def test_nothing_is_trained_on_data_that_was_not_validated(
    train_here: Train, settings: Settings, validation: Validation, fault: str
) -> None:
    """A critical finding stops it, and so does a validation of other bytes than those at hand."""
    bad = (
        dataclasses.replace(validation, findings=(Finding("critical", "an id occurs once", ("x1",)),))
        if fault == "failed"
        else dataclasses.replace(validation, digest="0" * 64)
    )

    with pytest.raises(DataRefused):
        train_here(validation=bad, listener=lambda event: pytest.fail(f"this was trained: {event}"))
    assert list_versions(settings) == []
    assert not settings.models.exists()
    client: Any = connect(settings)
    assert client.get_experiment_by_name("eqn") is None


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder, for another process too."""
    for name in ("GOEMOTIONS", "INBOX", "STORE", "TRACKING_URI"):
        monkeypatch.delenv(f"EQN_{name}", raising=False)
    monkeypatch.setenv("EQN_HOME", str(settings.home))
    assert load_settings(PROJECT).tracking_uri == settings.tracking_uri
    return settings.home


def test_a_killed_training_goes_on(
    home: Path, train_here: Train, settings: Settings, corpus: Corpus, undisturbed: str
) -> None:
    """kill -9 after the second checkpoint: a rerun goes on from it, in the same run, to the very same package."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, corpus.ref.path, str(PROJECT)]
    killed = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list_versions(settings) == []

    heard: list[Event] = []
    trained = train_here(listener=heard.append)

    assert [event.step for event in heard] == [30, 40]
    assert trained.model.digest == undisturbed
    assert [path.name for path in settings.models.iterdir()] == [undisturbed]
    client: Any = connect(settings)
    (run,) = client.search_runs([client.get_experiment_by_name("eqn").experiment_id])
    assert run.info.status == "FINISHED"
    assert {entry.step for entry in client.get_metric_history(run.info.run_id, "training/loss")} >= {10, 20, 30, 40}


def test_a_package_that_was_never_registered_is_registered(
    train_here: Train, settings: Settings, corpus: Corpus
) -> None:
    """Killed between its training and its registration: a rerun trains nothing and finds the package."""
    digest = backbone_digest("tiny", cache=settings.backbones, seed=0)
    key = training_key(QUICK, corpus_digest=corpus.ref.digest, backbone_digest=digest, seed=0)
    order = Order(
        corpus=corpus, recipe=QUICK, backbone="tiny", seed=0, out=settings.models / key, backbones=settings.backbones
    )
    left = train(order)

    trained = train_here(listener=lambda event: pytest.fail(f"this was trained before: {event}"))

    assert (trained.model.version, trained.model.digest, trained.reused) == (1, left.digest, False)
    assert [path.name for path in settings.models.iterdir()] == [left.digest]
    assert resolve("challenger", settings) == trained.model


def test_models_of_other_data_are_measured_on_the_same_rows(train_here: Train, corpus: Corpus) -> None:
    """The measurement that `promote` uses gives a model's figures on dev, as its training measured them."""
    trained = train_here()

    assert measure_on(corpus)(trained.model) == pytest.approx(trained.metrics["dev"])
