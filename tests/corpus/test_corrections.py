"""Promises about corrected labels and the corpus that is made of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eqn.corpus.contract import SPLITS
from eqn.corpus.corrections import RECORD, correct_corpus, read_corrections
from eqn.corpus.goemotions import Corpus, load_corpus
from eqn.emotions import INDEX
from eqn.errors import DataRefused, UsageError

MakeFile = Callable[..., Path]

TRAIN = b'Wow!\r\t26\ta\r\n\n"quoted\t0,3\tb\r\nlast \xe2\x80\xa8line\t27\tc'
"""A carriage return in a text, Windows line ends, a blank line, a quote, U+2028, no line end at the end."""


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "train.tsv").write_bytes(TRAIN)
    (folder / "dev.tsv").write_text("dev comment\t1\td\n")
    (folder / "test.tsv").write_text("test comment\t2\te\n")
    return load_corpus(folder)


@pytest.fixture
def lines(tmp_path: Path) -> MakeFile:
    """Give a function that writes objects as jsonl."""

    def make(*rows: Any) -> Path:
        path = tmp_path / "corrections.jsonl"
        path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), "utf-8")
        return path

    return make


@pytest.fixture
def tasks(tmp_path: Path) -> MakeFile:
    """Give a function that writes Label Studio's JSON export."""

    def make(*found: Any) -> Path:
        path = tmp_path / "export.json"
        path.write_text(json.dumps(found, indent=1), "utf-8")
        return path

    return make


def task(identifier: str, *annotations: Any) -> dict[str, Any]:
    return {"id": 17, "data": {"comment_id": identifier, "text": "x"}, "annotations": list(annotations)}


def annotation(*choices: str, cancelled: bool = False) -> dict[str, Any]:
    chosen = {"from_name": "emotions", "to_name": "text", "type": "choices", "value": {"choices": list(choices)}}
    note = {"from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": ["why?"]}}
    return {"id": 1, "result": [chosen, note], "was_cancelled": cancelled}


def test_only_the_corrected_lines_change(corpus: Corpus, lines: MakeFile, tmp_path: Path) -> None:
    """Every other byte of the three files is the old one's: line ends, blank lines, quotes."""
    corrections = lines({"id": "b", "labels": ["love", "joy"]}, {"id": "c", "labels": ["neutral"]})

    done = correct_corpus(corpus, corrections, tmp_path / "new" / "corpus")

    new = tmp_path / "new" / "corpus"
    assert (new / "train.tsv").read_bytes() == TRAIN.replace(b"\t0,3\t", b"\t17,18\t")
    for name in ("dev.tsv", "test.tsv"):
        assert (new / name).read_bytes() == (tmp_path / "old" / name).read_bytes()
    assert (done.corrections, done.changed, done.split) == (2, 1, "train")
    assert sorted(path.name for path in new.iterdir()) == [RECORD, "dev.tsv", "test.tsv", "train.tsv"]
    assert [path.name for path in new.parent.iterdir()] == ["corpus"]


def test_the_new_corpus_has_its_own_digest_and_says_where_it_comes_from(
    corpus: Corpus, lines: MakeFile, tmp_path: Path
) -> None:
    """The record names both digests; it holds no path of this machine."""
    done = correct_corpus(corpus, lines({"id": "a", "labels": ["joy"]}), tmp_path / "new")

    read = load_corpus(tmp_path / "new")
    record = json.loads((tmp_path / "new" / RECORD).read_text("utf-8"))
    assert read.ref == done.corpus
    assert read.train.labels == ((INDEX["joy"],), *corpus.train.labels[1:])
    assert record["digest"] == read.ref.digest != corpus.ref.digest
    assert record["made_from"] == {"name": "old", "digest": corpus.ref.digest}
    assert (record["split"], record["corrections"], record["changed"]) == ("train", 1, 1)
    assert str(tmp_path) not in json.dumps(record)


def test_another_split_can_be_corrected(corpus: Corpus, lines: MakeFile, tmp_path: Path) -> None:
    """Then train stays as it is."""
    correct_corpus(corpus, lines({"id": "d", "labels": ["fear"]}), tmp_path / "new", split="dev")

    read = load_corpus(tmp_path / "new")
    assert read.dev.labels == ((INDEX["fear"],),)
    assert (tmp_path / "new" / "train.tsv").read_bytes() == TRAIN


def test_label_studios_export_is_read(tasks: MakeFile) -> None:
    """Choices count; notes, cancelled annotations and tasks that nobody annotated say nothing; equal ones agree."""
    path = tasks(
        task("a", annotation("love", "joy")),
        task("b", annotation("anger", cancelled=True), annotation("fear"), annotation("fear")),
        task("c"),
        task("d", annotation(cancelled=True)),
        {"data": {"comment_id": "e", "text": "as it was imported"}, "predictions": []},
    )

    assert read_corrections(path) == {"a": (INDEX["joy"], INDEX["love"]), "b": (INDEX["fear"],)}


def test_jsonl_is_read(lines: MakeFile) -> None:
    """With other keys, blank lines, a byte order mark, an id that is a number, and a label twice."""
    path = lines("\ufeff", {"id": "a", "labels": ["joy", "joy"], "note": "?"}, "\n", {"id": 7, "labels": ["fear"]})

    assert read_corrections(path) == {"a": (INDEX["joy"],), "7": (INDEX["fear"],)}


