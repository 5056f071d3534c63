"""`eqn release export`: a CSV file for spreadsheets, or rows on standard output."""

import csv
import gzip
import hashlib
import io
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eqn.emotions import EMOTIONS

Eqn = Callable[..., Any]


@pytest.fixture(scope="module")
def store(state: Any, eqn: Eqn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two releases of `letters`: three rows, then five in two parts."""
    folder = tmp_path_factory.mktemp("published")
    letters, more = folder / "letters.csv", folder / "more.txt"
    letters.write_text("id,text,joy\n007,NA,1\n008,thank you,0\n009,=1+1,0\n")
    more.write_text("one\ntwo\n")
    options = ["--dataset", "letters", "--out", folder / "store", "--model", state.package]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQN_HOME", str(folder / "home"))
        assert eqn("annotate", letters, *options).code == 0
        assert eqn("annotate", letters, more, *options).code == 0
    return folder / "store"


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_a_release_becomes_a_file(eqn: Eqn, store: Path, elsewhere: Path) -> None:
    """The latest unless a number is named; machines learn path, rows and digest, people the first two."""
    said = eqn("release", "export", "letters", "--out", "letters.csv", "--store", store)
    told = eqn("release", "export", "letters", "1", "--out", "first.csv.gz", "--store", store, "--json")
    packed = (elsewhere / "first.csv.gz").read_bytes()

    assert (said.code, said.out, said.err) == (0, "letters release 2: 5 rows\nletters.csv\n", "")
    assert told.json() == {"path": "first.csv.gz", "rows": 3, "sha256": hashlib.sha256(packed).hexdigest()}
    assert told.err == ""
    rows = rows_of((elsewhere / "letters.csv").read_text())
    assert rows[0] == ["text", *EMOTIONS, "gold_joy"]
    assert [row[0] for row in rows[1:]] == ["NA", "thank you", "'=1+1", "one", "two"]
    assert [row[0] for row in rows_of(gzip.decompress(packed).decode())] == ["text", "NA", "thank you", "'=1+1"]


def test_the_options_change_the_cells(eqn: Eqn, store: Path, elsewhere: Path) -> None:
    """--scale, --quantise, --all-columns and --unsafe do what they say, together."""
    plain = eqn("release", "export", "letters", "--out", "plain.csv", "--store", store)
    options = ["--scale", "10", "--quantise", "--all-columns", "--unsafe"]
    changed = eqn("release", "export", "letters", "--out", "changed.csv", "--store", store, *options)
    header, *before = rows_of((elsewhere / "plain.csv").read_text())
    names, *after = rows_of((elsewhere / "changed.csv").read_text())

    assert (plain.code, changed.code) == (0, 0)
    assert names == [*header, "id", "truncated", "labels"]
    assert after[2][0] == "=1+1"
    assert [row[names.index("id")] for row in after[:3]] == ["007", "008", "009"]
    for old, new in zip(before, after, strict=True):
        values = [float(cell) for cell in old[1:29]]
        assert new[1:29] == [f"{(0 if value < 0.01 else round(value, 2)) * 10:.1f}" for value in values]


def test_rows_go_to_standard_output(eqn: Eqn, store: Path, elsewhere: Path) -> None:
    """The same bytes as in a file, for other tools, and nothing else there, whatever the terminal's encoding."""
    assert eqn("release", "export", "letters", "--out", "letters.csv", "--store", store).code == 0
    command = [sys.executable, "-c", "from eqn.cli import main; main()", "release", "export", "letters", "--out", "-"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"}
    streamed = subprocess.run([*command, "--store", store], capture_output=True, env=environment, check=True)

    assert streamed.stdout == (elsewhere / "letters.csv").read_bytes()
    assert streamed.stderr == b""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["letters"], "--out"),
        (["letters", "9", "--out", "x.csv"], "there are 1 to 2"),
        (["mails", "--out", "x.csv"], "there is none"),
        (["letters", "--out", "x.csv", "--scale", "0"], "scale above 0"),
        (["letters", "--out", "x.csv", "--scale", "nan"], "scale above 0"),
        (["letters", "--out", "no/x.csv"], "there is no no"),
        (["letters", "--out", "."], "something else"),
        (["letters", "--out", "-", "--json"], "standard output"),
    ],
)
def test_what_cannot_be_done_is_told(eqn: Eqn, store: Path, elsewhere: Path, arguments: list[str], said: str) -> None:
    """Exit code 2, what is wrong, and no file."""
    done = eqn("release", "export", *arguments, "--store", store)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err
    assert list(elsewhere.iterdir()) == []


def test_a_file_is_replaced_by_force_only(eqn: Eqn, store: Path, elsewhere: Path) -> None:
    """Exit code 2 and the file as it was; with --force it is the export."""
    (elsewhere / "letters.csv").write_text("mine")
    command = ["release", "export", "letters", "--out", "letters.csv", "--store", store]
    refused = eqn(*command)
    kept = (elsewhere / "letters.csv").read_text()
    done = eqn(*command, "--force", "--json")

    assert (refused.code, kept) == (2, "mine")
    assert "--force" in refused.err
    assert done.json()["rows"] == len(rows_of((elsewhere / "letters.csv").read_text())) - 1 == 5


def test_a_damaged_release_is_not_exported(eqn: Eqn, store: Path, elsewhere: Path, tmp_path: Path) -> None:
    """Exit code 8, the part's name, and no file; what `eqn release verify` says as well."""
    own = shutil.copytree(store, tmp_path / "own")
    folder = Path(eqn("release", "path", "letters", "--store", own).out.strip())
    part = folder / "data" / "part-00001.parquet"
    content = part.read_bytes()
    part.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    done = eqn("release", "export", "letters", "--out", "letters.csv", "--store", own, "--json")

    assert (done.code, done.out) == (8, "")
    assert "part-00001.parquet" in done.err
    assert list(elsewhere.iterdir()) == []
    assert eqn("release", "verify", "letters", "--store", own).code == 8


def test_a_full_disk_and_a_closed_folder_have_their_codes(eqn: Eqn, store: Path, elsewhere: Path) -> None:
    """Exit codes 6 and 5, no traceback, nothing left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))  # no larger file can be written, as on a full disk
    try:
        full = eqn("release", "export", "letters", "--out", "letters.csv", "--store", store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    closed = eqn("release", "export", "letters", "--out", "/proc/letters.csv", "--store", store)

    assert (full.code, closed.code) == (6, 5)
    assert "Traceback" not in full.err + closed.err
    assert list(elsewhere.iterdir()) == []


def test_help_shows_an_example(eqn: Eqn) -> None:
    """A person can begin by copying it."""
    assert "Example: eqn release export letters --out letters.csv --scale 10" in " ".join(
        eqn("release", "export", "--help").out.split()
    )
