"""The page server as browsers and attackers meet it: a real server on a free port, over a directory and over S3."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pytest

from eqn.cli import run as cli
from eqn.pages.listing import NEWEST
from eqn.pages.publish import page_key, publish_page
from eqn.pages.serve import served
from eqn.pages.site import Site
from eqn.release.manifest import manifest_key
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore
from eqn.store.s3 import S3Store
from tests.pages.conftest import LETTERS, write_release

SECRET = b"canary: not to be given away"
REPORT = "corpus-0123456789abcdef"
Given = dict[str, str]


class Reply(NamedTuple):
    """What the server answered."""

    status: int
    headers: Given
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    """Sends requests as they are given, and checks what holds for every answer."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.port = int(address.rpartition(":")[2])

    def get(self, target: str, *, method: str = "GET", host: str | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, target, skip_host=True)
        connection.putheader("Host", f"127.0.0.1:{self.port}" if host is None else host)
        connection.endheaders()
        answer = connection.getresponse()
        reply = Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        connection.close()
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert b"Traceback" not in reply.body
        assert SECRET not in reply.body
        return reply

    def send(self, request: bytes) -> bytes:
        """Send bytes that no client library would send, and give the first line of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(request)
            return connection.makefile("rb").readline()


class Links(HTMLParser):
    """The links of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value or "" for name, value in attrs if name == "href"]


@pytest.fixture
def data_docs(tmp_path: Path) -> Path:
    """Reports as the quality gate keeps them, and beside them what is nobody's business."""
    folder = tmp_path / "home" / "data_docs"
    (folder / REPORT / "static").mkdir(parents=True)
    (folder / REPORT / "index.html").write_text("<!doctype html><title>Corpus</title>")
    (folder / REPORT / "static" / "font.otf").write_bytes(b"font")
    (tmp_path / "home" / "secret").write_bytes(SECRET)
    return folder


