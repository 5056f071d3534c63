"""Many processes run the job of the schedule at once: python -m tests.release.crowd PACKAGE INBOX PROCESSES ROUNDS.

Each is forked from one that has imported everything, and works in the state folder and store of the environment. While
they work a file arrives every now and then. How each of them ended is printed as one line of JSON.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path

import torch

from eqn.annotation.annotator import Annotator
from eqn.errors import EqnError
from eqn.quality.gate import validate_inbox
from eqn.release.annotate import annotate_inbox
from eqn.release.parts import unheard
from eqn.settings import load_settings


def work(inbox: str, package: str) -> str:
    try:
        release = annotate_inbox(
            load_settings(), inbox, dataset="inbox", model=package, watch=lambda _: unheard, tell=lambda _: None
        )
    except EqnError as error:
        return str(error)
    return str(release.number) if release else "nothing"


def main() -> None:
    package, inbox, processes, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    Annotator.load(package).scores(["warm"])
    docs = Path(os.environ["EQN_HOME"], "warm")
    validate_inbox(iter(()), name="warm", digest="0", docs=docs)
    ends: dict[int, str] = {}
    for number in range(rounds):
        children = []
        for _ in range(processes // rounds):
            out, into = os.pipe()
            child = os.fork()
            if not child:
                try:
                    os.write(into, work(str(inbox), package).encode()[:60_000])
                except BaseException:  # noqa: BLE001  the test shows it
                    os.write(into, traceback.format_exc().encode()[:60_000])
                os._exit(0)
            os.close(into)
            children.append((child, out))
        time.sleep(0.3)
        arriving = inbox / f".arriving-{number}"
        arriving.write_text(f"one {number}\ntwo {number}\n")
        arriving.rename(inbox / f"{number}.txt")
        for child, out in children:
            os.waitpid(child, 0)
            ends[child] = os.read(out, 65_536).decode()
            os.close(out)
    print(json.dumps(list(ends.values())))  # noqa: T201  its way to speak


if __name__ == "__main__":
    main()
