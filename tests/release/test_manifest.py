"""The manifest: the same after a round trip, refused when it does not hold together."""

import dataclasses
import json
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest

from eqn.errors import ArtifactRefused, UsageError
from eqn.release.manifest import (
    FileEntry,
    InputEntry,
    Manifest,
    check_dataset_name,
    content_digest,
    files_key,
    is_dataset_name,
    manifest_key,
)

Edit = Callable[[MutableMapping[str, Any]], object]


@pytest.fixture
def manifest() -> Manifest:
    files = {
        "README.md": FileEntry("a" * 64, 10),
        "data/part-00000.parquet": FileEntry("b" * 64, 20, 2),
        "quarantine/quarantine-00000.parquet": FileEntry("c" * 64, 30, 1),
    }
    entry = InputEntry(
        name="naïve.csv",
        sha256="d" * 64,
        bytes=40,
        rows=3,
        quarantined={"empty_text": 1},
        parts=("data/part-00000.parquet",),
        quarantine=("quarantine/quarantine-00000.parquet",),
    )
    return Manifest(
        dataset="letters",
        release=2,
        job="e" * 64,
        path=files_key("letters", "e" * 64),
        commit_id="0",
        content_digest=content_digest(files),
        created="2026-01-01T00:00:00+00:00",
        eqn_version="0.1.0",
        contract=1,
        model={"name": "eqn", "version": 1, "digest": "f" * 64},
        options={"shard_rows": 8192},
        inputs=(entry,),
        rows_in=3,
        rows_out=2,
        rows_quarantined=1,
        ids_in_several_files=0,
        files=files,
        previous=1,
    )


def edited(manifest: Manifest, edit: Edit) -> bytes:
    """Give the manifest's bytes after an edit of its JSON."""
    facts = json.loads(manifest.to_bytes())
    edit(facts)
    return json.dumps(facts).encode()


def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    """Every field survives, and names of any script stay readable in the file."""
    content = manifest.to_bytes()

    assert Manifest.from_bytes(content, where="here") == manifest
    assert "naïve.csv" in content.decode()
    assert content.endswith(b"}\n")


def test_the_first_release_has_none_before_it(manifest: Manifest) -> None:
    """null stands for: there is no release before."""
    first = dataclasses.replace(manifest, release=1, previous=None)

    assert Manifest.from_bytes(first.to_bytes(), where="here").previous is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"3", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"format": 1}']
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    """The place is named, whatever lies there."""
    with pytest.raises(ArtifactRefused, match=r"releases/1\.json"):
        Manifest.from_bytes(content, where="releases/1.json")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda facts: facts.pop("rows_in"), "rows_in"),
        (lambda facts: facts.update(surprise=1), "surprise"),
        (lambda facts: facts.update(rows_in=4), "4 rows in, 2 out, 1 quarantined"),
        (lambda facts: facts.update(rows_in="3"), "3 rows in"),
        (lambda facts: facts.update(model={}), "model"),
        (lambda facts: facts.update(files=[]), "cannot be read"),
        (lambda facts: facts.update(path="../elsewhere"), "its files cannot be in"),
        (lambda facts: facts.update(path="/etc"), "its files cannot be in"),
        (lambda facts: facts.update(path=5), "must be texts"),
        (lambda facts: facts.update(path="letters/files/another"), "its files cannot be in"),
        (lambda facts: facts["files"].update({"../../x": facts["files"]["README.md"]}), "not a key"),
        (lambda facts: facts["files"].pop("data/part-00000.parquet"), "part-00000"),
        (lambda facts: facts["files"]["README.md"].pop("sha256"), "sha256"),
        (lambda facts: facts["inputs"][0].pop("parts"), "parts"),
    ],
)
def test_a_manifest_that_does_not_hold_together_is_refused(manifest: Manifest, edit: Edit, said: str) -> None:
    """Missing and foreign fields, sums that do not add up, and keys that lead elsewhere: the message says which."""
    with pytest.raises(ArtifactRefused) as refused:
        Manifest.from_bytes(edited(manifest, edit), where="here")
    assert said in str(refused.value)


def test_a_later_format_asks_for_an_upgrade(manifest: Manifest) -> None:
    """Fields that this EQN does not know are no damage when the format says so."""
    content = edited(manifest, lambda facts: facts.update(format=4, something_new=True))

    with pytest.raises(ArtifactRefused, match="has format 4; this EQN reads 1 and 2 and 3") as refused:
        Manifest.from_bytes(content, where="here")
    assert "Upgrade" in refused.value.todo


def test_the_content_digest_names_the_content(manifest: Manifest) -> None:
    """It does not depend on the order of the files, and any other byte, name or file changes it."""
    files = dict(manifest.files)
    changed = [
        files | {"README.md": FileEntry("0" * 64, 10)},
        {name + "x": entry for name, entry in files.items()},
        files | {"more": FileEntry("a" * 64, 10)},
    ]

    assert content_digest(dict(reversed(files.items()))) == manifest.content_digest
    assert len({manifest.content_digest, *map(content_digest, changed)}) == 4


@pytest.mark.parametrize("name", ["a", "inbox", "goemotions-2026.1", "0", "x" * 63])
def test_a_plain_name_names_a_dataset(name: str) -> None:
    """Lower-case letters, digits, dots, underscores and hyphens."""
    assert is_dataset_name(name)
    assert check_dataset_name(name) == name


@pytest.mark.parametrize("name", ["", "A", ".a", "-a", "a/b", "a b", "a\n", "x" * 64, "ü"])
def test_any_other_name_is_refused(name: str) -> None:
    """The value is shown as it came, so that what is invisible is seen."""
    assert not is_dataset_name(name)
    with pytest.raises(UsageError) as refused:
        check_dataset_name(name)
    assert repr(name) in refused.value.what


def test_keys_stand_where_the_architecture_says() -> None:
    """Readers outside EQN rely on the layout."""
    assert manifest_key("letters", 3) == "letters/releases/3.json"
    assert files_key("letters", "ab") == "letters/files/ab"
