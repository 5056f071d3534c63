"""Inputs in a bucket are found, named, refused and read as those of a local folder; a real S3 server holds them."""

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eqn.corpus.inputs import InputFile, find_inputs
from eqn.corpus.reader import scan
from eqn.corpus.remote import is_remote, stage_inputs
from eqn.errors import StoreUnavailable, UsageError
from eqn.store.s3 import S3Store

FILES = {
    "b.csv": b"id,text\n1,hello\n",
    "a.jsonl": b'{"text": "x"}\n',
    "sub/c.tsv.gz": gzip.compress(b"id\ttext\n1\tx\n", mtime=0),
    "sub/deep/d.NDJSON": b'{"text": "y"}\n',
    ".hidden.csv": b"x",
    "_SUCCESS": b"",
    ".git/x.csv": b"x",
}


@pytest.fixture
def bucket(moto_store: S3Store) -> S3Store:
    """A bucket with the same files in `inbox/` as `folder` has."""
    bucket = S3Store(moto_store.bucket)
    for name, content in FILES.items():
        bucket.put(f"inbox/{name}", content)
    return bucket


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "inbox" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "inbox"


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    return tmp_path / "staging"


def copies(staging: Path) -> dict[str, int]:
    """Give the files below `staging` but for locks, and the time when each was written."""
    return {
        path.name: path.stat().st_mtime_ns for path in staging.rglob("*") if path.is_file() and path.suffix != ".lock"
    }


def facts(files: tuple[InputFile, ...]) -> list[tuple[object, ...]]:
    """Give what a job's digest and the reader know of files."""
    return [(file.name, file.format, file.compressed, scan(file).digest, scan(file).rows) for file in files]


@pytest.mark.parametrize("end", ["", "/"])
def test_a_folder_in_a_bucket_is_the_same_inbox_as_a_local_one(
    bucket: S3Store, folder: Path, staging: Path, end: str
) -> None:
    """Same names in the same order, same formats, same bytes: so the same job."""
    remote = stage_inputs([bucket.address("inbox") + end], staging)

    assert facts(remote) == facts(find_inputs([str(folder)]))
    assert [file.name for file in remote] == ["a.jsonl", "b.csv", "sub/c.tsv.gz", "sub/deep/d.NDJSON"]


def test_local_arguments_pass_unchanged(folder: Path, staging: Path) -> None:
    """Without a bucket nothing is staged."""
    assert stage_inputs([str(folder)], staging) == find_inputs([str(folder)])
    assert not staging.exists()
    with pytest.raises(UsageError, match="was given"):
        stage_inputs([], staging)


def test_an_object_is_named_by_its_last_part(bucket: S3Store, staging: Path) -> None:
    """As a file that is given by itself, a hidden one too."""
    bucket.put("inbox/_names.csv", b"text\nx\n")

    files = stage_inputs([bucket.address("inbox/sub/c.tsv.gz"), bucket.address("inbox/_names.csv")], staging)

    assert [file.name for file in files] == ["_names.csv", "c.tsv.gz"]


def test_a_whole_bucket_is_a_folder(bucket: S3Store, staging: Path) -> None:
    """An address without a prefix is the root."""
    files = stage_inputs([f"s3://{bucket.bucket}"], staging)

    assert [file.name for file in files][:2] == ["inbox/a.jsonl", "inbox/b.csv"]


def test_files_of_all_kinds_of_places_go_together(bucket: S3Store, folder: Path, staging: Path) -> None:
    """Each object is taken once, and equal names grow by their folders."""
    bucket.put("other/b.csv", b"text\nz\n")
    arguments = [bucket.address(key) for key in ("inbox/b.csv", "inbox", "other")]

    files = stage_inputs([*arguments, f"{arguments[-1]}/", str(folder / "b.csv")], staging)

    names = [file.name for file in files]
    assert names == sorted(names)
    assert set(names) == {
        "a.jsonl",
        f"{bucket.bucket}/inbox/b.csv",
        "other/b.csv",
        "sub/c.tsv.gz",
        "sub/deep/d.NDJSON",
        f"{folder.parent.name}/inbox/b.csv",
    }
    assert {scan(file).digest for file in files if file.name.endswith("inbox/b.csv")} == {
        scan(find_inputs([str(folder / "b.csv")])[0]).digest
    }


def test_only_what_changed_is_fetched_again(bucket: S3Store, staging: Path) -> None:
    """An unchanged object keeps its copy, a changed one gets a new one, one that is gone leaves none."""
    address = bucket.address("inbox")
    stage_inputs([address], staging)
    before = copies(staging)
    stage_inputs([address], staging)
    assert copies(staging) == before

    bucket.put("inbox/b.csv", b"id,text\n1,HELLO\n")  # of the same size
    bucket.delete("inbox/a.jsonl")
    files = stage_inputs([address], staging)
    assert before.items() < copies(staging).items()  # another run may be reading the old copies, for a day
    for path in staging.rglob("*"):
        os.utime(path, (time.time() - 90_000, path.stat().st_mtime))
    stage_inputs([address], staging)

    assert [file.name for file in files] == ["b.csv", "sub/c.tsv.gz", "sub/deep/d.NDJSON"]
    assert Path(files[0].path).read_bytes() == b"id,text\n1,HELLO\n"
    assert len(copies(staging).items() - before.items()) == 1
    assert len(copies(staging)) == 3


