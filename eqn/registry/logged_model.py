"""A model package as an MLflow model: models from code, with a signature and pinned requirements.

Built with the client's calls one by one, because `mlflow.pyfunc.log_model` talks to the process-wide address.
"""

import contextlib
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import eqn
from eqn.emotions import EMOTIONS
from eqn.registry.tracking import experiment_id
from eqn.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

PACKAGE_FOLDER = "artifacts/package"
"""Where the package's files stand inside the MLflow model."""

_REQUIRED = ("torch", "transformers", "safetensors", "numpy", "pyarrow", "pandas")
_EXAMPLE = "I did not expect this, thank you so much!"


def log_package(client: "MlflowClient", package: Path, run_id: str, settings: Settings) -> Any:
    """Log the package in `package` as the output of a run and give MLflow's record of the logged model."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    logged = client.create_logged_model(
        experiment_id(client, settings), settings.registry.registered_model, run_id, model_type="emotions"
    )
    try:
        with tempfile.TemporaryDirectory(prefix="eqn-") as folder:
            saved = _save(package, Path(folder), logged, run_id)
            client.log_model_artifacts(logged.model_id, str(saved))
    except BaseException:
        with contextlib.suppress(Exception):  # a model left as pending harms nobody; the first error is the news
            client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
        raise
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)


def requirements() -> list[str]:
    """Give what a served model needs, pinned to what is installed here."""
    return [f"eqn=={eqn.__version__}", *map(_pinned, _REQUIRED)]


def _save(package: Path, folder: Path, logged: Any, run_id: str) -> Path:
    import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    # MLflow names the folder inside the model after the one it is given: this one is the same for every package.
    named = shutil.copytree(package, folder / Path(PACKAGE_FOLDER).name)
    texts = Schema([ColSpec(DataType.string, "text")])
    intensities = Schema([ColSpec(DataType.float, name) for name in EMOTIONS])
    mlflow.pyfunc.save_model(
        path=str(folder / "model"),
        python_model=str(Path(__file__).with_name("pyfunc_model.py")),
        artifacts={"package": str(named)},
        signature=ModelSignature(inputs=texts, outputs=intensities),
        input_example=[{"text": _EXAMPLE}],  # shown, and checked against the signature; not scored
        pip_requirements=requirements(),  # given, or MLflow would load the model to find out
        mlflow_model=Model(
            artifact_path=logged.artifact_location, model_uuid=logged.model_id, model_id=logged.model_id, run_id=run_id
        ),
    )
    return folder / "model"


def _pinned(name: str) -> str:
    try:
        installed = version(name)
    except PackageNotFoundError:  # a machine that registers need not have it
        return name
    # `2.13.0+cpu` names a build that no index has for others.
    return f"{name}=={installed.partition('+')[0]}"
