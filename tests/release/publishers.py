"""Starting and talking to processes of `tests.release.publisher`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]


class Publisher:
    """One process; a context manager that ends it. It scores with a `package`, or else by digests."""

    def __init__(self, package: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.release.publisher", *([str(package)] if package else [])],
            cwd=ROOT,
            env=os.environ | {"TOKENIZERS_PARALLELISM": "false"},  # it forks
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def tell(self, **job: Any) -> None:
        """Give it a job, or let it go on when there is nothing to say."""
        assert self.process.stdin is not None
        self.process.stdin.write((json.dumps(job) if job else "") + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        """Wait for its next word."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, said = self.process.communicate()
            raise EOFError(f"the publisher ended with {self.process.returncode}: {said}")
        return json.loads(line)

    def do(self, **job: Any) -> Any:
        """Let it do a job itself, and give its answer."""
        self.tell(**job)
        return self.hear()

    def fork_waiting(self, **job: Any) -> int:
        """Make a child for a job, and give its process id; it begins when it is let go on."""
        self.tell(**job, fork=True)
        return int(self.hear()["pid"])

    def fork(self, **job: Any) -> int:
        """Let a child begin a job, and give its process id."""
        child = self.fork_waiting(**job)
        self.tell()
        return child

    def end_of(self, **job: Any) -> int:
        """Let a child do a job, and give its exit code, or the signal that ended it, as a negative number."""
        self.fork(**job)
        return int(self.hear()["status"])
