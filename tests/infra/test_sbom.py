"""The list of what the environment is made of."""

import json
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from eqn.errors import ArtifactRefused
from infra import lock, sbom
from infra.lock import installed, read_lock
from infra.sbom import write_sbom


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("sbom") / "build" / "sbom.cdx.json"
    assert write_sbom(target) > 100
    return target


def test_it_is_valid_cyclonedx(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the standard's own schema, which knows no field besides."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from jsonschema import Draft7Validator

    # Its parser of addresses takes minutes for some hundred of them; all else is looked at.
    monkeypatch.delitem(Draft7Validator.FORMAT_CHECKER.checkers, "iri-reference", raising=False)
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    content = written.read_text("utf-8")

    assert validator.validate_str(content) is None
    assert validator.validate_str(content.replace('"purl"', '"pearl"')) is not None


def test_it_lists_what_is_installed_in_the_versions_of_the_lock(written: Path) -> None:
    pins = read_lock()
    listed = {canonicalize_name(item["name"]): item["version"] for item in _components(written)}

    assert listed == {name: found.version for name, found in installed().items() if name != "eqn"}
    assert {name: version.partition("+")[0] for name, version in listed.items() if name in pins}.items() <= pins.items()
    assert {"torch", "mlflow", "prefect", "fastapi", "sqlalchemy"} <= listed.keys()


def test_it_says_whose_it_is_and_gives_no_place_away(written: Path) -> None:
    content = written.read_text("utf-8")

    assert json.loads(content)["metadata"]["component"]["name"] == "eqn"
    assert "file:" not in content
    assert str(Path(sbom.__file__).parents[1]) not in content


def test_an_environment_that_deviates_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every package that is not as it is locked is named, and no list is left."""
    pins = read_lock()
    wrong = {name: version for name, version in pins.items() if name != "boto3"} | {"torch": "2.5.1"}
    monkeypatch.setattr(sbom, "read_lock", lambda: wrong)

    with pytest.raises(ArtifactRefused) as refused:
        write_sbom(tmp_path / "sbom.cdx.json")

    assert [fault.split()[0] for fault in refused.value.faults] == ["boto3", "torch"]
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it comes with an extra of EQN, which may be left out."""
    here = {name: found for name, found in installed().items() if name not in {"certifi", "ray"}}
    monkeypatch.setattr(lock, "installed", lambda: here)

    with pytest.raises(ArtifactRefused) as refused:
        write_sbom(tmp_path / "sbom.cdx.json")

    assert refused.value.faults == ("certifi is needed, and not installed",)


def _components(path: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(path.read_text("utf-8"))["components"]
    return found
