"""Registered versions, against MLflow on SQLite."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eqn.errors import ArtifactRefused, DataRefused
from eqn.model.package import read_package
from eqn.registry import tracking
from eqn.registry.connection import connect
from eqn.registry.versions import find, list_versions, register
from eqn.settings import Settings
from tests.registry.conftest import GOOD, PackageWriter, Trainer


def test_a_registered_version_tells_everything_about_its_package(settings: Settings, package: PackageWriter) -> None:
    """Digest, recipe, corpus, rows and the figures of both splits can be read without the files."""
    directory = package(train_rows=1234)
    with tracking.run(settings, "training") as run:
        ref = register(directory, run.id, settings, validation_passed=True)

    (row,) = list_versions(settings)
    written = read_package(directory)
    assert (ref.name, ref.version, ref.digest) == ("eqn", 1, written.digest)
    assert (row.version, row.digest, row.training_key) == (1, written.digest, written.training_key)
    assert (row.recipe, row.backbone, row.corpus) == ({"name": "tiny", "epochs": 2}, "tiny", "sample")
    assert (row.corpus_digest, row.train_rows) == (written.corpus["digest"], 1234)
    assert row.metrics == {split: dict(figures) for split, figures in written.metrics.items()}
    assert row.aliases == ("challenger",)
    assert connect(settings).get_model_version("eqn", "1").run_id == run.id


def test_the_model_stands_in_mlflow_as_code_with_signature_and_requirements(
    settings: Settings, trained: Trainer
) -> None:
    """What MLflow's tools need is there: nothing pickled, 28 named outputs, pinned requirements, the whole package."""
    import mlflow.models

    trained()
    (folder,) = settings.artifacts.glob("models/*/artifacts")
    info: Any = mlflow.models.Model.load(str(folder))
    assert info.flavors["python_function"]["loader_module"] == "mlflow.pyfunc.loaders.code_model"
    assert [column.name for column in info.signature.inputs] == ["text"]
    assert (len(info.signature.outputs), info.signature.outputs.input_names()[0]) == (28, "admiration")
    requirements = (folder / "requirements.txt").read_text("utf-8").split()
    assert {line.partition("==")[0] for line in requirements} > {"torch", "transformers", "eqn", "mlflow"}
    assert all("==" in line and "+" not in line for line in requirements)
    assert not [path for path in folder.rglob("*") if path.suffix in {".pkl", ".pickle"}]
    read_package(folder / "artifacts" / "package")


def test_a_model_of_unvalidated_data_is_not_registered(settings: Settings, package: PackageWriter) -> None:
    """The gate cannot be walked around: exit code 3, and no version."""
    with (
        pytest.raises(DataRefused, match="did not pass validation"),
        tracking.run(settings, "training") as run,
    ):
        register(package(), run.id, settings, validation_passed=False)

    assert list_versions(settings) == []


def test_a_changed_package_is_not_registered(settings: Settings, package: PackageWriter) -> None:
    """A package whose files do not fit its description never reaches the registry."""
    directory = package()
    (directory / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ArtifactRefused), tracking.run(settings, "training") as run:
        register(directory, run.id, settings, validation_passed=True)

    assert list_versions(settings) == []


def test_registering_twice_changes_nothing(settings: Settings, package: PackageWriter) -> None:
    """A rerun after a crash finds the version that it had made."""
    directory = package()
    refs = []
    for name in ("first", "again"):
        with tracking.run(settings, name) as run:
            refs.append(register(directory, run.id, settings, validation_passed=True))

    assert refs[0] == refs[1]
    assert len(list_versions(settings)) == 1
    assert len(list(settings.artifacts.glob("models/*"))) == 1


def test_unchanged_work_is_found(settings: Settings, trained: Trainer) -> None:
    """The newest version of the same recipe on the same data is given, its files fetched and verified."""
    trained(recipe="small")
    newer = trained(recipe="small", dev=GOOD | {"map": 0.5})
    trained(recipe="large")
    key = list_versions(settings)[1].training_key

    found = find(key, settings)
    assert found is not None
    assert (found.version, found.digest) == (newer.version, newer.digest)
    assert read_package(Path(found.path)).training_key == key
    assert find("0" * 64, settings) is None


def test_versions_are_listed_newest_first(settings: Settings, trained: Trainer) -> None:
    """The list is empty without a registered model, and complete with one."""
    assert list_versions(settings) == []
    for _ in range(3):
        trained()

    assert [row.version for row in list_versions(settings)] == [3, 2, 1]


def test_a_version_that_somebody_else_registered_does_no_harm(settings: Settings, trained: Trainer) -> None:
    """A version without EQN's tags is listed without a digest."""
    trained()
    client: Any = connect(settings)
    client.create_model_version("eqn", str(settings.artifacts / "elsewhere"))

    assert [row.digest != "" for row in list_versions(settings)] == [False, True]


@pytest.mark.parametrize(
    ("tag", "value"), [("train_rows", "many"), ("dev", "good"), ("dev", "[]"), ("dev", '{"map": null}')]
)
def test_a_tag_that_cannot_be_read_is_named(settings: Settings, trained: Trainer, tag: str, value: str) -> None:
    """Somebody's typing in MLflow's page ends in an explanation."""
    trained()
    client: Any = connect(settings)
    client.set_model_version_tag("eqn", "1", f"eqn.{tag}", value)

    with pytest.raises(ArtifactRefused, match="version 1"):
        list_versions(settings)


def test_figures_that_an_earlier_eqn_registered_are_read(settings: Settings, trained: Trainer) -> None:
    """Version 0.1 wrote a tag for each figure."""
    trained()
    client: Any = connect(settings)
    client.delete_model_version_tag("eqn", "1", "eqn.dev")
    for name, figure in GOOD.items():
        client.set_model_version_tag("eqn", "1", f"eqn.dev.{name}", repr(figure))

    (row,) = list_versions(settings)
    assert row.metrics["dev"] == GOOD


def test_mlflows_pages_describe_the_model_and_its_versions(settings: Settings, package: PackageWriter) -> None:
    """Which version annotates, how good this one is and on what it was trained; and no more tags than one can read."""
    directory = package(corpus="letters`<script>", recipe="large", dev=GOOD | {"macro_f1": 0.4567})
    with tracking.run(settings, "training") as run:
        register(directory, run.id, settings, validation_passed=True)

    client: Any = connect(settings)
    model, version = client.get_registered_model("eqn"), client.get_model_version("eqn", "1")
    assert "@champion" in model.description
    assert version.description.startswith("Macro F1 0.457 on dev, 0.447 on test: large on letters script\n")
    assert "| figure | dev | test |" in version.description
    assert "| macro F1 | 0.457 | 0.447 |" in version.description
    assert "1,000 rows" in version.description
    assert len(version.tags) <= 12


def test_registering_says_nothing_and_leaves_nothing_behind(
    settings: Settings, package: PackageWriter, tmp_path: Path
) -> None:
    """No progress bar, link, warning or log line on the terminal, and no mlruns in the working directory."""
    code = f"""
from pathlib import Path
from eqn.registry import promotion, tracking, versions
from eqn.settings import Settings
settings = Settings.model_validate_json({settings.model_dump_json()!r})
with tracking.run(settings, "quiet", params={{"a": 1}}) as run:
    run.metrics({{"x": 1.0}}, step=0)
    versions.register(Path({str(package())!r}), run.id, settings, validation_passed=True)
assert promotion.promote(None, settings).promote
"""
    here = tmp_path / "here"
    here.mkdir()
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(here.iterdir()) == []
