"""The deployments of prefect.yaml: what they are called, when they run, where, and what a person may choose."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.utilities.callables import parameter_schema

from eqn.training.recipes import RECIPES
from flows.deploy import POOLS

ROOT = Path(__file__).parents[2]
ONE_AT_A_TIME = {"limit": 1, "collision_strategy": "ENQUEUE"}

EXPECTED = {
    "validate/corpus": ("flows/validate.py:validate", "cpu", None, None),
    "train/gpu": ("flows/train.py:train", "gpu", ONE_AT_A_TIME, None),
    "promote/challenger": ("flows/promote.py:promote", "cpu", ONE_AT_A_TIME, None),
    "annotate/nightly": ("flows/annotate.py:annotate", "cpu", ONE_AT_A_TIME, ("nightly", "17 2 * * *", "Etc/UTC")),
    "pipeline/weekly": ("flows/pipeline.py:pipeline", "gpu", ONE_AT_A_TIME, ("weekly", "37 3 * * 6", "Etc/UTC")),
    "retrain/weekly": ("flows/retrain.py:retrain", "gpu", ONE_AT_A_TIME, ("weekly", "47 4 * * 0", "Etc/UTC")),
}
"""Entry point, work pool, concurrency limit, schedule."""


def _flow(entrypoint: str) -> Flow[..., Any]:
    file, _, name = entrypoint.partition(":")
    found: Flow[..., Any] = getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), name)
    return found


def _deployments() -> dict[str, dict[str, Any]]:
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))["deployments"]
    return {f"{_flow(deployment['entrypoint']).name}/{deployment['name']}": deployment for deployment in declared}


def _schedule(deployment: dict[str, Any]) -> tuple[str, ...] | None:
    schedules = [tuple(schedule[key] for key in ("slug", "cron", "timezone")) for schedule in deployment["schedules"]]
    (only,) = schedules
    return only


def test_names_places_limits_and_schedules_are_as_people_know_them() -> None:
    """A changed name or minute is a change for everybody who presses or waits: it must be changed here as well."""
    found = {
        name: (
            deployment["entrypoint"],
            deployment["work_pool"]["name"],
            deployment.get("concurrency_limit"),
            _schedule(deployment) if "schedules" in deployment else None,
        )
        for name, deployment in _deployments().items()
    }

    assert found == EXPECTED


def test_every_deployment_says_what_it_is() -> None:
    """Each has a description, the tag that automations look for, the package's version, and runs without pickles."""
    for deployment in _deployments().values():
        assert deployment["description"]
        assert "eqn" in deployment["tags"]
        assert deployment["version"] == "{{ $EQN_VERSION }}"
        assert deployment["work_pool"]["name"] in POOLS
        environment = deployment["work_pool"]["job_variables"]["env"]
        assert environment["PREFECT_RESULTS_DEFAULT_SERIALIZER"] == "json"
        assert int(environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) == 30


def test_schedules_do_not_start_together() -> None:
    """Each has its own minute, and none the full hour, when everybody's start."""
    minutes = [int(schedule[1].split()[0]) for *_, schedule in EXPECTED.values() if schedule]

    assert len(set(minutes)) == len(minutes)
    assert all(minute % 2 for minute in minutes)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_form_explains_every_parameter(name: str) -> None:
    """Prefect's page shows the parameter's description beside its field; all may be left as they are."""
    schema = parameter_schema(_flow(EXPECTED[name][0]))

    assert schema.properties
    assert not schema.required
    for parameter, told in schema.properties.items():
        assert len(told.get("description", "")) > 10, parameter


def test_the_form_offers_what_there_is() -> None:
    """A recipe and what to do about a new model are chosen from a list; numbers have their limits."""
    training = parameter_schema(_flow("flows/train.py:train")).properties
    annotating = parameter_schema(_flow("flows/annotate.py:annotate")).properties
    promoting = parameter_schema(_flow("flows/promote.py:promote")).properties

    assert sorted(training["recipe"]["enum"]) == sorted(RECIPES)
    assert training["seed"]["minimum"] == 0
    assert annotating["new_model"]["enum"] == ["everything", "new files"]
    assert annotating["uncertainty"]["type"] == "boolean"
    assert promoting["version"]["anyOf"][0]["exclusiveMinimum"] == 0


def test_parameters_that_a_deployment_sets_are_the_flows() -> None:
    """A renamed parameter cannot leave a deployment behind that fails every week."""
    for deployment in _deployments().values():
        known = parameter_schema(_flow(deployment["entrypoint"])).properties

        assert set(deployment.get("parameters", {})) <= set(known)
