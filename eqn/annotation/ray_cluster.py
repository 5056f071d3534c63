"""The connection to a Ray cluster, or a cluster of this machine alone, for as long as it is needed."""

import contextlib
import logging
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from eqn.errors import StoreUnavailable, UsageError

AUTO = "auto"
"""The cluster that this machine is a node of."""
_SECONDS_TO_REACH = 5
_SECONDS_TO_ANSWER = 60
"""Loading Ray in a new process takes some seconds on a machine at rest."""


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect this process to the cluster at `address`, HOST:PORT or `auto`; without one, start Ray on this machine.

    A cluster that was there before goes on afterwards; one that was started here ends.

    Raises:
        UsageError: Ray is not installed, or the address is none.
        StoreUnavailable: there is no cluster, or it is another version of Ray or Python.

    """
    # Read on import. Usage statistics are the head's affair on a cluster of others; here there are none.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what it will do by default, and warns of
    try:
        import ray
    except ModuleNotFoundError as error:
        raise UsageError(
            "expected Ray, which is not installed.", todo='Install EQN with it: pip install "eqn[ray]"'
        ) from error
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    with contextlib.ExitStack() as stack:
        if address is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="eqn-ray-", ignore_cleanup_errors=True))
            # One token for this run alone: Ray would else make one, and keep it in the user's home.
            if "RAY_AUTH_TOKEN" not in os.environ and "RAY_AUTH_TOKEN_PATH" not in os.environ:
                os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
                stack.callback(os.environ.pop, "RAY_AUTH_TOKEN", None)
            alone = {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "_temp_dir": folder}
            stack.callback(ray.shutdown)
            ray.init("local", **alone, **quiet)
        else:
            _require_answer(address)
            stack.callback(ray.shutdown)
            try:
                ray.init(address, **quiet)
            except (OSError, RuntimeError, ValueError) as error:
                raise _unreachable(address, str(error)) from error
        yield


def _require_answer(address: str) -> None:
    """See that a cluster answers: left to itself, Ray would go on asking for many minutes."""
    if address != AUTO:
        host, _, port = address.rpartition(":")
        if not host or "/" in host or not port.isdecimal():
            raise UsageError(
                f"expected --address HOST:PORT, or auto; got {address}.",
                todo="Start the command on a node of the cluster, with --address auto.",
            )
        try:
            socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_REACH).close()
        except (OSError, OverflowError) as error:
            raise _unreachable(address, str(error)) from error
    named = [] if address == AUTO else ["--address", address]
    # Its own process, because such a question cannot be taken back.
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", *named]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS_TO_ANSWER)  # noqa: S603  no shell
    except subprocess.TimeoutExpired as error:
        raise _unreachable(address, f"no answer within {_SECONDS_TO_ANSWER} s") from error
    if asked.returncode:
        raise _unreachable(address, (asked.stderr.strip().splitlines() or ["no cluster"])[-1])


def _unreachable(address: str, why: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"expected a Ray cluster at {address}; there is none that can be used: {' '.join(why.split())[:400]}",
        todo="Start this command on a node of a running cluster, with the nodes' versions and RAY_AUTH_ variables.",
    )
