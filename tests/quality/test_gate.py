"""The gate: what it leaves on disk, what it never shows, and what it stops."""

import concurrent.futures
import dataclasses
import errno
import subprocess
import sys
import uuid
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from eqn.corpus.goemotions import Corpus
from eqn.errors import DataRefused, EqnError, StorageFull
from eqn.quality import data_docs
from eqn.quality.data_docs import replacing, save_validation, tidy
from eqn.quality.gate import InboxRow, _validate, load_validation, require, validate_corpus, validate_inbox
from eqn.quality.inbox_tables import inbox_tables
from eqn.quality.suites import inbox_suite
from eqn.records import Finding, Validation

CheckInbox = Callable[[list[InboxRow]], Validation]

HOSTILE = "<script>alert(1)</script>"
GOOD = [InboxRow("a.csv", row, f"a{row}", "good morning") for row in range(1, 5)]


def pages(docs: Path) -> dict[Path, str]:
    return {page: page.read_text("utf-8") for page in docs.rglob("*.html")}


def _index_of(validation: Validation) -> str:
    return Path(validation.data_docs).read_text("utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_importing_the_gate_is_light() -> None:
    """Reading an outcome and requiring it need neither Great Expectations nor pandas, numpy or pyarrow."""
    heavy = "{'great_expectations', 'pandas', 'numpy', 'pyarrow'}"
    code = f"import sys, eqn.quality.gate; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_validation_prints_nothing_and_leaves_nothing_elsewhere(tmp_path: Path) -> None:
    """No progress bars, no warnings, no folder of Great Expectations in the home or working directory."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    code = (
        "from pathlib import Path; from eqn.quality.gate import InboxRow, validate_inbox;"
        "validate_inbox([InboxRow('a', 1, 'x', ' ')], name='n', digest='d', docs=Path('docs'))"
    )
    environment = {"HOME": str(home), "PYTHONPATH": str(Path(data_docs.__file__).parents[2]), "TMPDIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=work, env=environment
    )

    assert (done.stdout, done.stderr) == ("", "")
    assert list(home.iterdir()) == []
    assert [path.name for path in work.iterdir()] == ["docs"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "work"]


def test_a_validation_lets_spark_lie(tmp_path: Path) -> None:
    """Great Expectations would import pyspark, which ends such a process; afterwards it can be imported as ever."""
    (tmp_path / "pyspark").mkdir()
    (tmp_path / "pyspark" / "__init__.py").write_text("import sys; sys.exit(0)")
    code = (
        "from pathlib import Path; from eqn.quality.gate import InboxRow, validate_inbox;"
        "print(validate_inbox([InboxRow('a', 1, 'x', 'y')], name='n', digest='d', docs=Path('docs')).passed);"
        "import pyspark; print('too far')"
    )
    environment = {"PYTHONPATH": f"{tmp_path}:{Path(data_docs.__file__).parents[2]}", "HOME": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )

    assert (done.returncode, done.stdout) == (0, "True\n")


def test_the_report_has_an_index_and_a_page_for_the_result(sound: Corpus, tmp_path: Path) -> None:
    """The validation names the index page; from there the result's page is linked."""
    validation = validate_corpus(sound, docs=tmp_path / "docs")

    index = Path(validation.data_docs)
    assert index == tmp_path / "docs" / "index.html"
    (page,) = (tmp_path / "docs" / "validations").rglob("*.html")
    assert str(page.relative_to(tmp_path / "docs")) in index.read_text("utf-8")
    assert "grief stands in 0.05% to 60.00% of the training rows" in page.read_text("utf-8")


def test_the_index_says_the_verdict_without_scripts(check_inbox: CheckInbox) -> None:
    """Great Expectations' own list is filled by scripts from public networks; the verdict stands there as text."""
    validation = check_inbox([InboxRow("a.csv", row, f"x{row}", "" if row % 2 else "hello") for row in range(4)])

    index = _index_of(validation)
    assert "<h1>inbox: refused</h1>" in index
    assert "<li>critical: no text is blank, but 2 of 4 rows break this</li>" in index
    assert '<a href="validation.json">' in index
    assert "<h1>inbox: passed</h1>" in _index_of(check_inbox(GOOD))


def test_the_report_names_failing_rows_and_shows_no_text(sound: Corpus, tmp_path: Path) -> None:
    """Texts belong to those who wrote them: not even a failing one is in the report."""
    texts = ("private " * 300, "private too", *sound.dev.texts[2:])
    dev = dataclasses.replace(sound.dev, texts=texts)
    test = dataclasses.replace(sound.test, texts=("private too", *sound.test.texts[1:]))

    validation = validate_corpus(dataclasses.replace(sound, dev=dev, test=test), docs=tmp_path / "docs")

    assert [finding.ids for finding in validation.findings] == [("dev-0",), ("dev-1", "test-0")]
    assert any("dev-0" in page for page in pages(tmp_path / "docs").values())
    assert not any(b"private" in content for content in contents(tmp_path / "docs").values())


def test_hostile_data_runs_nothing_in_the_report(tmp_path: Path) -> None:
    """Names, ids, reasons and file names reach the pages only with their markup taken off."""
    rows = [*GOOD, InboxRow(HOSTILE, 1, HOSTILE, HOSTILE, HOSTILE), InboxRow("a.csv", 9, HOSTILE, " " + HOSTILE)]
    rows += [InboxRow("b.csv", 1, HOSTILE, HOSTILE), InboxRow("b.csv", 2, HOSTILE, HOSTILE)]

    validation = validate_inbox(rows, name=f"../{HOSTILE}", digest=HOSTILE, docs=tmp_path / "docs")

    assert (HOSTILE,) in [finding.ids for finding in validation.findings]
    written = pages(tmp_path / "docs")
    assert not [page for page, content in written.items() if HOSTILE in content or "alert(1)</script" in content]
    assert any("&lt;script&gt;alert(1)&lt;/script&gt;" in content for content in written.values())
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_control_characters_are_written_out(tmp_path: Path) -> None:
    """An id or file name cannot steer the terminal, and half of a surrogate pair stops nothing."""
    rows = [*GOOD, InboxRow("\x1b[31m\ud800", 1, "x\x00", " ")]

    validation = validate_inbox(rows, name="\udcff", digest="d", docs=tmp_path / "docs")

    assert [finding.ids for finding in validation.findings] == [("\\x1b[31m\\ud800 row 1",)]


@pytest.mark.parametrize("digest", ["1" * 64, "20261120" + "a" * 56, "12e4" * 16])
def test_a_digest_that_looks_like_a_date_or_number_is_only_a_name(tmp_path: Path, digest: str) -> None:
    """Great Expectations reads the names of runs as dates where it can."""
    assert validate_inbox(GOOD, name="letters", digest=digest, docs=tmp_path / "docs").digest == digest


def test_ids_that_differ_only_in_control_characters_are_different(check_inbox: CheckInbox) -> None:
    """Counting looks at what was given, not at what is shown."""
    rows = [InboxRow("a.csv", row, identifier, "x") for row, identifier in enumerate(["x\x00a", "x\x00b", "x\\x00a"])]

    assert check_inbox(rows).findings == ()


def test_every_failing_row_is_reported(check_inbox: CheckInbox) -> None:
    """Not the first twenty, all of them."""
    rows = [InboxRow("a.csv", row, f"x{row}", "" if row % 2 else "hello") for row in range(1_000)]

    (finding,) = check_inbox(rows).findings

    assert finding.ids == tuple(f"a.csv row {row}" for row in range(1, 1_000, 2))


def test_the_pages_refer_to_files_that_are_there_and_never_phone_home(sound: Corpus, tmp_path: Path) -> None:
    """Tidying takes out only what no page shows; the makers' server does not learn who reads a report."""
    validate_corpus(sound, docs=tmp_path / "docs")

    for page, content in pages(tmp_path / "docs").items():
        assert "great-expectations-web-assets" not in content
        local = [link for link in _links(content) if "://" not in link and not link.startswith(("#", "mailto"))]
        local = [link for link in local if not link.endswith("favicon.ico")]  # Great Expectations itself misplaces it
        assert local
        assert [link for link in local if not (page.parent / link.partition("?")[0]).exists()] == []


def test_a_failed_critical_expectation_is_refused_with_everything_found() -> None:
    """The message has each finding, how many rows and all of them, and where the report is; the exit code is 3."""
    ids = tuple(f"x{row}" for row in range(30))
    findings = (
        Finding("critical", "no text is blank, but 30 of 90 rows break this", ids),
        Finding("warning", "careful"),
    )
    validation = Validation("letters", "d", 90, 9, findings, data_docs="/docs/index.html")

    with pytest.raises(DataRefused) as refused:
        require(validation)

    assert refused.value.exit_code == 3
    assert "letters" in refused.value.what
    assert "1 of 9 expectations" in refused.value.what
    assert refused.value.faults == (
        f"critical: no text is blank, but 30 of 90 rows break this (30: {', '.join(ids)})",
        "warning: careful",
    )
    assert "/docs/index.html" in refused.value.todo


def test_warnings_alone_are_let_through() -> None:
    """They are reported, and stop nothing."""
    require(Validation("letters", "d", 90, 9, (Finding("warning", "careful", ("x",)),), data_docs=""))


def test_an_outcome_is_read_back_as_it_was(check_inbox: CheckInbox, tmp_path: Path) -> None:
    """A rerun of unchanged data finds the outcome and can skip the work."""
    validation = check_inbox([*GOOD, InboxRow("é.csv", 1, HOSTILE, None, "bad_json")])

    assert load_validation(tmp_path / "docs") == validation


def test_a_report_may_be_moved(check_inbox: CheckInbox, tmp_path: Path) -> None:
    """The outcome holds no path of the machine that wrote it."""
    validation = check_inbox(GOOD)
    (tmp_path / "docs").rename(tmp_path / "elsewhere")

    assert not any(str(tmp_path).encode() in content for content in contents(tmp_path / "elsewhere").values())
    moved = load_validation(tmp_path / "elsewhere")
    assert moved == dataclasses.replace(validation, data_docs=str(tmp_path / "elsewhere" / "index.html"))


def test_an_outcome_that_cannot_be_trusted_counts_as_none(
    check_inbox: CheckInbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No report, made under other rules, cut short, of another form, or without its pages: validate again."""
    docs = tmp_path / "docs"
    assert load_validation(docs) is None
    check_inbox(GOOD)
    assert load_validation(docs) is not None

    with monkeypatch.context() as other:
        other.setattr(data_docs, "rules_digest", lambda: "others")
        assert load_validation(docs) is None
    outcome = docs / "validation.json"
    whole = outcome.read_text("utf-8")
    for wrong in ("", whole[:-20], "[]", "{}", whole.replace('"rows"', '"lines"'), whole.replace('"rules"', '"r"')):
        outcome.write_text(wrong, "utf-8")
        assert load_validation(docs) is None
    outcome.write_text(whole, "utf-8")
    (docs / "index.html").unlink()
    assert load_validation(docs) is None


def test_a_new_report_replaces_the_old_one_whole(check_inbox: CheckInbox, tmp_path: Path) -> None:
    """No page of an earlier run stays behind, and nothing is left beside the report."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "earlier.html").write_text("earlier")

    check_inbox(GOOD)

    assert not (docs / "earlier.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_an_expectation_that_cannot_be_evaluated_leaves_the_old_report(check_inbox: CheckInbox, tmp_path: Path) -> None:
    """Nothing can be said about such data, so it must not pass, and what was there before stays."""
    check_inbox(GOOD)
    before = contents(tmp_path / "docs")

    def tables(scratch: Path) -> list[Any]:
        return [table.drop(columns=["characters"]) for table in inbox_tables(GOOD, scratch)]

    with pytest.raises(EqnError, match="could not evaluate") as failed:
        _validate(tables, inbox_suite(), name="inbox", digest="d", docs=tmp_path / "docs")

    assert failed.value.faults == ("a text has at most 100,000 characters",)
    assert contents(tmp_path / "docs") == before
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def _report(docs: Path, rows: int) -> None:
    """Put a report on so many rows into the place of `docs`."""
    with replacing(docs) as site:
        (site / "index.html").write_text("<body>")
        (site / f"{uuid.uuid4()}.html").write_text("a page of this run alone")
        validation = Validation("inbox", "d", rows, expectations=1, findings=(), data_docs=str(docs / "index.html"))
        save_validation(site, validation)


def test_a_report_that_says_the_same_stays(tmp_path: Path) -> None:
    """Its pages may be on their way into a release; one that says something else takes its place."""
    docs = tmp_path / "docs"
    _report(docs, rows=1)
    before = contents(docs)

    _report(docs, rows=1)
    assert contents(docs) == before

    _report(docs, rows=2)
    assert not set(contents(docs).items()) & set(before.items())
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_many_at_once_leave_one_whole_report(tmp_path: Path) -> None:
    """Some say the same and some do not; none of them fails, and what stands at the end is one of theirs."""
    docs = tmp_path / "docs"

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        done = [threads.submit(_report, docs, rows=number % 3) for number in range(400)]
    for one in done:
        one.result()

    assert load_validation(docs) is not None
    assert len(contents(docs)) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    """The error says that there is no space; the old report is untouched."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.html").write_text("old")

    def build() -> None:
        with replacing(docs) as site:
            (site / "index.html").write_text("new")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageFull):
        build()

    assert contents(docs) == {"index.html": b"old"}


def test_a_report_with_a_missing_page_is_no_report(tmp_path: Path) -> None:
    """Great Expectations logs what goes wrong in rendering and goes on; the gate does not."""
    (tmp_path / "index.html").write_text("")

    with pytest.raises(EqnError, match="expectations"):
        tidy(tmp_path)


def _links(page: str) -> list[str]:
    found: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value for name, value in attrs if name in {"href", "src"} and value)

    Links().feed(page)
    return found
