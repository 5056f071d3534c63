"""Where processes listen, as the kernel knows it."""

import contextlib
import ipaddress
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_LISTENING = "0A"


def listening(processes: Iterable[int]) -> set[tuple[str, int]]:
    """Give the addresses and ports on which any of `processes` takes TCP connections."""
    inodes = {inode for process in processes for inode in _sockets(process)}
    return {(address, port) for address, port, inode in _listeners() if inode in inodes}


def off_loopback(processes: Iterable[int]) -> set[tuple[str, int]]:
    """Give those of them that other machines can reach."""
    return {place for place in listening(processes) if not ipaddress.ip_address(place[0]).is_loopback}


def with_descendants(process: int) -> list[int]:
    """Give a process and all that it started, and that they did."""
    parents = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    family = {process}
    while added := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= added
    return sorted(family)


def _sockets(process: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                found = re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink()))
                if found:
                    yield found[1]


def _listeners() -> Iterator[tuple[str, int, str]]:
    for table in ("tcp", "tcp6"):
        file = Path("/proc/net", table)
        for line in file.read_text().splitlines()[1:] if file.exists() else ():
            fields = line.split()
            if fields[3] == _LISTENING:
                address, _, port = fields[1].partition(":")
                yield _address(address), int(port, 16), fields[9]


def _address(written: str) -> str:
    """Read what the kernel writes: 32-bit words in the machine's own order of bytes."""
    words = [int(written[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(written), 8)]
    return str(ipaddress.ip_address(b"".join(words)))
