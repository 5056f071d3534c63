"""Promises of the search for input files."""

import os
from pathlib import Path

import pytest

from eqn.corpus.inputs import find_inputs
from eqn.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.jsonl", "sub/c.tsv.gz", "sub/deep/d.NDJSON", ".hidden.csv", "_SUCCESS", ".git/x.csv"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path / "data"


def _names(*arguments: str | Path) -> list[str]:
    return [file.name for file in find_inputs([str(argument) for argument in arguments])]


def test_a_folder_gives_its_files_sorted_with_names_relative_to_it(folder: Path) -> None:
    """Files of subfolders belong; names that start with a dot or an underscore do not."""
    assert _names(folder) == ["a.jsonl", "b.csv", "sub/c.tsv.gz", "sub/deep/d.NDJSON"]


def test_format_and_compression_come_from_the_extension(folder: Path) -> None:
    """Upper and lower case mean the same, and .gz may follow."""
    found = {file.name: (file.format, file.compressed) for file in find_inputs([str(folder)])}
    assert found["sub/c.tsv.gz"] == ("tsv", True)
    assert found["sub/deep/d.NDJSON"] == ("jsonl", False)


def test_a_file_is_named_by_its_own_name(folder: Path) -> None:
    """A file that is given by itself has no folder in its name, and its path is the one given."""
    (file,) = find_inputs([str(folder / "sub" / "c.tsv.gz")])
    assert (file.name, file.path) == ("c.tsv.gz", str(folder / "sub" / "c.tsv.gz"))


def test_a_glob_gives_the_files_it_matches(folder: Path) -> None:
    """Folders and names that start with an underscore are passed over, and ** goes into subfolders."""
    assert _names(folder / "**" / "*.*") == ["a.jsonl", "b.csv", "c.tsv.gz", "d.NDJSON"]
    assert _names(folder / "*") == ["a.jsonl", "b.csv"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    """What exists is taken as it is written."""
    (tmp_path / "data[1].csv").write_text("x")
    assert _names(tmp_path / "data[1].csv") == ["data[1].csv"]


def test_a_file_is_taken_once_however_often_it_is_reached(folder: Path) -> None:
    """Folder, file, glob and link lead to the same file."""
    (folder / "z.csv").symlink_to(folder / "b.csv")
    assert _names(folder / "b.csv", folder, folder / "*.csv") == [
        "a.jsonl",
        "b.csv",
        "sub/c.tsv.gz",
        "sub/deep/d.NDJSON",
    ]


def test_equal_names_grow_by_their_folders_until_they_differ(tmp_path: Path) -> None:
    """Two files never share a name, and others keep theirs."""
    for name in ("one/x.csv", "two/x.csv", "two/y.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert _names(*sorted(tmp_path.glob("*/*"))) == ["one/x.csv", "two/x.csv", "y.csv"]


def test_links_inside_of_a_folder_are_followed_and_loops_are_not(folder: Path) -> None:
    """A folder that contains itself by a link is read once, and so is a file with two names."""
    (folder / "z.csv").symlink_to("b.csv")
    (folder / "other").symlink_to("sub")
    (folder / "sub" / "loop").symlink_to(folder)
    assert _names(folder) == ["a.jsonl", "b.csv", "other/c.tsv.gz", "other/deep/d.NDJSON"]


def test_a_link_that_leads_out_of_a_folder_is_a_fault_unless_it_is_named(folder: Path, tmp_path: Path) -> None:
    """Links to a file, to a folder and to nowhere; a folder that is reached by a link is one to be searched."""
    outside = tmp_path / "elsewhere" / "private.csv"
    outside.parent.mkdir()
    outside.write_text("x")
    (folder / "file.csv").symlink_to(outside)
    (folder / "sub" / "up").symlink_to(outside.parent)
    (folder / "dead.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(UsageError) as caught:
        find_inputs([str(folder)])
    assert [fault.partition(": ")[2] for fault in caught.value.faults] == [
        "a link that leads out of the folder; name the file itself to read it"
    ] * 3
    assert _names(folder / "file.csv", folder / "[bf]*.csv") == ["b.csv", "file.csv"]

    (tmp_path / "link").symlink_to(folder / "sub" / "deep")
    assert _names(tmp_path / "link") == ["d.NDJSON"]


def test_all_faults_are_reported_at_once(folder: Path) -> None:
    """Foreign files in a folder, missing files and empty globs stand in one error that tells what is supported."""
    for name in ("notes.docx", "sub/all.json", "p.parquet.gz", "README"):
        (folder / name).write_text("x")
    (folder / "dead.csv").symlink_to(folder / "nowhere.csv")
    with pytest.raises(UsageError) as caught:
        find_inputs([str(folder), "missing.csv", "none/*.csv", ""])
    text = str(caught.value)
    assert len(caught.value.faults) == 8
    for part in ("notes.docx", "all.json", "gunzip", "README", "leads nowhere", "missing.csv", "none/*.csv", "empty"):
        assert part in text
    assert "csv, tsv, jsonl" in text
    assert caught.value.exit_code == 2


def test_an_empty_folder_is_a_fault(tmp_path: Path) -> None:
    """Nothing to read is not success, and neither is a folder of hidden files."""
    (tmp_path / "_SUCCESS").write_text("")
    with pytest.raises(UsageError, match="holds no files"):
        find_inputs([str(tmp_path)])
    with pytest.raises(UsageError, match="was given"):
        find_inputs([])


def test_what_is_no_regular_file_is_a_fault(tmp_path: Path) -> None:
    """A pipe cannot be read twice."""
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match="not a regular file"):
        find_inputs([str(tmp_path)])


def test_a_name_that_is_not_utf8_is_a_fault(tmp_path: Path) -> None:
    """Names go into tables, which hold UTF-8 only."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv")).write_text("x")
    with pytest.raises(UsageError, match="not UTF-8"):
        find_inputs([str(tmp_path)])
