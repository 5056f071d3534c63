"""A whole stack for tests marked `stack`: its own state folder and ports; it ends with the tests, however they end."""

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.available import not_run

ROOT = Path(__file__).parents[2]

_GUARD = """
import ctypes, os, signal, subprocess, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)      # PR_SET_PDEATHSIG: end when the parent does
parent, root = sys.argv[1:]
command = [sys.executable, "-m", "infra.stack"]
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
try:
    if os.getppid() == int(parent):             # it may have ended before that call
        free = [f"--{server}-port=0" for server in ("prefect", "mlflow", "metrics", "pages")]
        done = subprocess.run([*command, "up", *free], cwd=root, check=False)
        if done.returncode == 0:
            print("ready", flush=True)
            signal.pause()
finally:
    subprocess.run([*command, "down"], cwd=root, check=False)
"""


@dataclasses.dataclass(frozen=True)
class RunningStack:
    """A stack that is up."""

    home: Path
    """EQN's state folder."""
    environment: dict[str, str]
    """Every variable by which a program uses it: this process' own, those of another stack or store aside."""

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `python -m infra.stack` with `arguments` on this stack."""
        return call(self.home, *arguments)


def call(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `python -m infra.stack` with `arguments` on the stack in `home`."""
    return subprocess.run(
        [sys.executable, "-m", "infra.stack", *arguments],
        cwd=ROOT, env=own_environment(home), capture_output=True, text=True, check=False,
    )  # fmt: skip


def own_environment(home: Path) -> dict[str, str]:
    """Give this process' environment, led to `home` and to nothing else."""
    foreign = (
        "AWS_",
        "PREFECT_",
        "MLFLOW_",
        "EQN_STORE",
        "EQN_INBOX",
        "EQN_PAGES",
        "EQN_TRACKING_URI",
        "EQN_GOEMOTIONS",
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"EQN_HOME": str(home), "OMP_NUM_THREADS": "1"}  # tiny networks wait for a second thread


def require_packages() -> None:
    """Skip, or fail in CI, where PostgreSQL cannot be had."""
    done = subprocess.run([str(ROOT / "infra/services/postgres.sh")], capture_output=True, text=True, check=False)
    if done.returncode:
        not_run(done.stderr.strip())


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """A stack of its own: PostgreSQL, Ceph's S3, MLflow, Prefect, two workers; for tests marked `stack`."""
    require_packages()
    home = Path(tempfile.mkdtemp(prefix="eqn-stack-"))  # a short path, and not below a folder only we may enter
    home.chmod(0o711)  # PostgreSQL's user walks through it
    guard = subprocess.Popen(
        [sys.executable, "-c", _GUARD, str(os.getpid()), str(ROOT)],
        env=own_environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert guard.stdout is not None
        said = ""
        for line in guard.stdout:
            if line == "ready\n":
                break
            said += line
        else:
            pytest.fail(f"the stack did not start:\n{said}", pytrace=False)
        file = home / "stack" / "environment"
        variables = re.findall(r"^export (\w+)=(.*)$", file.read_text("utf-8"), re.MULTILINE)
        yield RunningStack(
            home, own_environment(home) | {name: shlex.split(value)[0] for name, value in variables if name != "PATH"}
        )
    finally:
        guard.terminate()
        guard.communicate(timeout=180)
        shutil.rmtree(home)
