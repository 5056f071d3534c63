"""`make status`: what runs, where it is, and since when."""

import contextlib
import dataclasses
import datetime as dt

from infra.stack import health, supervision
from infra.stack.places import Places, recall
from infra.stack.programs import POOLS, address_of, worker_of


@dataclasses.dataclass(frozen=True)
class Part:
    """One server or worker of the stack."""

    name: str
    state: str
    """`up`; `starting`: it runs and does not answer yet; `down`."""
    address: str
    """Where clients find it; of a worker, its work pool."""
    since: str
    """When it was started, in UTC; nothing when it is down or not known."""


def status(places: Places) -> list[Part]:
    """Give the state of each server and worker."""
    memory = recall(places)
    programs = {program.name: program for program in supervision.look(places)}
    checks = health.checks(memory) if memory.ports else {}
    addresses = {
        "postgres": f"127.0.0.1:{memory.ports['postgres']}" if memory.ports else "",
        "s3": address_of("s3", memory) if memory.ports else "",
        "prefect": address_of("prefect", memory) if memory.ports else "",
        "mlflow": address_of("mlflow", memory) if memory.ports else "",
        "metrics": f"{address_of('metrics', memory)}/metrics" if memory.ports else "",
        "pages": address_of("pages", memory) if "pages" in memory.ports else "",  # not in stacks of earlier versions
        **{worker_of(pool): f"pool {pool}" for pool in POOLS},
    }
    parts = []
    for name, address in addresses.items():
        program = programs.get(name)
        runs = name == "s3" or (program is not None and program.is_up)
        works = runs and name in checks and checks[name]()
        state = "up" if works else "starting" if runs and program is not None else "down"
        started = program.since if program is not None else _start_of_storage(places)
        since = _moment(started) if works or state == "starting" else ""
        parts.append(Part(name, state, address, since))
    return parts


def _start_of_storage(places: Places) -> float:
    """Give when the S3 gateway wrote down its number, as Unix time."""
    with contextlib.suppress(OSError):
        return (places.s3 / "run" / "rgw.pid").stat().st_mtime
    return 0.0


def _moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
