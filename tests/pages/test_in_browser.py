"""The page in a real Chromium: nothing a stranger wrote runs, nothing is fetched, everyone can use it."""

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eqn.drift.records import write_drift
from eqn.emotions import EMOTIONS
from eqn.pages.publish import publish_page
from eqn.store.directory import DirectoryStore
from tests.pages import hostile
from tests.pages.conftest import LETTERS, Given, Row, write_release
from tests.pages.test_page import drift_of

pytestmark = pytest.mark.stack

Visit = Callable[..., Any]

SIZES = (360, 768, 1440)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DirectoryStore:
    """Pages of a harmless, a hostile and an empty release."""
    made = DirectoryStore(tmp_path_factory.mktemp("releases"))
    plenty = Given(
        "plenty.csv",
        [
            [
                Row(f"{name} number {n}" + " and so on" * n * 15, {name: 0.35 + n / 12, EMOTIONS[i - 1]: 0.2 + n / 25})
                for i, name in enumerate(EMOTIONS)
                for n in range(5)
            ]
        ],
    )
    write_release(made, *LETTERS)
    long_names = Given(
        "long.csv", [[Row(f"oh no {n}", {"disappointment": 0.6, "embarrassment": 0.5}) for n in range(60)]]
    )
    write_release(made, *LETTERS, plenty, long_names, number=2, shared=1, uncertainty=True)
    write_drift(made, drift_of("fear", "joy"))
    write_release(made, *hostile.INPUTS, dataset="hostile", uncertainty=True, shared=1, model=hostile.MODEL)
    write_drift(made, hostile.DRIFT)
    write_release(made, Given("a.csv", [], LETTERS[0].rejects), dataset="empty")
    for dataset in ("letters", "hostile", "empty"):
        publish_page(made, dataset)
    return made


