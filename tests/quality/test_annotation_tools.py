"""Promises about the files for Label Studio, Argilla and spreadsheets."""

import csv
import io
import json
from pathlib import Path
from xml.dom import minidom

import pyarrow.parquet as pq
import pytest

from eqn.corpus.corrections import read_corrections
from eqn.corpus.goemotions import Split
from eqn.emotions import EMOTIONS, INDEX, MEANINGS
from eqn.errors import UsageError
from eqn.quality.annotation_tools import argilla_records, export_issues, label_studio_tasks
from eqn.quality.issue_files import issue_rows, write_table
from eqn.quality.label_issues import LabelChange, LabelIssue
from eqn.release.export import escaped, unescaped

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    '=HYPERLINK("http://example.org";"x")',
    "https://example.org/steal",
    "$given {{7*7}} &amp; \u202e\x1b[31m \u2028 \0 \U0001f600",
)


@pytest.fixture
def split() -> Split:
    return Split(name="train", ids=("a", "=b", "c", "d"), texts=HOSTILE, labels=((0,), (1,), (2,), (27,)))


@pytest.fixture
def issues() -> tuple[LabelIssue, ...]:
    return tuple(
        LabelIssue(
            row=row,
            quality=row / 10,
            given=("neutral",),
            suggested=("joy", "love"),
            scores=(0.9, 0.5),
            changes=(LabelChange("neutral", "remove", 0.01, 0.5),),
        )
        for row in (2, 0, 3, 1)
    )


def test_label_studio_gets_tasks_with_a_prediction(
    split: Split, issues: tuple[LabelIssue, ...], tmp_path: Path
) -> None:
    """The suggestion is chosen already; what was given, and why it is doubted, stands beside the text."""
    path, configuration = export_issues("label-studio", tmp_path / "issues.json", issues, split)

    tasks = json.loads(path.read_bytes())
    assert [task["data"]["comment_id"] for task in tasks] == ["c", "a", "d", "=b"]
    first = tasks[0]
    assert first["data"]["text"] == HOSTILE[2]
    assert (first["data"]["given"], first["data"]["split"]) == ("neutral", "train")
    assert first["data"]["why"] == "not neutral: scores 0.01, rows with it 0.50 on average"
    (prediction,) = first["predictions"]
    assert prediction["result"][0]["value"] == {"choices": ["joy", "love"]}
    assert configuration == tmp_path / "issues.xml"


def test_the_configuration_fits_the_tasks(split: Split, issues: tuple[LabelIssue, ...], tmp_path: Path) -> None:
    """Well-formed; 28 choices in canonical order; every variable is in every task; a text is never an address."""
    path, configuration = export_issues("label-studio", tmp_path / "issues.json", issues, split)
    root = minidom.parseString(configuration.read_bytes())  # noqa: S318  our own file

    choices = root.getElementsByTagName("Choice")
    assert [choice.getAttribute("value") for choice in choices] == list(EMOTIONS)
    assert [choice.getAttribute("hint") for choice in choices] == list(MEANINGS.values())
    (control,) = root.getElementsByTagName("Choices")
    shown = {text.getAttribute("name"): text for text in root.getElementsByTagName("Text")}
    assert {text.getAttribute("valueType") for text in shown.values()} == {"text"}
    for task in json.loads(path.read_bytes()):
        result = task["predictions"][0]["result"][0]
        assert (result["from_name"], result["to_name"]) == (
            control.getAttribute("name"),
            control.getAttribute("toName"),
        )
        used = {text.getAttribute("value").partition("$")[2] for text in shown.values()}
        assert used <= task["data"].keys()
        assert result["to_name"] in shown


def test_annotated_tasks_come_back_as_corrections(split: Split, issues: tuple[LabelIssue, ...], tmp_path: Path) -> None:
    """A task whose prediction is accepted as it is says what was suggested."""
    tasks = label_studio_tasks(issues, split)
    for task in tasks:
        task["annotations"] = [{"was_cancelled": False, "result": task["predictions"][0]["result"]}]
    (tmp_path / "export.json").write_text(json.dumps(tasks), "utf-8")

    accepted = (INDEX["joy"], INDEX["love"])
    assert read_corrections(tmp_path / "export.json") == {"c": accepted, "a": accepted, "d": accepted, "=b": accepted}


