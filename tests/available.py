"""What to do with a test that cannot run here."""

import os
import shutil
from typing import NoReturn

import pytest


def not_run(why: str) -> NoReturn:
    """Skip the test; in CI, which installs what tests need, it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"NOT RUN: {why}", pytrace=False)
    pytest.skip(f"NOT RUN: {why}")


def require_strace() -> None:
    """Let a test go on where there is strace."""
    if not shutil.which("strace"):
        not_run("this machine has no strace; infra/services/prepare.sh installs it")
