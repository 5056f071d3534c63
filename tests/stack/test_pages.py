"""What people look at, in a real Chromium on the real stack: Prefect's, MLflow's and EQN's own pages.

Screenshots are kept in build/screenshots. Requests that would leave this machine are blocked; the release's page may
make none but that for itself.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from eqn.settings import load_settings
from tests.stack.team import ROOT, FlowRun, Team, letters

SCREENSHOTS = ROOT / "build" / "screenshots"
PREFECTS = (
    r"404 .*/favicon\.ico$",  # the page names another icon, which is there; browsers ask for this one by themselves
    r"404 .*/ico/undefined\.svg$",  # an icon of Prefect's pages without a name
)
MLFLOWS = (
    r"404 .*/mlflow/users/current$",  # asked for where nobody logs in, too
)
DATA_DOCS = (
    r"ERR_BLOCKED_BY_CLIENT",  # Great Expectations' pages take styles and scripts from outside,
    r"\$ is not defined",  # and without them only fold and unfold nothing: all words are there
)
"""Errors on consoles of pages that are not ours which say nothing of ours."""
_MILLISECONDS = 60_000
DEPLOYMENTS = ("corpus", "gpu", "challenger", "nightly", "weekly")


@dataclass
class Visit:
    """A page that was opened, and what it did that it should not."""

    page: Any
    errors: list[str] = field(default_factory=list)
    """Errors on its console, and exceptions."""
    asked: list[str] = field(default_factory=list)
    """Every address that it asked for."""

    def shows(self, *texts: str) -> None:
        """Wait until the page shows all `texts`."""
        for text in texts:
            self.page.get_by_text(text).locator("visible=true").first.wait_for(timeout=_MILLISECONDS)

    def keep(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


Open = Callable[[str], Visit]


def errors_of(said: Any) -> list[str]:
    """Give a message of the console with what it is about, if it is an error."""
    return [f"{said.text} {said.location.get('url', '')}"] if said.type == "error" else []


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    """Give a function that opens an address; contexts end with the test."""
    contexts = []

    def visit(address: str) -> Visit:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        contexts.append(context)
        found = Visit(context.new_page())

        def route(asked: Any) -> None:
            found.asked.append(asked.request.url)
            parts = urlsplit(asked.request.url)
            if parts.scheme in {"data", "blob"} or parts.hostname == "127.0.0.1":
                asked.continue_()
            else:
                asked.abort("blockedbyclient")

        context.route("**/*", route)
        found.page.on("console", lambda said: found.errors.extend(errors_of(said)))
        found.page.on("pageerror", lambda error: found.errors.append(str(error)))
        found.page.goto(address, timeout=_MILLISECONDS)
        return found

    yield visit
    for context in contexts:
        context.close()


def unexplained(known: Sequence[str], *visits: Visit) -> list[str]:
    """Give the errors of foreign pages that are not known to be harmless."""
    errors = [error for visit in visits for error in visit.errors]
    return [error for error in errors if not any(re.search(pattern, error) for pattern in known)]


@pytest.fixture(scope="module")
def pages(team: Team) -> str:
    """The address of Prefect's pages."""
    return team.address.removesuffix("/api")


@pytest.fixture(scope="module")
def annotated(team: Team, champion: str) -> FlowRun:
    """A run that published two releases of a dataset, one after the other."""
    team.drop("pages/first.csv", [*letters(400), ("x", ""), ("<b>id</b>", "<script>alert(1)</script> thank you")])
    team.press("annotate/nightly", inbox=team.inbox("pages"), dataset="pages")
    team.drop("pages/second.csv", letters(200, name="later"))
    run = team.press("annotate/nightly", inbox=team.inbox("pages"), dataset="pages")
    assert run.state == "COMPLETED", team.logs(run)
    return run


def test_prefect_shows_the_deployments(opened: Open, pages: str, champion: str) -> None:
    visit = opened(f"{pages}/deployments")
    visit.shows(*DEPLOYMENTS)
    visit.keep("prefect-deployments")

    assert unexplained(PREFECTS, visit) == []


