"""The servers of the tests leave nothing behind."""

import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

RUN = """
import signal
from tests.store.servers import _MOTO, _running

with _running(_MOTO) as server:
    print(server.stdout.readline(), end="", flush=True)
    signal.pause()
"""


def test_a_server_ends_with_the_tests_even_when_they_are_killed() -> None:
    """Killed tests cannot tell anybody to end."""
    tests = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True)
    assert tests.stdout is not None
    host, _, port = tests.stdout.readline().strip().removeprefix("http://").partition(":")
    socket.create_connection((host, int(port))).close()
    tests.send_signal(signal.SIGKILL)
    tests.wait()

    with suppress(ConnectionRefusedError):
        while True:  # the whole suite has a time limit
            socket.create_connection((host, int(port))).close()
            time.sleep(0.05)
