"""infra/compose.yaml and the values for Kubernetes: what can be told of them without containers."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.stack.programs import BUCKET, POOLS

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
COMPOSE: dict[str, Any] = yaml.safe_load((INFRA / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STEPS = {name for name, service in SERVICES.items() if service["restart"] == "no"}
PINNED = re.compile(r"[\w./-]+:\d+\.\d+[\w.-]*")


def test_the_parts_are_those_of_the_stack_on_one_machine() -> None:
    """Four servers and a worker for each pool; two steps that end."""
    assert SERVICES.keys() == {"postgres", "s3", "prefect", "mlflow", *(f"worker-{pool}" for pool in POOLS)} | STEPS
    assert sorted(STEPS) == ["deploy", "prepare"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - STEPS))
def test_everything_that_stays_is_checked_and_restarted(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_this_machines_own(name: str) -> None:
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_in_an_environment_or_a_command(name: str) -> None:
    """Passwords and keys come as files; what is named here is declared below, and outside the repository."""
    service = SERVICES[name]
    secret = re.compile(r"PASSWORD(?!_FILE)|SECRET|ACCESS_KEY|AUTH_STRING|://[^/]*:[^/]*@")
    written = [f"{key}={value}" for key, value in service.get("environment", {}).items()] + [
        str(service.get("command"))
    ]

    assert [text for text in written if secret.search(text)] == []
    assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
    assert {entry["file"].split("/")[0] for entry in COMPOSE["secrets"].values()} == {"${EQN_HOME:-.."}


def test_what_is_waited_for_exists_and_can_become_true() -> None:
    """A service that must be healthy has a check; one that must have ended does end."""
    for service in SERVICES.values():
        for name, wanted in service.get("depends_on", {}).items():
            assert (wanted["condition"] == "service_completed_successfully") == (name in STEPS)
            assert (wanted["condition"] == "service_healthy") == ("healthcheck" in SERVICES[name])


def test_mounted_and_copied_files_exist() -> None:
    mounted = [
        mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", []) if mount[0] == "."
    ]
    named = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert [file for file in mounted if not (INFRA / file).is_file()] == []
    assert named - set(mounted) == COMPOSE["volumes"].keys()
    dockerfile = INFRA / "images" / "Dockerfile"
    copied = re.findall(r"^COPY (.+) \S+$", dockerfile.read_text("utf-8"), re.MULTILINE)
    assert [file for line in copied for file in line.split() if not (ROOT / file).exists()] == []


def test_every_command_is_known_to_the_images_start() -> None:
    start = INFRA / "images" / "start.sh"
    known = re.findall(r"^    (\w+)\)$", start.read_text("utf-8"), re.MULTILINE)
    asked = [service["command"][0] for service in SERVICES.values() if service["image"].startswith("eqn:")]
    assert set(asked) == set(known)
    assert subprocess.run([str(start), "nothing"], capture_output=True, check=False).returncode == 2


def test_secrets_are_made_once_for_their_owner_only(tmp_path: Path) -> None:
    """Every file that compose asks for; a second call changes none; the keys of S3 and its identity agree."""
    folder = tmp_path / "compose"
    script = str(INFRA / "images" / "secrets.sh")
    subprocess.run([script, str(folder)], check=True, capture_output=True)
    first = {file.name: file.read_text("utf-8") for file in folder.iterdir()}
    subprocess.run([script, str(folder)], check=True, capture_output=True)

    assert {file.name: file.read_text("utf-8") for file in folder.iterdir()} == first
    assert first.keys() == COMPOSE["secrets"].keys()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    credentials = yaml.safe_load(first["s3_identities"])["identities"][0]["credentials"][0]
    assert credentials == {"accessKey": first["s3_access_key"], "secretKey": first["s3_secret_key"]}
    assert len({len(first[name]) for name in ("postgres", "prefect", "mlflow", "s3_secret_key")} | {43}) == 1


def test_kubernetes_uses_the_same_bucket_and_pools() -> None:
    """The values name what the rest of the project calls so, and hold no secret."""
    worker = yaml.safe_load((INFRA / "kubernetes" / "worker-values.yaml").read_text("utf-8"))["worker"]
    variables = {entry["name"]: entry["value"] for entry in worker["extraEnvVars"]}

    assert worker["config"]["workPool"] in POOLS
    assert variables["EQN_STORE"] == f"s3://{BUCKET}/releases" == SERVICES["worker-cpu"]["environment"]["EQN_STORE"]
    assert worker["apiConfig"] == "selfHostedServer"
    assert "authString" not in worker["selfHostedServerApiConfig"]["basicAuth"]
    assert not [name for name in variables if "SECRET" in name or "ACCESS_KEY" in name]


def test_scripts_can_be_run() -> None:
    scripts = [*INFRA.glob("images/*.sh"), *INFRA.glob("services/[!d]*.sh")]  # debian.sh is read by others
    assert [script.name for script in scripts if not os.access(script, os.X_OK)] == []
