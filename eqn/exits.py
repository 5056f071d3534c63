"""From errors to one message and an exit code: used by every program that EQN starts for a person."""

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator

from eqn.errors import INTERRUPTED, EqnError, StorageFull, UsageError
from eqn.store import directory

_STORAGE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),  # full
    *(errno.EACCES, errno.EPERM, errno.EROFS),  # not ours to write
    *(errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO),  # no place that could hold a file, or broken
}
"""What the storage may answer to a correct program. Anything else would be a bug of ours."""


def ending(action: Callable[[], int]) -> int:
    """Run `action` and give its exit code, or that of the error which ended it; messages go to standard error."""
    try:
        with translated():
            code = action()
            sys.stdout.flush()  # here, where it can still be told that nobody reads, or that the disk is full
            return code
    except EqnError as error:
        complain(_without_secrets(str(error)))
        if isinstance(error, StorageFull):
            _drop_output()
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted. Run the same command again: finished work is kept.")
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # its reader has gone, as `head` does
        return 0
    except Exception:  # noqa: BLE001  a bug: the one case with a traceback
        sys.stderr.write(_presentable(traceback.format_exc()))
        complain("this is a bug in EQN: please report it with the lines above.")
        return EqnError.exit_code


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Translate what any layer may meet: storage that is full or refuses us, and an extra that is not installed."""
    try:
        yield
    except OSError as error:
        if error.errno not in _STORAGE:
            raise
        raise directory.translated(error, error.filename or "the output") from error
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "eqn"}:
            raise
        raise UsageError(
            f"this command needs the package {missing!r}, which is not installed.",
            todo="Install EQN with its pipeline: pip install 'eqn[pipeline]'",
        ) from error


def complain(message: str) -> None:
    """Write a message for a person to standard error; file names in it cannot give the terminal orders."""
    sys.stderr.write("".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in f"eqn: {message}\n"))


def _without_secrets(message: str) -> str:
    """Take out of a message what some library may have put into it; the second net, after not passing that on."""
    try:
        from eqn.settings import secrets_in_environment
        from eqn.telemetry.redaction import without
    except ModuleNotFoundError:  # as below
        return message
    return without(message, secrets_in_environment())


def _presentable(trace: str) -> str:
    """Take out of a traceback what looks like a secret: people send it to others."""
    try:
        from eqn.settings import secrets_in_environment
        from eqn.telemetry.redaction import masked
    except ModuleNotFoundError:  # without the pipeline's packages there are no addresses with passwords
        return trace
    secrets = secrets_in_environment()
    return "".join(masked(line, secrets) for line in trace.splitlines(keepends=True))


def _drop_output() -> None:
    """Let what is still buffered go nowhere: Python would complain once more when it flushes on exit."""
    with contextlib.suppress(OSError):  # standard output need not be a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
