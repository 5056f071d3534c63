"""Whether the stack's servers and workers do their work, seen from where their clients stand."""

import contextlib
import functools
import json
import socket
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from eqn.errors import StoreUnavailable
from infra.stack.places import Memory, Places
from infra.stack.programs import POOLS, address_of, worker_of

_SECONDS_TO_START = 300.0
_LINES_OF_LOG = 5


def checks(memory: Memory) -> Mapping[str, Callable[[], bool]]:
    """Give a check for each program that clients talk to, and for the workers."""
    prefect = f"{address_of('prefect', memory)}/api"
    return {
        "prefect": lambda: answers(f"{prefect}/ready"),
        "mlflow": lambda: answers(f"{address_of('mlflow', memory)}/health"),
        "postgres": lambda: listens(memory.ports["postgres"]),
        "metrics": lambda: answers(f"{address_of('metrics', memory)}/metrics"),
        "pages": lambda: listens(memory.ports["pages"]),  # its list may be long, and is the store's to answer
        "s3": lambda: answers(address_of("s3", memory)),
        **{worker_of(pool): functools.partial(is_online, prefect, pool) for pool in POOLS},
    }


def listens(port: int) -> bool:
    """Tell whether something listens on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def answers(address: str) -> bool:
    """Tell whether a server answers with success."""
    with contextlib.suppress(OSError), _open(address):
        return True
    return False


def is_online(prefect: str, pool: str) -> bool:
    """Tell whether Prefect's server has heard of the worker of `pool` lately."""
    address = f"{prefect}/work_pools/{pool}/workers/filter"
    request = urllib.request.Request(address, b"{}", {"Content-Type": "application/json"})  # noqa: S310  loopback
    with contextlib.suppress(OSError, ValueError), _open(request) as answer:
        return any(worker["name"] == pool and worker["status"] == "ONLINE" for worker in json.load(answer))
    return False


def await_all(places: Places, memory: Memory, names: list[str], is_up: Callable[[str], bool]) -> None:
    """Wait until all of `names` do their work; `is_up` tells whether a program still runs, or tries to.

    Raises:
        StoreUnavailable: one does not; its last log lines are the faults.

    """
    waiting = dict.fromkeys(names)
    check = checks(memory)
    deadline = time.monotonic() + _SECONDS_TO_START
    while True:
        for name in [name for name in waiting if check[name]()]:
            del waiting[name]
        if not waiting:
            return
        given_up = [name for name in waiting if not is_up(name)]
        if given_up or time.monotonic() > deadline:
            raise did_not_start(places, (given_up or list(waiting))[0])
        time.sleep(0.3)


def did_not_start(places: Places, name: str) -> StoreUnavailable:
    """Give the error for a program that does not come up."""
    log = places.logs / f"{name}.log"
    return StoreUnavailable(
        f"expected {name} to start; it did not. Its last words:", faults=last_lines(log), todo=f"Read {log}."
    )


def last_lines(log: Path) -> list[str]:
    """Give the end of a log."""
    try:
        told = log.read_text("utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in told.splitlines() if line.strip()][-_LINES_OF_LOG:]


def _open(request: "str | urllib.request.Request") -> Any:
    # Proxies are for others: all of this is on loopback.
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5)
