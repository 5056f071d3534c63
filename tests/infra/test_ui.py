"""`make ui`: both servers for real, on loopback, ended with nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.infra.listening import listening, off_loopback, with_descendants

ROOT = Path(__file__).parents[2]


def test_both_pages_answer_and_end(tmp_path: Path) -> None:
    """The two addresses that are printed answer, on loopback only; Ctrl-C ends both servers."""
    home = tmp_path / "home"
    (home / "mlflow").mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "infra/ui.py"],
        cwd=ROOT, env=os.environ | {"EQN_HOME": str(home)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        addresses = [re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline()) for _ in range(2)]
        pages = [_read(found[0]) for found in addresses if found]
        family = with_descendants(process.pid)
        assert len(listening(family)) >= 2
        assert off_loopback(family) == set()

        process.send_signal(signal.SIGINT)

        assert process.wait(timeout=60) == 0
        assert [b"Prefect" in pages[0], b"MLflow" in pages[1]] == [True, True]
        for found in addresses:
            assert found is not None
            assert _is_closed(found[0])
    finally:
        process.kill()
        process.wait()


def test_without_state_it_says_what_to_run_first(tmp_path: Path) -> None:
    """There is nothing to show before the main job ran."""
    done = subprocess.run(
        [sys.executable, "infra/ui.py"],
        cwd=ROOT, env=os.environ | {"EQN_HOME": str(tmp_path / "none")}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode != 0
    assert "make run" in done.stderr


def _read(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  loopback
        content: bytes = answer.read()
    return content


def _is_closed(address: str) -> bool:
    try:
        _read(address)
    except OSError:
        return True
    return False
