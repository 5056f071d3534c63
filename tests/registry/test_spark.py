"""A registered model as a function of Spark: the way for those whose texts are in a Spark table."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eqn.annotation.annotator import Annotator
from eqn.emotions import EMOTIONS
from eqn.registry import tracking
from eqn.registry.versions import register
from eqn.settings import Settings
from tests.registry.conftest import PROJECT
from tests.registry.test_pyfunc_model import TEXTS, real_package

__all__ = ["real_package"]

CODE = """
import json, sys
import mlflow
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, struct

address, texts, names = json.loads(sys.argv[1])
mlflow.set_tracking_uri(address)
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "1")
    .getOrCreate()
)
types = ", ".join(f"{name} float" for name in names)
intensities = mlflow.pyfunc.spark_udf(spark, "models:/eqn/1", result_type=types, env_manager="local")
table = spark.createDataFrame(list(enumerate(texts)), "id int, text string").repartition(2)
rows = table.withColumn("found", intensities(struct(col("text")))).orderBy("id").select("found.*").collect()
spark.stop()
print(json.dumps([row.asDict() for row in rows]))
"""


@pytest.fixture(scope="module")
def java_home() -> str:
    """This machine's Java, or one that is unpacked for the tests."""
    script = PROJECT / "infra" / "services" / "java.sh"
    return subprocess.run(["bash", script], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@pytest.mark.stack
def test_spark_gives_the_annotators_scores(
    settings: Settings, real_package: Path, java_home: str, tmp_path: Path
) -> None:
    """`mlflow.pyfunc.spark_udf` over two partitions answers with the 28 columns, row by row the annotator's."""
    texts = TEXTS * 5
    with tracking.run(settings, "training") as run:
        register(real_package, run.id, settings, validation_passed=True)
    environment = {"JAVA_HOME": java_home, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(tmp_path / "spark")}
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps([settings.tracking_uri, texts, list(EMOTIONS)])],
        cwd=tmp_path,  # Spark may write there
        env=os.environ | environment | {"PYSPARK_PYTHON": sys.executable, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    rows = json.loads(done.stdout.splitlines()[-1])
    assert [list(row) for row in rows] == [list(EMOTIONS)] * len(texts)
    scores = np.array([list(row.values()) for row in rows], dtype=np.float32)
    assert np.allclose(scores, Annotator.load(real_package).scores(texts), atol=1e-4)
    assert len({tuple(row) for row in scores}) == len(TEXTS)
