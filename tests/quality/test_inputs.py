"""Validation that is done once: unchanged data is not read again, and each digest has its own report."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eqn.corpus.erased import ErasureList, digest_of
from eqn.corpus.goemotions import Corpus, load_corpus
from eqn.corpus.inputs import InputFile, find_inputs
from eqn.corpus.reader import FileScan
from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused
from eqn.quality.inputs import forget_reports, scan_all, validated_corpus, validated_inbox
from eqn.records import Validation

Scanned = tuple[tuple[InputFile, ...], list[FileScan]]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return tmp_path / "docs"


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Every emotion once in each split."""
    folder = tmp_path / "small"
    folder.mkdir()
    for split in ("train", "dev", "test"):
        lines = [f"comment {label} of {split}\t{label}\t{split}-{label}\n" for label in range(len(EMOTIONS))]
        (folder / f"{split}.tsv").write_text("".join(lines), "utf-8")
    return load_corpus(folder)


@pytest.fixture
def scanned(tmp_path: Path) -> Callable[[], Scanned]:
    """Give a function that scans an inbox of two files, one of which has a row for quarantine."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "a.csv").write_text("id,text\n1,hello\n2,there\n3,you\n4,two\n5,\n")
    (inbox / "b.txt").write_text("one\ntwo\n")

    def scan() -> Scanned:
        files = find_inputs([str(inbox)])
        return files, scan_all(files)

    return scan


def report_time(validation: Validation) -> int:
    return Path(validation.data_docs).stat().st_mtime_ns


def test_an_inbox_is_validated_row_by_row(scanned: Callable[[], Scanned], docs: Path) -> None:
    """Accepted and quarantined rows of all files are held against the contract."""
    validation = validated_inbox(*scanned(), name="letters", docs=docs)

    assert validation.passed
    assert (validation.subject, validation.rows) == ("letters", 7)
    assert [finding.ids for finding in validation.findings] == [("a.csv row 5",)]


def test_unchanged_files_are_validated_once(scanned: Callable[[], Scanned], docs: Path, tmp_path: Path) -> None:
    """The second time no file is read, as none is there any more; the outcome and its report are the first one's."""
    files, scans = scanned()
    first = validated_inbox(files, scans, name="letters", docs=docs)
    written = report_time(first)
    shutil.rmtree(tmp_path / "inbox")
    again = validated_inbox(files, scans, name="letters", docs=docs)

    assert again == first
    assert report_time(again) == written
    assert len(list(docs.iterdir())) == 1


def test_a_changed_file_has_a_report_of_its_own(scanned: Callable[[], Scanned], docs: Path, tmp_path: Path) -> None:
    """Its digest names the folder, and the earlier report stays for whoever looks back."""
    first = validated_inbox(*scanned(), name="letters", docs=docs)
    with (tmp_path / "inbox" / "b.txt").open("a") as file:
        file.write("three\n")
    second = validated_inbox(*scanned(), name="letters", docs=docs)

    assert (first.rows, second.rows) == (7, 8)
    assert first.digest != second.digest
    assert Path(first.data_docs).is_file()
    for validation in (first, second):
        assert Path(validation.data_docs).parent == docs / f"letters-{validation.digest[:16]}"


def test_other_columns_are_another_question(scanned: Callable[[], Scanned], docs: Path, tmp_path: Path) -> None:
    """The same bytes read by other columns are other rows."""
    path = tmp_path / "x.csv"
    path.write_text("id,text,body\n1,a,b\n2,c,d\n")
    files = find_inputs([str(path)])
    found = [
        validated_inbox(files, scan_all(files, text_column=name), name="x", docs=docs, text_column=name)
        for name in ("text", "body")
    ]

    assert found[0].digest != found[1].digest


def test_a_report_that_is_damaged_is_built_again(scanned: Callable[[], Scanned], docs: Path) -> None:
    """Without its index, or with an outcome that cannot be read, the data is validated anew."""
    files, scans = scanned()
    first = validated_inbox(files, scans, name="letters", docs=docs)
    Path(first.data_docs).with_name("validation.json").write_text("{")
    again = validated_inbox(files, scans, name="letters", docs=docs)

    assert again == first
    assert "letters" in Path(again.data_docs).with_name("validation.json").read_text()


