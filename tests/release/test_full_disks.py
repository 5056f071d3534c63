"""Full or broken disks: nothing is published, nothing is damaged, and with space again the same comes of it."""

import collections
import json
import shutil
import sys
from pathlib import Path

import pytest

from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.store.directory import DirectoryStore
from tests.available import require_strace
from tests.faults.promises import Trials
from tests.release.publishers import ROOT, Publisher
from tests.release.test_kills import _points, _traced, require_recovered, undisturbed
from tests.small_disk import on_a_small_disk

CALLS = ("openat", "write", "fsync", "link", "unlink", "rename", "mkdir")

NARROW = """
import itertools, json, os, resource, shutil, sys
from pathlib import Path
from eqn.corpus.inputs import find_inputs
from eqn.errors import EqnError
from eqn.records import ModelRef
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.plan import make_plan
from eqn.release.publish import publish
from eqn.store.directory import DirectoryStore
from tests.faults.scorer import Scorer

disk, before, inbox, step, scorer = Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[5]), Scorer()
store, ballast = DirectoryStore(disk / "store"), disk / "ballast"
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

def run():
    model = ModelRef("scorer", scorer.package.digest)
    try:
        publish(store, make_plan(store, "letters", find_inputs([inbox]), model=model, annotator=scorer), scorer)
    except EqnError as error:
        return error.exit_code
    return 0

def narrow(room):
    if sys.argv[4] == "files":
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        return
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            os.truncate(ballast, max(0, file.tell() - room))

def widen():
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    ballast.unlink(missing_ok=True)

def seen():
    numbers = release_numbers(store, "letters")
    for number in numbers:
        verify(store, read_manifest(store, "letters", number))
    return numbers

def cases():
    for room in itertools.count(0, step):
        shutil.rmtree(store.root, ignore_errors=True)
        shutil.copytree(before, store.root)
        narrow(room)
        code = run()
        numbers, left = seen(), [str(path) for path in disk.rglob(".tmp-*")]
        widen()
        again = run()
        content = read_manifest(store, "letters").content_digest
        yield {"code": code, "numbers": numbers, "left": left, "again": again, "then": seen(), "content": content}
        if not code:
            return

run()  # what is imported needs no room any more
shutil.rmtree(store.root, ignore_errors=True)
print(json.dumps(list(cases())))
"""

MLFLOW = """
import itertools, json, os, shutil, sys
from pathlib import Path
from eqn.errors import EqnError
from eqn.registry import tracking
from eqn.registry.connection import connect
from eqn.registry.promotion import promote
from eqn.registry.resolution import resolve
from eqn.registry.versions import list_versions, register
from eqn.settings import load_settings
from tests.registry.conftest import write_package

disk, outside, step = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
package = write_package(outside / "package")

def settings_in(home):
    address = f"sqlite:///{home}/mlflow/mlflow.db"
    return load_settings(Path.cwd()).model_copy(
        update={"home": home, "store": str(home / "releases"), "tracking_uri": address}
    )

def work(settings):
    try:
        with tracking.run(settings, "training", params={"epochs": 2}) as run:
            run.metrics({"dev/macro_f1": 0.4}, step=1)
            model = register(package, run.id, settings, validation_passed=True)
        promote(model.version, settings)
    except EqnError as error:
        return error.exit_code
    return 0

def cases():
    for room in itertools.count(0, step):
        home, ballast = disk / str(room), disk / "ballast"
        settings = settings_in(home)
        (home / "mlflow").mkdir(parents=True)
        shutil.copy(outside / "mlflow" / "mlflow.db", home / "mlflow")
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                os.truncate(ballast, max(0, file.tell() - room))
        code = work(settings)
        ballast.unlink()
        champions = [work(settings), len(list_versions(settings)), resolve("champion", settings).version]
        yield {"code": code, "then": champions}
        if not code:
            return

connect(settings_in(outside))
work(settings_in(outside))  # what is imported needs no room any more
(outside / "mlflow" / "mlflow.db").unlink()
connect(settings_in(outside))
print(json.dumps(list(cases())))
"""


