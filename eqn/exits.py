"""From errors to one message and an exit code: used by every program that EQN starts for a person."""

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator

from eqn.errors import INTERRUPTED, EqnError, StorageFull, UsageError


def ending(action: Callable[[], int]) -> int:
    """Run `action` and give its exit code, or that of the error which ended it; messages go to standard error."""
    try:
        with translated():
            return action()
    except EqnError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted. Run the same command again: finished work is kept.")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output is gone. Python would complain once more while it flushes on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:  # noqa: BLE001  a bug: the one case with a traceback
        traceback.print_exc()
        complain("this is a bug in EQN: please report it with the lines above.")
        return EqnError.exit_code


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Translate what any layer may meet: a full disk, and an extra that is not installed."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        where = f" {error.filename}" if error.filename else ""
        raise StorageFull(
            f"expected room to write{where}, but the storage is full.",
            todo="Free some space and run the same command again: finished work is kept.",
        ) from error
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "eqn"}:
            raise
        raise UsageError(
            f"this command needs the package {missing!r}, which is not installed.",
            todo="Install EQN with its pipeline: pip install 'eqn[pipeline]'",
        ) from error


def complain(message: str) -> None:
    """Write a message for a person to standard error."""
    sys.stderr.write(f"eqn: {message}\n")
