"""`eqn release report`: the page of a release, in its place or as a file."""

import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Eqn = Callable[..., Any]


@pytest.fixture(scope="module")
def published(state: Any, eqn: Eqn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one release of `letters`: three texts, and one row in quarantine."""
    folder = tmp_path_factory.mktemp("published")
    rows = [f"{n:03},thank you for letter {n}" for n in range(9)]
    (folder / "letters.csv").write_text("\n".join(["id,text", *rows, "009,   "]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQN_HOME", str(folder / "home"))
        options = ["--dataset", "letters", "--out", folder / "store", "--model", state.package]
        assert eqn("annotate", folder / "letters.csv", *options).code == 0
    return folder / "store"


def test_the_page_stands_beside_the_release(eqn: Eqn, published: Path, elsewhere: Path) -> None:
    """Its address is all that is printed; made again it is the same."""
    said = eqn("release", "report", "letters", "--store", published)
    page = published / "letters" / "reports" / "1" / "index.html"
    before = page.read_bytes()
    again = eqn("release", "report", "letters", "1", "--store", published, "--json")

    assert (said.code, said.out, said.err) == (0, f"{page}\n", "")
    assert again.json() == {"dataset": "letters", "page": str(page)}
    assert page.read_bytes() == before
    assert b"1 of 10 rows could not be used" in before


def test_a_file_is_written_where_it_is_asked_for(eqn: Eqn, published: Path, elsewhere: Path) -> None:
    """And no other file is replaced."""
    said = eqn("release", "report", "letters", "--out", "page.html", "--store", published)
    (elsewhere / "mine.html").write_text("mine")
    refused = eqn("release", "report", "letters", "--out", "mine.html", "--store", published)

    assert (said.code, said.out) == (0, "page.html\n")
    assert (elsewhere / "page.html").read_text("utf-8").startswith("<!doctype html>")
    assert refused.code == 2
    assert (elsewhere / "mine.html").read_text() == "mine"


@pytest.mark.parametrize("there_is_one", [True, False])
def test_the_browser_opens_the_page(
    eqn: Eqn,
    published: Path,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    there_is_one: bool,  # noqa: FBT001
) -> None:
    """The one that $BROWSER names gets the page's address; without any, that is said and the page is there."""
    browser = elsewhere / "browser"
    if there_is_one:
        browser.write_text('#!/bin/sh\nprintf %s "$1" > opened.txt\n')
        browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    monkeypatch.setenv("PATH", "/bin" if there_is_one else "")
    monkeypatch.setattr(webbrowser, "_tryorder", None)  # it looks for browsers once in a process
    said = eqn("release", "report", "letters", "--out", "page.html", "--open", "--store", published)

    assert said.code == 0
    assert (elsewhere / "page.html").is_file()
    if there_is_one:
        assert (elsewhere / "opened.txt").read_text() == (elsewhere / "page.html").as_uri()
    else:
        assert "no browser on this machine" in said.err


def test_a_page_in_a_bucket_is_not_opened(eqn: Eqn, elsewhere: Path) -> None:
    """It would be downloaded or refused; the way out is told. Nothing is asked of the bucket for it."""
    refused = eqn("release", "report", "letters", "--open", "--store", "s3://bucket/releases")

    assert refused.code == 2
    assert "--out letters.html --open" in refused.err


def test_what_is_not_there_is_told(eqn: Eqn, published: Path, elsewhere: Path) -> None:
    assert eqn("release", "report", "letters", "5", "--store", published).code == 2
    assert eqn("release", "report", "nothing", "--store", published).code == 2
