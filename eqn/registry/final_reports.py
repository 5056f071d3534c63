"""What was measured on test is on record: a model's run in MLflow says when, on which corpus, and how often.

Training's own report stands there as the metrics `test/...`; these tags tell of every later look at the test labels.
"""

from datetime import UTC, datetime

from eqn.errors import StoreUnavailable
from eqn.registry.connection import connect, shown, translated
from eqn.registry.database import is_absent
from eqn.registry.versions import DIGEST
from eqn.settings import Settings
from eqn.telemetry.redaction import presentable

EVALUATED_AT = "eqn.test_evaluated_at"
"""When it was last measured, in UTC."""
EVALUATED_CORPUS = "eqn.test_corpus"
"""Digest of the corpus that it was last measured on."""
EVALUATIONS = "eqn.test_evaluations"
"""How often it was measured since its training; of two at the same moment one may go uncounted."""


def note_evaluation(package_digest: str, corpus_digest: str, settings: Settings) -> None:
    """Note that a package was measured on the test split of a corpus: on the run of every version registered of it.

    Of a package that is not registered nothing is noted.

    Raises:
        StoreUnavailable: MLflow cannot be reached, or does not take the note: the run may have been deleted.
        StorageFull: MLflow has no space left.

    """
    if is_absent(settings.tracking_uri):
        return
    from mlflow.entities import RunTag
    from mlflow.exceptions import MlflowException

    client = connect(settings)
    try:
        with translated(settings.tracking_uri):
            versions = client.search_model_versions(f"tags.`{DIGEST}` = '{package_digest}'")
            for run in sorted({version.run_id for version in versions if version.run_id}):
                before = client.get_run(run).data.tags.get(EVALUATIONS, "")
                tags = {
                    EVALUATED_AT: datetime.now(UTC).isoformat(timespec="milliseconds"),
                    EVALUATED_CORPUS: corpus_digest,
                    EVALUATIONS: str(1 + (int(before) if before.isdecimal() else 0)),
                }
                client.log_batch(run, tags=[RunTag(name, value) for name, value in tags.items()])
    except MlflowException as error:
        raise StoreUnavailable(f"MLflow does not take it: {shown(str(error))}") from presentable(error)
