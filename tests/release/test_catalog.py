"""The catalog: which releases there are, and whether every byte is as it was published."""

from collections.abc import Callable
from pathlib import Path

import pytest

from eqn.errors import ArtifactRefused, UsageError
from eqn.records import ReleaseRef
from eqn.release.catalog import datasets, find_job, read_manifest, release_numbers, verify
from eqn.release.manifest import manifest_key
from eqn.release.plan import Plan
from eqn.store.directory import DirectoryStore
from eqn.store.memory import MemoryStore

Publish = Callable[..., tuple[ReleaseRef, int]]
PlanFor = Callable[..., Plan]

STRANGERS = [
    "01.json",
    "0.json",
    "notes.json",
    "1.json.bak",
    "1.JSON",
    "٣.json",
    "-1.json",
    "1.5.json",
    "2.json/3.json",
]


@pytest.fixture
def first(publish_files: Publish, inbox: Path) -> ReleaseRef:
    return publish_files(inbox)[0]


def test_an_empty_store_has_no_releases() -> None:
    """Nothing was published is no error for whoever lists."""
    assert datasets(MemoryStore()) == []
    assert release_numbers(MemoryStore(), "letters") == []


def test_only_what_is_published_is_listed(first: ReleaseRef, store: DirectoryStore) -> None:
    """Other folders, and jobs without a manifest, are no datasets."""
    store.put("unfinished/files/ab/data/part-00000.parquet", b"")
    store.put("Not A Dataset/releases/1.json", b"{}")
    store.put("lost+found/x", b"")

    assert datasets(store) == ["letters"]


@pytest.mark.parametrize("name", STRANGERS)
def test_a_strangers_file_beside_the_manifests_is_passed_over(
    first: ReleaseRef, store: DirectoryStore, name: str
) -> None:
    """Only 1.json, 2.json ... are manifests: editors' copies and other files hinder nobody."""
    store.put(f"letters/releases/{name}", b"{}")

    assert release_numbers(store, "letters") == [1]
    assert read_manifest(store, "letters").release == 1


def test_numbers_are_sorted_as_numbers(store: DirectoryStore) -> None:
    """10 comes after 9."""
    for number in (10, 9, 1):
        store.put(manifest_key("letters", number), b"{}")

    assert release_numbers(store, "letters") == [1, 9, 10]


def test_a_strangers_file_in_a_manifests_place_is_refused(
    publish_files: Publish, first: ReleaseRef, store: DirectoryStore, inbox: Path
) -> None:
    """Who reads it is told; the next release is built upon the one before, under the number after it."""
    store.put(manifest_key("letters", 2), b'{"hello": "world"}')
    (inbox / "new.txt").write_text("hello\n")

    with pytest.raises(ArtifactRefused, match=r"releases/2\.json"):
        read_manifest(store, "letters")
    third, read = publish_files(inbox)
    assert (third.number, read) == (3, 1)
    verify(store, read_manifest(store, "letters", 1))


def test_a_manifest_in_anothers_place_is_refused(first: ReleaseRef, store: DirectoryStore) -> None:
    """A copied manifest does not make a second release."""
    store.put(manifest_key("letters", 2), store.get(manifest_key("letters", 1)))
    store.put(manifest_key("mails", 1), store.get(manifest_key("letters", 1)))

    for dataset, number in (("letters", 2), ("mails", 1)):
        with pytest.raises(ArtifactRefused, match="says it is release 1 of 'letters'"):
            read_manifest(store, dataset, number)


@pytest.mark.parametrize(
    ("dataset", "number", "said"),
    [
        ("letters", 3, "release 3 of 'letters' .* there are 1 to 1"),
        ("letters", 0, "release 0 of 'letters'"),
        ("mails", None, "release latest of 'mails' .* there is none"),
    ],
)
def test_a_release_that_is_not_there_is_told(
    first: ReleaseRef, store: DirectoryStore, dataset: str, number: int | None, said: str
) -> None:
    """The message names what was asked for and what there is."""
    with pytest.raises(UsageError, match=said):
        read_manifest(store, dataset, number)


def test_a_job_is_found_by_its_digest(publish_files: Publish, plan_for: PlanFor, inbox: Path) -> None:
    """Also when other releases came after it, unless those before are not asked for."""
    publish_files(inbox / "a.csv")
    publish_files(inbox / "b.jsonl")
    plan, store = plan_for(inbox / "a.csv"), DirectoryStore(inbox.parent / "releases")

    found = find_job(store, "letters", plan.job)
    assert found is not None
    assert found.release == 1
    assert find_job(store, "letters", plan.job, after=1) is None
    assert find_job(store, "letters", "0" * 64) is None


def test_verifying_names_every_changed_and_missing_file(first: ReleaseRef, store: DirectoryStore) -> None:
    """One flipped byte and one lost file are both found; nothing else is."""
    manifest = read_manifest(store, "letters")
    verify(store, manifest)
    part, card = Path(first.path, "data/part-00001.parquet"), Path(first.path, "README.md")
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    card.unlink()

    with pytest.raises(ArtifactRefused) as refused:
        verify(store, manifest)
    assert [fault.partition(":")[0] for fault in refused.value.faults] == ["README.md", "data/part-00001.parquet"]
    assert refused.value.faults[0] == "README.md: missing"
    assert refused.value.exit_code == 8


@pytest.mark.parametrize("name", ["README.md", "data/part-00000.parquet", "quarantine/quarantine-00000.parquet"])
def test_any_flipped_byte_is_found(first: ReleaseRef, store: DirectoryStore, name: str) -> None:
    """First, middle or last: each byte of each file counts."""
    path, manifest = Path(first.path, name), read_manifest(store, "letters")
    whole = path.read_bytes()
    for place in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x80]) + whole[place + 1 :])
        with pytest.raises(ArtifactRefused, match="not as it was published"):
            verify(store, manifest)
    path.write_bytes(whole)

    verify(store, manifest)