@pytest.fixture
def visit(browser: Any, store: DirectoryStore) -> Iterator[Visit]:
    """Give a function that opens a page from its file and notes whatever it should not do in `page.faults`."""
    opened = []

    def open_page(dataset: str = "letters", *, width: int = 1440, address: str = "", **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        opened.append(context)
        page = context.new_page()
        page.faults = []
        number = 2 if dataset == "letters" else 1
        address = address or Path(store.address(f"{dataset}/reports/{number}/index.html")).as_uri()

        def asked(request: Any) -> None:
            if request.url not in {address, "data:,"}:
                page.faults.append(f"asked for {request.url}")

        def dialog(found: Any) -> None:
            page.faults.append(f"dialog: {found.message}")
            found.dismiss()

        page.on("request", asked)
        page.on("dialog", dialog)
        page.on("console", lambda message: page.faults.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: page.faults.append(f"error: {error}"))
        page.on("popup", lambda other: page.faults.append(f"popup: {other.url}"))
        page.goto(address)
        return page

    yield open_page
    for context in opened:
        context.close()


def open_all(page: Any) -> None:
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")


@pytest.mark.parametrize("dataset", ["letters", "hostile", "empty"])
def test_nothing_runs_and_nothing_is_fetched(visit: Visit, dataset: str) -> None:
    """No dialog, no line on the console, no request, also after all of it was unfolded, hovered and searched."""
    page = visit(dataset)
    open_all(page)
    for target in page.query_selector_all("details, .example, pre.raw, bdi")[:60]:
        target.dispatch_event("mouseover")
        target.dispatch_event("focus")
    if page.is_visible("#words"):
        page.fill("#words", "<img src=x onerror=alert(1)>")
    page.wait_for_timeout(200)

    assert page.faults == []
    assert page.evaluate("document.scripts.length") == 1


def test_a_script_that_got_in_would_not_run(visit: Visit) -> None:
    """The policy holds even where the escaping would not; and this test can fail: the fault is seen."""
    page = visit("hostile")
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'ran'";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", "<img src='http://127.0.0.1:9/' onerror='x()'>");
        }"""
    )
    page.wait_for_timeout(200)

    assert page.title().startswith("hostile, release 1")
    assert any("Content Security Policy" in fault for fault in page.faults)


def test_served_by_a_server_it_asks_for_itself_only(visit: Visit, store: DirectoryStore) -> None:
    """Not even for an icon; its links lead to what lies beside it there."""
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=store.root)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = visit(address=f"http://127.0.0.1:{server.server_address[1]}/letters/reports/2/index.html")
        page.wait_for_timeout(200)
        faults = list(page.faults)
        page.click("text=Dataset card")
        page.wait_for_url("**/README.md")
        server.shutdown()

    assert faults == []


@pytest.mark.parametrize(
    ("dataset", "scheme", "width"),
    [
        *(("letters", "light", 360), ("letters", "dark", 360), ("letters", "light", 1440), ("letters", "dark", 1440)),
        *(("hostile", "light", 360), ("hostile", "dark", 1440), ("empty", "light", 1440), ("empty", "dark", 360)),
    ],
)
def test_axe_finds_no_serious_fault(visit: Visit, dataset: str, scheme: str, width: int) -> None:
    """With everything unfolded, on a phone and on a desk, by day and by night."""
    from axe_playwright_python.sync_playwright import Axe

    page = visit(dataset, width=width, color_scheme=scheme, reduced_motion="reduce")
    open_all(page)
    found = Axe().run(page).response["violations"]

    assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found] == []


@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("dataset", ["letters", "hostile", "empty"])
def test_it_fits_the_screen(visit: Visit, dataset: str, width: int) -> None:
    """Nothing sticks out at the side: wide tables scroll in a frame of their own."""
    page = visit(dataset, width=width)
    open_all(page)

    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_search_and_filters_narrow_the_examples(visit: Visit) -> None:
    """Words in any order, case and accent; emotion and kind; what is found is told, and opened."""
    page = visit()
    everything = page.locator(".example").count()
    told = page.locator("#found")
    page.fill("#words", "NÚMBER gríef")
    shown = page.locator(".example:not([hidden])")

    assert 0 < shown.count() < everything
    assert all("grief number" in text for text in shown.locator("q.text").all_inner_texts())
    assert told.inner_text() == f"{shown.count()} of the {everything} examples on this page"
    assert page.locator("details.emotion:not([hidden])").evaluate_all("all => all.every((one) => one.open)")

    page.fill("#words", "")
    page.select_option("#emotion", "anger")
    page.select_option("#kind", "strongest")
    assert page.locator("details.emotion:not([hidden]) h3").all_inner_texts() == ["anger"]
    assert set(page.locator(".example:not([hidden])").evaluate_all("all => all.map((one) => one.dataset.kind)")) == {
        "strongest"
    }

    page.fill("#words", "no such word anywhere")
    assert told.inner_text() == f"0 of the {everything} examples on this page"
    assert page.faults == []


def test_examples_are_sorted_as_asked(visit: Visit) -> None:
    page = visit()
    page.select_option("#emotion", "fear")
    order = "all => all.map((one) => Number(one.dataset.%s))"
    strongest = page.locator("details.emotion:not([hidden]) .kind").first.locator(".example")

    page.select_option("#sort", "least")
    intensities = strongest.evaluate_all(order % "intensity")
    page.select_option("#sort", "long")
    lengths = strongest.evaluate_all(order % "length")

    assert intensities == sorted(intensities)
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(intensities)) > 2


def test_every_control_is_reached_by_the_keyboard(visit: Visit) -> None:
    """By the tab key alone, first the link past the contents, each with a visible ring; Enter and Space work."""
    page = visit()
    name_of = "(one) => one.id || one.className || one.textContent.trim().slice(0, 30)"
    reached: list[str] = []
    rings = set()
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break  # once around
        reached.append(page.evaluate(f"({name_of})(document.activeElement)"))
        rings.add(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
    controls = page.evaluate(
        f"""() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
            .filter((one) => one.checkVisibility()).map({name_of})"""
    )

    assert reached[0] == "skip"
    assert set(controls) <= set(reached)
    assert len(reached) >= len(controls)
    assert rings == {"solid"}

    page.locator("details.emotion > summary").nth(3).focus()
    page.keyboard.press("Enter")
    assert page.locator("details.emotion").nth(3).evaluate("one => one.open") is True
    page.locator("a.skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_it_can_be_read_without_a_script(visit: Visit) -> None:
    """Figures, drawings and folded examples are there; only the search is not."""
    page = visit(java_script_enabled=False)

    assert page.locator("#finder").is_hidden()
    assert page.locator("figure svg").count() == len(EMOTIONS)
    page.locator("details.emotion > summary").nth(2).click()
    assert page.locator("details.emotion").nth(2).locator(".example").first.is_visible()
    assert page.locator("button").count() == 0


def test_code_can_be_copied(visit: Visit, browser: Any) -> None:
    """What lands on the clipboard are the lines as they are shown."""
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    code = page.locator("pre.code").first
    page.locator("button.copy").first.click()
    page.wait_for_function("document.querySelector('.copied').textContent !== ''")

    assert page.locator(".copied").first.inner_text() == "Copied"
    assert page.evaluate("navigator.clipboard.readText()") == code.text_content()


def test_directions_do_not_leak(visit: Visit) -> None:
    """An Arabic text runs from the right, and the name of its file beside it does not."""
    page = visit("hostile")
    open_all(page)
    arabic = page.locator(".text", has_text="مرحبا").first

    assert arabic.evaluate("one => getComputedStyle(one).direction") == "rtl"
    assert page.locator(".source").first.evaluate("one => getComputedStyle(one).direction") == "ltr"


@pytest.mark.parametrize("dataset", ["letters", "hostile"])
def test_it_prints(visit: Visit, dataset: str) -> None:
    """Without its controls, as a document of some pages."""
    page = visit(dataset)
    page.emulate_media(media="print")

    assert page.locator(".contents").is_hidden()
    assert page.locator("#finder").is_hidden()
    assert page.locator("h1").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
