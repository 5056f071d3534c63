"""`python -m flows.pipeline`, as a person starts it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_users_mistake_is_one_message(tmp_path: Path) -> None:
    """A directory without splits ends with exit code 2 and a sentence, without a traceback, and changes nothing."""
    environment = os.environ | {"EQN_HOME": str(tmp_path / "home"), "EQN_GOEMOTIONS": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-m", "flows.pipeline"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert f"eqn: expected the splits train.tsv, dev.tsv and test.tsv in {tmp_path}" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "home" / "models").exists()
