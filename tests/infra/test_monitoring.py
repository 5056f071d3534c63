"""Dashboard, alerts and scrape configuration: they name what is there, and Prometheus itself gives them values."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from eqn.errors import StoreUnavailable
from eqn.records import Drift, DriftComparison, DriftMeasure, ReleaseRef
from eqn.settings import Settings, load_settings
from eqn.telemetry.families import FAMILIES
from eqn.telemetry.ledger import Ledger
from eqn.telemetry.run import OUTCOMES, observed
from eqn.telemetry.serve import exporter
from tests.available import not_run
from tests.servers import free_port

MONITORING = Path(__file__).parents[2] / "infra" / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "grafana" / "dashboard.json").read_text("utf-8"))
RULES: list[dict[str, Any]] = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
EXPRESSIONS = {
    **{
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    },
    **{rule["alert"]: rule["expr"] for rule in RULES},
}
LABELS = {sample: set(family.labels) for family in FAMILIES for sample in family.samples} | {"up": {"job", "instance"}}
SECONDS = 60.0
PROGRAMS = MONITORING / "programs.sh"


def test_every_expression_names_metrics_and_labels_that_exist() -> None:
    """A metric that is renamed cannot leave an empty panel or a silent alert."""
    for where, expression in EXPRESSIONS.items():
        selected = re.findall(r"\b(eqn_\w+|up)\b(?:\{([^}]*)\})?", expression)
        assert selected, where
        for name, matchers in selected:
            assert name in LABELS, where
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= LABELS[name], where


def test_every_metric_is_shown_or_warned_of() -> None:
    used = set(re.findall(r"\beqn_\w+", " ".join(EXPRESSIONS.values())))

    assert used == {sample for family in FAMILIES for sample in family.samples}


def test_alerts_name_outcomes_that_exist() -> None:
    """The outcomes that need nobody are the only ones left out."""
    (expression,) = (rule["expr"] for rule in RULES if rule["alert"] == "EqnRunsFailing")
    (left_out,) = re.findall(r'outcome!~"([^"]+)"', expression)

    assert set(left_out.split("|")) < set(OUTCOMES)


def test_every_alert_says_what_to_do() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}
    told = yaml.safe_load((MONITORING / "alerts_test.yml").read_text("utf-8"))["tests"]
    warned = {case["alertname"] for test in told for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert warned == {rule["alert"] for rule in RULES}


def test_panels_have_their_own_place_and_number() -> None:
    """What Grafana would otherwise move about: overlapping panels, and numbers that come twice."""
    places = {panel["id"]: panel["gridPos"] for panel in DASHBOARD["panels"]}
    assert len(places) == len(DASHBOARD["panels"])
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places.values())
    assert not [
        (one, other)
        for (one, a), (other, b) in combinations(places.items(), 2)
        if a["x"] < b["x"] + b["w"]
        and b["x"] < a["x"] + a["w"]
        and a["y"] < b["y"] + b["h"]
        and b["y"] < a["y"] + a["h"]
    ]


def test_the_dashboard_asks_the_chosen_data_source() -> None:
    """It can be imported anywhere: the data source is a variable, used by every panel, target and variable."""
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert variables["dataset"]["datasource"] == chosen
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"] == chosen
        assert panel["type"] in {"stat", "timeseries", "bargauge"}
        assert panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            assert target["datasource"] == chosen
            assert set(re.findall(r"\$\{?(\w+)", target["expr"])) <= variables.keys()


def test_provisioning_is_what_grafana_reads() -> None:
    sources = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yaml").read_text("utf-8"))
    boards = yaml.safe_load((MONITORING / "grafana/provisioning/dashboards/eqn.yaml").read_text("utf-8"))

    assert [(source["type"], source["isDefault"]) for source in sources["datasources"]] == [("prometheus", True)]
    assert [provider["type"] for provider in boards["providers"]] == ["file"]


@pytest.mark.stack
@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")],
    ids=" ".join,
)
def test_promtool_agrees(programs: str, arguments: tuple[str, ...]) -> None:
    """The files are what Prometheus reads, and each alert warns when it should and only then."""
    done = subprocess.run(
        [programs, "promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.stack
def test_prometheus_has_a_value_for_every_panel(programs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two runs that Prometheus saw, each panel's and each alert's expression gives a series."""
    monkeypatch.setenv("EQN_HOME", str(tmp_path / "home"))
    settings = load_settings()
    _demonstrate(settings)
    with (
        exporter(Ledger(settings.metrics), "127.0.0.1", 0) as (address, _),
        observed(settings, flow="annotate", dataset="slow"),
    ):
        configuration = yaml.safe_load((MONITORING / "prometheus.yml").read_text("utf-8"))
        configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        configuration["rule_files"] = [str(MONITORING / "alerts.yml")]
        configuration["scrape_configs"][0]["static_configs"] = [{"targets": [urlsplit(address).netloc]}]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        with _prometheus(programs, tmp_path) as ask:
            # Growth is counted from the second scrape of the same values on.
            _until(lambda: ask('count_over_time(eqn_runs_total{outcome="succeeded"}[1m]) >= 2'))
            _demonstrate(settings)
            _until(lambda: ask('eqn_runs_total{dataset="letters",outcome="succeeded"} == 2'))
            _until(lambda: ask("increase(eqn_rows_quarantined_total[1d]) > 0"))

            without = [where for where, expression in EXPRESSIONS.items() if not ask(_answerable(where, expression))]
            for alert in ("EqnQuarantine", "EqnDrift", "EqnRunsFailing"):
                _until(partial(ask, f'ALERTS{{alertstate="firing",alertname="{alert}"}}'))

    assert without == []


