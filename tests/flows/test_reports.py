"""What people see on Prefect's pages: everything that matters, and nothing that data could do there."""

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from prefect.artifacts import Artifact

from eqn.records import (
    Decision,
    Drift,
    DriftComparison,
    DriftMeasure,
    Finding,
    ReleaseRef,
    Validation,
)
from eqn.settings import Settings
from flows.reports import place, safe, show_decision, show_drift, show_release, show_validation

HOSTILE = "<script>alert(1)</script> ![x](http://evil.example/x) [a](javascript:1) `b` **c** | http://evil.example\n# d"


def _data(key: str) -> str:
    found = Artifact.get(key)
    assert found is not None
    return str(found.data)


def _html(markdown: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(markdown)


@given(st.text(max_size=150))
@example(HOSTILE)
@example("&lt;b&gt; &amp; \\ \\\\ \\< <!-- --> <?php ?> <a@b.example> https://evil.example")
@example("    indented\n\n\t> quoted\r\n---\n1. one\n===")
def test_any_words_come_out_as_words(words: str) -> None:
    """Markdown makes of them one paragraph with these letters: no markup, no link, no second line."""
    rendered = _html(f"x {safe(words)} x")

    shown = re.fullmatch(r"<p>(.*)</p>\n", rendered, re.DOTALL)
    assert shown
    assert "<" not in shown[1]
    assert " ".join(html.unescape(shown[1]).split()) == " ".join(f"x {_plain(words)} x".split())


def _plain(words: str) -> str:
    """Give the words without what turns lines or the direction of writing."""
    line = re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", words)
    return re.sub("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", "\N{REPLACEMENT CHARACTER}", line)


def test_long_words_are_cut() -> None:
    assert safe("a" * 1000) == "a" * 200 + r"\.\.\."


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://pages.example/inbox/1/index.html", "<https://pages.example/inbox/1/index.html>"),
        ("s3://eqn/releases/inbox", "`s3://eqn/releases/inbox`"),
        ("/home/me/a `folder`\n", "`/home/me/a folder `"),
        ("javascript:alert(1)", "`javascript:alert(1)`"),
        ("https://a.example/<b>", "`https://a.example/<b>`"),
    ],
)
def test_only_addresses_of_pages_become_links(address: str, shown: str) -> None:
    assert place(address) == shown


def test_a_refusal_shows_the_sentence_and_the_first_rows(home: Settings) -> None:
    """How many rows break a rule is the sentence's word; the list may hold fewer than there are."""
    finding = Finding("critical", f"12,345 of 20,000 texts are empty. {HOSTILE}", tuple(f"row{n}" for n in range(50)))

    show_validation(Validation("in<box>", "0a", 20_000, 9, (finding,), "/docs/index.html"), key="some-validation")

    shown = html.unescape(re.sub("<[^>]+>", "", _html(_data("some-validation"))))
    assert "in<box>: refused" in shown
    assert "12,345 of 20,000 texts are empty." in shown
    assert "(row0, row1" in shown
    assert "row19, ...)" in shown
    assert "row20" not in shown
    assert "more" not in shown
    assert "<script" not in _html(_data("some-validation"))


@pytest.mark.parametrize(
    ("decision", "verdict"),
    [
        (Decision(True, (HOSTILE, "second"), 7, 3), "is champion now"),
        (Decision(False, (HOSTILE, "second"), 7, 3), "was not promoted"),
        (Decision(False, (HOSTILE, "second"), 7, 3, held=True), "waits for a person"),
    ],
)
def test_a_decision_says_what_became_of_the_candidate(home: Settings, decision: Decision, verdict: str) -> None:
    show_decision(decision)

    shown = _html(_data("promotion-decision"))
    assert f"<h1>Version 7 {verdict}</h1>" in shown
    assert shown.count("<li>") == 2
    assert "<script" not in shown


def test_drift_shows_every_measure_and_marks_what_is_beyond_its_limit(home: Settings) -> None:
    measures = (
        DriftMeasure("anger", "distance", 0.31, 0.1, HOSTILE),
        DriftMeasure("joy", "distance", 0.01, 0.1),
    )
    show_drift(Drift("in|box", 4, 900, (DriftComparison("release 3", 800, measures),), notes=("no training data",)))

    shown = _html(_data("drift-in-box"))
    assert "release 4: 1 of 2 measures drifted" in shown
    assert "Beside release 3, 800 rows" in shown
    assert shown.count("<tr>") == 3
    assert "alert(1)" in shown
    assert shown.count("<strong>drift</strong>") == 1
    assert "no training data" in shown
    assert "<script" not in shown


def test_a_release_shows_its_data_and_its_page(home: Settings) -> None:
    show_release(
        ReleaseRef("inbox", 2, "s3://eqn/releases/inbox/files/0a1b", 10, 1), page="https://p.example/2/index.html"
    )

    shown = _html(_data("release-inbox"))
    assert "inbox published as release 2" in shown
    assert "<code>s3://eqn/releases/inbox/files</code>" in shown
    assert "<code>0a1b</code>" in shown
    assert '<a href="https://p.example/2/index.html">' in shown


def test_without_a_page_server_there_is_no_link(home: Settings) -> None:
    """Addresses of a bucket or a disk, to copy."""
    place_of_docs = str(home.data_docs / "corpus-0a" / "index.html")
    show_release(ReleaseRef("inbox", 3, "s3://eqn/releases/inbox/files/0a1b", 10, 1), page="s3://eqn/p/index.html")
    show_validation(Validation("corpus", "0a", 2, 9, (), place_of_docs), key="some-validation")

    for shown, address in (
        (_data("release-inbox"), "s3://eqn/p/index.html"),
        (_data("some-validation"), place_of_docs),
    ):
        assert f"<code>{address}</code>" in _html(shown)
        assert "<a " not in _html(shown)


def test_with_a_page_server_pages_and_data_docs_are_links(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the addresses, which other machines can read."""
    monkeypatch.setenv("EQN_PAGES_URL", "http://127.0.0.1:8480/")
    place_of_docs = str(home.data_docs / "a corpus-0a" / "index.html")
    show_release(ReleaseRef("inbox", 3, "s3://eqn/releases/inbox/files/0a1b", 10, 1), page="s3://eqn/p/index.html")
    show_validation(Validation("corpus", "0a", 2, 9, (), place_of_docs), key="some-validation")

    release, validation = _html(_data("release-inbox")), _html(_data("some-validation"))
    assert '<a href="http://127.0.0.1:8480/inbox/reports/3/index.html">' in release
    assert '<a href="http://127.0.0.1:8480/inbox/files/0a1b/quality/index.html">' in release
    assert "<code>s3://eqn/p/index.html</code>" in release
    assert '<a href="http://127.0.0.1:8480/data_docs/a%20corpus-0a/index.html">' in validation
    assert f"<code>{place_of_docs}</code>" in validation


def test_a_report_that_no_server_has_is_no_link(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is the page of a release for which none could be made."""
    monkeypatch.setenv("EQN_PAGES_URL", "http://127.0.0.1:8480")
    show_validation(Validation("corpus", "0a", 2, 9, (), "/elsewhere/index.html"), key="some-validation")
    show_release(ReleaseRef("inbox", 3, "s3://eqn/releases/inbox/files/0a1b", 10, 1))

    assert "<a " not in _html(_data("some-validation"))
    assert "reports/3" not in _html(_data("release-inbox"))