def test_all_faults_of_a_jsonl_file_are_named(lines: MakeFile) -> None:
    """Each with its line; unknown labels by their names, nothing guessed."""
    path = lines(
        {"id": "a", "labels": ["Joy", "happiness", "joy"]},
        {"id": "b", "labels": []},
        {"id": "c", "labels": "joy"},
        {"labels": ["joy"]},
        "{\n",
        {"id": "d", "labels": ["joy"]},
        {"id": "d", "labels": ["joy"]},
        '{"id": "e", "labels": ["joy"], "labels": ["fear"]}\n',
    )

    with pytest.raises(DataRefused) as refusal:
        read_corrections(path)
    assert [fault.partition(":")[0] for fault in refusal.value.faults] == [f"line {n}" for n in (1, 2, 3, 4, 5, 7, 8)]
    assert "expected names of emotions, got 'Joy', 'happiness'" in refusal.value.faults[0]
    assert "was corrected before" in refusal.value.faults[5]


def test_all_faults_of_an_export_are_named(tasks: MakeFile) -> None:
    """Each with its task: annotators who disagree, no choice, no such label, no comment."""
    path = tasks(
        task("a", annotation("joy"), annotation("fear")),
        task("b", annotation()),
        task("c", annotation("Joy")),
        {"id": 1, "data": {"text": "x"}, "annotations": [annotation("joy")]},
        {"comment_id": "e", "emotions": "joy"},
        "task",
    )

    with pytest.raises(DataRefused) as refusal:
        read_corrections(path)
    faults = refusal.value.faults
    assert [fault.partition(":")[0] for fault in faults] == [f"task {number}" for number in range(1, 7)]
    assert "its 2 annotations differ" in faults[0]
    assert "expected at least one label" in faults[1]


@pytest.mark.parametrize(
    "content",
    [
        *(b"[", b"\xff\xfe[", b"[" * 100_000, b"", b"\n", b"[]", b"\0", b'{"id": "\\ud800"}'),
        b'[{"data": {"comment_id": "a"}, "annotations": [{"result": 5}, {"result": [5, {"value": 5}]}, 5]}]',
    ],
)
def test_whatever_is_no_file_of_corrections_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    """Exit 3, no traceback."""
    (tmp_path / "x").write_bytes(content)

    with pytest.raises(DataRefused):
        read_corrections(tmp_path / "x")


def test_comments_that_are_not_in_the_split_are_named(corpus: Corpus, lines: MakeFile, tmp_path: Path) -> None:
    """Where they are, if they are anywhere; nothing is written."""
    path = lines({"id": "d", "labels": ["joy"]}, {"id": "zz", "labels": ["joy"]}, {"id": "a", "labels": ["joy"]})

    with pytest.raises(DataRefused) as refusal:
        correct_corpus(corpus, path, tmp_path / "new")
    assert refusal.value.faults == ("'d' is in dev.tsv", "'zz' is no comment of this corpus")
    assert not (tmp_path / "new").exists()


def test_an_id_that_stands_twice_cannot_be_corrected(corpus: Corpus, lines: MakeFile, tmp_path: Path) -> None:
    """Nobody knows which of the two was meant."""
    (tmp_path / "old" / "train.tsv").write_bytes(b"x\t1\ta\ny\t2\ta\n")

    with pytest.raises(DataRefused, match=r"'a' stands 2 times in train\.tsv"):
        correct_corpus(load_corpus(tmp_path / "old"), lines({"id": "a", "labels": ["joy"]}), tmp_path / "new")


def test_corrections_that_change_nothing_make_no_corpus(corpus: Corpus, lines: MakeFile, tmp_path: Path) -> None:
    """It would be the old one under another name."""
    with pytest.raises(DataRefused, match="have these labels already"):
        correct_corpus(corpus, lines({"id": "a", "labels": ["surprise"]}), tmp_path / "new")


def test_nothing_is_overwritten(corpus: Corpus, lines: MakeFile, tmp_path: Path) -> None:
    """An empty folder is filled; a folder with anything in it, a file and a dangling link stay as they are."""
    path = lines({"id": "a", "labels": ["joy"]})
    full, file, link = tmp_path / "full", tmp_path / "file", tmp_path / "link"
    full.mkdir()
    (full / "mine").write_text("mine")
    file.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    for taken in (full, file, link):
        with pytest.raises(UsageError, match="expected a new or empty directory"):
            correct_corpus(corpus, path, taken)
    assert [entry.name for entry in full.iterdir()] == ["mine"]

    (tmp_path / "empty").mkdir()
    assert correct_corpus(corpus, path, tmp_path / "empty").changed == 1
    assert {f"{name}.tsv" for name in SPLITS} < {entry.name for entry in (tmp_path / "empty").iterdir()}


def test_a_corpus_that_changed_meanwhile_is_not_corrected(corpus: Corpus, lines: MakeFile, tmp_path: Path) -> None:
    """The record would name a digest that the new corpus was not made of; nothing is left behind."""
    (tmp_path / "old" / "dev.tsv").write_text("another comment\t1\td\n")

    with pytest.raises(DataRefused, match="changed while it was read"):
        correct_corpus(corpus, lines({"id": "a", "labels": ["joy"]}), tmp_path / "new")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["corrections.jsonl", "old"]


def test_a_file_that_is_not_there_is_a_wrong_call(corpus: Corpus, tmp_path: Path) -> None:
    """Exit 2; so is a split that does not exist."""
    with pytest.raises(UsageError, match="cannot be read"):
        correct_corpus(corpus, tmp_path / "nowhere", tmp_path / "new")
    with pytest.raises(UsageError, match="expected a split"):
        correct_corpus(corpus, tmp_path / "nowhere", tmp_path / "new", split="validation")
