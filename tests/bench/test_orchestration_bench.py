"""The bench of orchestration: what it concludes from figures, and that it runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.annotating.report import markdown
from bench.orchestration import Pickup, Report, Timed
from eqn.corpus.choice import choose_corpus
from eqn.corpus.goemotions import Corpus, Split
from eqn.training.recipes import recipe_named
from eqn.training.run import Order, train

ROOT = Path(__file__).parents[2]


@pytest.fixture
def report() -> Report:
    """Two rounds: the command takes 100 s, the flow 112, of which 8 go into what follows the release."""
    tasks = {"publish": 101.0, "drift": 5.0, "page": 3.0}
    return Report(
        machine={"cores": 2, "threads": 2, "processor": "x86_64", "features": ["bf16"], "versions": {"torch": "2"}},
        server="its own, on SQLite",
        rows=1000,
        lengths={"mean": 68.0},
        bare=[Timed(100.0, 190.0, "same"), Timed(100.0, 210.0, "same")],
        flow=[Timed(112.0, 240.0, "same", tasks), Timed(112.0, 240.0, "same", tasks)],
        pickups=[Pickup(2.0, 3.0), Pickup(4.0, 5.0)],
    )


def test_work_behind_the_release_is_not_orchestration(report: Report) -> None:
    ratios = report.ratios()

    assert ratios["orchestration"] == pytest.approx(0.04)
    assert ratios["with drift and page"] == pytest.approx(0.12)
    assert ratios["processor time, with drift and page"] == pytest.approx(0.2)
    assert report.as_json()["met"] is True


def test_json_and_tables_hold_every_figure(report: Report) -> None:
    said = json.loads(json.dumps(report.as_json()))
    tables = report.tables()

    assert [run["seconds"] for run in said["flow"]] == [112.0, 112.0]
    assert said["tasks"] == {"publish": 101.0, "drift": 5.0, "page": 3.0}
    assert tables["More time than the command"][0]["met"] == "yes"
    assert tables["Before a run works"][0]["seconds"] == "3.0 (2.0 to 4.0)"
    assert all(len({row.count("|") for row in markdown(rows).splitlines()}) == 1 for rows in tables.values())


@pytest.mark.team
def test_it_runs(tmp_path: Path, package: Path) -> None:
    """A round of a few rows, with a Prefect server and a worker of its own: the same release both ways."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "EQN_"))}
    environment |= {"EQN_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "bench/orchestration.py", str(package), "--rows", "200", "--rounds", "1", "--json"]

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["rows"] == 200
    assert "publish" in said["tasks"]
    assert len(said["bare"]) == len(said["flow"]) == 1
    assert len(said["pickups"]) == 3


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of a small random network."""
    whole = choose_corpus(None)
    splits = (
        Split(one.name, one.ids[:60], one.texts[:60], one.labels[:60]) for one in (whole.train, whole.dev, whole.test)
    )
    order = Order(
        corpus=Corpus(whole.ref, *splits),
        recipe=recipe_named("plain", epochs=1, checks=1),
        backbone="tiny",
        seed=0,
        out=tmp_path / "package",
        backbones=tmp_path,
    )
    return train(order).path
