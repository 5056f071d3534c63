"""Automations: what Prefect's server does by itself when something happens, read from `infra/automations/`.

The files have Prefect's own form, with two names where Prefect wants ids: `block:` names a webhook block, `deployment:`
a deployment.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import ObjectNotFound

from eqn.errors import UsageError

MESSAGES = "eqn-messages"
"""The webhook block that messages are sent by."""


@dataclasses.dataclass(frozen=True, slots=True)
class Applied:
    """What became of the automations."""

    there: tuple[str, ...]
    """The names of those that are on the server now."""
    left_out: tuple[str, ...]
    """The names of those that send messages, where nobody said to which address."""


def keep_webhook(url: str) -> None:
    """Keep the address that messages are sent to, as a secret on the server."""
    block = Webhook(url=url, method="POST", headers={"Content-Type": "application/json"})  # type: ignore[arg-type]
    block.save(MESSAGES, overwrite=True)


def apply_automations(client: SyncPrefectClient, folder: Path) -> Applied:
    """Create or update the automations of the files in `folder`, each by its name.

    Those that people switched off stay off. Those that need the webhook block are left out while there is none.

    Raises:
        UsageError: a file is no automation, or names a deployment that there is not.

    """
    there, left_out = [], []
    webhook = _block(client)
    for path in sorted(folder.glob("*.yaml")):
        values = _read(path)
        actions = [_with_ids(action, path, client, webhook) for action in values["actions"]]
        if any("block_document_id" in action and not action["block_document_id"] for action in actions):
            left_out.append(values["name"])
            continue
        _apply(client, _automation(values | {"actions": actions}, path))
        there.append(values["name"])
    return Applied(tuple(there), tuple(left_out))


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not readable YAML: {error}", todo="Correct the file.") from error
    if not isinstance(values, dict) or not {"name", "trigger", "actions"} <= values.keys():
        raise UsageError(f"expected name, trigger and actions in {path}.", todo="Correct the file.")
    return values


def _with_ids(action: Mapping[str, Any], path: Path, client: SyncPrefectClient, webhook: UUID | None) -> dict[str, Any]:
    given = dict(action)
    if given.pop("block", None):
        given["block_document_id"] = webhook
    deployment = given.pop("deployment", None)
    if deployment:
        try:
            given |= {"source": "selected", "deployment_id": client.read_deployment_by_name(deployment).id}
        except ObjectNotFound as error:
            raise UsageError(
                f"{path} starts the deployment {deployment}, which there is not.",
                todo="Correct the name, or add the deployment to prefect.yaml.",
            ) from error
    return given


def _automation(values: Mapping[str, Any], path: Path) -> AutomationCore:
    from pydantic import ValidationError

    try:
        return AutomationCore.model_validate(values)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise UsageError(f"{path} is no automation.", faults=faults, todo="Correct these values.") from error


def _apply(client: SyncPrefectClient, automation: AutomationCore) -> None:
    same = client.read_automations_by_name(automation.name)
    if not same:
        client.create_automation(automation)
        return
    kept, *doubles = same
    for double in doubles:
        client.delete_automation(double.id)
    wanted = automation.model_copy(update={"enabled": kept.enabled})
    if _content(kept) != _content(wanted):
        client.update_automation(kept.id, wanted)


def _content(automation: AutomationCore | Automation) -> dict[str, Any]:
    return automation.model_dump(mode="json", include=set(AutomationCore.model_fields))


def _block(client: SyncPrefectClient) -> UUID | None:
    try:
        return client.read_block_document_by_name(MESSAGES, Webhook.get_block_type_slug()).id
    except ObjectNotFound:
        return None
