"""Where a stack keeps what: the folders in its state folder, and what it remembers between starts."""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import socket
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from eqn.errors import Conflict, UsageError
from eqn.settings import Settings

PROJECT = Path(__file__).parents[2]
"""The project's folder, in which servers and workers are started."""

_LONGEST_SOCKET = 97
"""Bytes: the system takes 107, and supervisord adds a number while it starts."""

PORTS: Mapping[str, int] = {"prefect": 4200, "mlflow": 5000, "metrics": 9464, "pages": 8480, "postgres": 0, "s3": 0}
"""The port that each server would like to have; 0 stands for any that is free."""


@dataclasses.dataclass(frozen=True)
class Places:
    """The folders and files of one stack."""

    home: Path
    """EQN's state folder."""

    @property
    def root(self) -> Path:
        """Everything below belongs to the stack."""
        return self.home / "stack"

    @property
    def secrets(self) -> Path:
        """Generated passwords, and the programs' environments, which hold them; for the owner only."""
        return self.root / "secrets"

    @property
    def programs(self) -> Path:
        """What supervisord runs and with which environment."""
        return self.secrets / "programs.json"

    @property
    def environment(self) -> Path:
        """The shell file by which a person uses the stack."""
        return self.root / "environment"

    @property
    def logs(self) -> Path:
        """The logs of all servers."""
        return self.root / "logs"

    @property
    def prefect(self) -> Path:
        """Prefect's home for the server, the workers and whoever uses the environment."""
        return self.root / "prefect"

    @property
    def s3(self) -> Path:
        """The S3 service's state."""
        return self.root / "s3"

    @property
    def postgres(self) -> Path:
        """The database cluster, where PostgreSQL's user may enter; see `infra.stack.postgres`."""
        return self.root / "postgres"

    @property
    def supervisor(self) -> Path:
        """The configuration and process number of supervisord; for the owner only."""
        return self.root / "supervisor"

    @property
    def scratch(self) -> Path:
        """Temporary files of the workers: a killed run leaves its environment in one, keys included."""
        return self.root / "scratch"

    def clear_scratch(self) -> None:
        """Remove what runs have left; none is under way."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(mode=0o700)

    @property
    def socket(self) -> Path:
        """Where supervisord takes orders, from its owner only."""
        return self.root / "socket"

    def exist(self) -> bool:
        """Tell whether a stack was ever started here."""
        return (self.root / "stack.json").is_file()

    def make(self) -> None:
        """Make the folders.

        Raises:
            UsageError: the path is too long for a socket.

        """
        if len(os.fsencode(self.socket)) > _LONGEST_SOCKET:
            raise UsageError(
                f"expected a shorter path of the state folder: {self.socket} may have {_LONGEST_SOCKET} bytes.",
                todo="Set EQN_HOME to a folder with a shorter path.",
            )
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711)  # PostgreSQL's user walks through it
        for private in (self.secrets, self.logs, self.prefect, self.s3, self.supervisor, self.scratch):
            private.mkdir(mode=0o700, exist_ok=True)
            private.chmod(0o700)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from starting or ending the stack meanwhile.

        Raises:
            Conflict: somebody does so at this moment.

        """
        with (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(
                    f"the stack in {self.root} is being started or ended by another command.",
                    todo="Wait until that has finished, then run the same command again.",
                ) from error
            yield


def places_of(settings: Settings) -> Places:
    """Give the places of the stack in EQN's state folder."""
    return Places(settings.home)


@dataclasses.dataclass
class Memory:
    """What a stack remembers between starts."""

    identity: str
    """Marks every process of this stack, in its environment."""
    ports: dict[str, int]
    """The port of each server."""
    cluster: str = ""
    """The folder of the database cluster."""
    goemotions: str = ""
    """EQN_GOEMOTIONS of the last start that had it."""


def recall(places: Places) -> Memory:
    """Give what the stack remembers; a new stack gets a new identity."""
    file = places.root / "stack.json"
    if not file.exists():
        return Memory(identity=str(uuid.uuid4()), ports={})
    return Memory(**json.loads(file.read_text("utf-8")))


def remember(places: Places, memory: Memory) -> None:
    """Write `memory` down for the next start."""
    write_private(places.root / "stack.json", json.dumps(dataclasses.asdict(memory), indent=2))


def write_private(file: Path, content: str) -> None:
    """Replace `file` at once by one that only its owner may read."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(content)
    fresh.replace(file)


def free_port(wanted: int, taken: "set[int] | frozenset[int]" = frozenset()) -> int:
    """Give `wanted` if nobody listens there, else any free port that is not in `taken`."""
    for candidate in (wanted, *[0] * 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", candidate))
                port: int = probe.getsockname()[1]
                if port not in taken:
                    return port
    raise UsageError("expected a free port on 127.0.0.1; none was found.")
