"""The code of a registered model in MLflow's own loaders: `mlflow models serve`, `mlflow.pyfunc.spark_udf`.

MLflow copies this file beside the package ("models from code") and runs it where such a model is loaded; nothing is
pickled. EQN never loads a model in this way: it reads the package, see `eqn.registry.resolution`.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from eqn.emotions import EMOTIONS


class EmotionModel(PythonModel):  # type: ignore[misc]  # MLflow is untyped here
    """Texts in, 28 intensities out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the package with EQN's own loader, which verifies every file first."""
        from eqn.annotation.annotator import Annotator

        self._annotator = Annotator.load(Path(context.artifacts["package"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002  # MLflow passes it
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002  # MLflow passes it
    ) -> pd.DataFrame:
        """Score the column `text`, or a list of texts, in order."""
        texts = model_input["text"] if isinstance(model_input, pd.DataFrame) else model_input
        scores = self._annotator.scores([str(text) for text in texts])
        return pd.DataFrame(scores, columns=list(EMOTIONS))


set_model(EmotionModel())
