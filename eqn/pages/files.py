"""Reading a file below a folder by a name that a stranger chose: no link is followed, nothing outside is reached."""

import contextlib
import errno
import os
import stat
from pathlib import Path

from eqn.store.directory import storage_errors
from eqn.store.interface import check_key

_NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENAMETOOLONG, errno.ENXIO}


def read_below(root: Path, name: str) -> bytes:
    """Read the plain file `name`, a path with `/`, below `root`.

    Raises:
        KeyError: there is none, or a link stands in its way.
        ValueError: `name` is no plain relative path.
        StoreUnavailable: the system refuses to read it.

    """
    *folders, last = check_key(name).split("/")
    with contextlib.ExitStack() as opened, storage_errors(root / name):
        try:
            place = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, place)
            for folder in folders:
                place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
                opened.callback(os.close, place)
            # Not blocking: a pipe that lies there would keep us waiting for a writer.
            descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
        except OSError as error:
            if error.errno in _NO_SUCH_FILE:
                raise KeyError(name) from None
            raise
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise KeyError(name)
            return file.read()
