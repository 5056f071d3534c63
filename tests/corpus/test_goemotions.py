"""Promises about reading labelled splits."""

import dataclasses
import doctest
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eqn.corpus import goemotions
from eqn.corpus.contract import KNOWN_ROWS, SPLITS
from eqn.corpus.goemotions import Corpus, load_corpus, parse_line
from eqn.errors import DataRefused, UsageError

_Folder = Callable[..., Path]


@pytest.fixture
def corpus_folder(tmp_path: Path) -> _Folder:
    """Give a function that makes a folder with three splits: one good line each, but for those that it is given."""

    def make(name: str = "corpus", **contents: bytes) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for split in SPLITS:
            (folder / f"{split}.tsv").write_bytes(contents.get(split, f"a {split} comment\t27\t{split}\n".encode()))
        return folder

    return make


@pytest.fixture(scope="session")
def real_goemotions() -> Corpus:
    return load_corpus(Path(os.environ["EQN_GOEMOTIONS"]))


_TEXTS = st.text(st.characters(exclude_characters="\t\r\n", exclude_categories=["Cs"]), max_size=20)
_ROWS = st.lists(
    st.tuples(
        _TEXTS, st.sets(st.integers(0, 27), min_size=1, max_size=4), st.from_regex("[a-z0-9]{1,7}", fullmatch=True)
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="session")
def rewritten_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder, whose splits each example writes anew."""
    return tmp_path_factory.mktemp("rewritten")


@settings(deadline=None)
@given(rows=st.tuples(_ROWS, _ROWS, _ROWS), end=st.sampled_from(["\n", "\r\n"]))
def test_what_was_written_is_read_again(
    rewritten_folder: Path, rows: Sequence[Sequence[tuple[str, set[int], str]]], end: str
) -> None:
    """Texts, labels and ids of three random splits come back as they were, in order, whatever the line ends."""
    for split, written in zip(SPLITS, rows, strict=True):
        lines = [
            f"{text}\t{','.join(map(str, sorted(labels, reverse=True)))}\t{identifier}{end}"
            for text, labels, identifier in written
        ]
        (rewritten_folder / f"{split}.tsv").write_bytes("".join(lines).encode())
    corpus = load_corpus(rewritten_folder)
    for split, written in zip(SPLITS, rows, strict=True):
        read = corpus.split(split)
        assert read.texts == tuple(text for text, _, _ in written)
        assert read.labels == tuple(tuple(sorted(labels)) for _, labels, _ in written)
        assert read.ids == tuple(identifier for _, _, identifier in written)
        assert corpus.ref.rows[split] == len(written)


def test_labels_become_ones_in_their_columns() -> None:
    """The targets are 1 exactly where a row names the emotion."""
    split = goemotions.Split(name="dev", ids=("a", "b"), texts=("x", "y"), labels=((0, 27), (3,)))
    targets = split.targets()
    assert targets.shape == (2, 28)
    assert targets.dtype == np.float32
    assert [tuple(np.flatnonzero(row)) for row in targets] == [(0, 27), (3,)]
    assert targets.sum() == 3


def test_the_labels_of_test_are_sealed_and_no_others(corpus_folder: _Folder) -> None:
    """Whoever asks the test split for its targets is refused; texts and ids are for everybody."""
    corpus = load_corpus(corpus_folder())
    assert [corpus.split(name).sealed for name in SPLITS] == [False, False, True]
    assert corpus.train.targets().sum() == corpus.dev.targets().sum() == 1
    with pytest.raises(PermissionError, match="the labels of test are sealed: only the final report reads them"):
        corpus.test.targets()
    assert (corpus.test.texts, corpus.test.ids, len(corpus.test)) == (("a test comment",), ("test",), 1)


def test_an_opened_split_gives_its_labels_and_leaves_the_sealed_one_as_it_is(corpus_folder: _Folder) -> None:
    """Opening makes another value."""
    sealed = load_corpus(corpus_folder()).test
    assert np.flatnonzero(sealed.opened().targets()).tolist() == [27]
    assert sealed.opened().opened() == sealed.opened() == dataclasses.replace(sealed, sealed=False)
    with pytest.raises(PermissionError):
        sealed.targets()


def test_a_part_of_a_split_holds_the_chosen_rows_in_their_order() -> None:
    """Ids, texts and labels run in parallel as before; name and seal stay; rows may come twice or not at all."""
    split = goemotions.Split(name="dev", ids=("a", "b", "c"), texts=("x", "y", "z"), labels=((0, 27), (3,), (5,)))
    part = split.part(np.array([2, 0, 2]))
    assert part == goemotions.Split("dev", ("c", "a", "c"), ("z", "x", "z"), ((5,), (0, 27), (5,)))
    np.testing.assert_array_equal(part.targets(), split.targets()[[2, 0, 2]])
    assert len(split.part(np.array([], dtype=np.int64))) == 0
    assert dataclasses.replace(split, sealed=True).part(np.array([1])).sealed


@pytest.mark.parametrize(
    "text",
    [
        "a form\x0cfeed",
        "a line\u2028separator",
        "next\x85line",
        "a carriage\rreturn",
        '"leads with a quote',
        'has "quotes"',
        " padded ",
    ],
)
def test_a_comment_keeps_every_character_that_is_no_tab_or_line_end(corpus_folder: _Folder, text: str) -> None:
    """Form feed, U+2028 and NEL end no line; quotes mean nothing; nothing is stripped."""
    corpus = load_corpus(corpus_folder(dev=f"{text}\t1\tx1\nother\t2\tx2\n".encode()))
    assert corpus.dev.texts == (text, "other")


def test_empty_lines_are_no_rows(corpus_folder: _Folder) -> None:
    """Blank lines, also those of Windows, are passed over; a line of tabs is a broken row and is reported."""
    assert len(load_corpus(corpus_folder(dev=b"\r\n\na\t1\tx\r\n  \n\n")).dev) == 1
    with pytest.raises(DataRefused, match=r"dev\.tsv, line 2"):
        load_corpus(corpus_folder("tabs", dev=b"a\t1\tx\n\t\t\n"))


def test_the_last_line_needs_no_line_end(corpus_folder: _Folder) -> None:
    """A file that ends without a line end loses nothing."""
    assert load_corpus(corpus_folder(dev=b"a\t1\tx\nb\t2\ty")).dev.texts == ("a", "b")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("a\t1", "expected 3 fields, got 2"),
        ("a\t1\tx\ty", "expected 3 fields, got 4"),
        ("a\t\tx", "expected label ids"),
        ("a\tjoy\tx", "expected label ids"),
        ("a\t1,\tx", "expected label ids"),
        ("a\t1.0\tx", "expected label ids"),
        ("a\t1_5\tx", "expected label ids"),
        ("a\t\u0661\tx", "expected label ids"),
        ("a\t-1\tx", "expected label ids"),
        ("a\t28\tx", r"expected label ids 0 to 27, got \[28\]"),
        ("a\t3,99,28\tx", r"got \[28, 99\]"),
    ],
)
def test_a_line_that_is_no_row_is_refused_with_its_number(line: str, named: str) -> None:
    """Each fault says the line and what was expected."""
    with pytest.raises(ValueError, match=f"line 7: .*{named}"):
        parse_line(line, 7)


def test_labels_are_sorted_and_stand_once() -> None:
    """4,27 and 27,4,4 are the same labels."""
    assert parse_line("a\t27,4,4\tx", 1) == parse_line("a\t4,27\tx", 1) == ("a", (4, 27), "x")


def test_the_examples_in_the_docstrings_hold() -> None:
    """What the module shows is what it does."""
    assert doctest.testmod(goemotions) == doctest.TestResults(failed=0, attempted=1)


def test_all_faults_of_all_splits_are_named_at_once(corpus_folder: _Folder) -> None:
    """One refusal lists bad lines of every split, bytes that are no UTF-8, and an empty split."""
    folder = corpus_folder(train=b"a\t1\tx\nno tabs\nb\t99\ty\n", dev=b"\xff\t1\tx\n", test=b"\n")
    with pytest.raises(DataRefused) as refusal:
        load_corpus(folder)
    assert refusal.value.faults == (
        "train.tsv, line 2: expected 3 fields, got 1",
        "train.tsv, line 3: expected label ids 0 to 27, got [99]",
        "dev.tsv, line 1: not UTF-8",
        "test.tsv has no rows",
    )
    assert refusal.value.exit_code == 3
    assert "4 fault(s)" in str(refusal.value)


def test_many_faults_are_counted_and_twenty_are_named(corpus_folder: _Folder) -> None:
    """A file that is something else altogether does not flood the terminal."""
    with pytest.raises(DataRefused, match=r"50 fault\(s\)") as refusal:
        load_corpus(corpus_folder(train=b"no tabs\n" * 50))
    assert len(refusal.value.faults) == 21
    assert refusal.value.faults[-1] == "... and 30 more"


def test_missing_splits_are_a_wrong_call(corpus_folder: _Folder, tmp_path: Path) -> None:
    """Exit 2, and the message names every split that is missing, or says that there is no directory."""
    folder = corpus_folder()
    (folder / "dev.tsv").unlink()
    (folder / "test.tsv").unlink()
    with pytest.raises(UsageError, match=r"lacks dev\.tsv, test\.tsv") as lacking:
        load_corpus(folder)
    assert lacking.value.exit_code == 2
    with pytest.raises(UsageError, match="not a directory"):
        load_corpus(tmp_path / "nowhere")


def test_an_unknown_split_is_a_wrong_call(corpus_folder: _Folder) -> None:
    """`validation` is no split; the message names those that are."""
    with pytest.raises(UsageError, match="train, dev, test; got 'validation'"):
        load_corpus(corpus_folder()).split("validation")


def test_the_digest_is_the_contents_identity(corpus_folder: _Folder) -> None:
    """Equal bytes have one digest wherever they lie; a changed byte, or two splits exchanged, has another."""
    digest = load_corpus(corpus_folder("one")).ref.digest
    assert load_corpus(corpus_folder("two")).ref.digest == digest
    changed = [
        corpus_folder("three", dev=b"a dev comment\t26\tdev\n"),
        corpus_folder("four", dev=b"a test comment\t27\ttest\n", test=b"a dev comment\t27\tdev\n"),
    ]
    assert len({digest, *(load_corpus(folder).ref.digest for folder in changed)}) == 3


def test_a_corpus_is_called_by_its_directory_unless_told(corpus_folder: _Folder) -> None:
    """The name is the folder's, or the one that is given."""
    folder = corpus_folder("mine")
    assert load_corpus(folder).ref.name == "mine"
    assert load_corpus(folder, name="sample").ref.name == "sample"


@pytest.mark.goemotions
def test_goemotions_is_recognised_by_its_official_row_counts(real_goemotions: Corpus) -> None:
    """43,410, 5,426 and 5,427 rows, wherever the folder lies and whatever it is called."""
    assert real_goemotions.ref.name == "goemotions"
    assert real_goemotions.ref.rows == KNOWN_ROWS["goemotions"] == {"train": 43_410, "dev": 5_426, "test": 5_427}


@pytest.mark.goemotions
def test_goemotions_keeps_all_labels_of_its_multi_label_rows(real_goemotions: Corpus) -> None:
    """Labels per training row as counted in the files: 36,308 have one, the other 16.4 % two to five."""
    counts = np.bincount([len(labels) for labels in real_goemotions.train.labels])
    assert counts.tolist() == [0, 36_308, 6_541, 532, 28, 1]
    assert real_goemotions.train.targets().sum() == (counts * np.arange(6)).sum()
    assert round(float((real_goemotions.train.targets().sum(axis=1) > 1).mean()), 3) == 0.164