def test_a_copy_that_is_cut_short_is_fetched_again(bucket: S3Store, staging: Path) -> None:
    """Whatever happened to it, it is not read; nor is what a killed run left."""
    (file,) = stage_inputs([bucket.address("inbox/b.csv")], staging)
    Path(file.path).write_bytes(b"id,te")
    Path(file.path).with_name(".tmp-fetching").write_bytes(b"half")

    (again,) = stage_inputs([bucket.address("inbox/b.csv")], staging)

    assert Path(again.path).read_bytes() == FILES["b.csv"]
    assert len(copies(staging)) == 1


def test_all_faults_are_reported_at_once_and_nothing_is_fetched(bucket: S3Store, staging: Path, tmp_path: Path) -> None:
    """Of buckets and of local files, each with its address."""
    for name in ("notes.docx", "all.json", "p.parquet.gz", "README", "a//b.csv"):
        put_raw(bucket, f"inbox/{name}")
    bucket.put("hidden/_SUCCESS", b"")
    arguments = [bucket.address(key) for key in ("inbox", "missing.csv", "hidden")]

    with pytest.raises(UsageError) as refused:
        stage_inputs([*arguments, "s3://", "s3://key:canary@bucket/x", str(tmp_path / "none.csv"), ""], staging)

    text = str(refused.value)
    assert len(refused.value.faults) == 11
    for part in ("notes.docx", "all.json", "gunzip", "README", "a//b.csv", "missing.csv: no such", "none.csv", "empty"):
        assert part in text
    assert f"{bucket.address('hidden')}: the folder holds no files to read" in refused.value.faults
    assert "canary" not in text
    assert "csv, tsv, jsonl" in text
    assert copies(staging) == {}


def put_raw(bucket: S3Store, name: str) -> None:
    """Put an object whose name need not be a key."""
    with bucket._client("") as client:
        client.put_object(Bucket=bucket.bucket, Key=name, Body=b"x")


def test_drawn_folders_are_no_files(bucket: S3Store, staging: Path) -> None:
    """Some tools draw a folder as an empty object whose name ends with a slash."""
    put_raw(bucket, "drawn/")
    with pytest.raises(UsageError, match="drawn: no such object or folder"):
        stage_inputs([bucket.address("drawn")], staging)

    bucket.put("drawn/a.csv", FILES["b.csv"])
    assert [file.name for file in stage_inputs([bucket.address("drawn")], staging)] == ["a.csv"]


def test_a_bucket_that_is_not_there_is_unavailable(bucket: S3Store, staging: Path) -> None:
    """Never an empty inbox."""
    with pytest.raises(StoreUnavailable, match="no bucket 'nowhere'"):
        stage_inputs(["s3://nowhere/inbox"], staging)


def test_an_object_that_goes_while_it_is_fetched_is_told(
    bucket: S3Store, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was listed a moment ago; nothing is left out in silence."""
    listed = bucket.objects("inbox")
    bucket.delete("inbox/b.csv")
    monkeypatch.setattr(S3Store, "objects", lambda *_: listed)

    with pytest.raises(StoreUnavailable, match=r"inbox/b\.csv.* gone"):
        stage_inputs([bucket.address("inbox")], staging)


def test_an_object_that_is_replaced_while_it_is_fetched_is_not_mistaken_later(
    bucket: S3Store, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy is named after what it holds, not after what was listed."""
    listed = bucket.objects("inbox")
    bucket.put("inbox/b.csv", b"id,text\n1,HELLO\n")
    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "objects", lambda *_: listed)
        stage_inputs([bucket.address("inbox")], staging)
    bucket.put("inbox/b.csv", FILES["b.csv"])

    files = {file.name: file for file in stage_inputs([bucket.address("inbox")], staging)}
    assert Path(files["b.csv"].path).read_bytes() == FILES["b.csv"]


def test_runs_at_the_same_time_share_the_copies(bucket: S3Store, staging: Path) -> None:
    """Processes that stage the same folder at once all get whole files."""
    script = (
        "import json, sys; from pathlib import Path; from eqn.corpus.remote import stage_inputs\n"
        "files = stage_inputs([sys.argv[1]], Path(sys.argv[2]))\n"
        "print(json.dumps([Path(file.path).read_text('latin-1') for file in files]))"
    )
    command = [sys.executable, "-c", script, bucket.address("inbox"), str(staging)]
    rivals = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]

    read = [json.loads(rival.communicate(timeout=120)[0]) for rival in rivals]

    names = ["a.jsonl", "b.csv", "sub/c.tsv.gz", "sub/deep/d.NDJSON"]
    assert read == [[FILES[name].decode("latin-1") for name in names]] * 3


@pytest.mark.parametrize(
    ("argument", "remote"), [("s3://b/x", True), ("s3:/b/x", False), ("b.csv", False), ("./s3://b", False)]
)
def test_only_an_address_is_remote(argument: str, *, remote: bool) -> None:
    """A local path may hold the letters elsewhere."""
    assert is_remote(argument) is remote
