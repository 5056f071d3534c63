"""Nasty files, links and devices, and labels through the real commands: each ends with its exact exit code."""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eqn.corpus import reader
from eqn.corpus.inputs import InputFile, find_inputs
from eqn.corpus.reader import FileScan
from eqn.errors import UsageError
from tests.corpus.nasty import FILES, Nasty
from tests.faults.promises import Trials

Eqn = Callable[..., Any]

GOOD = "id,text\n1,a\n2,b\n"


@pytest.fixture
def plan(eqn: Eqn, state: Any) -> Eqn:
    """Give a function that asks what annotating these inputs would do."""
    return lambda *inputs: eqn(
        *("annotate", *inputs, "--dataset", "nasty", "--dry-run", "--json"),
        *("--model", state.package, "--back-end", "fp32"),
    )


@pytest.mark.promise(21)
@pytest.mark.parametrize("file", FILES, ids=[file.about.replace(" ", "-") for file in FILES])
def test_annotate_ends_with_the_exact_exit_code_and_row_counts(
    plan: Eqn, elsewhere: Path, file: Nasty, trials: Trials
) -> None:
    """A refusal names the file and is no traceback; a plan counts every row."""
    (elsewhere / file.name).write_bytes(file.content)
    done = plan(file.name)

    if isinstance(file.outcome, int):
        assert (done.code, done.out) == (file.outcome, "")
        assert f"{file.name}: " in done.err
        assert "Traceback" not in done.err
    else:
        taken, refused = file.outcome[0], sum(file.outcome[1].values())
        assert done.code == 0
        (planned,) = done.json()["inputs"]
        assert (planned["input"], planned["rows"], planned["quarantine"]) == (file.name, taken + refused, refused)
    trials(1, "files through the command")


def _link(name: str, target: str) -> Callable[[Path], None]:
    return lambda inbox: (inbox / name).symlink_to(target)


def _folder(inbox: Path) -> None:
    (inbox / "a.csv").mkdir()


def _twins(inbox: Path) -> None:
    (inbox / "good.csv").write_text(GOOD)
    (inbox / "link.csv").symlink_to("good.csv")
    (inbox / "folder").symlink_to(".")


def _pipe(inbox: Path) -> None:
    os.mkfifo(inbox / "a.csv")


def _socket(inbox: Path) -> None:
    with contextlib.chdir(inbox), socket.socket(socket.AF_UNIX) as server:
        server.bind("a.csv")  # in its folder: such a name has room for 108 bytes


def _names(*names: bytes) -> Callable[[Path], None]:
    def write(inbox: Path) -> None:
        for name in names:
            Path(os.fsdecode(os.fsencode(inbox) + b"/" + name)).write_text(GOOD)

    return write


_SPECIAL: list[tuple[str, Callable[[Path], object], int, str]] = [
    ("a folder named like a file", _folder, 2, "holds no files to read"),
    ("a link to nowhere", _link("a.csv", "nowhere.csv"), 2, "a link that leads nowhere"),
    ("a link to itself", _link("a.csv", "a.csv"), 2, "a link that leads nowhere"),
    ("a link to the users of this machine", _link("a.txt", "/etc/passwd"), 2, "leads out of the folder"),
    ("a link out by way of the parent", _link("a.txt", "../../../../../../../etc/passwd"), 2, "leads out of"),
    ("a link to a folder outside", _link("etc", "/etc"), 2, "leads out of the folder"),
    ("links inside of the folder", _twins, 0, '"input": "good.csv"'),
    ("a named pipe", _pipe, 2, "not a regular file"),
    ("a socket", _socket, 2, "not a regular file"),
    ("a link to an endless device", _link("a.txt", "/dev/zero"), 2, "leads out of the folder"),
    ("a name with a line end", _names(b"a\nb.csv"), 0, '"input": "a\\nb.csv"'),
    ("a name with orders for the terminal", _names(b"\x1b[2Ja.docx"), 2, "\\x1b[2Ja.docx: the extension .docx"),
    ("a name that is markup", _names(b"[red]<b>a|b.csv"), 0, '"input": "[red]<b>a|b.csv"'),
    ("a name that is not UTF-8", _names(b"caf\xe9.csv"), 2, "the name is not UTF-8"),
    ("names that differ in case", _names(b"a.csv", b"A.CSV"), 0, '"input": "A.CSV"'),
    ("hidden files alone", _names(b".a.csv", b"_b.csv"), 2, "holds no files to read"),
]


@pytest.mark.promise(21)
@pytest.mark.parametrize(
    ("make", "code", "said"), [pytest.param(*row[1:], id=row[0].replace(" ", "-")) for row in _SPECIAL]
)
def test_what_is_no_plain_file_has_its_exact_outcome(
    plan: Eqn, elsewhere: Path, make: Callable[[Path], object], code: int, said: str, trials: Trials
) -> None:
    """Links, pipes, sockets and strange names in an inbox: exit code, and the words that say why."""
    inbox = elsewhere / "inbox"
    inbox.mkdir()
    make(inbox)
    done = plan("inbox")

    assert done.code == code, done.err
    assert said in (done.err if code else done.out)
    assert "Traceback" not in done.err
    assert "\x1b" not in done.out + done.err
    trials(1, "links, devices and names")