def test_a_deployment_can_be_pressed_with_a_form(opened: Open, pages: str, team: Team, champion: str) -> None:
    """The form names the parameters with their descriptions, and the page the schedule."""
    deployment = team.api("get", "/deployments/name/annotate/nightly")["id"]
    visit = opened(f"{pages}/deployments/deployment/{deployment}")
    visit.shows("nightly", "Scheduled for", "02:17:00 AM")
    visit.keep("prefect-deployment")
    form = opened(f"{pages}/deployments/deployment/{deployment}/run")
    form.shows("dataset", "Name of the dataset whose next release this becomes.")
    form.keep("prefect-run-form")

    assert unexplained(PREFECTS, visit, form) == []


def test_a_run_shows_its_tasks_and_its_artifacts(opened: Open, pages: str, annotated: FlowRun) -> None:
    visit = opened(f"{pages}/runs/flow-run/{annotated.id}")
    visit.shows("Completed", "publish")
    visit.keep("prefect-run")
    visit.page.get_by_text("Artifacts", exact=True).locator("visible=true").last.click()
    visit.shows("release-pages", "drift-pages")
    visit.keep("prefect-run-artifacts")

    assert unexplained(PREFECTS, visit) == []


def test_an_artifact_says_where_the_release_is(opened: Open, pages: str, team: Team, annotated: FlowRun) -> None:
    asked = {"artifacts": {"flow_run_id": {"any_": [annotated.id]}, "key": {"any_": ["release-pages"]}}}
    artifact = team.api("post", "/artifacts/filter", asked)[0]["id"]
    visit = opened(f"{pages}/artifacts/artifact/{artifact}")
    visit.shows("pages published as release 2")
    visit.keep("prefect-artifact-release")

    assert unexplained(PREFECTS, visit) == []


def test_mlflow_shows_the_champion(opened: Open, team: Team, champion: str) -> None:
    name = load_settings().registry.registered_model
    visit = opened(f"{team.environment['MLFLOW_TRACKING_URI']}/#/models/{name}")
    visit.shows(name, "Version 1", "champion")
    visit.keep("mlflow-model")
    version = opened(f"{team.environment['MLFLOW_TRACKING_URI']}/#/models/{name}/versions/1")
    version.shows("champion")
    version.keep("mlflow-version")

    assert unexplained(MLFLOWS, visit, version) == []


def test_data_docs_open(opened: Open, team: Team, annotated: FlowRun) -> None:
    """From where the run's artifact links to."""
    visit = opened(link(team, annotated, "inbox-validation", "Data Docs"))
    visit.shows("Data Docs")
    visit.keep("data-docs")

    assert unexplained(DATA_DOCS, visit) == []


@pytest.fixture(scope="module")
def report(team: Team, annotated: FlowRun) -> str:
    """The address of the release's page, as the run's artifact links to it."""
    return link(team, annotated, "release-pages", "Page")


def link(team: Team, run: FlowRun, artifact: str, name: str) -> str:
    """Give the address behind `name` in a run's artifact."""
    said: str = team.artifacts(run)[artifact]
    found = re.search(rf"{name}[^\n]*?(http://[^)>\s]+)", said)
    assert found, said
    return found[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_release_page_is_whole_by_itself(opened: Open, report: str, scheme: str) -> None:
    """No request but the one for the page, no line on the console, and axe finds no serious fault."""
    from axe_playwright_python.sync_playwright import Axe

    visit = opened(report)
    visit.page.emulate_media(color_scheme=scheme)
    headline = visit.page.locator("h1").first.inner_text()
    visit.keep(f"release-{scheme}")
    found = Axe().run(visit.page).response["violations"]

    assert "601" in headline or "601" in visit.page.locator("main").inner_text()
    assert visit.asked == [report]
    assert visit.errors == []
    assert [fault["id"] for fault in found if fault["impact"] in {"serious", "critical"}] == []


def test_a_phone_shows_the_release_page_without_scrolling_sideways(opened: Open, report: str) -> None:
    visit = opened(report)
    visit.page.set_viewport_size({"width": 360, "height": 740})
    visit.keep("release-phone")

    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
