"""The embedded Prefect server: it ends with its process, and a full disk is said once."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.small_disk import on_a_small_disk

ROOT = Path(__file__).parents[2]
HOLD = """
import time
from prefect.settings import PREFECT_API_URL
from eqn.settings import load_settings
from flows.embedded import server_of
with server_of(load_settings()):
    print(PREFECT_API_URL.value(), flush=True)
    time.sleep(600)
"""


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310  loopback
            return True
    except OSError:
        return False


@pytest.mark.promise(31)
def test_it_ends_with_a_killed_process(tmp_path: Path) -> None:
    """After kill -9 of the process that started it, no server is left behind."""
    environment = os.environ | {"EQN_HOME": str(tmp_path / "home")}
    environment.pop("PREFECT_API_URL", None)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert _answers(address)

    process.send_signal(signal.SIGKILL)
    process.wait()

    deadline = time.monotonic() + 60
    while _answers(address) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert not _answers(address)


def test_a_full_disk_is_said_once(tmp_path: Path) -> None:
    """Without room for the server's database the main job ends with exit code 6 and one message, not a loop."""
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {"EQN_HOME": str(home)}
    for name in ("PREFECT_API_URL", "EQN_GOEMOTIONS"):
        environment.pop(name, None)

    done = on_a_small_disk(
        home, "200k", [sys.executable, "-m", "flows.pipeline"], cwd=ROOT, env=environment, timeout=300
    )

    assert done.returncode == 6
    assert done.stderr.count("storage is full") == 1
    assert "Traceback" not in done.stdout + done.stderr