@pytest.mark.promise(21)
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_that_is_named_is_not_read(plan: Eqn, elsewhere: Path, device: str, trials: Trials) -> None:
    """Neither by itself nor by a link; an endless one does not hang the command."""
    (elsewhere / "link.txt").symlink_to(device)

    for name in (device, "link.txt"):
        done = plan(name)
        assert (done.code, done.out) == (2, "")
        assert "not a regular file" in done.err
    trials(2, "links, devices and names")


@contextlib.contextmanager
def _as_nobody() -> Iterator[None]:
    """Act without root's right to read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def readable_by_all() -> Iterator[Path]:
    """A folder that anybody may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.promise(21)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_that_may_not_be_read_is_refused(readable_by_all: Path, form: str, trials: Trials) -> None:
    """By the reader, as the command runs with the rights of whoever calls it."""
    (readable_by_all / f"a.{form}").write_text(GOOD)
    (readable_by_all / f"a.{form}").chmod(0)
    with _as_nobody(), pytest.raises(UsageError, match="cannot be opened"):
        reader.scan(*find_inputs([str(readable_by_all)]))
    trials(1, "links, devices and names")


@pytest.mark.promise(21)
def test_a_file_that_breaks_while_it_is_read_is_refused(plan: Eqn, elsewhere: Path, trials: Trials) -> None:
    """The disk's error is told; here it comes from a file of the kernel that has no first byte."""
    (elsewhere / "a.csv").symlink_to("/proc/self/mem")
    done = plan("a.csv")

    assert (done.code, done.out) == (2, "")
    assert "a.csv: the file cannot be read" in done.err
    trials(1, "links, devices and names")


@pytest.mark.promise(21)
@pytest.mark.parametrize("form", ["csv", "jsonl", "txt", "parquet"])
def test_a_file_that_changes_between_scan_and_reading_publishes_nothing(
    eqn: Eqn, state: Any, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, form: str, trials: Trials
) -> None:
    """Another writer is at work: exit code 3, the file is named, and there is no release."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, scan = elsewhere / f"a.{form}", reader.scan
    contents = {"csv": GOOD, "jsonl": '{"text": "a"}\n', "txt": "a\nb\n"}

    def write(end: str) -> None:
        if form == "parquet":
            pq.write_table(pa.table({"text": ["a", f"b{end}"]}), path)
        else:
            path.write_text(contents[form] + end)

    def scan_then_change(file: InputFile, **columns: Any) -> FileScan:
        found = scan(file, **columns)
        write("x")
        return found

    write("")
    monkeypatch.setattr("eqn.quality.inputs.scan", scan_then_change)
    done = eqn("annotate", path, "--dataset", "nasty", "--out", "published", "--model", state.package)

    assert (done.code, done.out) == (3, "")
    assert f"a.{form}: expected the file as it was scanned" in done.err
    assert not list(elsewhere.glob("published/nasty/releases/*"))
    trials(1, "files that change")


_LABELS = [
    *("NaN", "nan", "inf", "-inf", "28", "-1", "1.5", "1e0", "0x1", "99999", "", " ", "3,", ",3", "3,,4", "3;4", "joy"),
    *("\uff13", "1_5", "+1", "null", "3 ,4"),
]


@pytest.mark.promise(21)
@pytest.mark.parametrize("label", _LABELS)
def test_a_corpus_with_a_label_that_is_none_is_refused(
    eqn: Eqn, corpus_folder: Path, elsewhere: Path, label: str, trials: Trials
) -> None:
    """`eqn validate` names the line: not a number, out of range, or in digits that are none."""
    folder = elsewhere / "corpus"
    shutil.copytree(corpus_folder, folder)
    with (folder / "train.tsv").open("a", encoding="utf-8") as file:
        file.write(f"one more\t{label}\ted1\n")
    done = eqn("validate", folder)

    assert (done.code, done.out) == (3, "")
    assert "1 fault(s):\n  - train.tsv, line 57: expected label ids" in done.err
    trials(1, "labels")


@pytest.mark.promise(21)
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"one field", "line 57: expected 3 fields, got 1"),
        (b"four\t3\tfields\thave", "line 57: expected 3 fields, got 4"),
        (b"caf\xe9\t3\ted1", "line 57: not UTF-8"),
        (b"a\rb\t3", "line 57: expected 3 fields, got 2"),
        ("a\t3\ted1\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_corpus_with_a_line_that_is_none_is_refused(
    eqn: Eqn, corpus_folder: Path, elsewhere: Path, line: bytes, said: str, trials: Trials
) -> None:
    folder = elsewhere / "corpus"
    shutil.copytree(corpus_folder, folder)
    with (folder / "train.tsv").open("ab") as file:
        file.write(line + b"\n")
    done = eqn("validate", folder)

    assert (done.code, done.out) == (3, "")
    assert said in done.err
    trials(1, "labels")
