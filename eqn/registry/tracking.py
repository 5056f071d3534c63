"""One MLflow run, from its parameters to its end. Talks through a client: there is no active run, in no thread.

with tracking.run(settings, "minilm", params=recipe, corpus=corpus, validation=validation) as run:
    run.metrics({"train/loss": 0.41}, step=10)
    run.artifact(report)
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqn.errors import EqnError, UsageError
from eqn.records import CorpusRef, Validation
from eqn.registry.connection import artifact_root, connect, transferring, translated
from eqn.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

_METRICS_PER_CALL = 1000
_PARAMS_PER_CALL = 100
_KEY = "eqn.training_key"
_DATASET_DIGEST_LENGTH = 36
"""MLflow takes no longer one; the whole digest stands in the run's tag `eqn.corpus_digest`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """A run that is under way."""

    id: str
    client: "MlflowClient" = dataclasses.field(repr=False)
    address: str = dataclasses.field(repr=False)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Record figures of one step, in one call."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        with translated(self.address):
            for batch in _batches(values.items(), _METRICS_PER_CALL):
                entries = [Metric(name, float(value), now, step) for name, value in batch]
                self.client.log_batch(self.id, metrics=entries)

    def params(self, values: Mapping[str, object]) -> None:
        """Record parameters, each once and for ever."""
        from mlflow.entities import Param

        with translated(self.address):
            for batch in _batches(values.items(), _PARAMS_PER_CALL):
                self.client.log_batch(self.id, params=[Param(name, str(value)) for name, value in batch])

    def artifact(self, path: Path, *, folder: str | None = None) -> None:
        """Keep a file, or a directory with what is in it, among the run's artifacts."""
        with transferring(self.address):
            self.client.log_artifact(self.id, str(path), folder)


@contextlib.contextmanager
def run(
    settings: Settings,
    name: str,
    *,
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
    corpus: CorpusRef | None = None,
    validation: Validation | None = None,
    key: str = "",
) -> Iterator[Run]:
    """Start a run in the experiment of `settings`, and end it as FINISHED, FAILED, or KILLED when it is interrupted.

    With a `key`, a run of that key which never ended, because its process was killed, is gone on with.

    Raises:
        StoreUnavailable: MLflow cannot be reached.
        StorageFull: MLflow has no space left.

    """
    client = connect(settings)
    with translated(settings.tracking_uri):
        experiment = experiment_id(client, settings)
        facts = {**_corpus_tags(corpus), **_validation_tags(validation), **(tags or {})}
        unended = _unended(client, experiment, key) if key else None
        facts |= {_KEY: key} if key else {}
        run_id = unended or client.create_run(experiment, run_name=name, tags=facts).info.run_id
    this = Run(run_id, client, settings.tracking_uri)
    try:
        this.params(params or {})
        if corpus:
            _log_corpus(this, corpus)
        yield this
    except BaseException as error:
        # What went wrong is the news; that MLflow could not be told comes second.
        try:
            _end(this, "FAILED" if isinstance(error, Exception) else "KILLED")
        except EqnError as second:
            error.add_note(f"The run {run_id} could not be ended in MLflow: {second.what}")
        raise
    _end(this, "FINISHED")


def _unended(client: "MlflowClient", experiment: str, key: str) -> str | None:
    found = client.search_runs(
        [experiment], f"tags.`{_KEY}` = '{key}' and attributes.status = 'RUNNING'", max_results=1
    )
    return str(found[0].info.run_id) if found else None


def experiment_id(client: "MlflowClient", settings: Settings) -> str:
    """Give the id of the experiment in `settings`, created when it is not there.

    Raises:
        UsageError: it was deleted in MLflow, which keeps its name.

    """
    from mlflow.exceptions import MlflowException

    name = settings.registry.experiment
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifact_root(settings)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another process was faster
    if found.lifecycle_stage != "active":
        raise UsageError(
            f"the experiment {name!r} was deleted in MLflow.",
            todo=f"Run: mlflow experiments restore -x {found.experiment_id}, or name another one in mlflow.yaml.",
        )
    return str(found.experiment_id)


def _end(this: Run, status: str) -> None:
    with translated(this.address):
        this.client.set_terminated(this.id, status)


def _log_corpus(this: Run, corpus: CorpusRef) -> None:
    """Tell MLflow which data the run read; it then shows the run beside all others on the same data."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=corpus.name,
        digest=corpus.digest[:_DATASET_DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": corpus.path}),
        profile=json.dumps({"rows": dict(corpus.rows), "digest": corpus.digest}),
    )
    with translated(this.address):
        this.client.log_inputs(this.id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def _corpus_tags(corpus: CorpusRef | None) -> dict[str, str]:
    return {"eqn.corpus": corpus.name, "eqn.corpus_digest": corpus.digest} if corpus else {}


def _validation_tags(validation: Validation | None) -> dict[str, str]:
    if validation is None:
        return {}
    return {
        "eqn.validation": "passed" if validation.passed else "failed",
        "eqn.validation.subject": validation.subject,
        "eqn.validation.digest": validation.digest,
        "eqn.validation.rows": str(validation.rows),
        "eqn.validation.expectations": str(validation.expectations),
        "eqn.validation.findings": str(len(validation.findings)),
        "eqn.validation.data_docs": validation.data_docs,
    }


def _batches(items: Iterable[tuple[str, Any]], size: int) -> Iterator[list[tuple[str, Any]]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
