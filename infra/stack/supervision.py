"""supervisord: writing its configuration, starting and ending it, and asking it what runs."""

import contextlib
import dataclasses
import hashlib
import http.client
import json
import os
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from eqn.errors import StoreUnavailable
from infra.stack.places import PROJECT, Memory, Places, write_private
from infra.stack.processes import PROGRAM, STACK, is_alive
from infra.stack.programs import Program

_SECONDS_TO_START = 30.0
_SECONDS_TO_END = 90.0
_MOST_STARTS = 60
"""The pause grows by a second with each try: half an hour of trying."""


@dataclasses.dataclass(frozen=True)
class Running:
    """What supervisord says of a program."""

    name: str
    state: str
    """supervisord's word: RUNNING, STARTING, STOPPED, BACKOFF, FATAL ..."""
    pid: int
    since: float
    """Unix time of its last start."""

    @property
    def is_up(self) -> bool:
        """Whether it runs, or is about to."""
        return self.state in {"RUNNING", "STARTING"}


def configure(places: Places, memory: Memory, programs: Mapping[str, Program]) -> None:
    """Write down what supervisord runs, for its owner's eyes only."""
    described = {name: dataclasses.asdict(program) for name, program in programs.items()}
    write_private(places.programs, json.dumps(described, indent=1))
    sections = [
        f"""[supervisord]
directory = {_plain(PROJECT)}
logfile = {_plain(places.logs / "supervisord.log")}
logfile_maxbytes = 10MB
pidfile = {_plain(places.supervisor / "pid")}
childlogdir = {_plain(places.logs)}
{"user = root" if os.geteuid() == 0 else ""}

[unix_http_server]
file = {_plain(places.socket)}
chmod = 0700

[supervisorctl]
serverurl = {_plain(f"unix://{places.socket}")}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
""",
        *(_section(places, memory, name, program) for name, program in programs.items()),
    ]
    write_private(_configuration(places), "\n".join(sections))


def _section(places: Places, memory: Memory, name: str, program: Program) -> str:
    launched = (sys.executable, "-m", "infra.stack.launch", str(places.programs), name)
    command = program.command if program.user else launched
    # A changed environment must look changed to supervisord, which does not see it.
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(program), sort_keys=True).encode()).hexdigest()
    log = places.logs / f"{name}.log"  # the one value that supervisord expands twice
    return f"""[program:{name}]
command = {_plain(shlex.join(command))}
directory = {_plain(PROJECT)}
environment = {STACK}="{memory.identity}",{PROGRAM}="{name}",EQN_STACK_DIGEST="{digest}"
{f"user = {program.user}" if program.user else ""}
priority = {program.priority}
autostart = false
autorestart = true
startsecs = 3
startretries = {_MOST_STARTS}
stopsignal = {program.stop_signal}
stopwaitsecs = {program.seconds_to_stop}
killasgroup = true
redirect_stderr = true
stdout_logfile = {_plain(_plain(log))}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""


def start(places: Places, memory: Memory) -> None:
    """Start supervisord, unless it runs; let it take over the configuration that was written.

    Raises:
        StoreUnavailable: it does not start.

    """
    if not is_running(places, memory):
        places.socket.unlink(missing_ok=True)
        command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(_configuration(places))]
        environment = os.environ | {STACK: memory.identity}
        done = subprocess.run(  # noqa: S603  our own program
            command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        deadline = time.monotonic() + _SECONDS_TO_START
        while done.returncode == 0 and not is_running(places, memory) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not is_running(places, memory):
            raise StoreUnavailable(
                "expected supervisord to start; it did not.",
                faults=(done.stderr or done.stdout).strip().splitlines()[-3:],
                todo=f"Read {places.logs / 'supervisord.log'}.",
            )
    _take_over(places)


def _take_over(places: Places) -> None:
    """Let supervisord read the configuration; a program that changed is ended, to be started with the new one."""
    order = _orders(places)
    added, changed, removed = cast("list[list[list[str]]]", order.reloadConfig())[0]
    for name in changed + removed:
        with contextlib.suppress(xmlrpc.client.Fault):  # it may be down already
            order.stopProcessGroup(name)
        order.removeProcessGroup(name)
    for name in added + changed:
        order.addProcessGroup(name)


def start_programs(places: Places, names: Sequence[str]) -> None:
    """Start the programs that are not running, all at once, without waiting for them."""
    running = {program.name: program for program in look(places)}
    for name in names:
        if not running[name].is_up:
            # One that is between two tries starts by itself before long: that is no fault.
            with contextlib.suppress(xmlrpc.client.Fault):
                _orders(places).startProcess(name, False)


def look(places: Places) -> list[Running]:
    """Give what supervisord says of each program; nothing when it does not run."""
    try:
        told = cast("list[dict[str, Any]]", _orders(places).getAllProcessInfo())
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return []
    return [Running(one["name"], one["statename"], one["pid"], float(one["start"])) for one in told]


def is_running(places: Places, memory: Memory) -> bool:
    """Tell whether this stack's supervisord runs and takes orders."""
    pid = pid_of(places)
    if pid is None or not is_alive(pid, **{STACK: memory.identity}):
        return False
    try:
        return bool(_orders(places).getState())
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return False


def end(places: Places, memory: Memory) -> None:
    """End supervisord and its programs, the ones that others rest on last; nothing happens when it does not run."""
    if not is_running(places, memory):
        return
    pid = pid_of(places)
    with contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
        _orders(places).shutdown()
    deadline = time.monotonic() + _SECONDS_TO_END
    while pid is not None and is_alive(pid, **{STACK: memory.identity}) and time.monotonic() < deadline:
        time.sleep(0.1)


def pid_of(places: Places) -> int | None:
    """Give the number that supervisord wrote down, whether it still runs or not."""
    try:
        return int((places.supervisor / "pid").read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _orders(places: Places) -> Any:
    from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

    transport = SupervisorTransport(None, None, f"unix://{places.socket}")
    return xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor


def _configuration(places: Places) -> Path:
    return places.supervisor / "configuration.ini"


def _plain(value: object) -> str:
    """Give `value` as supervisord reads it, which expands what follows a per cent sign."""
    return str(value).replace("%", "%%")
