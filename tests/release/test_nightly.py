"""The scheduled annotation: stages to watch, nights without a file, kills, servers that fail or refuse."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eqn.annotation.annotator import Annotator
from eqn.errors import EqnError, StoreUnavailable, UsageError
from eqn.records import ReleaseRef
from eqn.release import commit
from eqn.release.annotate import annotate_inbox
from eqn.release.catalog import read_manifest, release_numbers, verify
from eqn.release.manifest import Manifest, content_digest
from eqn.release.parts import Report, unheard
from eqn.release.reuse import EVERYTHING, NEW_FILES, NewModel
from eqn.settings import Settings
from eqn.store import s3
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore, open_store
from eqn.store.s3 import S3Store
from tests.store import faults
from tests.store.proxy import Action, Answer, Call, FaultProxy, failure

Night = Callable[..., ReleaseRef | None]


def without_docs(manifest: Manifest) -> str:
    """Give the content digest of all but the Data Docs, which tell the time."""
    return content_digest({name: entry for name, entry in manifest.files.items() if not name.startswith("quality/")})


@pytest.fixture
def night(settings: Settings, package: Path, inbox: Path) -> Night:
    """Give a function that runs the job of the schedule on the inbox, or on another one."""

    def run(
        where: str = str(inbox),
        *,
        model: Path = package,
        store: str = settings.store,
        watch: Callable[[int], Report] = lambda _: unheard,
        stage: Callable[[str], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
        new_model: NewModel = EVERYTHING,
    ) -> ReleaseRef | None:
        return annotate_inbox(
            settings.model_copy(update={"store": store}),
            where,
            dataset="inbox",
            model=str(model),
            new_model=new_model,
            watch=watch,
            tell=lambda _: None,
            stage=stage,
        )

    return run


def test_its_stages_can_be_watched(night: Night, inbox: Path) -> None:
    """Each is entered and left in turn, also where an error ends it; a night with nothing to do has two."""
    heard: list[str] = []

    @contextlib.contextmanager
    def stage(name: str) -> Iterator[None]:
        heard.append(name)
        try:
            yield
        finally:
            heard.append(f"end of {name}")

    def told() -> list[str]:
        said, heard[:] = heard[:], []
        return said

    night(stage=stage)
    assert told() == [word for name in ("fetch", "plan", "validate", "annotate") for word in (name, f"end of {name}")]
    night(stage=stage)
    assert told() == ["fetch", "end of fetch", "plan", "end of plan"]
    (inbox / "d.json").touch()
    with pytest.raises(UsageError):
        night(stage=stage)
    assert told() == ["fetch", "end of fetch"]


def test_an_empty_inbox_is_nothing_to_do(night: Night, tmp_path: Path, settings: Settings) -> None:
    """Nobody has dropped a file yet: no release, no error; hidden files and bare folders are no files."""
    empty = tmp_path / "empty"
    (empty / "sub" / "deep").mkdir(parents=True)
    (empty / ".hidden.csv").write_text("x")
    (empty / "sub" / "_SUCCESS").touch()

    assert night(str(empty)) is None
    assert not Path(settings.store).exists()


def test_an_inbox_that_is_not_there_or_cannot_be_taken_is_an_error(night: Night, tmp_path: Path) -> None:
    """A wrong path, a file of no known kind and a link into nowhere are no empty inbox."""
    with pytest.raises(UsageError, match="1 fault"):
        night(str(tmp_path / "nowhere"))
    for name in ("letter.docx", "linked"):
        folder = tmp_path / f"with {name}"
        folder.mkdir()
        (folder / name).touch() if name == "letter.docx" else (folder / name).symlink_to(tmp_path / "nowhere")
        with pytest.raises(UsageError):
            night(str(folder))


def test_an_empty_prefix_is_nothing_to_do(night: Night, moto_store: S3Store) -> None:
    """A bucket has no folders: a prefix without objects is an empty inbox, a bucket that is not there is none."""
    bucket = S3Store(moto_store.bucket)
    address = f"s3://{bucket.bucket}/inbox"

    assert night(address) is None
    bucket.put("inbox/_SUCCESS", b"")
    assert night(f"{address}/") is None
    with pytest.raises(StoreUnavailable, match="there is no bucket"):
        night("s3://no-such-bucket-anywhere/inbox")
    bucket.put("inbox/letter.docx", b"x")
    with pytest.raises(UsageError, match="1 fault"):
        night(address)
    with pytest.raises(UsageError, match="1 fault"):
        night(f"{address}/letter.docx")


def test_a_bucket_is_annotated_once(night: Night, moto_store: S3Store, inbox: Path) -> None:
    """Files on S3, releases on S3: the second night does nothing, a new file makes the next release."""
    bucket = S3Store(moto_store.bucket)
    for path in inbox.iterdir():
        bucket.put(f"inbox/{path.name}", path.read_bytes())
    releases, address = bucket.address("releases"), bucket.address("inbox")

    nights = [night(address, store=releases) for _ in range(2)]
    bucket.put("inbox/d.txt", b"one\n")
    nights.append(night(address, store=releases))

    assert [(done.number, done.rows, done.already_published) for done in nights if done] == [
        (1, 23, False),
        (1, 23, True),
        (2, 24, False),
    ]


KILLED = """
import os, signal, sys
from eqn.release.annotate import annotate_inbox
from eqn.settings import load_settings
from eqn.store.directory import DirectoryStore