@pytest.fixture(params=["directory", "s3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """A store of each kind."""
    if request.param == "directory":
        return DirectoryStore(tmp_path / "releases")
    store: S3Store = request.getfixturevalue("moto_store")
    return store


@pytest.fixture
def client(store: DirectoryStore, data_docs: Path) -> Iterator[Client]:
    """A server over one published release with its page."""
    write_release(store, *LETTERS, shared=1)
    publish_page(store, "letters")
    with served(Site(store, data_docs), 0) as (address, _):
        yield Client(address)


def test_every_link_of_the_list_and_of_the_page_leads_somewhere(any_store: ObjectStore, data_docs: Path) -> None:
    """From the list to the page, and by its relative links to card, Data Docs and manifest."""
    manifest = write_release(any_store, *LETTERS)
    publish_page(any_store, "letters")
    with served(Site(any_store, data_docs), 0) as (address, _):
        client = Client(address)
        listed = client.get("/")
        links = [link for link in Links(listed.text).found if not link.startswith("#")]
        page = client.get(f"/{page_key('letters', 1)}")
        relative = [link for link in Links(page.text).found if not link.startswith("#")]
        answers = {link: client.get(link) for link in links}
        from_page = {link: client.get(f"/letters/{link.removeprefix('../../')}") for link in relative}

    assert "3 February 2026" in listed.text
    assert "8 texts, 2 rows not used" in listed.text
    assert links == [
        "/letters/reports/1/index.html",
        *(f"/{manifest.path}/README.md", f"/{manifest.path}/quality/index.html", "/letters/releases/1.json"),
    ]
    assert {link: reply.status for link, reply in answers.items()} == dict.fromkeys(links, 200)
    assert len(from_page) == 3
    assert {link: reply.status for link, reply in from_page.items()} == dict.fromkeys(relative, 200)
    assert answers[links[0]].body == page.body == any_store.get(page_key("letters", 1))
    kinds = [reply.headers["content-type"] for reply in answers.values()]
    html = "text/html; charset=utf-8"
    assert kinds == [html, "text/plain; charset=utf-8", html, "application/json"]


def test_a_page_that_was_not_made_says_how_it_is_made(client: Client, store: DirectoryStore) -> None:
    """In the list and at its place; a release that is not there is told otherwise."""
    write_release(store, *LETTERS, number=2)

    assert "eqn release report letters 2" in client.get("/").text
    missing = client.get("/letters/reports/2/index.html")
    assert (missing.status, "eqn release report letters 2" in missing.text) == (404, True)
    assert "eqn release report" not in client.get("/letters/reports/3/index.html").text


def test_reports_of_the_quality_gate_on_this_machine_are_served(client: Client) -> None:
    assert "Corpus" in client.get(f"/data_docs/{REPORT}/index.html").text
    font = client.get(f"/data_docs/{REPORT}/static/font.otf")
    assert (font.headers["content-type"], font.headers["access-control-allow-origin"]) == ("font/otf", "*")


def test_a_dataset_may_be_called_as_the_reports_folder(client: Client, store: DirectoryStore) -> None:
    write_release(store, *LETTERS, dataset="data_docs")

    assert client.get("/data_docs/releases/1.json").status == 200


@pytest.mark.parametrize(
    "target",
    [
        *("/letters", "/letters/", "/letters/releases", "/letters/releases/", "/letters/releases/0.json", "/x/y"),
        *("/letters/releases/01.json", "/letters/releases/1.json/", "/Letters/releases/1.json", "/favicon.ico"),
        *("/data_docs", "/data_docs/", f"/data_docs/{REPORT}", f"/data_docs/{REPORT}/", "/data_docs/secret"),
        *("/data_docs/../secret", "/data_docs/%2e%2e/secret", "/data_docs/%2E%2E%2Fsecret", "/data_docs/..%5csecret"),
        *(f"/data_docs/{REPORT}/../../secret", f"/data_docs/{REPORT}/%2e%2e/%2e%2e/secret"),
        *(f"/data_docs/{REPORT}/%252e%252e/%252e%252e/secret", f"/data_docs/{REPORT}//index.html"),
        *(f"/data_docs/{REPORT}/%2e/index.html", f"/data_docs/{REPORT}/index.html%00", f"/data_docs/{REPORT}/%00"),
        *(f"/data_docs/{REPORT}/linked", f"/data_docs/{REPORT}/folder/secret", f"/data_docs/{REPORT}/.hidden"),
        *(f"/data_docs/{REPORT}/pipe", "/data_docs/linked-0123456789abcdef/secret", f"/data_docs/{REPORT}/%ff"),
        *("/%2e%2e/home/secret", "/..%2fhome/secret", "/../home/secret", "//../home/secret", "/%2fetc/passwd"),
        *("/letters/files/../../../home/secret", "/letters/files/x/quality/../../../../../home/secret"),
        *("/letters/files/%2e%2e/quality/x", "/..%2f..%2fhome/releases/1.json", "/letters/files/x/quality/%0d%0ax"),
        *("/letters/reports/1/index.html/..", f"/letters/files/x/quality/{'a' * 300}", "/" + "a/" * 800 + "b"),
        *("http://attacker.invalid/", "*", "letters/releases/1.json", "?", "/?/../../secret/x"),
    ],
)
def test_nothing_else_is_given_away(client: Client, data_docs: Path, target: str) -> None:
    """No listing, no climbing, encoded once or twice, no link, no pipe, no half-written file."""
    report = data_docs / REPORT
    (report / "linked").symlink_to(data_docs.parent / "secret")
    (report / "folder").symlink_to(data_docs.parent)
    (data_docs / "linked-0123456789abcdef").symlink_to(data_docs.parent)
    (report / ".hidden").write_bytes(SECRET)
    os.mkfifo(report / "pipe")

    expected = 200 if target.startswith("/?") else 404
    assert client.get(target).status == expected


def test_neither_data_nor_open_work_is_given_away(client: Client, store: DirectoryStore) -> None:
    keys = [key for key in store.list("") if "/data/" in key or "/quarantine/" in key]
    keys += ["letters/commits/1.json", "letters/collected/x", "letters/drift/1.json"]
    for key in keys[-3:]:
        store.put(key, SECRET)

    assert len(keys) == 7
    assert {client.get(f"/{key}").status for key in keys} == {404}


@pytest.mark.parametrize(
    "host", ["attacker.invalid", "attacker.invalid:{port}", "127.0.0.1", "localhost:1", "", "[::1]"]
)
def test_a_foreign_name_is_refused(client: Client, host: str) -> None:
    """A name of elsewhere that was made to lead here reads nothing."""
    reply = client.get("/letters/releases/1.json", host=host.format(port=client.port))

    assert (reply.status, b"rows_in" in reply.body) == (421, False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
def test_every_name_of_loopback_is_taken(client: Client, host: str) -> None:
    assert client.get("/letters/releases/1.json", host=f"{host}:{client.port}").status == 200


def test_two_names_or_none_are_refused(client: Client) -> None:
    own = f"Host: 127.0.0.1:{client.port}\r\n"

    assert b" 421 " in client.send(b"GET / HTTP/1.1\r\n\r\n")
    assert b" 421 " in client.send(f"GET / HTTP/1.1\r\n{own}Host: attacker.invalid\r\n\r\n".encode())
    assert b" 200 " in client.send(f"GET / HTTP/1.1\r\n{own}\r\n".encode())
    assert b" 505 " in client.send(b"GET / HTTP/9.9\r\n\r\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_nothing_can_be_changed(client: Client, store: DirectoryStore, method: str) -> None:
    before = list(store.list(""))

    reply = client.get(f"/{page_key('letters', 1)}", method=method)

    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")
    assert list(store.list("")) == before


@pytest.mark.parametrize("target", ["/", "/letters/reports/1/index.html", "/none"])
def test_head_answers_as_get_without_content(client: Client, target: str) -> None:
    whole, head = client.get(target), client.get(target, method="HEAD")

    assert (head.status, head.body) == (whole.status, b"")
    moving = {"date"}
    assert {k: v for k, v in head.headers.items() if k not in moving} == {
        k: v for k, v in whole.headers.items() if k not in moving
    }
    assert int(head.headers["content-length"]) == len(whole.body)


def test_hostile_names_in_the_store_are_not_listed(client: Client, store: DirectoryStore) -> None:
    """Folders that no dataset can be, and a manifest in whose place is something else."""
    for name in ("<img src=x onerror=alert(1)>", '"><script>alert(1)</script>', "..evil", "A b", "\u202egnp"):
        store.put(manifest_key(name, 1), store.get(manifest_key("letters", 1)))
    store.put(manifest_key("damaged", 1), b"<script>alert(1)</script>")
    listed = client.get("/").text

    assert set(re.findall(r'data-release="([^"]*)"', listed)) == {"letters 1", "damaged 1"}
    assert "manifest is damaged" in listed
    assert not re.search(r"<(script|img)|evil|gnp", listed)


def test_a_hostile_manifest_is_shown_as_words(client: Client, store: DirectoryStore) -> None:
    facts = json.loads(store.get(manifest_key("letters", 1)))
    facts["model"] = {"name": "<script>alert(1)</script>\u202e", "version": 1, "digest": "x"}
    facts |= {"created": '"><script>alert(2)</script>', "dataset": "odd"}
    facts["path"] = f"odd/files/{facts['job']}"
    store.put(manifest_key("odd", 1), json.dumps(facts).encode())

    listed = client.get("/").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in listed
    assert "<script" not in listed
    assert "\u202e" not in listed


def test_a_damaged_manifest_that_is_restored_is_listed_again(client: Client, store: DirectoryStore) -> None:
    """And what was read once is not read again: a manifest never changes."""
    manifest = write_release(store, *LETTERS, number=2)
    store.put(manifest_key("letters", 2), b"")
    assert "manifest is damaged" in client.get("/").text
    store.put(manifest_key("letters", 2), manifest.to_bytes())
    assert "manifest is damaged" not in client.get("/").text
    store.put(manifest_key("letters", 2), b"")
    assert "manifest is damaged" not in client.get("/").text


def test_many_releases_are_cut_to_the_newest(client: Client, store: DirectoryStore) -> None:
    for number in range(2, NEWEST + 4):
        store.put(manifest_key("letters", number), b"")

    listed = client.get("/").text
    assert listed.count("data-release=") == NEWEST
    assert "3 older releases" in listed
    assert f"<h1>{NEWEST + 3} releases</h1>" in listed
    assert f"letters release {NEWEST + 3}<" in listed


def test_an_empty_store_says_how_a_release_is_made(store: DirectoryStore, data_docs: Path) -> None:
    with served(Site(store, data_docs), 0) as (address, _):
        assert "eqn annotate FILE --dataset NAME" in Client(address).get("/").text


@pytest.mark.parametrize("target", ["/", "/letters/reports/1/index.html", "/letters/releases/1.json"])
def test_a_store_that_is_down_is_told_in_a_sentence(
    moto_store: S3Store, data_docs: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """503 where another try may find it; it does without a restart of the server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with served(Site(S3Store(moto_store.bucket), data_docs), 0) as (address, _):
        down = Client(address).get(target)

    assert (down.status, down.headers["retry-after"]) == (503, "10")
    assert f"http://127.0.0.1:{port}" in down.text


def test_a_store_that_refuses_us_is_told_in_a_sentence(moto_store: S3Store, data_docs: Path) -> None:
    """502 where only a person can help."""
    with served(Site(S3Store(f"{moto_store.bucket}-not"), data_docs), 0) as (address, _):
        refused = Client(address).get("/")

    assert refused.status == 502
    assert "there is no bucket" in refused.text


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_ended(store: DirectoryStore, tmp_path: Path, ending: signal.Signals) -> None:
    """Both ways of ending it are no failure, and leave nothing on standard error but the address."""
    write_release(store, *LETTERS)
    server = subprocess.Popen(
        [sys.executable, "-m", "eqn.cli", "release", "serve", "--port", "0", "--store", str(store.root)],
        env=os.environ | {"EQN_HOME": str(tmp_path / "home")}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stderr.readline())
        assert found is not None
        client = Client(found[0])
        assert "letters release 1" in client.get("/").text
        with socket.create_connection(("127.0.0.1", client.port)) as gone:  # in the middle of its request
            gone.sendall(b"GET /")

        server.send_signal(ending)

        assert server.wait(30) == 0
        assert server.stderr.read() == ""
    finally:
        server.kill()
        server.communicate()


def test_a_port_that_is_taken_is_told(store: DirectoryStore, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code = cli(["release", "serve", "--store", str(store.root), "--port", str(taken.getsockname()[1])])

    assert code == 2
    assert "expected to listen on 127.0.0.1:" in capsys.readouterr().err
