"""Registered versions: one per package, with everything in its tags that a later choice needs.

Downloading a version's files is `eqn.registry.resolution`; who is champion is `eqn.registry.champions`.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqn.errors import ArtifactRefused, DataRefused
from eqn.records import ModelRef
from eqn.registry import description
from eqn.registry.connection import connect, transferring, translated
from eqn.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from eqn.model.package import Package

DIGEST = "eqn.digest"
TRAINING_KEY = "eqn.training_key"
TRAIN_ROWS = "eqn.train_rows"
CORPUS = "eqn.corpus"
CORPUS_DIGEST = "eqn.corpus_digest"
RECIPE = "eqn.recipe"
BACKBONE = "eqn.backbone"
BACKBONE_DIGEST = "eqn.backbone_digest"
VALIDATION = "eqn.validation"
CHAMPION_SINCE = "eqn.champion_since"
CHAMPION_BEFORE = "eqn.champion_before"
DECISION = "eqn.decision"
ANSWER = "eqn.answer"
_SPLITS = ("dev", "test")


@dataclasses.dataclass(frozen=True, slots=True)
class VersionRow:
    """One registered version, as its tags tell it."""

    version: int
    aliases: tuple[str, ...]
    digest: str
    """The package's digest; empty for a version that EQN did not register."""
    training_key: str
    recipe: Mapping[str, Any]
    backbone: str
    corpus: str
    corpus_digest: str
    train_rows: int
    metrics: Mapping[str, Mapping[str, float]]
    """Figures per split."""
    created: datetime
    champion_since: str
    """When it last became champion; empty when it never did, or when somebody moved the alias by hand."""
    champion_before: int | None
    """The champion it replaced when it first became one."""
    decision: str
    """The last decision about it, as JSON; see `eqn.registry.promotion`."""
    answer: str
    """What a person said to it, as JSON; see `eqn.registry.answers`."""


def register(package_dir: Path, run_id: str, settings: Settings, *, validation_passed: bool) -> ModelRef:
    """Register the package in `package_dir`, trained by the run `run_id`, as a new version and the challenger.

    A package that is registered already keeps its version: a rerun changes nothing.

    Raises:
        DataRefused: the data that it was trained on did not pass validation.
        ArtifactRefused: it is not a package, or was changed after it was written.

    """
    from eqn.model.package import read_package
    from eqn.registry.logged_model import log_package

    if not validation_passed:
        raise DataRefused(
            f"the model in {package_dir} was trained on data that did not pass validation; it is not registered.",
            todo="Correct the data, or choose other data, and train again.",
        )
    package = read_package(package_dir)
    name = settings.registry.registered_model
    for row in list_versions(settings):
        if row.digest == package.digest:
            return ModelRef(str(package_dir), package.digest, name, row.version)
    client = connect(settings)
    with translated(settings.tracking_uri):
        _ensure_registered_model(client, settings)
        with transferring(settings.tracking_uri):
            logged = log_package(client, package_dir, run_id, settings)
        version = client.create_model_version(
            name,
            logged.artifact_location,
            run_id,
            tags=_tags(package),
            description=description.of_version(package),
            model_id=logged.model_id,
        )
        client.set_registered_model_alias(name, settings.registry.aliases.challenger, version.version)
    return ModelRef(str(package_dir), package.digest, name, int(version.version))


def find(training_key: str, settings: Settings) -> ModelRef | None:
    """Give the newest version that was trained by this recipe on this data, its package fetched and verified.

    Raises:
        ArtifactRefused: there is one, and its files are not the ones that were registered.

    """
    from eqn.registry.resolution import fetch

    for row in list_versions(settings):
        if row.digest and row.training_key == training_key:
            return fetch(row.version, settings)
    return None


def list_versions(settings: Settings) -> list[VersionRow]:
    """Give all versions of the registered model, the newest first."""
    client = connect(settings)
    name = settings.registry.registered_model
    with translated(settings.tracking_uri):
        versions = list(_search(client, name))
        aliases = client.get_registered_model(name).aliases if versions else {}
    rows = [_row(version, aliases) for version in versions]
    return sorted(rows, key=lambda row: row.version, reverse=True)


def _search(client: "MlflowClient", name: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_model_versions(f"name='{name}'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _row(version: Any, aliases: Mapping[str, Any]) -> VersionRow:
    tags: Mapping[str, str] = version.tags
    number = int(version.version)
    before = tags.get(CHAMPION_BEFORE, "")
    try:
        return VersionRow(
            version=number,
            aliases=tuple(sorted(alias for alias, target in aliases.items() if int(target) == number)),
            digest=tags.get(DIGEST, ""),
            training_key=tags.get(TRAINING_KEY, ""),
            recipe=json.loads(tags.get(RECIPE, "{}")),
            backbone=tags.get(BACKBONE, ""),
            corpus=tags.get(CORPUS, ""),
            corpus_digest=tags.get(CORPUS_DIGEST, ""),
            train_rows=int(tags.get(TRAIN_ROWS, "0")),
            metrics={split: _metrics(tags, split) for split in _SPLITS},
            created=datetime.fromtimestamp(version.creation_timestamp / 1000, tz=UTC),
            champion_since=tags.get(CHAMPION_SINCE, ""),
            champion_before=int(before) if before else None,
            decision=tags.get(DECISION, ""),
            answer=tags.get(ANSWER, ""),
        )
    except (ValueError, TypeError) as error:
        raise ArtifactRefused(
            f"the tags of version {number} were changed to something that cannot be read: {error}.",
            todo="Correct the tag in MLflow, or delete the version.",
        ) from error


def _metrics(tags: Mapping[str, str], split: str) -> dict[str, float]:
    figures = json.loads(tags.get(f"eqn.{split}", "{}"))
    if not isinstance(figures, dict):
        raise ValueError(f"eqn.{split} is {figures!r}")  # noqa: TRY004  as whatever else cannot be read
    start = f"eqn.{split}."  # EQN 0.1 wrote a tag for each figure
    figures |= {name.removeprefix(start): value for name, value in tags.items() if name.startswith(start)}
    return {name: float(value) for name, value in figures.items()}


def _tags(package: "Package") -> dict[str, str]:
    figures = {
        f"eqn.{split}": json.dumps({name: float(value) for name, value in package.metrics[split].items()})
        for split in _SPLITS
        if split in package.metrics
    }
    return {
        DIGEST: package.digest,
        TRAINING_KEY: package.training_key,
        TRAIN_ROWS: str(package.corpus["rows"]["train"]),
        CORPUS: package.corpus["name"],
        CORPUS_DIGEST: package.corpus["digest"],
        RECIPE: json.dumps(package.recipe, ensure_ascii=False),
        BACKBONE: package.backbone["name"],
        BACKBONE_DIGEST: package.backbone["digest"],
        VALIDATION: "passed",
        **figures,
    }


def _ensure_registered_model(client: "MlflowClient", settings: Settings) -> None:
    from mlflow.exceptions import MlflowException

    registry = settings.registry
    try:
        client.create_registered_model(registry.registered_model, description=description.of_model(registry.aliases))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
