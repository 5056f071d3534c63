"""Errors of every kind that meets a secret, each with its whole traceback and as a person sees it: a program.

    python -m tests.faults.forced_errors PLAN

PLAN is JSON: cases with a name, the variables and the working directory of each, and what is done.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eqn.errors import EqnError
from eqn.exits import ending
from eqn.settings import load_settings
from eqn.telemetry.logs import configure_logging


def read_store() -> object:
    from eqn.release.catalog import read_manifest
    from eqn.store.interface import open_store

    return read_manifest(open_store(load_settings().store), "inbox")


def read_registry() -> object:
    from eqn.registry.versions import list_versions

    return list_versions(load_settings())


def load_model() -> object:
    from eqn.annotation.annotator import Annotator

    return Annotator.load(Path("poisoned"))


def push_metrics() -> object:
    from eqn.telemetry.run import observed

    with observed(load_settings(), flow="annotate", dataset="inbox") as run:
        run.rows(1, 1)
    raise EqnError("pushed, or not")


def log_settings() -> object:
    raise EqnError(f"a bug that shows everything: {load_settings()!r}")


ACTIONS: dict[str, Callable[[], object]] = {
    action.__name__: action for action in (read_store, read_registry, load_model, push_metrics, log_settings)
}


def main(plan: list[dict[str, Any]]) -> None:
    """Do all cases; each must fail."""
    before = dict(os.environ)
    for case in plan:
        os.environ.clear()
        os.environ.update(before | case["variables"])
        os.chdir(case["folder"])
        configure_logging("debug")
        action = ACTIONS[case["action"]]
        try:
            action()
        except Exception as error:
            traceback.print_exc()
            logging.getLogger("eqn").exception("forced", extra={"outcome": "failed", "address": str(error)})
            print(f"{case['name']}: {type(error).__name__}", flush=True)  # noqa: T201  what the test reads
        else:
            print(f"{case['name']}: no error", flush=True)  # noqa: T201  what the test reads
        ending(lambda: int(bool(action())))  # noqa: B023  called at once


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
