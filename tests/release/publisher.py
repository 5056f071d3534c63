"""A process that publishes, for tests that race and kill it: python -m tests.release.publisher PACKAGE.

Each line on standard input is a job in JSON: `store`, `dataset`, `inputs`, and, if wanted, `expect`, `gate` or `fork`.
With a gate it says "ready" in front of its first try at a manifest and waits for one more line. With a fork a child
does the job: it says {"pid": ...}, waits for one more line, and works; how it ended is said as {"status": ...}. Each
other job is answered with one line of JSON.
"""

import ctypes
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from eqn.annotation.annotator import Annotator
from eqn.corpus.inputs import find_inputs
from eqn.errors import EqnError
from eqn.records import ModelRef, as_json
from eqn.release.manifest import manifest_key
from eqn.release.plan import make_plan
from eqn.release.publish import publish
from eqn.store.interface import ObjectStore, open_store


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


def carry_out(job: dict[str, Any], annotator: Annotator) -> dict[str, Any]:
    plain = open_store(job["store"])
    store: Any = Gated(plain) if job.get("gate") else plain
    model = ModelRef(str(annotator.package.path), annotator.package.digest)
    plan = make_plan(store, job["dataset"], find_inputs(job["inputs"]), model=model, annotator=annotator)
    told: dict[str, Any] = {"job": plan.job}
    try:
        release = publish(store, plan, annotator, expect=job.get("expect"))
    except EqnError as error:
        return told | {"exit": error.exit_code}
    manifest = plain.get(manifest_key(job["dataset"], release.number))
    return told | as_json(release) | {"exit": 0, "manifest": hashlib.sha256(manifest).hexdigest()}


def in_a_child(job: dict[str, Any], annotator: Annotator) -> dict[str, Any]:
    """Carry out a job in a child that may be killed or traced: what was imported and loaded need not be again."""
    child = os.fork()
    if not child:
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER: anybody may trace it
        say({"pid": os.getpid()})
        sys.stdin.readline()
        os._exit(carry_out(job, annotator)["exit"])
    return {"status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}


def main() -> None:
    torch.set_num_threads(1)
    annotator = Annotator.load(Path(sys.argv[1]))
    annotator.scores(["warm"])
    say("started")
    for line in iter(sys.stdin.readline, ""):
        job = json.loads(line)
        say((in_a_child if job.get("fork") else carry_out)(job, annotator))


if __name__ == "__main__":
    main()
