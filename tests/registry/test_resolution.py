"""From a name to a verified package."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from eqn.errors import ArtifactRefused, UsageError
from eqn.model import boxed
from eqn.model.package import read_package
from eqn.registry.champions import set_champion
from eqn.registry.connection import connect
from eqn.registry.resolution import resolve
from eqn.settings import Settings
from tests.model.boxes import tiny_box
from tests.registry.conftest import PackageWriter, Trainer

CANARY = "import pathlib; pathlib.Path({path!r}).write_text('executed')\n"


def stored(settings: Settings) -> Path:
    """Give where MLflow keeps the only registered model."""
    (folder,) = settings.artifacts.glob("models/*/artifacts")
    return folder


@pytest.mark.parametrize("model", ["champion", "1", "models:/eqn/1", "models:/eqn@champion"])
def test_every_name_of_a_version_gives_its_package(settings: Settings, trained: Trainer, model: str) -> None:
    """Alias, number and MLflow's own addresses lead to the same verified files, named by their digest."""
    registered = trained()
    set_champion(1, settings)
    trained()
    shutil.rmtree(settings.models)

    ref = resolve(model, settings)
    assert (ref.name, ref.version, ref.digest) == ("eqn", 1, registered.digest)
    assert Path(ref.path) == settings.models / registered.digest
    assert read_package(Path(ref.path)).digest == registered.digest
    assert [path.name for path in settings.models.iterdir()] == [registered.digest]


def test_a_directory_needs_no_registry(bare_settings: Settings, package: PackageWriter) -> None:
    """A package on disk is verified where it stands; no database is made for it."""
    directory = package()

    ref = resolve(str(directory), bare_settings)
    assert (ref.path, ref.name, ref.version) == (str(directory), "", 0)
    assert ref.digest == read_package(directory).digest
    assert not bare_settings.home.exists()


