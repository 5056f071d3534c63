"""A disk as a power cut leaves it: what was synced is there, of everything else any part may be missing.

The system calls of a real process (`observed`) are played into a model of a file system (`Disk`). A cut keeps all that
`fsync` was called for; of a file's other bytes it keeps a beginning of any length, and of the names that changed in a
folder since that was synced any choice, in their order. That is more than real file systems lose.
"""

import random
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

CALLS = "openat,write,fsync,link,rename,unlink,mkdir"
_CALL = re.compile(r"(\w+)\((.*)\) = \d+(?:<.*>)?$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_OPEN_FILE = re.compile(r"\d+<((?:\\x[0-9a-f]{2})*)>")


class Step(NamedTuple):
    """One call of a process that succeeded: `make` (a file), `write`, `sync`, `link`, `rename`, `unlink`, `mkdir`."""

    call: str
    path: Path
    """Of a link or rename, the new name."""
    source: Path | None = None
    """Of a link or rename, the old name."""
    content: bytes = b""
    """Of a write, what was added at the end."""


def observed(process: int, log: Path, work: Callable[[], object]) -> None:
    """Write the calls of a process into `log` while `work` is done; the process ends with it."""
    options = ["-qq", "-y", "-xx", "-s", "10000000", "-o", str(log), "-e", f"trace={CALLS}", "-p", str(process)]
    with subprocess.Popen(["strace", *options]) as strace:
        while "TracerPid:\t0" in Path(f"/proc/{process}/status").read_text():
            assert strace.poll() is None, "strace could not attach"
            time.sleep(0.001)
        work()


def steps(log: Path, root: Path) -> list[Step]:
    """Give what was done below `root`, and to `root` itself, in order."""
    found = (_step(line) for line in log.read_text().splitlines())
    return [step for step in found if step and (step.path.is_relative_to(root) or step.path == root.parent)]


def _step(line: str) -> Step | None:
    made = _CALL.fullmatch(line)
    if not made:
        return None
    call, said = made.groups()
    texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(said)]
    if call in {"write", "fsync"}:
        opened = _OPEN_FILE.match(said)
        assert opened, line
        path = Path(bytes.fromhex(opened[1].replace("\\x", "")).decode())
        return Step("write", path, content=texts[0]) if call == "write" else Step("sync", path)
    paths = [Path(text.decode()) for text in texts]
    if call == "openat":
        assert "O_TRUNC" not in said or "O_CREAT" not in said, f"written in place: {paths[0]}"
        return Step("make", paths[0]) if "O_CREAT" in said else None
    return Step(call, paths[-1], source=paths[0] if len(paths) == 2 else None)


@dataclass
class _File:
    content: bytes = b""
    synced: int = 0


@dataclass
class _Folder:
    names: dict[str, "_File | _Folder"] = field(default_factory=dict)
    durable: dict[str, "_File | _Folder"] = field(default_factory=dict)
    changes: list[tuple[str, "_File | _Folder | None"]] = field(default_factory=list)
    """What happened to names since the last sync: their new meaning, None where they went."""

    def set(self, name: str, meaning: "_File | _Folder | None") -> None:
        self.changes.append((name, meaning))
        if meaning is None:
            del self.names[name]
        else:
            self.names[name] = meaning

    def sync(self) -> None:
        self.durable, self.changes = dict(self.names), []


class Disk:
    """The folders and files below `root`. At first they are those that are below `like`, all durable."""

    def __init__(self, root: Path, *, like: Path) -> None:
        self.root = root
        self._top = _Folder({root.name: self._read(like)})
        self._top.sync()

    def play(self, step: Step) -> None:
        """Let a step happen."""
        match step.call:
            case "sync":
                self._sync(self._at(step.path))
            case "write":
                file = self._at(step.path)
                assert isinstance(file, _File), step
                file.content += step.content
            case "make" | "mkdir":
                self._folder_of(step.path).set(step.path.name, _File() if step.call == "make" else _Folder())
            case "unlink":
                self._folder_of(step.path).set(step.path.name, None)
            case "link" | "rename":
                assert step.source is not None
                self._folder_of(step.path).set(step.path.name, self._at(step.source))
                if step.call == "rename":
                    self._folder_of(step.source).set(step.source.name, None)

    def is_synced(self, path: Path) -> bool:
        """Tell whether all bytes of a file are synced, whatever becomes of its name."""
        there = self._at(path)
        return isinstance(there, _File) and there.synced == len(there.content)

    def is_durable(self, path: Path) -> bool:
        """Tell whether a power cut leaves the file under this name, whole."""
        there: _File | _Folder | None = self._top
        for name in self._names(path):
            # A change that is not synced may be lost, or may happen.
            if not isinstance(there, _Folder) or any(changed == name for changed, _ in there.changes):
                return False
            there = there.durable.get(name)
        return isinstance(there, _File) and there.synced == len(there.content)

    def cut(self, into: Path, draw: random.Random) -> None:
        """Write what a power cut may leave into the new folder `into`."""
        left = _left(self._top, draw).get(self.root.name, _Folder())
        assert isinstance(left, _Folder)
        _write(left, into, draw, {})

    def _names(self, path: Path) -> tuple[str, ...]:
        return path.relative_to(self.root.parent).parts

    def _at(self, path: Path) -> "_File | _Folder":
        there: _File | _Folder = self._top
        for name in self._names(path):
            assert isinstance(there, _Folder), path
            there = there.names[name]
        return there

    def _folder_of(self, path: Path) -> _Folder:
        folder = self._at(path.parent)
        assert isinstance(folder, _Folder), path
        return folder

    @staticmethod
    def _sync(there: "_File | _Folder") -> None:
        if isinstance(there, _Folder):
            there.sync()
        else:
            there.synced = len(there.content)

    def _read(self, path: Path) -> "_File | _Folder":
        if path.is_file():
            content = path.read_bytes()
            return _File(content, len(content))
        folder = _Folder({child.name: self._read(child) for child in path.iterdir()})
        folder.sync()
        return folder


def _left(folder: _Folder, draw: random.Random) -> dict[str, _File | _Folder]:
    """Give the names that a cut leaves in a folder."""
    names = dict(folder.durable)
    for name, meaning in folder.changes:
        if draw.random() < 0.5:
            names.pop(name, None)
            if meaning is not None:
                names[name] = meaning
    return names


def _write(folder: _Folder, into: Path, draw: random.Random, lengths: dict[int, int]) -> None:
    """Write a folder; `lengths` are those that files of several names were cut to."""
    into.mkdir()
    for name, left in _left(folder, draw).items():
        if isinstance(left, _Folder):
            _write(left, into / name, draw, lengths)
        else:
            length = lengths.setdefault(id(left), draw.randint(left.synced, len(left.content)))
            (into / name).write_bytes(left.content[:length])
