"""Processes known by who they are, not by name or number: each one of a stack carries a mark in its environment."""

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

STACK = "EQN_STACK"
"""The variable with the stack's identity: in every process that descends from its supervisord."""
PROGRAM = "EQN_STACK_PROGRAM"
"""The variable with the program that a process belongs to."""


def marked(**marks: str) -> list[int]:
    """Give the processes, but this one, that started with all the variables `marks`."""
    wanted = {os.fsencode(f"{name}={value}") for name, value in marks.items()}
    return [pid for pid in _processes() if pid != os.getpid() and wanted <= _environment(pid)]


def end_marked(*, seconds: float, **marks: str) -> int:
    """End the processes that started with `marks`, by force after `seconds`; give how many there were."""
    with contextlib.ExitStack() as opened:
        handles = {}
        for pid in marked(**marks):
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                opened.callback(os.close, handle)
                if is_alive(pid, **marks):  # the handle may stand for another one that got this number meanwhile
                    handles[pid] = handle
        for order, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
            waiting = [handle for handle in handles.values() if not _ended(handle, 0)]
            for handle in waiting:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, order)
            for handle in waiting:
                _ended(handle, patience)
        return len(handles)


def is_alive(pid: int, **marks: str) -> bool:
    """Tell whether `pid` runs and started with the variables `marks`."""
    return {os.fsencode(f"{name}={value}") for name, value in marks.items()} <= _environment(pid)


def _processes() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def _environment(pid: int) -> set[bytes]:
    """Give the variables with which a process started; none of a process that is gone, or not ours to look at."""
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()


def _ended(handle: int, seconds: float) -> bool:
    return bool(select.select([handle], [], [], seconds)[0])
