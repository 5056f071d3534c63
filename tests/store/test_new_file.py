"""Promises about results that are written as new files."""

from pathlib import Path

import pytest

from eqn.errors import StoreUnavailable, UsageError
from eqn.store.new_file import require_new, write_new


def test_a_file_is_written_whole_into_a_new_folder(tmp_path: Path) -> None:
    """With nothing left beside it; the same content again is fine."""
    target = tmp_path / "new" / "folder" / "result"

    write_new(target, b"content")
    write_new(target, b"content")

    assert target.read_bytes() == b"content"
    assert list(target.parent.iterdir()) == [target]


def test_another_file_or_folder_stays_as_it_is(tmp_path: Path) -> None:
    """A wrong call: exit 2, with what to do. A link that leads nowhere is somebody's, too."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    for name in ("folder", "file", "link"):
        with pytest.raises(UsageError, match="it is another and stays as it is") as refusal:
            write_new(tmp_path / name, b"content")
        assert refusal.value.todo == "Move it away, or choose another name."
        with pytest.raises(UsageError, match="there is one, and it stays as it is"):
            require_new(tmp_path / name)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "link"]
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["..", "/", "a\\b"])
def test_a_path_that_names_no_file_is_refused(tmp_path: Path, name: str) -> None:
    """By the check before the work and by the writing after it."""
    with pytest.raises(UsageError, match="expected the path of a file"):
        require_new(tmp_path / name)
    with pytest.raises(UsageError, match="expected the path of a file"):
        write_new(tmp_path / name, b"content")


def test_a_free_place_is_left_free_by_the_check(tmp_path: Path) -> None:
    """No file and no folder appears."""
    require_new(tmp_path / "new" / "result")

    assert list(tmp_path.iterdir()) == []


def test_a_place_below_a_file_cannot_be_written_to(tmp_path: Path) -> None:
    """The storage's own answer is told as that."""
    (tmp_path / "file").write_bytes(b"mine")

    with pytest.raises(StoreUnavailable):
        write_new(tmp_path / "file" / "result", b"content")
