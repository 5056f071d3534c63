"""`make deploy`: register everything that a team's Prefect server needs to run EQN; again, it changes nothing.

Work pools, the lock on the GPU, the deployments of prefect.yaml, the automations of infra/automations.

PREFECT_API_URL    the server
EQN_PROJECT        the project's folder on the machines where workers run; default: the working directory
EQN_WEBHOOK_URL    where messages go; without it none are sent. The server keeps it as a secret.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL

from eqn.errors import StoreUnavailable, UsageError
from eqn.exits import ending
from flows.automations import MESSAGES, apply_automations, keep_webhook
from flows.gpu import LOCK

POOLS = {
    "cpu": ("Validates, promotes and annotates.", None),
    "gpu": ("Trains: one run at a time.", 1),
}
"""Work pools with their descriptions and the most runs at a time."""


def main() -> int:
    """Deploy the project in the working directory and say what is there."""
    project = Path.cwd()
    if not (project / "prefect.yaml").is_file():
        raise UsageError(f"expected prefect.yaml in {project}.", todo="Run `make deploy` in the project's folder.")
    address = PREFECT_API_URL.value()
    if not address:
        raise UsageError(
            "expected the address of a Prefect server in PREFECT_API_URL.",
            todo="Start one with `make up`, read its environment, and run the same command again.",
        )
    with _answering(address), get_client(sync_client=True) as client:
        _make_pools(client)
        _make_lock(client)
        _register_deployments(project, address)
        url = os.environ.get("EQN_WEBHOOK_URL", "")
        if url:
            _check_webhook(url)
            keep_webhook(url)
        applied = apply_automations(client, project / "infra" / "automations")
        names = sorted(_deployments(client))
    print(f"deployments: {', '.join(names)}")
    print(f"automations: {', '.join(applied.there)}")
    if applied.left_out:
        print(f"not created, since EQN_WEBHOOK_URL says no address for messages: {', '.join(applied.left_out)}")
    return 0


def _make_pools(client: SyncPrefectClient) -> None:
    for name, (description, limit) in POOLS.items():
        pool = WorkPoolCreate(name=name, type="process", description=description, concurrency_limit=limit)
        with contextlib.suppress(ObjectAlreadyExists):  # its owner may have changed it: it stays as it is
            client.create_work_pool(pool)


def _make_lock(client: SyncPrefectClient) -> None:
    try:
        client.read_global_concurrency_limit_by_name(LOCK)
    except ObjectNotFound:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=LOCK, limit=1))


def _register_deployments(project: Path, address: str) -> None:
    """Let Prefect's own command read prefect.yaml."""
    environment = os.environ | {
        "PREFECT_API_URL": address,
        "EQN_PROJECT": os.environ.get("EQN_PROJECT") or str(project),
        "EQN_VERSION": version("eqn"),
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(  # noqa: S603  our own interpreter
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UsageError(
            "prefect.yaml was not taken by Prefect.",
            faults=[line.strip() for line in (done.stdout + done.stderr).strip().splitlines()[-3:] if line.strip()],
            todo="Correct it and run `make deploy` again: what was registered stays.",
        )


def _check_webhook(url: str) -> None:
    if not url.startswith(("https://", "http://")):
        raise UsageError(
            "expected an address that begins with https:// or http:// in EQN_WEBHOOK_URL.",  # it is secret: not shown
            todo=f"Correct it; the server keeps it in the block {MESSAGES}.",
        )


def _deployments(client: SyncPrefectClient) -> Iterator[str]:
    flows = {flow.id: flow.name for flow in client.read_flows()}
    return (f"{flows[deployment.flow_id]}/{deployment.name}" for deployment in client.read_deployments())


@contextlib.contextmanager
def _answering(address: str) -> Iterator[None]:
    """Translate what a server that is away, slow or strict gives."""
    from httpx import URL, HTTPStatusError, RequestError

    shown = str(URL(address).copy_with(userinfo=b""))
    try:
        yield
    except HTTPStatusError as error:
        code = error.response.status_code
        what = "refuses the credentials" if code in {401, 403} else f"answers with status {code}"
        raise StoreUnavailable(
            f"the Prefect server at {shown} {what}.", todo="Check PREFECT_API_AUTH_STRING and the server's log."
        ) from error
    except (RequestError, RuntimeError) as error:  # Prefect's client wraps its first call in a RuntimeError
        if isinstance(error, RuntimeError) and "Failed to reach API" not in str(error):
            raise
        raise StoreUnavailable(
            f"the Prefect server at {shown} does not answer.",
            todo="Start it with `make up`, or correct PREFECT_API_URL.",
        ) from error


if __name__ == "__main__":
    sys.exit(ending(main))
