"""Promises about fetching a corpus: what is pinned, what is there already, what is never overwritten."""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eqn.corpus.contract import KNOWN_ROWS, SPLITS
from eqn.corpus.download import Patience, Pin
from eqn.corpus.fetch import ADDRESS, GOEMOTIONS, Fetched, fetch
from eqn.corpus.goemotions import load_corpus
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, StoreUnavailable, UsageError
from tests.corpus.file_server import FileServer, cut, say, serving

FILES = {f"{split}.tsv": f"a {split} comment\t27\t{split}\n".encode() for split in SPLITS}
PINS = {name: Pin(len(content), hashlib.sha256(content).hexdigest()) for name, content in FILES.items()}
QUICK = Patience(attempts=2, first_wait=0.001, timeout=5.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(FILES) as running:
        yield running


Bring = Callable[[Path], tuple[Fetched, ...]]


@pytest.fixture
def bring(server: FileServer) -> Bring:
    """Give a function that fetches the three small files into a directory."""
    return lambda directory: fetch(directory, address=server.address, pins=PINS, patience=QUICK)


def test_a_corpus_is_fetched_whole(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """Into a new directory; what came is listed, and can be loaded."""
    folder = tmp_path / "new" / "goemotions"

    fetched = bring(folder)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert fetched == tuple(Fetched(name, pin.size, pin.sha256, downloaded=True) for name, pin in PINS.items())
    assert load_corpus(folder).dev.texts == ("a dev comment",)


def test_files_that_are_there_and_right_are_not_fetched_again(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """Only what is missing is asked for; with nothing missing no server is needed."""
    (tmp_path / "train.tsv").write_bytes(FILES["train.tsv"])

    assert [file.name for file in bring(tmp_path) if file.downloaded] == ["dev.tsv", "test.tsv"]
    assert [name for name, _ in server.asked] == ["dev.tsv", "test.tsv"]
    assert not any(file.downloaded for file in bring(tmp_path))
    assert len(server.asked) == 2


def test_other_files_are_never_overwritten(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """Exit 2, all of them named, before anything is asked: changed content, a folder, a link that leads nowhere."""
    (tmp_path / "train.tsv").write_bytes(b"x" * len(FILES["train.tsv"]))
    (tmp_path / "dev.tsv").mkdir()
    (tmp_path / "test.tsv").symlink_to("nowhere")

    with pytest.raises(UsageError) as refusal:
        bring(tmp_path)

    assert refusal.value.faults == tuple(str(tmp_path / name) for name in PINS)
    assert (tmp_path / "train.tsv").read_bytes() == b"x" * len(FILES["train.tsv"])
    assert server.asked == []


def test_all_files_of_other_content_are_named(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """Exit 8: two of three were changed; the third one is kept."""
    server.files["train.tsv"] = b"x" * len(FILES["train.tsv"])
    server.files["test.tsv"] = b"<html>"

    with pytest.raises(ArtifactRefused) as refusal:
        bring(tmp_path)

    assert [fault.partition(": ")[0] for fault in refusal.value.faults] == [
        f"{server.address}train.tsv",
        f"{server.address}test.tsv",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["dev.tsv"]


def test_a_fetch_that_was_given_up_is_resumed(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """Whole files and the part of one are kept; the next call needs the rest only."""
    server.instead["dev.tsv"] = [cut(4), say(503)]
    with pytest.raises(StoreUnavailable):
        bring(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.tsv.part", "train.tsv"]
    server.asked.clear()

    bring(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == FILES
    assert server.asked == [("dev.tsv", "bytes=4-"), ("test.tsv", None)]


def test_two_downloads_into_one_directory_do_not_meet(server: FileServer, bring: Bring, tmp_path: Path) -> None:
    """Exit 2 while another process downloads; afterwards the same call works."""
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(UsageError, match="is under way"):
            bring(tmp_path)
    finally:
        os.close(other)

    assert len(bring(tmp_path)) == 3


def test_a_place_that_is_no_directory_is_a_wrong_call(bring: Bring, tmp_path: Path) -> None:
    """Exit 2; the file stays."""
    (tmp_path / "file").write_text("mine")

    with pytest.raises(UsageError, match="is none"):
        bring(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/data/",
        "ftp://example.org/",
        "file:///data/",
        "example.org/data",
        "https:///data",
        "https://example.org:port/",
        "https://user:secret@example.org/",
        "https://example.org/?token=secret",
        "https://example.org/a b",
        "https://exämple.org/",
        "",
    ],
)
def test_an_address_that_cannot_be_meant_is_a_wrong_call(tmp_path: Path, address: str) -> None:
    """Exit 2, before anything is made; what may be a password is not shown."""
    with pytest.raises(UsageError, match="expected the https address of a folder") as refusal:
        fetch(tmp_path / "new", address=address)
    assert "secret" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_the_built_in_pins_are_the_official_files() -> None:
    """Every split is pinned, at an https address; `emotions.txt` holds the canonical names."""
    assert set(GOEMOTIONS) == {f"{split}.tsv" for split in SPLITS} | {"emotions.txt"}
    assert ADDRESS.startswith("https://")
    names = "\n".join(EMOTIONS).encode()
    assert GOEMOTIONS["emotions.txt"] == Pin(len(names), hashlib.sha256(names).hexdigest())


@pytest.mark.goemotions
def test_the_built_in_pins_accept_the_real_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Served from EQN_GOEMOTIONS, the splits are taken, and they have the official row counts."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    files = {f"{split}.tsv": Path(os.environ["EQN_GOEMOTIONS"], f"{split}.tsv").read_bytes() for split in SPLITS}
    with serving(files | {"emotions.txt": "\n".join(EMOTIONS).encode()}) as server:
        server.instead["train.tsv"] = [cut(1_000_000)]
        fetched = fetch(tmp_path, address=server.address, patience=QUICK)

    assert {file.name for file in fetched if file.downloaded} == set(GOEMOTIONS)
    assert load_corpus(tmp_path).ref.rows == KNOWN_ROWS["goemotions"]
