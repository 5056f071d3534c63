"""A package that is damaged on its way from an MLflow server: it is refused, and nothing of it stays here."""

import random
import shutil

import pytest

from eqn.errors import ArtifactRefused, StoreUnavailable
from eqn.registry.resolution import resolve
from eqn.settings import Settings
from tests.faults.promises import Trials
from tests.registry.conftest import PackageWriter
from tests.registry.test_server import server, team, trained
from tests.store.faults import damaged
from tests.store.proxy import FaultProxy

__all__ = ["server", "team"]

FILES = r"/mlflow-artifacts/artifacts/.*\.(safetensors|json|md)$"


@pytest.mark.promise(15)
@pytest.mark.faults
def test_a_package_damaged_on_its_way_is_refused(team: Settings, package: PackageWriter, trials: Trials) -> None:
    """A flipped bit, or a part that is missing, in any of its files; undamaged, the same call gives the package."""
    digest = trained(team, package).digest
    draw = random.Random(0)  # noqa: S311  places to damage
    with FaultProxy(team.tracking_uri) as proxy:
        behind = team.model_copy(update={"tracking_uri": proxy.endpoint})
        for trial in range(100):
            rule = proxy.add(damaged(draw, cut=trial % 2 == 1), method="GET", path=FILES, skip=trial % 5, times=1)
            with pytest.raises((ArtifactRefused, StoreUnavailable)):
                resolve("1", behind)
            assert rule.fired == 1
            assert not behind.models.exists() or list(behind.models.iterdir()) == []
            proxy.heal()
        assert resolve("1", behind).digest == digest
        shutil.rmtree(behind.models)
    trials(100, "damaged downloads from MLflow")
