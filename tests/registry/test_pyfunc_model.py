"""A registered model in MLflow's own loader: the way for those who serve models with MLflow."""

import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eqn.annotation.annotator import Annotator
from eqn.emotions import EMOTIONS
from eqn.model.backbone import load_backbone
from eqn.model.network import EmotionNetwork
from eqn.model.package import Description, write_package
from eqn.registry import tracking
from eqn.registry.versions import register
from eqn.settings import Settings
from tests.registry.conftest import GOOD

TEXTS = ["I did not expect this, thank you!", "Leave me alone.", ""]


@pytest.fixture
def real_package(tmp_path: Path) -> Path:
    """A whole package with a tiny random network."""
    backbone = load_backbone("tiny", cache=tmp_path, seed=1)
    network = EmotionNetwork(backbone.encoder, pooling="mean", dropout=0.0)
    description = Description(
        thresholds=dict.fromkeys(EMOTIONS, 0.5),
        max_tokens=32,
        pooling="mean",
        training_key="0" * 64,
        recipe={"name": "tiny"},
        backbone={"name": "tiny", "digest": "0" * 64},
        corpus={"name": "sample", "digest": "0" * 64, "rows": {"train": 1, "dev": 1, "test": 1}},
        metrics={"dev": GOOD, "test": GOOD},
    )
    return write_package(tmp_path / "package", network, backbone.tokenizer, description, card="# A model\n").path


def test_mlflows_loader_gives_the_annotators_scores(settings: Settings, real_package: Path) -> None:
    """`mlflow.pyfunc.load_model` in a process of its own answers a DataFrame of texts with the same 28 columns."""
    with tracking.run(settings, "training") as run:
        register(real_package, run.id, settings, validation_passed=True)
    code = f"""
import mlflow, pandas as pd
mlflow.set_tracking_uri({settings.tracking_uri!r})
model = mlflow.pyfunc.load_model("models:/eqn/1")
scores = model.predict(pd.DataFrame({{"text": {TEXTS!r}}}))
print(scores.dtypes.unique(), scores.to_json(orient="split"), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    dtypes, table = done.stdout.splitlines()
    scores = pd.read_json(StringIO(table), orient="split")
    assert dtypes == "[dtype('float32')]"
    assert list(scores.columns) == list(EMOTIONS)
    expected = Annotator.load(real_package).scores(TEXTS)
    assert np.allclose(scores.to_numpy(), expected, atol=1e-4)