def test_files_that_change_under_the_validation_are_refused(
    scanned: Callable[[], Scanned], docs: Path, tmp_path: Path
) -> None:
    """What was scanned is what is validated, or there is no outcome."""
    files, scans = scanned()
    with (tmp_path / "inbox" / "b.txt").open("a") as file:
        file.write("three\n")

    with pytest.raises(DataRefused, match=r"b\.txt: expected the file as it was scanned"):
        validated_inbox(files, scans, name="letters", docs=docs)
    assert not any(docs.glob("letters-*"))


def test_a_corpus_is_validated_once(corpus: Corpus, docs: Path) -> None:
    """Its digest names the report; what does not change is not held against the contract again."""
    first = validated_corpus(corpus, docs=docs)
    written = report_time(first)
    again = validated_corpus(load_corpus(Path(corpus.ref.path)), docs=docs)

    assert first.passed
    assert Path(first.data_docs).parent == docs / f"small-{corpus.ref.digest[:16]}"
    assert (again, report_time(again)) == (first, written)


def test_a_refused_corpus_is_refused_again(corpus: Corpus, docs: Path) -> None:
    """The kept outcome is the whole outcome, with every finding."""
    path = Path(corpus.ref.path) / "dev.tsv"
    path.write_text(path.read_text() + "comment\t0\ttrain-0\n")
    broken = load_corpus(path.parent)
    first, again = (validated_corpus(broken, docs=docs) for _ in range(2))

    assert not first.passed
    assert again == first
    assert any("train-0" in finding.ids for finding in again.findings)


def test_all_files_that_cannot_be_taken_are_named_at_once(tmp_path: Path) -> None:
    """One fault is told in its own words; of several, each is listed."""
    contents: dict[str, Any] = {"a.csv": b"", "b.parquet": os.urandom(100), "c.csv": b"x,y\n1,2\n", "d.txt": b"fine\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)

    with pytest.raises(DataRefused) as one:
        scan_all(find_inputs([str(tmp_path / "a.csv"), str(tmp_path / "d.txt")]))
    with pytest.raises(DataRefused, match="3 of 4 inputs cannot be taken") as all_of_them:
        scan_all(find_inputs([str(tmp_path)]))

    assert one.value.what.startswith("a.csv: ")
    assert one.value.faults == ()
    assert [fault.partition(":")[0] for fault in all_of_them.value.faults] == ["a.csv", "b.parquet", "c.csv"]


def test_erased_rows_are_left_out_of_the_report(tmp_path: Path, docs: Path) -> None:
    """They are neither named nor counted, however many of a file they are; another list, another report."""
    (tmp_path / "a.csv").write_text("id,text\nann-1,hello\nann-2,there\nbob-1,you\n")
    (tmp_path / "b.csv").write_text("id,text\nann-1,hello\n")
    files = find_inputs([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])
    erasures = ErasureList({digest_of(one): 1 for one in ("ann-1", "ann-2")})

    with_all = validated_inbox(files, scan_all(files), name="letters", docs=docs)
    without = validated_inbox(files, scan_all(files, erasures=erasures), name="letters", docs=docs, erasures=erasures)

    assert (with_all.rows, without.rows) == (4, 1)
    assert with_all.digest != without.digest
    assert [finding.ids for finding in with_all.findings] == [("ann-1",)]
    assert without.findings == ()
    assert not any(
        "ann-" in page.read_text("utf-8", "replace") for page in Path(without.data_docs).parent.rglob("*.html")
    )


def test_the_reports_of_one_inbox_are_forgotten(scanned: Callable[[], Scanned], docs: Path) -> None:
    """Those of others stay, however alike their names are."""
    for name in ("letters", "letters-b", "old"):
        validated_inbox(*scanned(), name=name, docs=docs)

    assert forget_reports(docs, "letters") == []
    assert [path.name[:-17] for path in sorted(docs.iterdir())] == ["letters-b", "old"]
    assert forget_reports(docs / "nowhere", "letters") == []


def test_a_report_that_cannot_be_removed_is_named(docs: Path, tmp_path: Path) -> None:
    """Nobody is told that ids are gone which are still there: here, behind a link."""
    docs.mkdir()
    report = docs / "letters-0123456789abcdef"
    report.symlink_to(tmp_path)
    assert forget_reports(docs, "letters") == [report]
