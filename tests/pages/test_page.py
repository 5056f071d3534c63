"""The page as HTML: what it says, what it leads to, and that strangers' texts stay texts."""

import itertools
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from eqn.drift.records import write_drift
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, UsageError
from eqn.pages.publish import page_key, publish_page, write_page
from eqn.records import Drift, DriftComparison, DriftMeasure
from eqn.release.catalog import release_numbers, verify
from eqn.release.collection import collect
from eqn.release.manifest import Manifest, manifest_key
from eqn.store.directory import DirectoryStore
from tests.pages import hostile
from tests.pages.conftest import LETTERS, Given, Row, write_release

Page = Callable[..., str]

LARGEST = 1_500_000
"""Bytes of the largest page."""

VOID = {"meta", "link", "br", "input", "img", "hr"}


class Reader(HTMLParser):
    """Reads a page: elements with their attributes, whether each is closed in its turn, and the text that is seen."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []
        self._open: list[str] = []
        self._seen: list[str] = []
        self.feed(page)
        self.close()
        self.faults += self._open

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._seen).replace("\u00a0", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):  # type: ignore[union-attr]
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID or tag in {"rect", "path"}:
            return
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in {"style", "script"}:
            self._seen.append(data)

    def having(self, name: str) -> list[str]:
        """Give the values of an attribute, in order."""
        return [value or "" for _, attributes in self.elements for key, value in attributes.items() if key == name]


def drift_of(*breached: str, number: int = 2) -> Drift:
    """Give a drift against release 1 in which these emotions are beyond their limits."""
    measures = tuple(
        DriftMeasure(name, "Jensen-Shannon distance", 0.4 if name in breached else 0.05, 0.1, f"mean of {name}")
        for name in EMOTIONS
    )
    comparison = DriftComparison("release 1", 100, measures)
    return Drift("letters", number, 8, (comparison,), ("The training data is not at hand.",))


def test_it_says_what_was_found(letters: Manifest, page: Page) -> None:
    """Headline, figures, model, quarantine, what is truncated, shared ids."""
    text = Reader(page()).text

    assert "Gratitude and annoyance are met most in these texts" in text
    assert "8 texts from 2 files, given 28 emotion intensities each on 3 February 2026 by emotions , version 3" in text
    assert "50 % of the texts carry a positive emotion" not in text
    assert "38 % of the texts carry a positive emotion, 25 % a negative one" in text
    assert "2 of 10 rows could not be used" in text
    assert "The text is empty or only white space: 1 row" in text
    assert "Row 9 of may.csv : only white space" in text
    assert "1 text was longer than the model reads" in text
    assert "1 id stands in more than one file" in text
    assert "may.csv-0-0 may.csv , june.csv" in text
    assert "This is the first release" in text
    assert letters.model["digest"] in text


def test_every_emotion_has_its_row_and_its_drawing(letters: Manifest, page: Page) -> None:
    """And its counts in a table."""
    html = page()
    reader = Reader(html)
    labels = [attributes.get("aria-label") or "" for tag, attributes in reader.elements if tag == "svg"]

    for name in EMOTIONS:
        assert f'<th scope="row">{name}<span class="meaning">' in html
        assert sum(label.startswith(f"{name}: ") for label in labels) == 1
        assert f'<tr><th scope="row">{name}</th><td class="number">' in html
    assert "gratitude: 6 texts below 0.05, 2 texts at 0.5 and above" in labels
    assert "annoyance: 5 texts below 0.05, 1 text at 0.5 and above, the label begins near 0.29" in labels


def test_it_is_well_formed_and_its_headings_are_in_order(letters: Manifest, page: Page) -> None:
    reader = Reader(page())
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch(r"h[1-6]", tag)]
    ids = reader.having("id")

    assert reader.faults == []
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in reader.having("href") if link.startswith("#")} <= set(ids)


def test_it_leads_to_what_lies_beside_it(letters: Manifest, store: DirectoryStore, page: Page) -> None:
    """Card, Data Docs and manifest, by links that hold wherever the store is; only what the release has."""
    links = [link for link in Reader(page()).having("href") if link.startswith("..")]
    place = Path(store.address(page_key("letters", 1))).parent

    assert [(place / link).resolve().is_file() for link in links] == [True] * 3
    assert any(link.endswith("/quality/index.html") for link in links)
    assert not any("croissant" in link for link in links)


def test_a_file_of_its_own_names_addresses(letters: Manifest, store: DirectoryStore, tmp_path: Path) -> None:
    """Links would lead nowhere from there. The same page again is no conflict, another file is."""
    out = tmp_path / "page.html"
    reader = Reader(Path(write_page(store, "letters", None, out)).read_text("utf-8"))
    write_page(store, "letters", 1, out)

    assert [link for link in reader.having("href") if not link.startswith("#")] == ["data:,"]
    assert store.address(f"{letters.path}/README.md") in reader.text
    write_release(store, *LETTERS[:1], number=2)
    with pytest.raises(UsageError, match="another"):
        write_page(store, "letters", 2, out)


def test_it_asks_nothing_of_any_network_and_allows_nothing(letters: Manifest, page: Page) -> None:
    """No address of a resource stands in it, and its policy names its own style and script by their digests."""
    html = page()
    reader = Reader(html)
    policy = next(a["content"] or "" for t, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy")

    assert reader.having("src") == []
    assert re.findall(r"https?://", html) == []
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert reader.having("style") == []
    assert [name for _, attributes in reader.elements for name in attributes if name.startswith("on")] == []
    assert [tag for tag, _ in reader.elements if tag in {"script", "style"}] == ["style", "script"]


def test_it_can_be_rebuilt_and_is_no_part_of_the_release(letters: Manifest, store: DirectoryStore, page: Page) -> None:
    """The same release gives the same bytes; listing, verifying and cleaning up do not mind the page."""
    first = page()
    store.put(page_key("letters", 1), b"damaged")

    assert page() == first
    assert release_numbers(store, "letters") == [1]
    verify(store, letters)
    collect(store, "letters", grace_hours=0)
    assert store.exists(page_key("letters", 1))


def test_it_tells_what_changed_since_the_last_release(store: DirectoryStore, page: Page) -> None:
    """More anger, told by the texts that are new; parts that both hold are read once."""
    calm = [Row(f"calm {n}", {"joy": 0.8 if n % 2 else 0.1}) for n in range(400)]
    angry = [Row(f"angry {n}", {"anger": 0.9 if n % 2 else 0.1}) for n in range(200)]
    write_release(store, Given("old.csv", [calm]))
    write_release(store, Given("old.csv", [calm]), Given("new.csv", [angry]), number=2)
    text = Reader(page()).text

    assert "More anger, less joy than in release 1" in text
    assert "judged by the 200 texts that release 1 did not hold" in text
    assert "joy 50.0 % 33.3 % −16.7 less" in text  # noqa: RUF001  a minus sign
    assert "anger 0.0 % 16.7 % +16.7 more" in text
    assert "admiration 0.0 % 0.0 % 0 unclear" in text
    assert "Another model" not in text


def test_another_model_is_named_as_a_possible_cause(store: DirectoryStore, page: Page) -> None:
    write_release(store, *LETTERS)
    write_release(store, *LETTERS, number=2, model={"name": "emotions", "version": 4, "digest": "cd" * 32})

    assert "Another model annotated them" in Reader(page()).text


@pytest.mark.parametrize("harm", ["manifest", "part", "gone"])
def test_a_damaged_earlier_release_hides_nothing_of_this_one(store: DirectoryStore, page: Page, harm: str) -> None:
    """The page says that it cannot compare, and tells the rest."""
    earlier = write_release(store, Given("a.csv", [[Row("one", {"joy": 0.9})]]))
    write_release(store, *LETTERS, number=2)
    if harm == "part":
        store.put(f"{earlier.path}/data/part-00000.parquet", b"damaged")
    elif harm == "manifest":
        store.put(manifest_key("letters", 1), b"damaged")
    else:
        store.delete(manifest_key("letters", 1))
    text = Reader(page()).text

    assert "There is nothing to compare with release 1" in text
    assert "Gratitude and annoyance are met most" in text


def test_a_damaged_release_gets_no_page(letters: Manifest, store: DirectoryStore) -> None:
    """What is drawn must be what was published."""
    store.put(f"{letters.path}/data/part-00001.parquet", b"damaged")

    with pytest.raises(ArtifactRefused, match="part-00001"):
        publish_page(store, "letters")
    assert not store.exists(page_key("letters", 1))


def test_drift_is_told_in_words_and_figures(store: DirectoryStore, page: Page) -> None:
    """What is beyond its limit comes first and is open; what is within is summed up."""
    write_release(store, *LETTERS)
    write_release(store, *LETTERS, number=2)
    write_drift(store, drift_of("fear", "grief"))
    html = page()
    text = Reader(html).text

    assert "Drift: 2 of 28 measures are beyond the limit." in text
    assert "fear Jensen-Shannon distance mean of fear 0.400 0.100 beyond the limit" in text
    assert "The other 20 are within their limits" in text
    assert "The training data is not at hand." in text
    assert '<details class="data" open>' in html
    write_drift(store, drift_of())
    assert "None of 28 measures is beyond its limit" in Reader(page()).text


def test_an_empty_release_has_a_page(store: DirectoryStore, page: Page) -> None:
    """All rows are in quarantine; it draws nothing and says why."""
    write_release(store, Given("a.csv", [], LETTERS[0].rejects))
    reader = Reader(page())

    assert "No text of this release could be used" in reader.text
    assert "2 of 2 rows could not be used" in reader.text
    assert "#examples" not in reader.having("href")
    assert reader.faults == []
    assert "nan" not in reader.text.lower().split()


def test_texts_without_any_label_have_a_page(store: DirectoryStore, page: Page) -> None:
    write_release(store, Given("a.csv", [[Row("hm"), Row("so")]]))
    reader = Reader(page())

    assert "No emotion stands out in these texts" in reader.text
    assert "No text comes close to any emotion" in reader.text
    assert reader.faults == []


def test_uncertainty_is_shown_where_it_was_asked_for(store: DirectoryStore, page: Page) -> None:
    write_release(store, *LETTERS)
    assert "Least sure of all" not in Reader(page()).text
    write_release(store, *LETTERS, number=2, uncertainty=True)
    text = Reader(page()).text

    assert "Least sure of all" in text
    assert "The train leaves at nine entropy 0.240 bits neutral 0.90" in text


def test_what_an_earlier_model_said_is_marked(store: DirectoryStore, page: Page) -> None:
    """A release may keep what another model made of an unchanged file."""
    manifest = write_release(store, *LETTERS)
    facts = json.loads(manifest.to_bytes()) | {"format": 2}
    facts["inputs"][1] |= {"model": {"name": "older", "version": 2, "digest": "ef" * 32}, "options": {}}
    store.put(manifest_key("letters", 1), json.dumps(facts).encode())
    text = Reader(page()).text

    assert "1 file keeps the intensities that an earlier model gave" in text
    assert "older , version 2" in text


@pytest.fixture
def hostile_page(store: DirectoryStore, page: Page) -> str:
    write_release(store, *hostile.INPUTS, dataset="hostile", uncertainty=True, shared=1, model=hostile.MODEL)
    write_drift(store, hostile.DRIFT)
    return page("hostile")


def test_strangers_texts_make_no_elements(hostile_page: str, store: DirectoryStore, page: Page) -> None:
    """The hostile page has the tags and attributes of a harmless one, and no others."""
    reader = Reader(hostile_page)
    long = Given("long.csv", [[Row("word " * 300, {"joy": 0.6})]])
    write_release(store, *LETTERS, long, shared=1, uncertainty=True)
    write_drift(store, drift_of("fear", number=1))
    harmless = Reader(page())

    assert reader.faults == []
    assert {tag for tag, _ in reader.elements} <= {tag for tag, _ in harmless.elements}
    allowed = {(tag, name) for tag, attributes in harmless.elements for name in attributes}
    assert {(tag, name) for tag, attributes in reader.elements for name in attributes} <= allowed | {
        ("details", "open")
    }
    assert "<script>alert('script')</script>" in reader.text
    assert "{{ 7 * 7 }}" in reader.text


def test_nothing_turns_the_page_around_or_hides_on_it(hostile_page: str) -> None:
    assert (
        set(hostile_page)
        & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\ufeff\u00ad\x1b\x01\x7f\u2028")
        == set()
    )
    assert "👨‍👩‍👧‍👦" in hostile_page
    for match in re.finditer("مرحبا", hostile_page):
        before = hostile_page[: match.start()].rpartition("<")[2]
        assert before.startswith(("q class=", "p class=", "bdi>", "pre class="))


def test_texts_of_a_million_characters_leave_the_page_small(hostile_page: str) -> None:
    assert len(hostile_page.encode()) < 400_000
    assert "The whole text has 1,000,003 characters." in Reader(hostile_page).text


def test_the_page_stays_small_whatever_the_release(store: DirectoryStore, page: Page) -> None:
    """The worst texts for its size: long, all of characters that are escaped, an example of every emotion."""
    rows = [
        Row(f"{n}" + "'&\"" * 700, dict.fromkeys(EMOTIONS, (25 + n) / 100), id=f"{n}" + "'" * 99) for n in range(40)
    ]
    write_release(store, *(Given(f"{n}" + "'" * 150, [[row]]) for n, row in enumerate(rows)), uncertainty=True)
    html = page()

    assert html.count('class="example"') == 28 * 12 + 8
    assert len(html.encode()) < LARGEST


def test_memory_does_not_grow_with_the_rows(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """One part is held at a time: the peak over ten parts is that over two, and a little more."""
    import tracemalloc

    from eqn.pages.facts import gather

    peaks = []
    for number, parts in ((1, 2), (2, 10)):
        some = [
            [Row(f"{part} {row} " + "x" * 500, {"joy": row / 1000}) for row in range(1000)] for part in range(parts)
        ]
        manifest = write_release(store, Given(f"{number}.csv", some), dataset=f"set-{number}", shared=1)
        tracemalloc.start()
        gather(store, manifest)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < 1.5 * peaks[0]


def test_an_unknown_release_is_told(letters: Manifest, store: DirectoryStore) -> None:
    with pytest.raises(UsageError, match="there are 1 to 1"):
        publish_page(store, "letters", 7)


def test_the_templates_come_with_the_package() -> None:
    """Whoever installs a wheel has them: they lie inside the package, which hatch takes whole."""
    import eqn.pages.page

    names: set[Any] = {path.name for path in eqn.pages.page.TEMPLATES.iterdir()}

    assert {"release.html.j2", "page.css", "page.js"} <= names