@pytest.mark.stack
def test_a_real_pushgateway_takes_what_a_run_pushes(
    programs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group of this machine stands there as the exporter would serve it."""
    port = free_port()
    gateway = subprocess.Popen(
        [programs, "prometheus-pushgateway", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until(lambda: _read(f"http://127.0.0.1:{port}/-/ready"))
        monkeypatch.setenv("EQN_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("EQN_PUSHGATEWAY_URL", f"http://127.0.0.1:{port}")
        _demonstrate(load_settings())

        told = _read(f"http://127.0.0.1:{port}/metrics")
    finally:
        gateway.terminate()
        gateway.wait()

    instance = f'instance="{socket.gethostname()}",job="eqn"'
    assert f'eqn_rows_annotated_total{{dataset="letters",{instance}}} 90' in told
    assert f'eqn_runs_total{{dataset="letters",flow="annotate",{instance},outcome="succeeded"}} 1' in told


@pytest.fixture(scope="session")
def programs() -> str:
    """Give the script that runs Debian's programs, once they are there."""
    done = subprocess.run([PROGRAMS, "promtool", "--version"], capture_output=True, text=True, check=False)
    if done.returncode:
        not_run(f"Debian's packages of Prometheus cannot be had: {done.stderr}")
    return str(PROGRAMS)


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


def _demonstrate(settings: Settings) -> None:
    """Make a run of everything that is measured, and one that fails."""
    measures = (DriftMeasure("joy", "distance", 0.3, 0.1), DriftMeasure("text length", "distance", 0.1, 0.2))
    comparisons = (DriftComparison("release 1", 80, measures), DriftComparison("training data", 500, measures))
    with observed(settings, flow="annotate", dataset="letters") as run:
        for stage in ("fetch", "plan", "validate", "annotate", "drift", "page"):
            with run.stage(stage):
                run.rows(90 * (stage == "annotate"), 900 * (stage == "annotate"))
        run.quarantined({"empty_text": 9, "bad_json": 1})
        run.released(ReleaseRef("letters", 2, "somewhere", 90, 10))
        run.drift(Drift("letters", 2, 90, comparisons))
    with pytest.raises(StoreUnavailable), observed(settings, flow="annotate", dataset="letters"):
        raise StoreUnavailable("no")


def _answerable(where: str, expression: str) -> str:
    """Give the expression as Grafana would send it; an alert's without its limit, which a healthy machine keeps."""
    if where == "EqnNeverAnnotated":
        return 'absent(eqn_last_success_timestamp_seconds{flow="none"})'
    if where.startswith("Eqn"):
        expression = re.sub(r"\s(>|==|<) (?=[^<>=]*$)", r" \1 bool ", expression)
    return expression.replace("$dataset", ".*")


@contextlib.contextmanager
def _prometheus(programs: str, folder: Path) -> Iterator[Callable[[str], Any]]:
    port = free_port()
    server = subprocess.Popen(
        [
            programs,
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "prometheus.log").open("wb"),
        env=os.environ,
    )

    def ask(expression: str) -> Any:
        query = urllib.parse.urlencode({"query": expression})
        answer = json.loads(_read(f"http://127.0.0.1:{port}/api/v1/query?{query}"))
        assert answer["status"] == "success"
        return answer["data"]["result"]

    try:
        _until(lambda: _read(f"http://127.0.0.1:{port}/-/ready"))
        yield ask
    finally:
        server.terminate()
        server.wait()


def _until(ask: Callable[[], Any]) -> Any:
    """Ask until there is an answer; a test that waits in vain fails."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            answer = ask()
            if answer:
                return answer
        time.sleep(0.2)
    raise AssertionError("no answer came")


def _read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  loopback
        content: bytes = answer.read()
    return content.decode()
