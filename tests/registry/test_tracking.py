"""One run, against MLflow on SQLite."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from eqn.errors import UsageError
from eqn.records import CorpusRef, Finding, Validation
from eqn.registry import tracking
from eqn.registry.connection import connect
from eqn.settings import Settings

CORPUS = CorpusRef("sample", "/data/sample", "ab" * 32, {"train": 10, "dev": 5, "test": 5})
VALIDATION = Validation("sample", "ab" * 32, 20, 12, (Finding("warning", "short texts"),), "/docs/index.html")


def recorded(settings: Settings, run_id: str) -> Any:
    """Give what MLflow knows about a run."""
    return connect(settings).get_run(run_id)


def test_a_run_keeps_its_parameters_figures_and_files(settings: Settings, tmp_path: Path) -> None:
    """What is logged inside the block can be read from MLflow afterwards, and the run is finished."""
    report = tmp_path / "report.html"
    report.write_text("<p>fine</p>", "utf-8")
    with tracking.run(settings, "minilm", params={"epochs": 3, "rate": 1e-5}, tags={"eqn.kind": "training"}) as run:
        run.metrics({"train/loss": 0.5, "dev/macro_f1": 0.1}, step=1)
        run.metrics({"train/loss": 0.4}, step=2)
        run.artifact(report, folder="reports")

    found = recorded(settings, run.id)
    assert (found.info.run_name, found.info.status) == ("minilm", "FINISHED")
    assert found.data.params == {"epochs": "3", "rate": "1e-05"}
    assert found.data.metrics == {"train/loss": 0.4, "dev/macro_f1": 0.1}
    assert found.data.tags["eqn.kind"] == "training"
    history = connect(settings).get_metric_history(run.id, "train/loss")
    assert [(entry.step, entry.value) for entry in history] == [(1, 0.5), (2, 0.4)]
    kept = next(settings.artifacts.rglob("report.html"))
    assert kept.read_text("utf-8") == "<p>fine</p>"


def test_a_run_says_on_which_data_it_ran(settings: Settings) -> None:
    """The corpus is a dataset input with its digest, and the validation stands in the tags."""
    with tracking.run(settings, "minilm", corpus=CORPUS, validation=VALIDATION) as run:
        pass

    found = recorded(settings, run.id)
    dataset = found.inputs.dataset_inputs[0].dataset
    assert ("sample", CORPUS.digest[:36]) == (dataset.name, dataset.digest)
    assert json.loads(dataset.profile) == {"rows": dict(CORPUS.rows), "digest": CORPUS.digest}
    assert found.data.tags["eqn.corpus_digest"] == CORPUS.digest
    assert found.data.tags["eqn.validation"] == "passed"
    assert found.data.tags["eqn.validation.findings"] == "1"


def test_more_figures_than_mlflow_takes_at_once_are_all_kept(settings: Settings) -> None:
    """Parameters and figures are sent in batches of the size that MLflow accepts."""
    with tracking.run(settings, "many", params={f"p{n}": n for n in range(150)}) as run:
        run.metrics({f"m{n}": n for n in range(1500)}, step=0)

    found = recorded(settings, run.id)
    assert (len(found.data.params), len(found.data.metrics)) == (150, 1500)


def test_a_figure_that_is_no_number_does_not_end_the_run(settings: Settings) -> None:
    """A NaN is recorded as such: training decides what it means."""
    with tracking.run(settings, "nan") as run:
        run.metrics({"loss": math.nan, "other": math.inf}, step=0)

    assert math.isnan(recorded(settings, run.id).data.metrics["loss"])


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_that_breaks_off_says_so(settings: Settings, error: type[BaseException], status: str) -> None:
    """An error ends the run as failed, Ctrl-C as killed, and both go on to the caller."""
    with pytest.raises(error), tracking.run(settings, "broken") as run:
        raise error

    assert recorded(settings, run.id).info.status == status


def test_a_run_that_cannot_be_described_does_not_stay_running(settings: Settings) -> None:
    """A parameter that MLflow refuses fails the run instead of leaving it running for ever."""
    with pytest.raises(Exception, match="Invalid"), tracking.run(settings, "refused", params={"a?b": 1}):
        pytest.fail("the block must not be entered")

    found = connect(settings).search_runs([tracking.experiment_id(connect(settings), settings)])
    assert [run.info.status for run in found] == ["FAILED"]


def test_mlflows_global_state_is_neither_used_nor_changed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No active run is started, and the process-wide addresses stay what somebody else made them."""
    import mlflow

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    with tracking.run(settings, "explicit"):
        assert mlflow.active_run() is None

    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == before


def test_a_deleted_experiment_is_explained(settings: Settings) -> None:
    """MLflow keeps the name of a deleted experiment: the error says how to restore it."""
    client: Any = connect(settings)
    client.delete_experiment(tracking.experiment_id(client, settings))

    with pytest.raises(UsageError, match="mlflow experiments restore"), tracking.run(settings, "late"):
        pytest.fail("the block must not be entered")


def test_two_runs_can_be_open_at_once(settings: Settings) -> None:
    """Runs are told apart by their id alone: nested and parallel ones do not mix."""
    with tracking.run(settings, "outer") as outer, tracking.run(settings, "inner") as inner:
        outer.metrics({"x": 1}, step=0)
        inner.metrics({"x": 2}, step=0)

    client: Any = connect(settings)
    assert [client.get_run(run.id).data.metrics["x"] for run in (outer, inner)] == [1, 2]


def test_a_run_whose_process_was_killed_is_gone_on_with(settings: Settings) -> None:
    """A training that resumes adds to the curve it began, and no run stays running for ever."""
    never_left = tracking.run(settings, "eqn", params={"seed": 0}, key="k1")
    killed = never_left.__enter__()
    killed.metrics({"loss": 0.5}, step=10)

    with tracking.run(settings, "eqn", params={"seed": 0}, key="k1") as resumed:
        resumed.metrics({"loss": 0.4}, step=20)
    with tracking.run(settings, "eqn", params={"seed": 0}, key="k1") as after:
        pass

    client = connect(settings)
    assert resumed.id == killed.id
    assert after.id != killed.id
    assert client.get_run(killed.id).info.status == "FINISHED"
    assert [point.step for point in client.get_metric_history(killed.id, "loss")] == [10, 20]
