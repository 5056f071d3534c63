"""The directory store against a real file system: rivals in other processes, crashes, full and forbidden disks."""

import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eqn.errors import StorageFull, StoreUnavailable
from eqn.store.directory import DirectoryStore
from tests.small_disk import on_a_small_disk

RACE = """
import sys, time
from pathlib import Path
from eqn.store.directory import DirectoryStore

store, me, go = DirectoryStore(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3])
print("ready", flush=True)
while not go.exists():
    pass
print(*(n for n in range(100) if store.put_if_absent(f"releases/{n}.json", me.encode())))
"""

PUT = """
import sys
from pathlib import Path
from eqn.store.directory import DirectoryStore

getattr(DirectoryStore(Path(sys.argv[1])), sys.argv[2])("new/folder/key", b"bytes" * 1000)
"""

FULL = """
import json, sys
from pathlib import Path
from eqn.errors import StorageFull
from eqn.store.directory import DirectoryStore

store, said = DirectoryStore(Path(sys.argv[1])), []
store.put("kept", b"k" * 1000)
for write in (store.put, store.put_if_absent):
    for key in ("kept", "new"):
        try:
            write(key, b"x" * 10_000_000)
        except StorageFull as error:
            said.append(str(error))
facts = {"said": said, "kept": store.get("kept") == b"k" * 1000, "new": store.exists("new")}
facts["files"] = sorted(path.name for path in store.root.rglob("*"))
store.put("new", b"fits")
print(json.dumps(facts | {"after": store.get("new").decode()}))
"""

FORBIDDEN = """
import json, os, sys
from pathlib import Path
from eqn.errors import StoreUnavailable
from eqn.store.directory import DirectoryStore

store = DirectoryStore(Path(sys.argv[1]))
if os.getuid() == 0:
    os.setuid(65534)
calls = {
    "put": lambda: store.put("a/b", b""),
    "put_if_absent": lambda: store.put_if_absent("a/b", b""),
    "get": lambda: store.get("a/b"),
    "exists": lambda: store.exists("a/b"),
    "list": lambda: list(store.list("a")),
    "folders": lambda: list(store.folders()),
    "copy_if_absent": lambda: store.copy_if_absent("a/b", "c"),
    "delete": lambda: store.delete("a/b"),
}
refused = []
for name, call in calls.items():
    try:
        call()
    except StoreUnavailable as error:
        refused.append(name)
print(json.dumps([refused, sorted(calls)]))
"""


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail, and keep what it says."""
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, **options)


def python(script: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `script` in a process of its own."""
    return run([sys.executable, "-c", script, *map(str, arguments)], **options)


def test_of_four_racing_processes_exactly_one_wins_each_key(tmp_path: Path) -> None:
    """Processes share nothing but the directory, and still each key has one winner, whose bytes are there."""
    go = tmp_path / "go"
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path / "store"), f"rival {n}", str(go)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(4)
    ]
    for rival in rivals:
        assert rival.stdout is not None
        rival.stdout.readline()
    go.touch()
    won = [rival.communicate(timeout=300)[0].split() for rival in rivals]

    assert sorted(int(n) for some in won for n in some) == list(range(100))
    for number, some in enumerate(won):
        assert all((tmp_path / "store/releases" / f"{n}.json").read_text() == f"rival {number}" for n in some)
    assert len(list((tmp_path / "store/releases").iterdir())) == 100


def test_what_a_crash_left_is_never_listed_and_hinders_nobody(tmp_path: Path) -> None:
    """A half-written temporary file is no key, whatever lies in it."""
    store = DirectoryStore(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".tmp-0123456789abcdef").write_bytes(b"half")

    assert list(store.list("a")) == []
    assert store.put_if_absent("a/1", b"whole")
    assert list(store.list("a")) == ["a/1"]


def test_a_copy_shares_its_bytes_with_the_source(tmp_path: Path) -> None:
    """Carrying over costs no space: both names lead to the same inode."""
    store = DirectoryStore(tmp_path)
    store.put("old/part", b"bytes")
    store.copy_if_absent("old/part", "new/part")

    assert (tmp_path / "old/part").stat().st_ino == (tmp_path / "new/part").stat().st_ino
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["new", "old", "part", "part"]


needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None or run(["strace", "-qq", "true"]).returncode != 0,
    reason="NOT RUN: this machine has no strace that may trace",
)


