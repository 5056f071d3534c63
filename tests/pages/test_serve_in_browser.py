"""The page server in a real Chromium: everyone can use the list, links lead on, and no page can read another."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eqn.pages.publish import publish_page
from eqn.pages.serve import served
from eqn.pages.site import Site
from eqn.quality.gate import InboxRow, validate_inbox
from eqn.store.directory import DirectoryStore
from tests.pages import hostile
from tests.pages.conftest import LETTERS, write_release

pytestmark = pytest.mark.stack

Visit = Callable[..., Any]

REPORT = "letters-0123456789abcdef"
LONG_NAME = "a" + "-very-long-name" * 4


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over harmless and hostile releases, with a page and without, and a report of the quality gate."""
    folder = tmp_path_factory.mktemp("served")
    store = DirectoryStore(folder / "releases")
    write_release(store, *LETTERS, shared=1)
    write_release(store, *LETTERS, number=2)
    publish_page(store, "letters", 2)
    write_release(store, *hostile.INPUTS, dataset="hostile", model=hostile.MODEL)
    write_release(store, *LETTERS, dataset=LONG_NAME)
    store.put("letters/releases/3.json", b"damaged")
    data_docs = Path(folder / "data_docs")
    validate_inbox([InboxRow("a.csv", 0, "x", "hello")], name="letters", digest="0a", docs=data_docs / REPORT)
    with served(Site(store, data_docs), 0) as (found, _):
        yield found


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    """Give a function that opens a path of the server; requests to elsewhere are refused, errors are in `faults`."""
    opened = []

    def open_page(path: str, *, width: int = 1440, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        opened.append(context)
        page = context.new_page()
        page.faults = []
        page.route("**", lambda route: route.continue_() if route.request.url.startswith(address) else route.abort())
        page.on("console", lambda message: page.faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.faults.append(f"error: {error}"))
        page.on("dialog", lambda dialog: page.faults.append(f"dialog: {dialog.message}"))
        page.goto(f"{address}{path}")
        return page

    yield open_page
    for context in opened:
        context.close()


@pytest.mark.parametrize("path", ["/", "/letters/reports/1/index.html"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 1440), ("light", 360)])
def test_axe_finds_no_fault(visit: Visit, path: str, scheme: str, width: int) -> None:
    """In the list, and where a page was not made; nothing sticks out at the side of a phone."""
    from axe_playwright_python.sync_playwright import Axe

    page = visit(path, width=width, color_scheme=scheme)
    found = Axe().run(page).response["violations"]

    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.faults == ([] if path == "/" else page.faults)
    assert "background" in page.evaluate("document.querySelector('style').textContent")
    assert page.evaluate("getComputedStyle(document.body).margin") == "0px"  # the style is not blocked


def test_from_the_list_to_the_page_and_on(visit: Visit) -> None:
    """The page's script runs, its links lead to card, Data Docs and manifest, and nothing is complained about."""
    page = visit("/")
    page.click("text=letters release 2")
    page.wait_for_url("**/letters/reports/2/index.html")
    page.fill("#words", "furious")
    assert "of the" in page.locator("#found").inner_text()
    page.click(".contents >> text=Model and data")
    for name, place in (("Dataset card", "README.md"), ("Data Docs", "quality/index.html"), ("Manifest", "2.json")):
        page.click(f".places >> text={name}")
        page.wait_for_url(f"**/{place}")
        page.go_back()

    assert page.faults == []


def test_data_docs_are_readable(visit: Visit) -> None:
    """With their own images; only what they want from outside is missing, and no policy of ours is in the way."""
    page = visit(f"/data_docs/{REPORT}/index.html")
    assert page.locator("h1", has_text="letters: passed").is_visible()
    page.click("text=all expectations")
    page.wait_for_url("**/validations/**")

    assert page.locator("text=Statistics").first.is_visible()
    assert page.evaluate("[...document.images].map((one) => one.naturalWidth > 0)") == [True]
    unexplained = [fault for fault in page.faults if "ERR_FAILED" not in fault and "$ is not defined" not in fault]
    assert unexplained == []


@pytest.mark.parametrize("path", ["/letters/reports/2/index.html", f"/data_docs/{REPORT}/index.html"])
def test_a_page_that_was_taken_over_reads_no_other(visit: Visit, path: str) -> None:
    """Its script would be of no origin; the list, which has none, can be read by itself."""
    page = visit(path)

    assert page.evaluate("self.origin") == "null"
    assert page.evaluate("fetch('/letters/releases/1.json').then((one) => one.status, () => 'refused')") == "refused"
    assert page.evaluate("fetch('https://attacker.invalid/').then(() => 'sent', () => 'refused')") == "refused"