def test_a_directory_that_is_called_champion_is_not_the_champion(
    settings: Settings, trained: Trainer, package: PackageWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configured aliases always mean the registry, whatever lies in the working directory."""
    registered = trained()
    set_champion(1, settings)
    package().rename(tmp_path / "champion")
    monkeypatch.chdir(tmp_path)

    assert resolve("champion", settings).digest == registered.digest
    assert resolve("./champion", settings).digest != registered.digest


def test_a_package_that_is_here_is_not_downloaded_again(settings: Settings, trained: Trainer) -> None:
    """The second time the files on this disk are verified and used, though MLflow's are gone."""
    trained()
    first = resolve("1", settings)
    shutil.rmtree(settings.artifacts)

    assert resolve("1", settings) == first


def test_a_damaged_copy_is_replaced(settings: Settings, trained: Trainer) -> None:
    """Files that were changed on this disk are fetched again."""
    trained()
    place = Path(resolve("1", settings).path)
    (place / "model.safetensors").write_bytes(b"damaged")

    assert read_package(Path(resolve("1", settings).path)).path == place
    assert [path.name for path in settings.models.iterdir()] == [place.name]


def test_an_alias_that_is_not_there_is_told_with_those_that_are(settings: Settings, trained: Trainer) -> None:
    """Exit code 2, the aliases there are, and what to run."""
    with pytest.raises(UsageError) as caught:
        resolve("challenger", settings)
    assert caught.value.exit_code == 2
    assert "aliases: none yet" in str(caught.value)
    assert "eqn promote" in str(caught.value)
    assert "make run" in str(caught.value)

    trained()
    with pytest.raises(UsageError, match=r"aliases: challenger \(version 1\)"):
        resolve("favourite", settings)


def test_until_somebody_is_champion_the_model_in_the_box_is(
    settings: Settings, trained: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an empty registry, and with versions of which none was promoted; then never again."""
    monkeypatch.setattr(boxed, "BOX", tiny_box(tmp_path / "box").folder)
    ref = resolve("champion", settings)
    assert (ref.name, ref.version) == (boxed.NAME, 0)
    assert str(ref) == boxed.NAME
    assert read_package(Path(ref.path)).recipe["name"] == "boxed"

    registered = trained()
    assert resolve("champion", settings) == ref
    set_champion(1, settings)
    assert resolve("champion", settings).digest == registered.digest


@pytest.mark.parametrize("model", ["favourite", "7", "models:/eqn/7", "models:/eqn@favourite", "models:/eqn", "./none"])
def test_a_name_that_leads_nowhere_is_explained(settings: Settings, trained: Trainer, model: str) -> None:
    """An unknown alias, version, address or directory is a usage error."""
    trained()
    with pytest.raises(UsageError):
        resolve(model, settings)


@pytest.mark.promise(30)
def test_every_changed_file_is_noticed(settings: Settings, trained: Trainer) -> None:
    """One byte more or less in any of the files that MLflow keeps is refused, and nothing is unpacked."""
    trained()
    folder = stored(settings) / "artifacts" / "package"
    for file in sorted(folder.iterdir()):
        good = file.read_bytes()
        for bad in (good + b" ", good[:-1], bytes([good[0] ^ 1]) + good[1:]):
            file.write_bytes(bad)
            with pytest.raises(ArtifactRefused):
                resolve("1", settings)
        file.write_bytes(good)

    assert list(settings.models.iterdir()) == []
    assert resolve("1", settings).version == 1


@pytest.mark.promise(30)
def test_another_whole_package_is_refused(settings: Settings, trained: Trainer, package: PackageWriter) -> None:
    """A package that is consistent in itself but not the registered one is caught by the registered digest."""
    registered = trained()
    folder = stored(settings) / "artifacts" / "package"
    shutil.rmtree(folder)
    shutil.copytree(package(), folder)

    with pytest.raises(ArtifactRefused, match="not the ones that were registered") as caught:
        resolve("1", settings)
    assert caught.value.exit_code == 8
    assert registered.digest in str(caught.value)
    assert list(settings.models.iterdir()) == []


def test_files_that_are_gone_are_reported(settings: Settings, trained: Trainer) -> None:
    """A version whose files were deleted is refused with its number."""
    trained()
    shutil.rmtree(settings.artifacts)

    with pytest.raises(ArtifactRefused, match="version 1 cannot be read"):
        resolve("1", settings)


@pytest.mark.parametrize("digest", ["", "../../elsewhere", "f" * 63, "F" * 64])
def test_a_digest_tag_leads_nowhere_else(settings: Settings, trained: Trainer, digest: str) -> None:
    """The tag names a folder on this disk: anything but a digest in it is refused."""
    trained()
    client: Any = connect(settings)
    client.set_model_version_tag("eqn", "1", "eqn.digest", digest)

    with pytest.raises(ArtifactRefused, match="carries no digest"):
        resolve("1", settings)


@pytest.mark.promise(26)
def test_nothing_in_an_artifact_is_executed(settings: Settings, trained: Trainer, tmp_path: Path) -> None:
    """Code planted around the package, in every place where MLflow's loaders would run it, stays unread."""
    trained()
    canary = tmp_path / "canary"
    code = CANARY.format(path=str(canary))
    folder = stored(settings)
    (folder / "code").mkdir()
    for name in ("pyfunc_model.py", "code/evil_loader.py", "python_model.py", "sitecustomize.py"):
        (folder / name).write_text(code, "utf-8")
    (folder / "MLmodel").write_text(
        json.dumps({"flavors": {"python_function": {"loader_module": "evil_loader", "code": "code"}}}), "utf-8"
    )

    assert resolve("1", settings).version == 1
    assert not canary.exists()


@pytest.mark.promise(26)
@pytest.mark.parametrize("name", ["python_model.py", "python_model.pkl", "pytorch_model.bin", "__init__.py"])
def test_a_foreign_file_in_the_package_is_refused(
    settings: Settings, trained: Trainer, tmp_path: Path, name: str
) -> None:
    """Code planted inside the package is neither executed nor unpacked: the package is refused as a whole."""
    trained()
    canary = tmp_path / "canary"
    (stored(settings) / "artifacts" / "package" / name).write_text(CANARY.format(path=str(canary)), "utf-8")

    with pytest.raises(ArtifactRefused, match="not what it says"):
        resolve("1", settings)
    assert not canary.exists()
    assert list(settings.models.iterdir()) == []