def traced(tmp_path: Path, method: str, *options: str) -> list[str]:
    """Put `new/folder/key` in a traced process and give its calls, one line each."""
    log = tmp_path / "calls"
    command = ["strace", "-f", "-qq", "-y", "-o", str(log), *options, sys.executable, "-c", PUT]
    run([*command, str(tmp_path / "store"), method])
    return log.read_text().splitlines()


@pytest.mark.promise(5)
@needs_strace
@pytest.mark.parametrize(("method", "naming"), [("put_if_absent", "link"), ("put", "rename")])
def test_bytes_are_durable_before_their_name_and_names_before_the_answer(
    tmp_path: Path, method: str, naming: str
) -> None:
    """The file is synced, then named, then its folder is synced; and so is the folder above each new folder."""
    calls = traced(tmp_path, method, "-e", "trace=fsync,link,linkat,rename,renameat,renameat2")

    store = tmp_path / "store"
    synced = [re.search(r"fsync\(\d+<(.*)>\)", call) for call in calls]
    order = [found[1] if found else naming for found in synced]
    assert order[:3] == [str(tmp_path), str(store), str(store / "new")]
    assert re.fullmatch(rf"{store}/new/folder/\.tmp-\w+", order[3])
    assert order[4:] == [naming, str(store / "new/folder")]


@needs_strace
@pytest.mark.parametrize("call", ["fsync", "link,linkat", "unlink,unlinkat"])
@pytest.mark.parametrize("when", [1, 2])
def test_a_kill_at_any_call_leaves_the_key_whole_or_absent(tmp_path: Path, call: str, when: int) -> None:
    """Killed as it enters a sync, link or unlink of the file, a writer left all bytes under the key or no key."""
    store = DirectoryStore(tmp_path / "store")
    store.put("new/folder/other", b"")
    calls = traced(tmp_path, "put_if_absent", "-e", f"inject={call}:signal=SIGKILL:when={when}")

    assert when == 2 or any("SIGKILL" in line for line in calls)
    assert set(store.list("new")) - {"new/folder/key"} == {"new/folder/other"}
    wrote = store.put_if_absent("new/folder/key", b"bytes" * 1000)
    assert wrote == (when == 1 and call != "unlink,unlinkat")
    assert store.get("new/folder/key") == b"bytes" * 1000


@pytest.mark.promise(6)
def test_a_full_disk_is_named_and_leaves_what_was_there(tmp_path: Path) -> None:
    """No half-written file stays, the old content is whole, and what fits can still be written."""
    done = on_a_small_disk(tmp_path, "256k", [sys.executable, "-c", FULL, str(tmp_path)])

    assert done.stderr == ""
    facts = json.loads(done.stdout)
    assert [re.search(r"room to write (\S+),", said)[1] for said in facts.pop("said")] == [
        f"{tmp_path}/{key}" for key in ("kept", "new", "kept", "new")
    ]
    assert facts == {"kept": True, "new": False, "files": ["kept"], "after": "fits"}


@pytest.mark.promise(6)
def test_a_file_beyond_the_allowed_size_is_a_full_storage(tmp_path: Path) -> None:
    """A limit on the size of files says the same as a full disk; where no disk can be made small, this still runs."""
    limit = 100_000
    done = python(FULL, tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))

    assert done.stderr == ""
    assert json.loads(done.stdout)["files"] == ["kept"]


def test_a_forbidden_place_is_unavailable_to_every_method(tmp_path: Path) -> None:
    """Nobody is told that a store is empty which they may not read."""
    root = tmp_path / "store"
    DirectoryStore(root).put("a/b", b"")
    root.chmod(0)
    done = python(FORBIDDEN, root)
    root.chmod(0o700)

    assert done.stderr == ""
    refused, all_of_them = json.loads(done.stdout)
    assert sorted(refused) == all_of_them


def test_a_place_below_a_file_is_unavailable(tmp_path: Path) -> None:
    """Where no directory can be, writing says so and names the place."""
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailable, match=re.escape(str(tmp_path / "file/store/key"))):
        DirectoryStore(tmp_path / "file" / "store").put("key", b"")


def test_errors_say_what_the_disk_said(tmp_path: Path) -> None:
    """The operating system's error stays attached for whoever looks for the cause."""
    (tmp_path / "folder").mkdir()

    with pytest.raises(StoreUnavailable) as refused:
        DirectoryStore(tmp_path).put("folder", b"")
    assert isinstance(refused.value.__cause__, IsADirectoryError)
    assert not isinstance(refused.value, StorageFull)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
