"""What every store promises: the same assertions on the directory, on its in-memory twin, and on S3 services."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from eqn.errors import UsageError
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore, check_key, open_store
from eqn.store.memory import MemoryStore
from tests.store.servers import fresh_store

BAD_KEYS = ["", "/etc/passwd", "..", "../x", "a/../../x", "a/..", ".", "./a", "a//b", "a/", "a\\b", "a\0b"]


@pytest.fixture(params=["directory", "memory", "moto", pytest.param("ceph", marks=pytest.mark.stack)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    return fresh_store(request.getfixturevalue(f"{request.param}_server"), monkeypatch)


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
    """A copy has the source's bytes, leaves alone what stands there, and stays when the source goes."""
    store.put("old/part", b"bytes")
    store.put("new/taken", b"others")

    assert store.copy_if_absent("old/part", "new/part")
    assert not store.copy_if_absent("old/part", "new/part")
    assert not store.copy_if_absent("old/part", "new/taken")
    store.delete("old/part")
    assert (store.get("new/part"), store.get("new/taken")) == (b"bytes", b"others")
    assert list(store.list("new")) == ["new/part", "new/taken"]


def test_a_copy_onto_itself_changes_nothing(store: ObjectStore) -> None:
    """Source and target may be the same key, if it is there."""
    store.put("part", b"bytes")

    assert not store.copy_if_absent("part", "part")
    assert store.get("part") == b"bytes"
    with pytest.raises(KeyError):
        store.copy_if_absent("missing", "missing")


@pytest.mark.parametrize("key", ["missing", "folder", "folder/missing", "folder/file/below"])
def test_what_is_not_there_is_a_key_error(store: ObjectStore, key: str) -> None:
    """A missing key, a folder, and a key below a file can neither be read nor copied."""
    store.put("folder/file", b"")

    assert not store.exists(key)
    with pytest.raises(KeyError):
        store.get(key)
    with pytest.raises(KeyError):
        store.copy_if_absent(key, "elsewhere")
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


def test_the_listing_of_the_root_is_everything(store: ObjectStore) -> None:
    """The empty prefix is the store itself."""
    assert list(store.list("")) == []
    for key in ["b/c/1", "a", "b/2"]:
        store.put(key, b"")

    assert list(store.list("")) == ["a", "b/2", "b/c/1"]


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
        lambda: store.copy_if_absent("good", key),
        lambda: store.copy_if_absent(key, "other"),
        lambda: store.get(key),
        lambda: store.exists(key),
        lambda: store.delete(key),
        lambda: store.address(key),
    ]
    if key:
        calls.append(lambda: list(store.folders(key)))
    if key and not key.endswith("/"):
        calls.append(lambda: list(store.list(key)))

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


@pytest.mark.parametrize("address", ["gs://bucket/prefix", "S3://bucket", "https://me:secret@example.org"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    """What EQN cannot open is named by its kind, with what to give instead; it may hold a password."""
    with pytest.raises(UsageError, match="not supported") as refused:
        open_store(address)

    assert address.partition("//")[0] in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "s3://bucket/prefix" in str(refused.value)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("s3://letters", "s3://letters/key"),
        ("s3://letters/", "s3://letters/key"),
        ("s3://letters/a/b", "s3://letters/a/b/key"),
        ("s3://letters/a b/ü/", "s3://letters/a b/ü/key"),
    ],
)
def test_an_address_of_a_bucket_opens_a_place_in_it(address: str, expected: str) -> None:
    """The prefix is optional, and a slash at its end is nothing."""
    assert open_store(address).address("key") == expected


@pytest.mark.parametrize(
    "address", ["s3://", "s3:///x", "s3://b c/x", "s3://b/a//x", "s3://b/../x", "s3://b/x//", "s3://b/\udcff"]
)
def test_an_address_of_no_bucket_or_no_folder_is_refused(address: str) -> None:
    """What cannot be a bucket or a prefix is found before anything is asked of a service."""
    with pytest.raises(UsageError, match="s3://bucket/prefix"):
        open_store(address)


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    """They would end in logs and manifests."""
    with pytest.raises(UsageError) as refused:
        open_store("s3://access:canary@bucket/prefix")

    assert "canary" not in str(refused.value)
    assert "AWS_SECRET_ACCESS_KEY" in str(refused.value)


def test_a_key_tells_its_age(store: ObjectStore) -> None:
    """In seconds, by the store's own clock; a copy is as young as its making; what is not there has none."""
    store.put("folder/a", b"1")
    store.copy_if_absent("folder/a", "folder/b")

    for key in ("folder/a", "folder/b"):
        assert 0 <= store.age(key) < 60
    with pytest.raises(KeyError):
        store.age("folder")
    with pytest.raises(KeyError):
        store.age("folder/c")


def test_a_sweep_takes_no_key(store: ObjectStore) -> None:
    """What the store lists stays."""
    store.put("folder/a", b"1")
    store.sweep("folder", older_than=0)
    assert list(store.list("")) == ["folder/a"]