def test_argilla_gets_records_with_a_suggestion(split: Split, issues: tuple[LabelIssue, ...], tmp_path: Path) -> None:
    """In the form of argilla.Record.from_dict, one on each line, whatever a text holds."""
    (path,) = export_issues("argilla", tmp_path / "issues.jsonl", issues, split)

    lines = path.read_bytes().splitlines()
    assert [json.loads(line) for line in lines] == argilla_records(issues, split)
    record = json.loads(lines[0])
    assert (record["id"], record["fields"]) == ("c", {"text": HOSTILE[2]})
    assert record["metadata"] == {"given": ["neutral"], "quality": 0.2}
    suggestion = record["suggestions"]["emotions"]
    assert (suggestion["value"], suggestion["score"]) == (["joy", "love"], [0.9, 0.5])


@pytest.mark.parametrize(("tool", "name"), [("label-studio", "x.json"), ("argilla", "x.jsonl")])
def test_hostile_texts_are_harmless_in_the_files(
    split: Split, issues: tuple[LabelIssue, ...], tmp_path: Path, tool: str, name: str
) -> None:
    """Printable ASCII without HTML's characters; the texts are the same, but for NUL, which databases refuse."""
    content = export_issues(tool, tmp_path / name, issues, split)[0].read_text("ascii")

    assert not set(content) & set("<>&\0\x1b")
    assert "\\u0000" not in content
    assert content.replace("\n", "").isprintable()
    read = json.loads(content) if tool == "label-studio" else [json.loads(line) for line in content.splitlines()]
    texts = {item["data"]["text"] if tool == "label-studio" else item["fields"]["text"] for item in read}
    assert texts == {text.replace("\0", "\ufffd") for text in HOSTILE}


@pytest.mark.parametrize(
    ("tool", "name", "said"),
    [
        ("doccano", "x.json", "expected an export for label-studio or argilla"),
        ("label-studio", "x.jsonl", "ends in .json"),
        ("argilla", "x.json", "ends in .jsonl"),
    ],
)
def test_another_tool_or_ending_is_a_wrong_call(split: Split, tmp_path: Path, tool: str, name: str, said: str) -> None:
    """Exit 2, and nothing is written."""
    with pytest.raises(UsageError, match=said):
        export_issues(tool, tmp_path / name, (), split)
    assert list(tmp_path.iterdir()) == []


def test_a_spreadsheet_runs_no_cell(split: Split, issues: tuple[LabelIssue, ...], tmp_path: Path) -> None:
    """Texts and ids that begin like a formula are escaped, and come back; numbers are numbers."""
    write_table(tmp_path / "x.csv", issue_rows(issues, split), escape=escaped)

    content = (tmp_path / "x.csv").read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    assert [unescaped(row["text"]) for row in rows] == [HOSTILE[row] for row in (2, 0, 3, 1)]
    assert (rows[3]["id"], rows[3]["text"][:2]) == ("'=b", "'=")
    assert (rows[0]["rank"], rows[0]["row"], rows[0]["suggested"]) == ("1", "3", "joy; love")
    assert content.splitlines()[1].startswith('1,0.2,"c",3,"https')


def test_parquet_and_jsonl_keep_texts_and_lists(split: Split, issues: tuple[LabelIssue, ...], tmp_path: Path) -> None:
    """As they are: nothing there runs a cell."""
    rows = issue_rows(issues, split)
    for name in ("x.parquet", "x.jsonl"):
        write_table(tmp_path / name, rows, escape=escaped)

    assert pq.read_table(tmp_path / "x.parquet").to_pylist() == rows
    assert [json.loads(line) for line in (tmp_path / "x.jsonl").read_bytes().split(b"\n")[:-1]] == rows


def test_a_missing_value_is_an_empty_cell(tmp_path: Path) -> None:
    """Without quotes, unlike an empty text."""
    write_table(tmp_path / "x.csv", [{"a": None, "b": "", "c": []}], escape=escaped)

    assert (tmp_path / "x.csv").read_text() == 'a,b,c\n,"",""\n'


def test_files_that_are_there_stay(split: Split, issues: tuple[LabelIssue, ...], tmp_path: Path) -> None:
    """The same content again is fine; other content needs another name."""
    rows = issue_rows(issues, split)
    write_table(tmp_path / "x.csv", rows, escape=escaped)
    write_table(tmp_path / "x.csv", rows, escape=escaped)

    with pytest.raises(UsageError, match="it is another and stays as it is"):
        write_table(tmp_path / "x.csv", rows[1:], escape=escaped)
    with pytest.raises(UsageError, match=r"ends in \.csv, \.parquet, \.jsonl"):
        write_table(tmp_path / "x.xlsx", rows, escape=escaped)
