"""`make up`: starts what is not running, in the order in which one rests on the other, and says where things are."""

import concurrent.futures
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eqn.errors import StoreUnavailable
from infra.stack import health, postgres, storage, supervision
from infra.stack.launch import clean_environment
from infra.stack.passwords import passwords_of
from infra.stack.places import PORTS, PROJECT, Memory, Places, free_port, recall, remember, write_private
from infra.stack.processes import STACK, end_marked
from infra.stack.programs import (
    POOLS,
    mlflow_database,
    prefect_database,
    programs_of,
    team_environment,
    worker_of,
)

# `mlflow db upgrade` itself wants the database's address, password included, on its command line.
_MIGRATE_MLFLOW = """
import os
from mlflow.db import commands
commands(["upgrade", os.environ["MLFLOW_BACKEND_STORE_URI"]])
"""

Say = Callable[[str], None]


def up(places: Places, *, wanted_ports: Mapping[str, int], say: Say) -> Memory:
    """Start the stack, or what of it is not running; give what it remembers.

    Raises:
        UsageError: something here does not fit.
        Conflict: it is being started or ended by somebody else.
        StoreUnavailable: a part of it does not start.

    """
    places.make()
    with places.locked():
        memory = recall(places)
        if not supervision.is_running(places, memory):
            _end_left_over(memory)
            places.clear_scratch()
        _choose_ports(places, memory, wanted_ports)
        memory.goemotions = os.environ.get("EQN_GOEMOTIONS", memory.goemotions)
        remember(places, memory)
        _start_servers(places, memory, say)
        _deploy(places, memory, say)
        last = ["metrics", "pages", *(worker_of(pool) for pool in POOLS)]
        supervision.start_programs(places, last)
        _await(places, memory, last, say)
        return memory


def _end_left_over(memory: Memory) -> None:
    """End what a supervisord that was killed has left running."""
    postgres.end_left_over(memory)
    end_marked(seconds=10.0, **{STACK: memory.identity})


def _choose_ports(places: Places, memory: Memory, wanted: Mapping[str, int]) -> None:
    """Keep the ports of what runs; what does not keeps its own if that is free."""
    up_now = {program.name for program in supervision.look(places) if program.is_up}
    if "s3" in memory.ports and health.checks(memory)["s3"]():
        up_now.add("s3")
    for server, usual in PORTS.items():
        port = memory.ports.get(server, wanted.get(server, usual))
        if server not in up_now:
            others = {memory.ports[other] for other in memory.ports if other != server}
            memory.ports[server] = free_port(port, others)


def _start_servers(places: Places, memory: Memory, say: Say) -> None:
    passwords = passwords_of(places)
    running = {program.name for program in supervision.look(places) if program.is_up}
    if not {"postgres", "prefect", "mlflow"} <= running:
        say("PostgreSQL and S3 ...")
    binaries = postgres.programs()
    with concurrent.futures.ThreadPoolExecutor() as threads:
        storage_starts = threads.submit(storage.start, places, memory.ports["s3"])
        if "postgres" not in running:
            postgres.create_cluster(binaries, places, memory, passwords["postgres"])
            remember(places, memory)
        # The programs' environments name the S3 service, whose keys are known once it has started.
        s3 = storage_starts.result()
    environment = team_environment(places, memory, s3)
    write_private(places.environment, _shell(environment))
    programs = programs_of(
        places, memory, s3=s3, passwords=passwords, postgres=binaries, postgres_user=postgres.account()
    )
    supervision.configure(places, memory, programs)
    supervision.start(places, memory)
    supervision.start_programs(places, ["postgres"])
    postgres.await_answers(places, memory, passwords["postgres"], struggles=lambda: _struggles(places, "postgres"))
    running = {program.name for program in supervision.look(places) if program.is_up}
    fresh = [name for name in ("prefect", "mlflow") if name not in running]
    if fresh:
        say("The databases and the servers ...")
        postgres.create_databases(memory, passwords)
        _all_at_once(
            [
                lambda: storage.create_bucket(s3),
                *[lambda name=name: _migrate(places, memory, name, passwords[name]) for name in fresh],
            ]
        )
        supervision.start_programs(places, fresh)
    _await(places, memory, ["prefect", "mlflow"], say)


def _migrate(places: Places, memory: Memory, name: str, password: str) -> None:
    """Bring a server's tables to its version before it starts, so that its processes do not race for that."""
    if name == "prefect":
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
        database = prefect_database(memory, password) | {"PREFECT_HOME": str(places.prefect)}
    else:
        command = [sys.executable, "-c", _MIGRATE_MLFLOW]
        database = mlflow_database(memory, password)
    _run(places, f"migrate-{name}", command, database)


def _deploy(places: Places, memory: Memory, say: Say) -> None:
    """Register work pools, deployments and automations at Prefect's server."""
    say("Deployments ...")
    environment = team_environment(places, memory, storage.variables(places))
    _run(places, "deploy", [sys.executable, "-m", "flows.deploy"], environment)


def _run(places: Places, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a command to its end; what it says is in the log `name`.

    Raises:
        StoreUnavailable: it failed.

    """
    with (places.logs / f"{name}.log").open("w", encoding="utf-8") as log:
        done = subprocess.run(  # noqa: S603  our own commands
            command,
            cwd=PROJECT,
            env={**clean_environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise StoreUnavailable(
            f"the step {name} failed. Its last words:",
            faults=health.last_lines(places.logs / f"{name}.log"),
            todo=f"Read {places.logs / f'{name}.log'}, then run the same command again.",
        )


def _await(places: Places, memory: Memory, names: list[str], say: Say) -> None:
    def is_up(name: str) -> bool:
        return any(program.name == name and program.state != "FATAL" for program in supervision.look(places))

    health.await_all(places, memory, names, is_up)
    say(f"{' and '.join(names)}: up")


def _struggles(places: Places, name: str) -> bool:
    return any(program.name == name and not program.is_up for program in supervision.look(places))


def _all_at_once(actions: Sequence[Callable[[], None]]) -> None:
    with concurrent.futures.ThreadPoolExecutor(len(actions)) as threads:
        for future in [threads.submit(action) for action in actions]:
            future.result()


def _shell(environment: Mapping[str, str]) -> str:
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    return "\n".join(["# Lets this shell use EQN's stack. It holds keys: for its owner only.", *lines, ""])
