"""A team at its stack: pressing deployments, dropping files, looking at releases, and ending what should not end."""

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from eqn.errors import StoreUnavailable
from eqn.release.catalog import latest_readable, read_manifest, release_numbers, verify
from eqn.release.manifest import Manifest
from eqn.settings import load_settings
from eqn.store.interface import ObjectStore, open_store

ROOT = Path(__file__).parents[2]
CORPUS = str(ROOT / "eqn" / "corpus" / "sample_data")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class FlowRun:
    """A flow run as Prefect's server tells of it."""

    id: str
    state: str
    """COMPLETED, FAILED, CRASHED ..."""
    message: str
    worker_pool: str
    code: int = 0
    """Exit code of the command that watched it."""
    said: str = field(default="", repr=False)
    """What that command printed."""


class Team:
    """What a member of the team does, with the stack's environment and nothing else."""

    def __init__(self, environment: Mapping[str, str], home: Path) -> None:
        self.environment, self.home = dict(environment), home
        self.address = self.environment["PREFECT_API_URL"]

    @property
    def store(self) -> ObjectStore:
        """The store of releases; in here the environment is the stack's."""
        return open_store(load_settings().store)

    def command(self, *arguments: str, seconds: float = 300) -> "subprocess.CompletedProcess[str]":
        """Run `python -m` with these arguments, in the project's folder."""
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT, env=os.environ | self.environment | {"COLUMNS": "200", "NO_COLOR": "1"},
            capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip

    def eqn(self, *arguments: str) -> str:
        """Run a command of `eqn` that must succeed, and give what it printed."""
        done = self.command("eqn.cli", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # --- runs

    def press(self, deployment: str, *, watch: bool = True, **parameters: Any) -> FlowRun:
        """Press a deployment's button as the README says, and wait until the run has ended."""
        given = [f"--param={name}={json.dumps(value)}" for name, value in parameters.items()]
        watching = ["--watch", "--watch-interval", "1"] if watch else []
        done = self.command("prefect", "deployment", "run", deployment, *given, *watching, seconds=600)
        said = done.stdout + done.stderr
        found = _UUID.search(said)
        assert found, said
        return self.run(found[0], code=done.returncode, said=said)

    def run(self, identity: str, *, code: int = 0, said: str = "") -> FlowRun:
        """Give what the server knows of a run."""
        facts = self.api("get", f"/flow_runs/{identity}")
        state = facts["state"] or {}
        return FlowRun(
            identity,
            state.get("type", ""),
            state.get("message") or "",
            facts.get("work_pool_name") or "",
            code,
            said,
        )

    def ended(self, identity: str, *, seconds: float = 300) -> FlowRun:
        """Wait for a run's end; the server may be away meanwhile."""
        deadline = time.monotonic() + seconds
        found = None
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                found = self.run(identity)
                if found.state in _FINAL:
                    return found
            time.sleep(0.5)
        pytest.fail(f"flow run {identity} has not ended after {seconds:.0f} s: {found}")

    def logs(self, run: FlowRun) -> str:
        """Give what a run logged, line by line."""
        asked = {"logs": {"flow_run_id": {"any_": [run.id]}}, "limit": 200, "sort": "TIMESTAMP_ASC"}
        return "\n".join(line["message"] for line in self.api("post", "/logs/filter", asked))

    def artifacts(self, run: FlowRun) -> dict[str, Any]:
        """Give a run's artifacts by their keys."""
        asked = {"artifacts": {"flow_run_id": {"any_": [run.id]}}}
        return {one["key"]: one["data"] for one in self.api("post", "/artifacts/filter", asked)}

    def api(self, method: str, path: str, content: Any = None) -> Any:
        """Call Prefect's API."""
        answer = httpx.request(method, f"{self.address}{path}", json=content, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    # --- files and releases

    def drop(self, key: str, rows: Sequence[tuple[str, str]]) -> None:
        """Put a CSV file into the bucket."""
        import boto3

        written = io.StringIO(newline="")
        csv.writer(written).writerows([("id", "text"), *rows])
        bucket, _, start = load_settings().inbox.removeprefix("s3://").partition("/")
        inbox = start.rpartition("/")[0]
        client = boto3.client("s3")
        client.put_object(Bucket=bucket, Key=f"{inbox}/{key}".lstrip("/"), Body=written.getvalue().encode())

    def inbox(self, name: str) -> str:
        """Give the address of an inbox of one's own, beside the team's."""
        return f"{load_settings().inbox.rpartition('/')[0]}/{name}"

    def releases(self, dataset: str) -> list[int]:
        """Give the numbers of the releases that readers see."""
        return release_numbers(self.store, dataset)

    def manifest(self, dataset: str, number: int | None = None) -> Manifest:
        """Read a release's manifest and compare every byte."""
        store = self.store
        found = read_manifest(store, dataset, number)
        verify(store, found)
        return found

    def parts(self, dataset: str) -> int:
        """Count the parts that lie in the store, published or not."""
        return sum("/data/part-" in key for key in self.store.list(f"{dataset}/files"))

    def begun(self, dataset: str) -> None:
        """Wait until the first part of an annotation lies in the store."""
        self.until(lambda: bool(self.parts(dataset)), "no part was written")

    def latest(self, dataset: str) -> Manifest | None:
        """Give what a reader takes for the latest release, after comparing its bytes."""
        store = self.store
        found = latest_readable(store, dataset)
        if found is not None:
            verify(store, found)
        return found

    # --- programs

    def programs(self) -> dict[str, int]:
        """Give the process of each program that supervisord runs."""
        from infra.stack.places import places_of
        from infra.stack.supervision import look

        return {one.name: one.pid for one in look(places_of(load_settings())) if one.state == "RUNNING"}

    @contextlib.contextmanager
    def without(self, program: str) -> Iterator[None]:
        """Keep a program down."""
        from infra.stack.places import places_of
        from infra.stack.supervision import _orders

        supervisor = _orders(places_of(load_settings()))
        supervisor.stopProcess(program)
        assert program not in self.programs()
        try:
            yield
        finally:
            supervisor.startProcess(program)
            self.healthy()

    def back(self, program: str, before: int) -> None:
        """Wait until supervisord has started a program anew."""
        self.until(lambda: self.programs().get(program) not in {None, before}, f"{program} did not come back")

    def until(self, met: Callable[[], bool], otherwise: str, *, seconds: float = 120) -> None:
        """Wait until something is the case; `otherwise` says what it means that it never is."""
        deadline = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < deadline, otherwise
            time.sleep(0.05)

    def healthy(self, *, seconds: float = 120) -> None:
        """Wait until the stack's own status is content."""
        deadline = time.monotonic() + seconds
        while (done := self.command("infra.stack", "status")).returncode:
            assert done.returncode == StoreUnavailable.exit_code, done.stderr
            assert time.monotonic() < deadline, done.stdout + done.stderr
            time.sleep(1)


def data_of(manifest: Manifest) -> dict[str, str]:
    """Give the digests of what readers of a release read."""
    kept = ("data/", "quarantine/")
    return {name: entry.sha256 for name, entry in manifest.files.items() if name.startswith(kept)}


def letters(number: int, *, name: str = "letter") -> list[tuple[str, str]]:
    """Give rows with as many different texts."""
    feelings = ("I love this", "that made me so angry", "thank you", "what a surprise", "I was terrified", "no idea")
    return [(f"{name}-{at:06}", f"{feelings[at % len(feelings)]}, said number {at}") for at in range(number)]
