"""What supervisord starts for each program: takes its environment from the private file, then becomes the program.

So no password is on a command line or in supervisord's configuration. A server that was killed may have left processes
of its own behind, which still hold its port: they are ended first.

    python -m infra.stack.launch FILE NAME
"""

import json
import os
import sys
from pathlib import Path

from infra.stack.processes import PROGRAM, STACK, end_marked

_FOREIGN = ("AWS_", "PREFECT_", "MLFLOW_", "PG")
"""Variables of whoever started the stack that its programs must not see."""


def main(file: Path, name: str) -> None:
    """Become the program `name` of `file`."""
    program = json.loads(file.read_text("utf-8"))[name]
    if program["alone"]:
        end_marked(seconds=5.0, **{mark: os.environ[mark] for mark in (STACK, PROGRAM)})
    command: list[str] = program["command"]
    os.execve(command[0], command, clean_environment() | program["environment"])  # noqa: S606  our own programs


def clean_environment() -> dict[str, str]:
    """Give this process' environment without what would lead a program to other servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