inbox, model, dies_at = sys.argv[1], sys.argv[2], int(sys.argv[3])
writes = 0

def dying(write):
    def run(*args):
        global writes
        writes += 1
        if writes == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*args)
    return run

for name in ("put_if_absent", "put", "copy_if_absent"):
    setattr(DirectoryStore, name, dying(getattr(DirectoryStore, name)))
annotate_inbox(
    load_settings(), inbox, dataset="inbox", model=model, new_model="new files",
    watch=lambda rows: lambda rows, tokens: None, tell=lambda validation: None,
)
"""


@pytest.mark.parametrize("dies_at", [5, pytest.param(2, marks=pytest.mark.stack)])
def test_a_killed_night_with_a_new_champion_is_finished_by_the_next(
    night: Night,
    settings: Settings,
    inbox: Path,
    other_annotator: Annotator,
    tmp_path: Path,
    dies_at: int,
) -> None:
    """kill -9 between parts that are carried over, or with the new file's part to come: as if nothing had happened."""
    other = Path(other_annotator.package.path)
    golden = str(tmp_path / "golden")
    for store in (golden, settings.store):
        night(store=store)
    (inbox / "d.txt").write_text("one\ntwo\n")
    night(store=golden, model=other, new_model=NEW_FILES)
    script = tmp_path / "killed.py"
    script.write_text(KILLED, "utf-8")
    killed = subprocess.run(
        [sys.executable, str(script), str(inbox), str(other), str(dies_at)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert release_numbers(DirectoryStore(Path(settings.store)), "inbox") == [1]

    read: list[int] = []
    release = night(model=other, new_model=NEW_FILES, watch=lambda _: lambda rows, tokens: read.append(rows))

    assert release is not None
    assert (release.number, release.rows, sum(read)) == (2, 25, 2)
    ours, theirs = (read_manifest(open_store(store), "inbox") for store in (settings.store, golden))
    verify(open_store(settings.store), ours)
    assert (without_docs(ours), ours.job) == (without_docs(theirs), theirs.job)
    assert [entry.model is None for entry in ours.inputs] == [False, False, False, True]


def refused(code: str) -> Action:
    def forbidden(_: Call) -> Answer:
        return failure(403, code)

    return forbidden


FAULTS: dict[str, tuple[Action, str]] = {
    "down": (lambda _: failure(503, "ServiceUnavailable"), "overloaded or broken"),
    "hung": (faults.silence(), "does not answer in time"),
    "reset": (faults.reset, "cannot be reached"),
    "wrong secret": (refused("SignatureDoesNotMatch"), "the secret key does not belong to the access key"),
    "forbidden": (refused("AccessDenied"), "have no permission"),
}


@pytest.fixture
def bad_line(moto_store: S3Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """A bucket behind the proxy; what fails is given up at once."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    monkeypatch.setattr(commit, "_PAUSES", ())
    return S3Store(moto_store.bucket)


@pytest.fixture
def fault(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The fault's name; a silent server is given up after a moment, not minutes."""
    name: str = request.param
    if name == "hung":
        monkeypatch.setattr(s3, "SECONDS_TO_ANSWER", 4.0)
    return name


SOME = {
    ("fetch", "wrong secret"),
    ("fetch", "down"),
    ("plan", "hung"),
    ("annotate", "forbidden"),
    ("annotate", "reset"),
}
"""The pairs that are tried each time; all of them are among the tests of the stack."""


@pytest.mark.parametrize(
    ("when", "fault"),
    [
        pytest.param(when, name, marks=() if (when, name) in SOME else pytest.mark.stack)
        for when in ("fetch", "plan", "annotate")
        for name in FAULTS
    ],
    indirect=["fault"],
)
def test_a_server_that_fails_or_refuses_is_one_sentence_and_no_release(
    night: Night, bad_line: S3Store, proxy: FaultProxy, inbox: Path, fault: str, when: str
) -> None:
    """From any stage on: one error with its reason, nothing that readers see; well again, the next night finishes."""
    for path in inbox.iterdir():
        bad_line.put(f"inbox/{path.name}", path.read_bytes())
    releases = bad_line.address("releases")
    action, reason = FAULTS[fault]

    @contextlib.contextmanager
    def stage(name: str) -> Iterator[None]:
        if name == when:
            proxy.add(action)
        yield

    with pytest.raises(EqnError) as told:
        night(bad_line.address("inbox"), store=releases, stage=stage)
    proxy.heal()

    assert isinstance(told.value, StoreUnavailable)
    assert told.value.lasting == (fault in {"wrong secret", "forbidden"})  # else another try may help
    assert reason in told.value.what
    assert told.value.what.startswith(f"expected to use s3://{bad_line.bucket}")
    assert "\n" not in told.value.what
    assert release_numbers(open_store(releases), "inbox") == []
    if when == "annotate":
        done = night(bad_line.address("inbox"), store=releases)
        assert done is not None
        assert (done.number, done.rows) == (1, 23)


@pytest.mark.parametrize(
    "fault",
    [pytest.param(name, marks=() if name == "down" else pytest.mark.stack) for name in FAULTS],
    indirect=True,
)
def test_a_commit_that_gets_no_answer_publishes_nothing_by_halves(
    night: Night, bad_line: S3Store, proxy: FaultProxy, inbox: Path, fault: str
) -> None:
    """Where only the manifest cannot be written: a typed error, and then the same release, once."""
    releases: ObjectStore = open_store(bad_line.address("releases"))
    action, _ = FAULTS[fault]
    proxy.add(action, method="PUT", path=r"/releases/\d+\.json")

    with pytest.raises(EqnError) as told:
        night(store=bad_line.address("releases"))
    assert told.value.exit_code in {5, 7}
    assert release_numbers(releases, "inbox") == []
    proxy.heal()

    done = night(store=bad_line.address("releases"))
    assert done is not None
    assert (done.number, done.already_published) == (1, False)
    assert release_numbers(releases, "inbox") == [1]


def test_twenty_nights_annotate_each_file_once(
    night: Night, settings: Settings, inbox: Path, store: DirectoryStore
) -> None:
    """Ticks of a schedule one after the other, while files arrive: each row is read by the model once."""
    read: list[int] = []
    numbers = []
    for tick in range(20):
        if tick % 5 == 1:
            (inbox / f"{tick}.txt").write_text(f"one {tick}\ntwo {tick}\n")
        done = night(watch=lambda _: lambda rows, tokens: read.append(rows * bool(tokens)))
        assert done is not None
        numbers.append(done.number)

    assert numbers == [1] + [2] * 5 + [3] * 5 + [4] * 5 + [5] * 4
    assert sum(read) == 23 + 4 * 2
