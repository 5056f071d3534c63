"""From what a person types to a verified package on this machine.

    a directory                             the package in it
    champion, models:/eqn@champion          an alias of the registered model; where nobody is champion yet, `champion`
                                            is the model in the box
    3, models:/eqn/3                        a version of it

A registered version's files are downloaded beside their place, compared with the digest that was registered, and only
then renamed into `<models>/<digest>`. Nothing in them is executed: MLflow's own loaders are never called.
"""

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqn.errors import ArtifactRefused, UsageError
from eqn.records import ModelRef
from eqn.registry.connection import connect, shown, transferring, translated
from eqn.registry.database import is_absent
from eqn.registry.versions import DIGEST
from eqn.settings import Settings
from eqn.telemetry.redaction import presentable

if TYPE_CHECKING:
    from mlflow import MlflowClient

_URI = re.compile(r"models:/(?P<name>[\w.-]+)(?:/(?P<version>[0-9]+)|@(?P<alias>[\w.-]+))")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DELETE = "Delete version {version} in MLflow and train again, or choose another with `eqn models rollback`."


def resolve(model: str, settings: Settings) -> ModelRef:
    """Give the package that `model` names, on this machine and verified.

    Raises:
        UsageError: there is no such directory, version or alias; the message lists the aliases there are.
        ArtifactRefused: the files are not the ones that were registered.

    """
    name = settings.registry.registered_model
    if model.startswith("models:"):
        parts = _URI.fullmatch(model)
        if parts is None:
            raise UsageError(f"expected models:/{name}/3 or models:/{name}@champion, got {model!r}.")
        named, version, alias = parts["name"], parts["version"], parts["alias"]
        return fetch(int(version or _chosen(alias, _aliases(named, settings), named)), settings, name=named)
    if model.isascii() and model.isdigit():
        return fetch(int(model), settings)
    aliases = settings.registry.aliases.model_dump()
    model = aliases.get(model, model)  # `champion` says what is meant, whatever mlflow.yaml calls its alias
    if model not in aliases.values() and (os.sep in model or Path(model).expanduser().is_dir()):
        return _directory(Path(model).expanduser())
    known = _aliases(name, settings)
    if model == aliases["champion"] and model not in known:
        return _boxed(settings)
    return fetch(_chosen(model, known, name), settings)


def fetch(version: int, settings: Settings, *, name: str = "") -> ModelRef:
    """Give a registered version's package, downloaded unless it is here already, and verified in either case.

    Raises:
        UsageError: there is no such version.
        ArtifactRefused: the files are gone, or not the ones that were registered.

    """
    name = name or settings.registry.registered_model
    client = connect(settings)
    digest = _registered_digest(client, name, version, settings)
    place = settings.models / digest
    if not _is_whole(place):
        with translated(settings.tracking_uri):
            _download(client, name, version, place, settings)
    return ModelRef(str(place), digest, name, version)


def _directory(path: Path) -> ModelRef:
    from eqn.model.package import read_package

    if not path.is_dir():
        raise UsageError(f"expected a model package, found no directory {path}.")
    return ModelRef(str(path), read_package(path).digest)


def _boxed(settings: Settings) -> ModelRef:
    from eqn.model.boxed import NAME, boxed_package

    package = boxed_package(models=settings.models, backbones=settings.backbones)
    return ModelRef(str(package.path), package.digest, NAME)


def _aliases(name: str, settings: Settings) -> dict[str, int]:
    """Give the aliases of the registered model `name` and their versions; none if there is no such model."""
    if is_absent(settings.tracking_uri):
        return {}
    from mlflow.exceptions import MlflowException

    client = connect(settings)
    with translated(settings.tracking_uri):
        try:
            aliases = client.get_registered_model(name).aliases
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            aliases = {}
    return {str(alias): int(version) for alias, version in aliases.items()}


def _chosen(alias: str, known: dict[str, int], name: str) -> int:
    if alias in known:
        return known[alias]
    there_are = ", ".join(f"{other} (version {target})" for other, target in sorted(known.items()))
    raise UsageError(
        f"expected a model package or an alias of the registered model {name!r}, found no {alias!r}.",
        faults=[f"aliases: {there_are or 'none yet'}"],
        todo="Run `make run` or `eqn train` to train a model, and `eqn promote` to make it champion.",
    )


def _registered_digest(client: "MlflowClient", name: str, version: int, settings: Settings) -> str:
    with translated(settings.tracking_uri):
        versions: dict[int, Any] = {int(row.version): row for row in client.search_model_versions(f"name='{name}'")}
    if version not in versions:
        raise UsageError(
            f"expected a registered version, found no version {version} of {name!r}.",
            faults=[f"versions: {', '.join(map(str, sorted(versions))) or 'none yet'}"],
        )
    digest = versions[version].tags.get(DIGEST, "")
    # The digest becomes a folder's name: what somebody typed into the tag must not lead elsewhere.
    if not _DIGEST.fullmatch(digest):
        raise ArtifactRefused(
            f"{name} version {version} carries no digest to verify it by ({DIGEST} is {digest!r}).",
            todo="Only versions that EQN registered can be used: train again, or register the package.",
        )
    return str(digest)


def _download(client: "MlflowClient", name: str, version: int, place: Path, settings: Settings) -> None:
    from eqn.model.package import read_package

    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=place.parent, ignore_cleanup_errors=True) as folder:
        fetched = _artifacts(client, name, version, Path(folder), settings)
        found = read_package(fetched).digest
        if found != place.name:
            raise ArtifactRefused(
                f"the files of {name} version {version} are not the ones that were registered.",
                faults=[f"registered: {place.name}", f"found: {found}"],
                todo=_DELETE.format(version=version),
            )
        _move(fetched, place, Path(folder))


def _artifacts(client: "MlflowClient", name: str, version: int, folder: Path, settings: Settings) -> Path:
    """Download a version's package; what fails for no reason of network or disk means that the files are gone."""
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    from eqn.registry.logged_model import PACKAGE_FOLDER

    address = settings.tracking_uri
    try:
        with transferring(address):
            source = client.get_model_version_download_uri(name, str(version))
            fetched = mlflow.artifacts.download_artifacts(
                artifact_uri=f"{source}/{PACKAGE_FOLDER}",
                dst_path=str(folder),
                tracking_uri=address,
                registry_uri=address,
            )
    except (MlflowException, OSError) as error:
        raise ArtifactRefused(
            f"the files of {name} version {version} cannot be read from MLflow: {shown(str(error))}",
            todo=_DELETE.format(version=version),
        ) from presentable(error)
    return Path(fetched)


def _move(fetched: Path, place: Path, folder: Path) -> None:
    """Rename the verified download to its place; a damaged predecessor leaves with the temporary folder."""
    if place.exists() and not _is_whole(place):
        place.rename(folder / "damaged")
    try:
        fetched.rename(place)
    except OSError:
        if not _is_whole(place):  # else another process was faster
            raise


def _is_whole(place: Path) -> bool:
    from eqn.model.package import read_package

    try:
        return place.is_dir() and read_package(place).digest == place.name
    except ArtifactRefused:
        return False