@pytest.mark.promise(6)
@pytest.mark.parametrize("kind", ["disk", "files"])
@pytest.mark.parametrize(
    "step", [pytest.param(65536, id="some"), pytest.param(4096, id="all", marks=pytest.mark.faults)]
)
def test_with_any_room_that_is_too_small_nothing_is_published_and_with_more_it_is(
    inbox: Path, tmp_path: Path, kind: str, step: int, trials: Trials
) -> None:
    """A disk of 1 MB with 0, 4, 8 ... KB left, or files that may grow to that: exit code 6 until everything fits."""
    (disk := tmp_path / "disk").mkdir()
    with Publisher() as publisher:
        assert publisher.hear() == "started"
        content, _ = undisturbed(publisher, inbox, tmp_path / "undisturbed")
        publisher.do(store=str(tmp_path / "before"), dataset="letters", inputs=[str(inbox / "a.csv")])
    command = [sys.executable, "-c", NARROW, str(disk), str(tmp_path / "before"), str(inbox), kind, str(step)]
    done = on_a_small_disk(disk, "1m", command, cwd=ROOT)

    assert done.returncode == 0, done.stderr
    cases = json.loads(done.stdout)
    for case in cases[:-1]:
        assert (case["code"], case["numbers"], case["left"]) == (6, [1], [])
    assert (cases[-1]["code"], cases[-1]["numbers"]) == (0, [1, 2])
    assert {(case["again"], *case["then"], case["content"]) for case in cases} == {(0, 1, 2, content)}
    assert len(cases) > 1
    trials(len(cases), {"disk": "amounts of free space", "files": "limits on files"}[kind], store="directory")


@pytest.mark.promise(6)
@pytest.mark.parametrize("every", [pytest.param(25, id="some"), pytest.param(1, id="all", marks=pytest.mark.faults)])
@pytest.mark.parametrize(("fault", "codes"), [("ENOSPC", {0, 6}), ("EIO", {0, 5})])
@pytest.mark.timeout(3000)
def test_an_error_of_the_disk_at_any_system_call_damages_nothing(
    inbox: Path, tmp_path: Path, fault: str, codes: set[int], every: int, trials: Trials
) -> None:
    """A typed end without the release, or the release; the one before is whole, and a rerun ends as ever."""
    require_strace()
    before, log, trace = tmp_path / "before", tmp_path / "strace.log", ",".join(CALLS)
    ends: collections.Counter[int] = collections.Counter()
    with Publisher() as publisher:
        assert publisher.hear() == "started"
        expected = undisturbed(publisher, inbox, tmp_path / "undisturbed")
        publisher.do(store=str(before), dataset="letters", inputs=[str(inbox / "a.csv")])
        shutil.copytree(before, tmp_path / "observed")
        assert _traced(publisher, tmp_path / "observed", inbox, ["-y", "-o", str(log), "-e", f"trace={trace}"]) == 0
        points = _points(log, tmp_path / "observed")
        points.remove(max(point for point in points if point[0] == "openat"))  # it reads the manifest when all is done
        for call, place in points[::every]:
            store = DirectoryStore(tmp_path / f"{call} {place}")
            shutil.copytree(before, store.root)
            inject = ["-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={fault}:when={place}"]
            code = _traced(publisher, store.root, inbox, inject)
            numbers = release_numbers(store, "letters")
            ends[code] += 1
            assert code in codes, (call, place)
            assert numbers == ([1, 2] if code == 0 else [1]), (call, place)
            for number in numbers:
                verify(store, read_manifest(store, "letters", number))
            assert publisher.do(store=str(store.root), dataset="letters", inputs=[str(inbox)])["exit"] == 0
            require_recovered(store, expected)
            shutil.rmtree(store.root)
    assert ends[0] < ends.total() / 2
    trials(sum(ends.values()), f"system calls that end in {fault}", store="directory")


@pytest.mark.promise(6)
@pytest.mark.faults
def test_a_registry_on_a_full_disk_says_so_and_goes_on_later(tmp_path: Path, trials: Trials) -> None:
    """MLflow's SQLite with any room that is too small: exit code 6; with space again there is one version, champion."""
    (disk := tmp_path / "disk").mkdir()
    (outside := tmp_path / "outside").mkdir()
    done = on_a_small_disk(disk, "128m", [sys.executable, "-c", MLFLOW, str(disk), str(outside), "4096"], cwd=ROOT)

    assert done.returncode == 0, done.stderr
    cases = json.loads(done.stdout.splitlines()[-1])
    assert {case["code"] for case in cases[:-1]} == {6}
    assert cases[-1]["code"] == 0
    assert {tuple(case["then"]) for case in cases} == {(0, 1, 1)}
    trials(len(cases), "amounts of free space for MLflow's SQLite")


@pytest.mark.promise(6)
@pytest.mark.faults
@pytest.mark.parametrize("size", ["1500k", "5400k", "5600k", "8m"])
def test_the_main_job_on_a_disk_that_fills_up_ends_with_a_sentence(tmp_path: Path, size: str, trials: Trials) -> None:
    """No room for the tables of Prefect's SQLite, for the run in it, or for reports: exit code 6 and no traceback."""
    (home := tmp_path / "home").mkdir()
    variables = ["-u", "PREFECT_API_URL", "-u", "EQN_GOEMOTIONS", f"EQN_HOME={home}"]
    done = on_a_small_disk(home, size, ["env", *variables, sys.executable, "-m", "flows.pipeline"], cwd=ROOT)

    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("eqn: ")]
    trials(1, "main job on a disk that fills up")
