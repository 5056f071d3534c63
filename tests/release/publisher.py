"""A process that publishes, for tests that race and kill it: python -m tests.release.publisher [PACKAGE].

Without a package it scores texts by their digest (`tests.faults.scorer`), which is fast. Each line on standard input is
a job in JSON: `store`, `dataset`, `inputs`, and, if wanted, `do` ("publish", the default, "collect" or "reconcile"),
`champion` (another scorer's name), `expect`, `gate`, `fork` or `failpoint`. With a gate it says "ready" in front of its
first try at a manifest and waits for one more line. With a fork a child does the job: it says {"pid": ...}, waits for
one more line, and works; when it stands still that is said as {"stopped": true}, and it goes on after one more line;
how it ended is said as {"status": ...}. Each other job is answered with one line of JSON.
"""

import ctypes
import hashlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from eqn.annotation.annotator import Annotator
from eqn.corpus.inputs import find_inputs
from eqn.errors import EqnError
from eqn.failpoints import VARIABLE
from eqn.records import ModelRef, as_json
from eqn.release import commit
from eqn.release.collection import collect
from eqn.release.manifest import manifest_key
from eqn.release.plan import make_plan
from eqn.release.publish import publish
from eqn.store.interface import ObjectStore, open_store
from tests.faults.mutants import plant
from tests.faults.scorer import Scorer


class Gated:
    """A store that waits at its first manifest until everybody is there."""

    def __init__(self, store: ObjectStore) -> None:
        self._store, self._waited = store, False

    def put_if_absent(self, key: str, content: bytes) -> bool:
        if "/releases/" in key and not self._waited:
            self._waited = True
            say("ready")
            sys.stdin.readline()
        return self._store.put_if_absent(key, content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def say(value: object) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201  its way to speak


def carry_out(job: dict[str, Any], annotator: Any) -> dict[str, Any]:
    """Do a job and tell how it ended; `exit` is the exit code of the command line."""
    plain = open_store(job["store"])
    os.environ[VARIABLE] = job.get("failpoint", "")
    try:
        match job.get("do", "publish"):
            case "collect":
                return {"removed": len(collect(plain, job["dataset"], grace_hours=0)), "exit": 0}
            case "reconcile":
                return {"outcomes": [one.outcome for one in commit.reconcile(plain, job["dataset"])], "exit": 0}
            case _:
                return _publish(job, plain, annotator)
    except EqnError as error:
        return {"exit": error.exit_code}


def _publish(job: dict[str, Any], plain: ObjectStore, annotator: Any) -> dict[str, Any]:
    store: Any = Gated(plain) if job.get("gate") else plain
    annotator = Scorer(job["champion"]) if "champion" in job else annotator
    model = ModelRef(str(annotator.package.path), annotator.package.digest, job.get("champion", ""))
    plan = make_plan(store, job["dataset"], find_inputs(job["inputs"]), model=model, annotator=annotator)
    told: dict[str, Any] = {"job": plan.job}
    try:
        release = publish(store, plan, annotator, expect=job.get("expect"))
    except EqnError as error:
        return told | {"exit": error.exit_code}
    manifest = plain.get(manifest_key(job["dataset"], release.number))
    return told | as_json(release) | {"exit": 0, "manifest": hashlib.sha256(manifest).hexdigest()}


def in_a_child(job: dict[str, Any], annotator: Any) -> dict[str, Any]:
    """Carry out a job in a child that may be killed or traced: what was imported and loaded need not be again."""
    child = os.fork()
    if not child:
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER: anybody may trace it
        say({"pid": os.getpid()})
        sys.stdin.readline()
        os._exit(carry_out(job, annotator)["exit"])
    while os.WIFSTOPPED(status := os.waitpid(child, os.WUNTRACED)[1]):
        say({"stopped": True})
        sys.stdin.readline()
        os.kill(child, signal.SIGCONT)
    return {"status": os.waitstatus_to_exitcode(status)}


def load(package: str) -> Any:
    import torch

    torch.set_num_threads(1)
    return Annotator.load(Path(package))


def warm(annotator: Any) -> None:
    """Do a job once, so that no child has to import anything."""
    with tempfile.TemporaryDirectory() as folder:
        (text := Path(folder, "warm.txt")).write_text("warm\n")
        carry_out({"store": f"{folder}/store", "dataset": "warm", "inputs": [str(text)]}, annotator)


def main() -> None:
    plant()
    annotator: Any = load(sys.argv[1]) if sys.argv[1:] else Scorer()
    warm(annotator)
    say("started")
    for line in iter(sys.stdin.readline, ""):
        if line.strip():  # a child that was killed at once left the word that lets it go on
            job = json.loads(line)
            say((in_a_child if job.get("fork") else carry_out)(job, annotator))


if __name__ == "__main__":
    main()
