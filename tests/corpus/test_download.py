"""Promises about downloading one known file, held against a server that misbehaves."""

import doctest
import email.utils
import hashlib
import re
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eqn.corpus import download as module
from eqn.corpus.download import Patience, Pin, Step, download
from eqn.errors import ArtifactRefused, StorageFull, StoreUnavailable, UsageError
from tests.corpus.file_server import (
    Answer,
    FileServer,
    Handler,
    cut,
    hang_up,
    head,
    say,
    send_whole,
    serve,
    serving,
    wait,
)

CONTENT = bytes(range(256)) * 1000
PIN = Pin(len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
QUICK = Patience(attempts=4, first_wait=0.001, longest_wait=5.0, timeout=5.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({"a.tsv": CONTENT}) as running:
        yield running


Bring = Callable[..., list[Step]]


@pytest.fixture
def bring(server: FileServer, tmp_path: Path) -> Bring:
    """Give a function that downloads the file into the test's folder and gives what was reported."""

    def call(patience: Patience = QUICK) -> list[Step]:
        steps: list[Step] = []
        download(server.address + "a.tsv", tmp_path / "a.tsv", PIN, patience=patience, report=steps.append)
        return steps

    return call


def test_the_file_arrives_whole_and_alone(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """One request brings it; the progress grows to its size; nothing stays beside it."""
    steps = bring()

    assert (tmp_path / "a.tsv").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["a.tsv"]
    assert server.asked == [("a.tsv", None)]
    assert [step.done for step in steps] == sorted({step.done for step in steps})
    assert steps[-1] == Step("a.tsv", len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("reset", [False, True], ids=["hung up", "reset"])
def test_a_cut_connection_is_taken_up_where_it_was_cut(
    server: FileServer, bring: Bring, tmp_path: Path, *, reset: bool
) -> None:
    """The second request asks for the rest only, and the person is told why there was a pause."""
    server.instead["a.tsv"] = [cut(2 * 65536 + 5, reset=reset)]

    steps = bring()

    assert (tmp_path / "a.tsv").read_bytes() == CONTENT
    (_, first), (_, second) = server.asked
    assert first is None
    assert second is not None
    assert int(second.removeprefix("bytes=").removesuffix("-")) >= 65536
    assert sum("the connection" in step.note for step in steps) == 1


def test_a_later_run_goes_on_with_what_an_earlier_one_left(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """A download that was given up keeps its part; the next call fetches the rest."""
    server.instead["a.tsv"] = [cut(65536)] + [say(503)] * 3
    with pytest.raises(StoreUnavailable, match=r"503 Service Unavailable, in the last of 4 attempt") as given_up:
        bring()
    assert given_up.value.exit_code == 5
    assert [path.name for path in tmp_path.iterdir()] == ["a.tsv.part"]
    server.asked.clear()

    bring()

    assert (tmp_path / "a.tsv").read_bytes() == CONTENT
    assert server.asked == [("a.tsv", "bytes=65536-")]


def test_a_part_that_is_whole_needs_no_server(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """Killed between the last byte and the rename: the digest is checked, nothing is asked."""
    (tmp_path / "a.tsv.part").write_bytes(CONTENT)

    bring()

    assert (tmp_path / "a.tsv").read_bytes() == CONTENT
    assert server.asked == []


def test_a_server_without_ranges_sends_everything_anew(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """What was there is not put in front of it."""
    (tmp_path / "a.tsv.part").write_bytes(b"x" * 70_000)
    server.instead["a.tsv"] = [send_whole]

    bring()

    assert (tmp_path / "a.tsv").read_bytes() == CONTENT
    assert len(server.asked) == 1


def _another_range(handler: Handler, content: bytes | None) -> None:
    head(handler, 206, Content_Length=len(CONTENT) - 5, Content_Range=f"bytes 0-{len(CONTENT) - 6}/{len(CONTENT)}")


@pytest.mark.parametrize(
    ("part", "instead", "requests"),
    [
        (b"x" * 5, [], ["bytes=5-", None]),
        (CONTENT[:-1] + b"x", [], [None]),
        (CONTENT + b"x", [], [None]),
        (CONTENT[:5], [_another_range], ["bytes=5-", None]),
        (CONTENT[:5], [say(416)], ["bytes=5-", None]),
    ],
    ids=["wrong", "wrong and whole", "too long", "another range", "no such range"],
)
def test_a_part_of_no_use_is_thrown_away(
    server: FileServer, bring: Bring, tmp_path: Path, *, part: bytes, instead: list[Answer], requests: list[str | None]
) -> None:
    """The whole file is fetched, once more."""
    (tmp_path / "a.tsv.part").write_bytes(part)
    server.instead["a.tsv"] = instead.copy()

    bring()

    assert (tmp_path / "a.tsv").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["a.tsv"]
    assert [span for _, span in server.asked] == requests


def test_other_content_is_refused_after_one_more_try(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """Parts that do not fit may be the earlier run's fault; a whole file of other content is the server's."""
    (tmp_path / "a.tsv.part").write_bytes(b"x" * 5)
    server.files["a.tsv"] = CONTENT[::-1]

    with pytest.raises(ArtifactRefused):
        bring()

    assert [span for _, span in server.asked] == ["bytes=5-", None]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (CONTENT[:-1] + b"x", "expected sha256"),
        (CONTENT[:-1], r"expected 256,000 bytes, got 255,999"),
        (b"<html>log in</html>", "expected 256,000 bytes, got 19"),
        (CONTENT + b"x", r"expected 256,000 bytes, got 256,001"),
    ],
    ids=["a byte", "shorter", "a page", "longer"],
)
def test_other_content_is_refused_and_not_kept(
    server: FileServer, bring: Bring, tmp_path: Path, other: bytes, said: str
) -> None:
    """Exit 8 after one request; neither the file nor its part is left."""
    server.files["a.tsv"] = other

    with pytest.raises(ArtifactRefused, match=said) as refusal:
        bring()

    assert refusal.value.exit_code == 8
    assert server.address in refusal.value.faults[0]
    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == 1


def test_a_server_that_sends_without_end_is_stopped(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """Without a length the size is known all the same: no more is written than the file has."""

    def endless(handler: Handler, _: bytes | None) -> None:
        head(handler, 200)
        while True:
            handler.wfile.write(bytes(65536))

    server.instead["a.tsv"] = [endless]

    with pytest.raises(ArtifactRefused, match="got more"):
        bring()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "answers",
    [
        [say(503), say(503)],
        [say(429, Retry_After="0"), say(500)],
        [hang_up, hang_up],
        [say(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), say(502, Retry_After="soon")],
    ],
    ids=["unavailable", "too many", "hangs up", "dates"],
)
def test_what_passes_is_tried_again(server: FileServer, bring: Bring, tmp_path: Path, answers: list[Answer]) -> None:
    """Two failures, then the file."""
    server.instead["a.tsv"] = answers

    steps = bring()

    assert (tmp_path / "a.tsv").read_bytes() == CONTENT
    assert len(server.asked) == 3
    assert sum(bool(step.note) for step in steps) == 2


def test_a_silent_server_counts_as_broken(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """After the timeout the request is sent again."""
    server.instead["a.tsv"] = [wait(1.0)]

    steps = bring(Patience(attempts=2, first_wait=0.001, timeout=0.1))

    assert (tmp_path / "a.tsv").read_bytes() == CONTENT
    assert [step.note for step in steps if step.note] == ["the connection failed (timed out); going on in 0 s"]


@pytest.mark.parametrize("date", [False, True], ids=["seconds", "date"])
def test_a_server_that_asks_for_a_pause_gets_it(server: FileServer, bring: Bring, *, date: bool) -> None:
    """Retry-After in seconds or as a date counts when it is longer than our own pause."""
    value = email.utils.formatdate(time.time() + 2, usegmt=True) if date else "1"
    server.instead["a.tsv"] = [say(429, Retry_After=value)]

    notes = [step.note for step in bring() if step.note]

    assert len(notes) == 1
    assert re.fullmatch("the server says 429 Too Many Requests; going on in [12] s", notes[0])


def test_a_server_that_asks_for_too_long_a_pause_is_given_up(server: FileServer, bring: Bring) -> None:
    """Nobody waits an hour at the command line: one request, exit 5, and the pause is named."""
    server.instead["a.tsv"] = [say(429, Retry_After="3600")]

    with pytest.raises(StoreUnavailable, match="429 Too Many Requests and asks for a pause of 3600 s"):
        bring()
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_plain_no_is_not_asked_again(server: FileServer, bring: Bring, tmp_path: Path, code: int) -> None:
    """Exit 5 after one request, with the address and the status."""
    server.instead["a.tsv"] = [say(code)]

    with pytest.raises(StoreUnavailable, match=rf"{server.address}a\.tsv: the server says {code}"):
        bring()
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_unreachable(server: FileServer, bring: Bring) -> None:
    """Exit 5, after the last attempt."""
    server.shutdown()
    server.server_close()

    with pytest.raises(StoreUnavailable, match=r"refused\), in the last of 4 attempt\(s\)"):
        bring()


@pytest.mark.parametrize("to", ["http://example.org/a.tsv", "ftp://127.0.0.1/a.tsv", "file:///etc/hostname"])
def test_nobody_is_sent_on_to_an_address_that_is_not_https(
    server: FileServer, bring: Bring, tmp_path: Path, to: str
) -> None:
    """The redirect is refused before anything is asked there."""
    server.instead["a.tsv"] = [say(302, Location=to)]

    with pytest.raises(StoreUnavailable, match=f"sends us on to {to}, which is not https|'{to}' is not allowed"):
        bring()
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_keeps_the_range(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """On this machine, and to https, a redirect is followed, with the rest that was asked for."""
    server.files["b.tsv"] = CONTENT
    server.instead["a.tsv"] = [say(302, Location=f"{server.address}b.tsv")]
    (tmp_path / "a.tsv.part").write_bytes(CONTENT[:9])

    bring()

    assert (tmp_path / "a.tsv").read_bytes() == CONTENT
    assert server.asked == [("a.tsv", "bytes=9-"), ("b.tsv", "bytes=9-")]


def test_a_redirect_in_circles_ends(server: FileServer, bring: Bring) -> None:
    """Exit 5."""
    server.instead["a.tsv"] = [say(302, Location=f"{server.address}a.tsv")] * 20

    with pytest.raises(StoreUnavailable, match="302"):
        bring()


def test_a_full_disk_is_named_and_the_part_is_kept(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """Exit 6; when there is room the rest is fetched."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, usual[1]))
    try:
        with pytest.raises(StorageFull) as full:
            bring()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert full.value.exit_code == 6
    assert "a.tsv.part" in full.value.what
    assert [path.name for path in tmp_path.iterdir()] == ["a.tsv.part"]

    bring()

    assert (tmp_path / "a.tsv").read_bytes() == CONTENT
    assert server.asked[1][1] is not None


def test_a_file_that_came_meanwhile_is_left_alone(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """Somebody put a file there during the download: it stays, and the call is refused."""

    def meddle(handler: Handler, content: bytes | None) -> None:
        (tmp_path / "a.tsv").write_bytes(b"mine")
        serve(handler, content)

    server.instead["a.tsv"] = [meddle]

    with pytest.raises(UsageError, match="one came while it was downloaded"):
        bring()
    assert (tmp_path / "a.tsv").read_bytes() == b"mine"


def test_the_examples_in_the_docstrings_hold() -> None:
    """What the module shows is what it does."""
    assert doctest.testmod(module) == doctest.TestResults(failed=0, attempted=1)
