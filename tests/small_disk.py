"""Running a program that meets a full disk."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.available import not_run


def on_a_small_disk(
    folder: Path, size: str, command: Sequence[str], **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a command with `folder` on a file system of this size, which only it sees."""
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size={size} tmpfs {folder} && exec "
    if not shutil.which("unshare") or subprocess.run([*own, mount + "true"], check=False).returncode:
        not_run("this machine lets nobody mount a file system")
    return subprocess.run(
        [*own, mount + '"$@"', "sh", *command], capture_output=True, text=True, check=False, **options
    )
