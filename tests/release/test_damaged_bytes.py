"""Bytes that change between the store and whoever reads or writes them: nobody ever gets them for a release's."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from eqn.corpus.remote import stage_inbox
from eqn.errors import ArtifactRefused, StoreUnavailable
from eqn.records import ReleaseRef
from eqn.release import commit
from eqn.release.catalog import published_file, read_manifest, release_numbers, verify
from eqn.release.export import CsvOptions, export_csv
from eqn.store import s3
from eqn.store.s3 import S3Store
from tests.faults.promises import Trials
from tests.store.faults import damaged
from tests.store.proxy import FaultProxy

Publish = Callable[..., tuple[ReleaseRef, int]]
FILES = r"/files/.*/(data/part|quarantine/quarantine)-"
READERS = {
    **dict.fromkeys(("verify", "export", "carry over", "read one file"), FILES),
    "read the manifest": r"/releases/",
    "fetch an inbox": r"/inbox/a",
}
"""Whoever reads bytes out of a store, and the paths of what is read."""
CASES = [(reader, etag) for reader, path in READERS.items() for etag in (True, False) if etag or path == FILES]
"""What no manifest names is held against its ETag alone."""

few_or_hundred = pytest.mark.parametrize(
    "number", [pytest.param(2, id="2"), pytest.param(100, id="100", marks=pytest.mark.faults)]
)


@pytest.fixture
def store(moto_store: S3Store, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """A store behind the proxy; what stays damaged is given up soon."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    monkeypatch.setattr(s3, "_LONGEST_PAUSE", 0.0)
    monkeypatch.setattr(commit, "_PAUSES", (0.0,))
    return S3Store(moto_store.bucket, moto_store.prefix)


@pytest.mark.promise(15)
@few_or_hundred
@pytest.mark.parametrize(
    ("reader", "etag"), CASES, ids=[f"{reader}{'' if etag else ', no MD5'}" for reader, etag in CASES]
)
@pytest.mark.timeout(3000)
def test_whoever_reads_damaged_bytes_is_told(
    publish_files: Publish,
    inbox: Path,
    store: S3Store,
    proxy: FaultProxy,
    tmp_path: Path,
    reader: str,
    number: int,
    trials: Trials,
    *,
    etag: bool,
) -> None:
    """A flipped bit, or a part that is missing, anywhere: an error, and no result; later the same call succeeds."""
    publish_files(inbox, store=store)
    manifest = read_manifest(store, "letters")
    part = manifest.inputs[0].parts[0]
    store.put("inbox/a.csv", (inbox / "a.csv").read_bytes())
    (inbox / "d.txt").write_text("one text more\n")
    out = tmp_path / "letters.csv"
    cache = iter(range(1000))
    reads: dict[str, Callable[[], object]] = {
        "verify": lambda: verify(store, manifest),
        "export": lambda: export_csv(store, manifest, out, CsvOptions()),
        "carry over": lambda: publish_files(inbox, store=store),
        "read one file": lambda: published_file(store, manifest, part),
        "read the manifest": lambda: read_manifest(store, "letters"),
        "fetch an inbox": lambda: stage_inbox(store.address("inbox"), tmp_path / f"cache-{next(cache)}"),
    }
    draw = random.Random(number)  # noqa: S311  places to damage
    for trial in range(number):
        rule = proxy.add(damaged(draw, cut=trial % 2 == 1, etag=etag), method="GET", path=READERS[reader])
        with pytest.raises((ArtifactRefused, StoreUnavailable)):
            reads[reader]()
        assert rule.fired > 0
        proxy.heal()
        assert release_numbers(store, "letters") == [1]
        assert not out.exists()
    reads[reader]()
    trials(number, "damaged answers", store="moto")


@pytest.mark.promise(15)
@few_or_hundred
@pytest.mark.parametrize("etag", [True, False], ids=["ETags are MD5s", "ETags are none"])
@pytest.mark.timeout(3000)
def test_bytes_damaged_on_their_way_into_a_store_are_in_no_release(
    publish_files: Publish, inbox: Path, store: S3Store, proxy: FaultProxy, number: int, trials: Trials, *, etag: bool
) -> None:
    """A service that checks nothing stored them, manifests too: they are sent anew where it tells their MD5.

    Where it does not, whoever reads the damaged file is told.
    """
    publish_files(inbox / "c.parquet", store=S3Store(store.bucket, "golden"))
    golden = read_manifest(S3Store(store.bucket, "golden"), "letters").content_digest
    draw = random.Random(number)  # noqa: S311  places to damage
    path, files = (r"/(files|releases)/", 4) if etag else (r"/files/", 3)
    for trial in range(number):
        place, damage = S3Store(store.bucket, f"trial-{trial}"), damaged(draw, cut=trial % 2 == 1, etag=etag)
        rule = proxy.add(damage, method="PUT", path=path, skip=trial // 2 % files, times=1)
        release, _ = publish_files(inbox / "c.parquet", store=place)
        assert (rule.fired, release.number, release.already_published) == (1, 1, False)
        proxy.heal()
        manifest = read_manifest(place, "letters")
        if etag:
            verify(place, manifest)
            assert manifest.content_digest == golden
        else:
            with pytest.raises(ArtifactRefused):
                verify(place, manifest)
    trials(number, "damaged puts", store="moto")
