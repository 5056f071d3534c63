"""What every store promises: the same assertions on the directory and on its in-memory twin."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eqn.errors import UsageError
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore, check_key, open_store
from eqn.store.memory import MemoryStore

BAD_KEYS = ["", "/etc/passwd", "..", "../x", "a/../../x", "a/..", ".", "./a", "a//b", "a/", "a\\b", "a\0b"]


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return DirectoryStore(tmp_path / "store") if request.param == "directory" else MemoryStore()


def test_the_first_put_if_absent_wins(store: ObjectStore) -> None:
    """The first writer is told True, the second False, and the first one's bytes stay."""
    assert store.put_if_absent("a/1.json", b"first")
    assert not store.put_if_absent("a/1.json", b"second")

    assert store.get("a/1.json") == b"first"


def test_of_racing_writers_exactly_one_wins(store: ObjectStore) -> None:
    """Eight threads that write the same new key at once: one is told True, and its bytes are there."""
    keys, writers = [f"releases/{n}.json" for n in range(25)], 8
    barrier = threading.Barrier(writers)

    def write(writer: int) -> list[str]:
        won = []
        for key in keys:
            barrier.wait()
            if store.put_if_absent(key, f"writer {writer}".encode() * 1000):
                won.append(key)
        return won

    with ThreadPoolExecutor(writers) as pool:
        won = list(pool.map(write, range(writers)))

    assert sorted(key for some in won for key in some) == sorted(keys)
    for writer, some in enumerate(won):
        assert {store.get(key) for key in some} <= {f"writer {writer}".encode() * 1000}


def test_put_replaces_whole(store: ObjectStore) -> None:
    """A reader beside a writer sees one content or the other, never a mixture and never nothing."""
    contents = {b"a" * 200_000, b"b" * 200_000}
    store.put("key", min(contents))
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(store.get("key"))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        for content in contents:
            store.put("key", content)
    done.set()
    reader.join()

    assert seen
    assert seen <= contents
    assert list(store.list("a")) == []


def test_a_copy_outlives_its_source(store: ObjectStore) -> None:
    """A copy has the source's bytes, replaces what stood there, and stays when the source goes."""
    store.put("old/part", b"bytes")
    store.put("new/part", b"others")
    store.copy("old/part", "new/part")
    store.copy("old/part", "new/part")
    store.delete("old/part")

    assert store.get("new/part") == b"bytes"
    assert list(store.list("new")) == ["new/part"]


@pytest.mark.parametrize("key", ["missing", "folder", "folder/missing", "folder/file/below"])
def test_what_is_not_there_is_a_key_error(store: ObjectStore, key: str) -> None:
    """A missing key, a folder, and a key below a file can neither be read nor copied."""
    store.put("folder/file", b"")

    assert not store.exists(key)
    with pytest.raises(KeyError):
        store.get(key)
    with pytest.raises(KeyError):
        store.copy(key, "elsewhere")
    assert not store.exists("elsewhere")


def test_an_empty_file_is_there(store: ObjectStore) -> None:
    """No bytes are a content like any other."""
    assert store.put_if_absent("empty", b"")

    assert store.exists("empty")
    assert store.get("empty") == b""


def test_a_listing_is_sorted_and_holds_the_folder_alone(store: ObjectStore) -> None:
    """Keys come sorted, with subfolders', and a folder whose name only starts the same is another one."""
    for key in ["a/b/2", "a/10", "a/2", "ab/1", "a.json", "b/a/1"]:
        store.put(key, b"")

    assert list(store.list("a")) == list(store.list("a/")) == ["a/10", "a/2", "a/b/2"]
    assert list(store.list("a/b")) == ["a/b/2"]
    assert list(store.list("nothing/here")) == []
    assert list(store.list("a.json")) == []


def test_folders_are_named_one_level_deep(store: ObjectStore) -> None:
    """Only folders directly below are named, sorted, and files are none."""
    for key in ["b/x/1", "a/1", "a/y/z/2", "file"]:
        store.put(key, b"")

    assert list(store.folders()) == ["a", "b"]
    assert list(store.folders("a")) == ["y"]
    assert list(store.folders("nothing")) == []
    assert list(store.folders("file")) == []


def test_an_empty_store_has_nothing(store: ObjectStore) -> None:
    """A place that nobody wrote to yet is no error for a reader."""
    assert list(store.folders()) == []
    assert list(store.list("a")) == []
    assert not store.exists("a")


@pytest.mark.parametrize("key", ["a", "missing", "a/below"])
def test_a_deleted_key_is_gone_and_a_missing_one_is_no_error(store: ObjectStore, key: str) -> None:
    """Deleting removes that key alone."""
    store.put("a", b"")
    store.put("b", b"")
    store.delete(key)

    assert not store.exists(key)
    assert store.exists("b")


@pytest.mark.parametrize("key", BAD_KEYS)
def test_no_method_takes_a_key_that_climbs_out(store: ObjectStore, key: str) -> None:
    """Absolute keys, empty parts and `..` are refused by every method, before anything is touched."""
    store.put("good", b"")
    calls: list[Callable[[], object]] = [
        lambda: store.put(key, b""),
        lambda: store.put_if_absent(key, b""),
        lambda: store.copy("good", key),
        lambda: store.copy(key, "other"),
        lambda: store.get(key),
        lambda: store.exists(key),
        lambda: store.delete(key),
        lambda: store.address(key),
    ]
    if not key.endswith("/"):
        calls.append(lambda: list(store.list(key)))
    if key:
        calls.append(lambda: list(store.folders(key)))

    for call in calls:
        with pytest.raises(ValueError, match="not a key"):
            call()
    assert store.exists("good")


@pytest.mark.parametrize("key", ["a", "inbox/files/ab12/data/part-00000.parquet", ".hidden", "a b/ü", "..a", "a..b"])
def test_plain_keys_pass(key: str) -> None:
    """Dots inside a name, spaces and letters of any script are nothing special."""
    assert check_key(key) == key


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("address", ["{home}/out", "file://{home}/out", "~/out"])
def test_an_address_of_a_directory_opens_it(home: Path, address: str) -> None:
    """A path, a file:// address, and ~ lead to the same directory."""
    store = open_store(address.format(home=home))
    store.put("key", b"bytes")

    assert (home / "out" / "key").read_bytes() == b"bytes"
    assert Path(store.address("key")) == home / "out" / "key"


@pytest.mark.parametrize("address", ["s3://bucket/prefix", "gs://x", "https://example.org"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    """What EQN cannot open is named, with what to give instead; no directory `s3:` appears."""
    with pytest.raises(UsageError, match="not supported") as refused:
        open_store(address)

    assert repr(address) in str(refused.value)
    assert "--out" in str(refused.value)
