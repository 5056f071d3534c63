"""Settings: the only reader of `mlflow.yaml` and of the `EQN_*` variables. Everything else receives values.

EQN_HOME            the state folder; default: `.eqn` in the nearest parent with `mlflow.yaml` or `.eqn`, else here
EQN_GOEMOTIONS      directory with GoEmotions' train.tsv, dev.tsv, test.tsv; without it the embedded sample is used
EQN_INBOX           directory or s3://bucket/prefix whose files are annotated; default: `inbox` in the state folder
EQN_STORE           directory or s3://bucket/prefix for releases; default: `releases` in the state folder
EQN_TRACKING_URI    MLflow's address; default: SQLite in the state folder
EQN_PAGES_URL       address of `eqn release serve`, to which runs of flows then link; default: none
EQN_PUSHGATEWAY_URL Pushgateway to which each run's metrics go as well; default: none
EQN_METRICS_TOKEN   what `eqn metrics serve` asks for where it does not listen on loopback; default: none
EQN_LOG_LEVEL       debug, info, warning, error or critical; default: info in flows, critical on the command line
EQN_LOG_FORMAT      json or text; default: text where a terminal shows it

Besides, `eqn.failpoints` looks for EQN_FAILPOINT, which is for tests alone.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from eqn.errors import UsageError

REGISTRY_FILE = "mlflow.yaml"
STATE_FOLDER = ".eqn"
_SECRET = re.compile("SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|API_KEY|AUTH_STRING|ACCESS_KEY")
_PASSWORD = re.compile(r"(?:^|//)[^/@:\s]*:([^/@\s]+)@")
"""In an address: //user:password@host, or without the slashes at the very beginning."""
_UNQUOTED_PASSWORD = re.compile(r"(?:^|//)[^/@:\s]*:([^/\s]\S*)@")
"""The same where somebody has left / or @ in it as they are."""
_SHORTEST_SECRET = 8
"""Shorter values, such as `none`, would blot out ordinary words."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)  # a value may hold a password


class Aliases(_Section):
    """Names of the two aliases in the model registry."""

    champion: str = "champion"
    challenger: str = "challenger"


class PromotionPolicy(_Section):
    """When a candidate replaces the champion; see `eqn.registry.decision.decide`."""

    mode: Literal["automatic", "ask"] = "automatic"
    """`ask` holds each promotion that the rules below would make until a person says yes or no."""
    primary: Literal["macro_f1", "micro_f1", "map"]
    least_gain: float = Field(ge=0)
    guards: dict[Literal["macro_f1", "micro_f1", "map", "brier"], float]
    least_train_share: float = Field(ge=0, le=1)


class DriftLimits(_Section):
    """The distances from which on a release counts as drifted, each in [0, 1]; `bench/drift.py` shows what they mean.

    Where there are so few rows that chance alone gives more, that is the limit.
    """

    intensity: float = Field(default=0.07, ge=0, le=1)
    """Jensen-Shannon distance between the distributions of an emotion's intensity."""
    text_length: float = Field(default=0.15, ge=0, le=1)
    """The same of the texts' lengths."""
    vocabulary: float = Field(default=0.15, ge=0, le=1)
    """The same of the words."""
    embedding: float = Field(default=0.3, ge=0, le=1)
    """How well a classifier tells the two sides' texts apart by their embeddings: 2 AUC - 1."""


class DriftPolicy(_Section):
    """What a release is compared with, and when it counts as drifted; see `eqn.drift.measure.measure_drift`."""

    reference: Literal["previous", "first"] | Annotated[int, Field(strict=True, ge=1)] = "previous"
    """The release before, the dataset's first one, or the one with this number."""
    limits: DriftLimits = DriftLimits()
    least_rows: int = Field(default=100, ge=10)
    """With fewer rows on either side nothing is compared."""
    false_alarms: float = Field(default=0.002, gt=0, lt=1)
    """Share of comparisons of equal distributions that may raise an alarm by chance, all measures together."""
    least_new_rows: int = Field(default=0, ge=0)
    """Rows by which the labelled data must have grown to be a reason to train again; 0: any change of it is one."""


class RegistrySettings(_Section):
    """The content of `mlflow.yaml`."""

    tracking_uri: str = Field(default="", repr=False)
    """May hold a password."""
    experiment: str
    registered_model: str
    aliases: Aliases
    promotion: PromotionPolicy
    drift: DriftPolicy = DriftPolicy()


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="EQN_", frozen=True, env_ignore_empty=True)

    home: Path | None = None
    goemotions: Path | None = None
    inbox: str = ""
    store: str = ""
    tracking_uri: str = ""
    pages_url: str = ""
    pushgateway_url: str = ""


class LogSettings(BaseSettings):
    """How much is logged and in which form; None where the environment does not say."""

    model_config = SettingsConfigDict(env_prefix="EQN_LOG_", frozen=True, env_ignore_empty=True, extra="ignore")

    level: Literal["debug", "info", "warning", "error", "critical"] | None = None
    format: Literal["json", "text"] | None = None


