"""Promises about the corpus that a run works on, and the inbox that stands ready."""

import csv
from pathlib import Path

import pytest

from eqn.corpus.choice import choose_corpus, fill_inbox, sample_directory
from eqn.corpus.goemotions import Corpus, Split
from eqn.records import CorpusRef

_TEXTS = ('says "hi", then\rleaves', "naïve 🙂 and a\x0cfeed", "plain", " spaces ")


@pytest.fixture
def chosen_corpus() -> Corpus:
    """A corpus whose comments are hard on CSV."""
    split = Split(name="test", ids=("007", "b,c", '"', "d"), texts=_TEXTS, labels=((1,), (2, 3), (27,), (0,)))
    return Corpus(CorpusRef("nasty", "", "0" * 64, {"test": 4}), train=split, dev=split, test=split)


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_without_a_directory_the_embedded_sample_is_chosen() -> None:
    """The sample comes with the package, under its own name."""
    corpus = choose_corpus(None)
    assert corpus.ref.name == "sample"
    assert corpus.ref.path == str(sample_directory())


def test_a_directory_is_chosen_before_the_sample(tmp_path: Path) -> None:
    """Three splits in a directory are a corpus of that directory's name."""
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.tsv").write_text("a\t1\tx\n", "utf-8")
    assert choose_corpus(tmp_path).ref.name == tmp_path.name


def test_the_inbox_gets_ids_and_texts_and_no_labels(tmp_path: Path, chosen_corpus: Corpus) -> None:
    """Every test comment comes back from the CSV as it was, beside its id; nothing else is in the inbox."""
    inbox = tmp_path / "state" / "inbox"
    assert fill_inbox(inbox, chosen_corpus)
    assert [path.name for path in inbox.iterdir()] == ["nasty-comments.csv"]
    expected = [["id", "text"], *map(list, zip(chosen_corpus.test.ids, _TEXTS, strict=True))]
    assert _rows(inbox / "nasty-comments.csv") == expected
    assert [path.name for path in inbox.parent.iterdir()] == ["inbox"]


def test_an_inbox_that_exists_is_left_alone(tmp_path: Path, chosen_corpus: Corpus) -> None:
    """Somebody's inbox keeps exactly its files, also when it is empty."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    assert not fill_inbox(inbox, chosen_corpus)
    assert list(inbox.iterdir()) == []
    (inbox / "mine.txt").write_text("mine", "utf-8")
    assert not fill_inbox(inbox, chosen_corpus)
    assert [path.read_text("utf-8") for path in inbox.iterdir()] == ["mine"]


def test_what_a_killed_run_left_does_not_get_into_the_inbox(tmp_path: Path, chosen_corpus: Corpus) -> None:
    """A half-filled folder of another corpus is thrown away."""
    left = tmp_path / ".tmp-inbox"
    left.mkdir()
    (left / "sample-comments.csv").write_text("id,text\n1,ha", "utf-8")
    assert fill_inbox(tmp_path / "inbox", chosen_corpus)
    assert [path.name for path in (tmp_path / "inbox").iterdir()] == ["nasty-comments.csv"]
