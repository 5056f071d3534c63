"""What the commands that serve share: they say where, and serve until somebody ends them."""

import signal
import sys
import threading
from contextlib import AbstractContextManager

from eqn.commands.shared import people, print_json


def serve_until_ended(server: AbstractContextManager[tuple[str, threading.Thread]], *, json: bool) -> None:
    """Enter `server`, which gives its address and its thread; say where it is, and wait for SIGTERM or Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with server as (address, thread):
            if json:
                print_json({"address": address})
                sys.stdout.flush()
            else:
                people.print(address, highlight=False, soft_wrap=True)
            while thread.is_alive():  # a wait without an end may not hear a signal that came just before it
                thread.join(timeout=0.5)
    except KeyboardInterrupt:  # how a person ends it
        return