class _Exporter(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="EQN_METRICS_", frozen=True, env_ignore_empty=True, extra="ignore")

    token: SecretStr = SecretStr("")


class Settings(_Section):
    """Everything that depends on where EQN runs."""

    home: Path
    goemotions: Path | None
    inbox: str
    store: str
    tracking_uri: str = Field(repr=False)
    """May hold a password."""
    pages_url: str = ""
    """Address of the page server."""
    pushgateway_url: str = Field(default="", repr=False)
    """May hold a password."""
    registry: RegistrySettings

    @property
    def backbones(self) -> Path:
        """Where fetched backbones are kept."""
        return self.home / "backbones"

    @property
    def models(self) -> Path:
        """Where packages from the registry are unpacked and trained packages are written."""
        return self.home / "models"

    @property
    def goemotions_download(self) -> Path:
        """Where `eqn data fetch` puts GoEmotions."""
        return self.home / "goemotions"

    @property
    def staging(self) -> Path:
        """Where inputs from buckets are kept while they are read, and between runs."""
        return self.home / "staging"

    @property
    def data_docs(self) -> Path:
        """Where the quality gate builds its Data Docs."""
        return self.home / "data_docs"

    @property
    def back_ends(self) -> Path:
        """Where the measured choices of back ends are kept."""
        return self.home / "back_ends"

    @property
    def metrics(self) -> Path:
        """Where runs keep what they counted."""
        return self.home / "metrics"

    @property
    def prefect_home(self) -> Path:
        """State of Prefect's embedded server."""
        return self.home / "prefect"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts when it tracks in SQLite."""
        return self.home / "mlflow" / "artifacts"


def load_settings(start: Path | None = None) -> Settings:
    """Read the environment and the nearest `mlflow.yaml`, from `start` (default: the working directory) upwards.

    Raises:
        UsageError: a value does not fit; the message names all of them.

    """
    start = (start or Path.cwd()).resolve()
    environment = _Environment()
    registry = _read_registry(_find_registry_file(start))
    home = (environment.home or find_home(start)).expanduser().absolute()
    sqlite = f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    return Settings(
        home=home,
        goemotions=environment.goemotions,
        inbox=environment.inbox or str(home / "inbox"),
        store=environment.store or str(home / "releases"),
        tracking_uri=environment.tracking_uri or registry.tracking_uri or sqlite,
        pages_url=environment.pages_url,
        pushgateway_url=environment.pushgateway_url,
        registry=registry,
    )


def load_log_settings() -> LogSettings:
    """Read EQN_LOG_LEVEL and EQN_LOG_FORMAT.

    Raises:
        UsageError: a value is none of those that are known; the message names all of them.

    """
    try:
        return LogSettings()
    except ValidationError as error:
        faults = [f"EQN_LOG_{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors()]
        raise UsageError(
            "expected a known level and format of logs.", faults=faults, todo="Correct these variables."
        ) from error


def load_metrics_token() -> SecretStr:
    """Read EQN_METRICS_TOKEN; empty when it is not set."""
    return _Exporter().token


def secrets_in_environment() -> tuple[str, ...]:
    """Give what must be kept out of sight: values of variables named like secrets, passwords in any address."""
    named = [value for name, value in os.environ.items() if _SECRET.search(name)]
    patterns = (_PASSWORD, _UNQUOTED_PASSWORD)
    inside = [found[1] for value in os.environ.values() for pattern in patterns for found in pattern.finditer(value)]
    inside += [value.partition(":")[2] for value in named]
    found = dict.fromkeys([*named, *inside, *map(unquote, inside)])
    return tuple(value for value in found if len(value) >= _SHORTEST_SECRET)


def find_home(start: Path) -> Path:
    """Give `.eqn` in the nearest parent of `start` that holds `mlflow.yaml` or `.eqn`, else in `start` itself."""
    for folder in (start, *start.parents):
        if (folder / REGISTRY_FILE).is_file() or (folder / STATE_FOLDER).is_dir():
            return folder / STATE_FOLDER
    return start / STATE_FOLDER


def _find_registry_file(start: Path) -> Path:
    package = Path(__file__).parent
    places = [folder / REGISTRY_FILE for folder in (start, *start.parents, package, package.parent)]
    for place in places:
        if place.is_file():
            return place
    raise UsageError(
        f"expected a file {REGISTRY_FILE}, found none.",
        faults=[f"looked for {place}" for place in places],
        todo=f"Run inside the project, or put a {REGISTRY_FILE} into the working directory.",
    )


def _read_registry(path: Path) -> RegistrySettings:
    try:
        return RegistrySettings.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise UsageError(
            f"{path} does not fit what EQN expects.", faults=faults, todo="Correct these values."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # The parser's own message quotes the file, which may hold a password.
        problem = getattr(error, "problem", None) or type(error).__name__
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{path}{where} is not readable YAML: {problem}", todo="Correct the file.") from None
