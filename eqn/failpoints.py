"""Failpoints: named places at which a test lets the process die, fail or stand still. Nobody else meets them.

    EQN_FAILPOINT=name[:action[:n]]      at the n-th time (default 1) that this process comes to the point `name`

    kill     the process is killed, as by `kill -9` (default)
    stop     it stands still until it gets SIGCONT
    error    the call fails, as where a store does not answer

Without the variable a point costs the look at the environment. A name tells what has just been done.
"""

import os
import signal

from eqn.errors import StoreUnavailable, UsageError

VARIABLE = "EQN_FAILPOINT"

_passed: dict[str, int] = {}
"""How often this process came to a point under each value of the variable."""


def reached(name: str) -> None:
    """Do what EQN_FAILPOINT says of the point `name`.

    Raises:
        StoreUnavailable: it says `error`.
        UsageError: it says what cannot be done.

    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted.partition(":")[0] == name:
        _act(wanted, *wanted.split(":")[1:])


def _act(wanted: str, action: str = "kill", time: str = "1", *more: str) -> None:
    if more or action not in {"kill", "stop", "error"} or not time.isdecimal():
        raise UsageError(f"expected {VARIABLE}=name[:kill|stop|error[:n]], got {wanted!r}.")
    _passed[wanted] = _passed.get(wanted, 0) + 1
    if _passed[wanted] != int(time):
        return
    if action == "error":
        raise StoreUnavailable(f"the failpoint {wanted} was reached.")
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
