"""Settings: where the state is, what overrides what, and what a bad file is told."""

from pathlib import Path

import pytest

from eqn.errors import UsageError
from eqn.settings import find_home, load_metrics_token, load_settings

PROJECT_FILE = Path(__file__).parents[1] / "mlflow.yaml"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "GOEMOTIONS", "INBOX", "PAGES_URL", "STORE", "TRACKING_URI"):
        monkeypatch.delenv(f"EQN_{name}", raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with the project's mlflow.yaml."""
    (tmp_path / "mlflow.yaml").write_bytes(PROJECT_FILE.read_bytes())
    return tmp_path


def test_the_state_lies_beside_the_nearest_registry_file(project: Path) -> None:
    """From anywhere below, the state folder of the project is found."""
    below = project / "a" / "b"
    below.mkdir(parents=True)

    assert load_settings(below).home == load_settings(project).home == project / ".eqn"


def test_a_nearer_state_folder_wins(project: Path) -> None:
    """The nearest parent decides, whichever of the two it holds."""
    (project / "a" / ".eqn").mkdir(parents=True)
    (project / "a" / "b").mkdir()

    assert find_home(project / "a" / "b") == project / "a" / ".eqn"


def test_without_either_the_state_is_here(tmp_path: Path) -> None:
    """A file that is called .eqn is no state folder."""
    (tmp_path / ".eqn").touch()
    here = tmp_path / "a"
    here.mkdir()

    assert find_home(here) == here / ".eqn"


def test_the_packages_own_registry_file_serves_where_there_is_none(tmp_path: Path) -> None:
    """EQN runs in any directory: only the state is made there."""
    settings = load_settings(tmp_path)

    assert settings.registry == load_settings(PROJECT_FILE.parent).registry
    assert settings.home == tmp_path / ".eqn"


def test_everything_has_its_place_in_the_state_folder(project: Path) -> None:
    """Without variables, nothing lies outside the state folder."""
    settings = load_settings(project)

    home = project / ".eqn"
    assert (settings.inbox, settings.store) == (str(home / "inbox"), str(home / "releases"))
    assert settings.tracking_uri == f"sqlite:///{home}/mlflow/mlflow.db"
    assert settings.goemotions is None
    places = [settings.backbones, settings.models, settings.data_docs, settings.prefect_home, settings.artifacts]
    assert all(place.is_relative_to(home) for place in places)
    assert not home.exists()


def test_variables_override_everything(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each EQN_* variable has the last word; a relative home counts from the working directory."""
    monkeypatch.chdir(project)
    values = {"HOME": "state", "GOEMOTIONS": "/data/ge", "INBOX": "/in", "STORE": "/out", "TRACKING_URI": "http://x:5"}
    for name, value in values.items():
        monkeypatch.setenv(f"EQN_{name}", value)

    settings = load_settings()
    assert settings.home == project / "state"
    assert settings.goemotions == Path("/data/ge")
    assert (settings.inbox, settings.store, settings.tracking_uri) == ("/in", "/out", "http://x:5")


def test_an_empty_variable_is_as_good_as_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`EQN_HOME= eqn ...`, as compose files write it, does not make the working directory the state folder."""
    without = load_settings(project)
    for name in ("HOME", "GOEMOTIONS", "INBOX", "PAGES_URL", "STORE", "TRACKING_URI"):
        monkeypatch.setenv(f"EQN_{name}", "")

    assert load_settings(project) == without


def test_the_file_names_the_tracking_server_unless_a_variable_does(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fact, one home, one override."""
    file = project / "mlflow.yaml"
    file.write_text(file.read_text().replace('tracking_uri: ""', "tracking_uri: http://team:5000"))
    assert load_settings(project).tracking_uri == "http://team:5000"

    monkeypatch.setenv("EQN_TRACKING_URI", "http://mine:5000")
    assert load_settings(project).tracking_uri == "http://mine:5000"


def test_every_fault_of_the_file_is_named_at_once(project: Path) -> None:
    """Unknown keys, values out of range and missing ones stand in one message, each with its place."""
    (project / "mlflow.yaml").write_text(
        """
experiment: eqn
registred_model: typo
aliases: {champion: c, runner_up: r}
promotion: {primary: accuracy, least_gain: -1, guards: {f1: 0.1}, least_train_share: 2}
"""
    )

    with pytest.raises(UsageError) as refused:
        load_settings(project)
    named = [fault.partition(":")[0] for fault in refused.value.faults]
    assert sorted(named) == [
        "aliases.runner_up",
        "promotion.guards.f1.[key]",
        "promotion.least_gain",
        "promotion.least_train_share",
        "promotion.primary",
        "registered_model",
        "registred_model",
    ]
    assert str(project / "mlflow.yaml") in refused.value.what


@pytest.mark.parametrize("content", [b"", b"- a list", b"a: [", b"\xff\xfe binary", b"x: !!python/object:os.system {}"])
def test_a_file_that_is_no_settings_is_refused(project: Path, content: bytes) -> None:
    """Empty, foreign, broken, binary or dangerous: the file is named and nothing in it is run."""
    (project / "mlflow.yaml").write_bytes(content)

    with pytest.raises(UsageError) as refused:
        load_settings(project)
    assert str(project / "mlflow.yaml") in refused.value.what


def test_settings_cannot_be_changed(project: Path) -> None:
    """What was read once is the same for everybody."""
    with pytest.raises(ValueError, match="frozen"):
        load_settings(project).store = "elsewhere"  # type: ignore[misc]


def test_no_password_is_shown_by_settings_or_by_what_is_wrong_with_them(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by their representation, nor by the fault of a value, nor by a file that is no YAML."""
    address = "http://someone:canary@127.0.0.1:5000"
    file = project / "mlflow.yaml"
    whole = file.read_text("utf-8")
    monkeypatch.setenv("EQN_TRACKING_URI", address)
    monkeypatch.setenv("EQN_PUSHGATEWAY_URL", address)
    told = [repr(load_settings(project)), str(load_settings(project))]
    for content in (f"{whole}\npassword: canary\n", f"{whole}\ntracking_uri: ['{address}']\n", f"a: '{address}\n}}: ]"):
        file.write_text(content, "utf-8")
        with pytest.raises(UsageError) as refused:
            load_settings(project)
        told += [str(refused.value), str(refused.value.__cause__)]

    assert load_metrics_token().get_secret_value() == ""
    monkeypatch.setenv("EQN_METRICS_TOKEN", "canary")
    told.append(repr(load_metrics_token()))
    assert [text for text in told if "canary" in text] == []
