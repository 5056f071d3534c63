"""Each rule of the contract, broken once on purpose: the gate finds exactly that, with exactly the failing rows."""

import dataclasses
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import eqn.corpus
from eqn.corpus.contract import BOUNDS, MAX_TEXT_CHARACTERS, SPLITS, CorpusBounds, Reason
from eqn.corpus.goemotions import Corpus, load_corpus
from eqn.emotions import EMOTIONS, INDEX
from eqn.quality import suites
from eqn.quality.gate import InboxRow
from eqn.records import Finding, Validation

CheckCorpus = Callable[[Corpus], Validation]
CheckInbox = Callable[[list[InboxRow]], Validation]

SAMPLE = Path(eqn.corpus.__file__).parent / "sample_data"
GRIEF, NEUTRAL = INDEX["grief"], INDEX["neutral"]


def plant(corpus: Corpus, split: str, row: int, **values: Any) -> Corpus:
    """Give the corpus with other `ids`, `texts` or `labels` in one row."""
    changed: Any = {}
    for field, value in values.items():
        column = getattr(corpus.split(split), field)
        changed[field] = (*column[:row], value, *column[row + 1 :])
    splits: Any = {split: dataclasses.replace(corpus.split(split), **changed)}
    return dataclasses.replace(corpus, **splits)


def critical(what: str, *ids: str) -> Finding:
    return Finding("critical", what, ids)


def warning(what: str, *ids: str) -> Finding:
    return Finding("warning", what, ids)


def test_the_embedded_sample_keeps_the_contract(check: CheckCorpus) -> None:
    """The sample that comes with EQN passes without a finding."""
    validation = check(load_corpus(SAMPLE))

    assert validation.findings == ()
    assert validation.passed
    assert validation.rows == 1464


def test_a_corpus_at_its_bounds_keeps_the_contract(sound: Corpus, check: CheckCorpus) -> None:
    """The bounds themselves are allowed: the longest text, the most labels."""
    corpus = plant(sound, "dev", 0, texts="x" * BOUNDS.max_text_characters)
    corpus = plant(corpus, "dev", 1, labels=tuple(range(BOUNDS.most_labels_per_row)))

    assert check(corpus).findings == ()


@pytest.mark.parametrize("blank", ["", " \t"])
def test_a_row_without_an_id_is_critical(sound: Corpus, check: CheckCorpus, blank: str) -> None:
    """A row without an id is named by its place."""
    validation = check(plant(sound, "dev", 6, ids=blank))

    assert validation.findings == (critical("every row has an id, but 1 of 168 rows break this", "dev row 7"),)


def test_an_id_twice_in_one_split_is_critical(sound: Corpus, check: CheckCorpus) -> None:
    """A repetition within a split is told apart from one across splits."""
    validation = check(plant(sound, "train", 6, ids="train-5"))

    assert validation.findings == (critical("an id occurs once in its split, but 2 of 168 rows break this", "train-5"),)


def test_an_id_in_two_splits_is_critical(sound: Corpus, check: CheckCorpus) -> None:
    """The same comment must not be learnt from and tested on."""
    validation = check(plant(sound, "test", 6, ids="train-5"))

    assert validation.findings == (critical("an id occurs in one split only, but 2 of 168 rows break this", "train-5"),)


@pytest.mark.parametrize("blank", ["", " \u3000\n"])
def test_a_blank_text_is_critical(sound: Corpus, check: CheckCorpus, blank: str) -> None:
    """White space is no text."""
    validation = check(plant(sound, "train", 3, texts=blank))

    assert validation.findings == (critical("no text is blank, but 1 of 168 rows break this", "train-3"),)


def test_a_text_that_is_too_long_is_critical(sound: Corpus, check: CheckCorpus) -> None:
    """One character more than the bound is too much."""
    validation = check(plant(sound, "train", 3, texts="x" * (BOUNDS.max_text_characters + 1)))

    assert validation.findings == (
        critical("a text has at most 2,000 characters, but 1 of 168 rows break this", "train-3"),
    )


def test_a_row_without_labels_or_with_too_many_is_critical(sound: Corpus, check: CheckCorpus) -> None:
    """Every row has at least one label and no more than the bound."""
    corpus = plant(sound, "dev", 1, labels=())
    corpus = plant(corpus, "test", 2, labels=tuple(range(BOUNDS.most_labels_per_row + 1)))

    assert check(corpus).findings == (
        critical("every row has 1 to 6 labels, but 2 of 168 rows break this", "dev-1", "test-2"),
    )


@pytest.mark.parametrize("emotion", [EMOTIONS[0], EMOTIONS[-1]])
def test_a_label_given_twice_is_critical(sound: Corpus, check: CheckCorpus, emotion: str) -> None:
    """An emotion's column holds 0 and 1 only."""
    validation = check(plant(sound, "test", 4, labels=(INDEX[emotion], INDEX[emotion])))

    what = f"a row has {emotion} once or not at all, but 1 of 168 rows break this"
    assert validation.findings == (critical(what, "test-4"),)


def test_an_emotion_that_is_missing_from_train_is_critical(sound: Corpus, check: CheckCorpus) -> None:
    """That dev and test have it does not help."""
    corpus = plant(sound, "train", GRIEF, labels=(0,))
    corpus = plant(corpus, "train", GRIEF + len(EMOTIONS), labels=(0,))

    assert check(corpus).findings == (
        critical("grief stands in 0.05% to 60.00% of the training rows, but it came to 0.000%"),
    )


def test_an_emotion_that_is_too_common_in_train_is_critical(sound: Corpus, check: CheckCorpus) -> None:
    """A corpus of one emotion is a mistake in its making."""
    labels = tuple(tuple({*row, NEUTRAL}) for row in sound.train.labels)
    corpus = dataclasses.replace(sound, train=dataclasses.replace(sound.train, labels=labels))

    assert check(corpus).findings == (
        critical("neutral stands in 0.05% to 60.00% of the training rows, but it came to 100.000%"),
    )


def test_an_empty_train_split_is_critical(sound: Corpus, check: CheckCorpus) -> None:
    """Without rows no emotion has its share."""
    empty = dataclasses.replace(sound.train, ids=(), texts=(), labels=())
    validation = check(dataclasses.replace(sound, train=empty))

    assert [finding.severity for finding in validation.findings] == ["critical"] * len(EMOTIONS)
    assert all(finding.what.endswith("but there are no rows") for finding in validation.findings)


def test_wrong_row_counts_of_a_known_corpus_are_critical(sound: Corpus, check: CheckCorpus) -> None:
    """What is called goemotions has GoEmotions' official splits."""
    validation = check(dataclasses.replace(sound, ref=dataclasses.replace(sound.ref, name="goemotions")))

    assert validation.findings == (
        critical("the train split of goemotions has 43,410 rows, but there are 56"),
        critical("the dev split of goemotions has 5,426 rows, but there are 56"),
        critical("the test split of goemotions has 5,427 rows, but there are 56"),
    )


def test_a_text_in_two_splits_is_a_warning(sound: Corpus, check: CheckCorpus) -> None:
    """It is reported with all rows that share the text, and stops nothing."""
    validation = check(plant(sound, "dev", 9, texts=sound.train.texts[2]))

    what = "a text occurs in one split only, but 2 of 168 rows break this"
    assert validation.findings == (warning(what, "train-2", "dev-9"),)
    assert validation.passed


@pytest.mark.goemotions
def test_goemotions_keeps_the_contract(check: CheckCorpus) -> None:
    """The real splits pass; only the texts that occur in several of them are reported, all of them."""
    corpus = load_corpus(Path(os.environ["EQN_GOEMOTIONS"]))
    splits_of = defaultdict(set)
    for name in SPLITS:
        for text in corpus.split(name).texts:
            splits_of[text].add(name)
    repeated = {
        identifier
        for name in SPLITS
        for identifier, text in zip(corpus.split(name).ids, corpus.split(name).texts, strict=True)
        if len(splits_of[text]) > 1
    }

    validation = check(corpus)

    assert validation.passed
    assert [finding.severity for finding in validation.findings] == ["warning"]
    assert len(validation.findings[0].ids) == len(repeated)
    assert set(validation.findings[0].ids) == repeated


def accepted(file: str, row: int, identifier: str | None, text: str | None = "good morning") -> InboxRow:
    return InboxRow(file, row, identifier, text)


FOUR = [accepted("a.csv", row, f"a{row}") for row in range(1, 5)]
REFUSED = InboxRow("a.csv", 5, None, None, Reason.BAD_JSON)


def test_an_inbox_of_good_rows_keeps_the_contract(check_inbox: CheckInbox) -> None:
    """Rows from several files, one of them with the longest text allowed."""
    rows = [*FOUR, accepted("b.csv", 1, "b1", "x" * MAX_TEXT_CHARACTERS)]

    validation = check_inbox(rows)

    assert validation.findings == ()
    assert (validation.subject, validation.digest, validation.rows) == ("inbox", "1" * 64, 5)


def test_a_quarantined_row_is_a_warning(check_inbox: CheckInbox) -> None:
    """One in five, the most that is allowed, is reported by its place and stops nothing."""
    validation = check_inbox([*FOUR, REFUSED])

    assert validation.findings == (warning("no row is in quarantine, but 1 of 5 rows break this", "a.csv row 5"),)
    assert validation.passed


def test_too_many_quarantined_rows_in_one_file_are_critical(check_inbox: CheckInbox) -> None:
    """The share is taken for each file: a good file does not hide a bad one. All quarantined rows of it are named."""
    good = [accepted("b.csv", row, f"b{row}") for row in range(1, 101)]
    bad = [*FOUR, REFUSED, InboxRow("a.csv", 6, "a6", " ", "empty_text"), InboxRow("b.csv", 101, "b", None, "bad_json")]

    share, any_row = check_inbox([*good, *bad]).findings

    what = "at most 20% of a file's rows are in quarantine, but 33.3% are in a.csv"
    assert share == critical(what, "a.csv row 5", "a.csv row 6")
    assert any_row == warning(
        "no row is in quarantine, but 3 of 107 rows break this", "a.csv row 5", "a.csv row 6", "b.csv row 101"
    )


@pytest.mark.parametrize("rows", [[], [REFUSED]], ids=["no rows", "quarantined rows only"])
def test_an_inbox_without_an_accepted_row_is_critical(check_inbox: CheckInbox, rows: list[InboxRow]) -> None:
    """There is nothing to annotate."""
    assert critical("at least one row is accepted, but there are 0") in check_inbox(rows).findings


def test_a_reason_outside_the_closed_list_is_critical(check_inbox: CheckInbox) -> None:
    """Readers of the quarantine rely on the list."""
    validation = check_inbox([*FOUR, InboxRow("a.csv", 5, "a5", "x", "did not like it")])

    what = "the reason for a quarantine is one of the contract's, but 1 of 5 rows break this"
    assert validation.findings[0] == critical(what, "a.csv row 5")


def test_every_reason_of_the_contract_is_known(check_inbox: CheckInbox) -> None:
    """The suite takes the list from the contract."""
    good = [accepted("a.csv", row, f"a{row}") for row in range(100)]
    refused = [InboxRow("a.csv", 100 + row, None, None, reason) for row, reason in enumerate(Reason)]

    assert check_inbox([*good, *refused]).passed


def test_an_id_in_several_files_is_a_warning(check_inbox: CheckInbox) -> None:
    """It is reported once; an id in quarantine meets nobody."""
    rows = [
        *FOUR,
        accepted("b.csv", 1, "a1"),
        accepted("c.csv", 1, "a1"),
        *(accepted("b.csv", n, f"b{n}") for n in range(2, 9)),
    ]
    rows += [InboxRow("b.csv", 9, "a2", None, Reason.NOT_TEXT)]

    findings = check_inbox(rows).findings

    assert findings[0] == warning("an id is accepted in one file only, but 3 of 14 rows break this", "a1")
    assert [finding.ids for finding in findings[1:]] == [("b.csv row 9",)]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (accepted("a.csv", 9, None), "every accepted row has an id"),
        (accepted("a.csv", 9, "a9", None), "no text is blank"),
        (accepted("a.csv", 9, "a9", " \n"), "no text is blank"),
        (accepted("a.csv", 9, "a9", "x" * (MAX_TEXT_CHARACTERS + 1)), "a text has at most 100,000 characters"),
    ],
    ids=["no id", "no text", "blank text", "long text"],
)
def test_an_accepted_row_that_breaks_the_contract_is_critical(
    check_inbox: CheckInbox, row: InboxRow, rule: str
) -> None:
    """The reader is held to its word."""
    assert check_inbox([*FOUR, row]).findings == (critical(f"{rule}, but 1 of 5 rows break this", "a.csv row 9"),)


def test_an_id_accepted_twice_in_one_file_is_critical(check_inbox: CheckInbox) -> None:
    """Both rows are named by their places: the id does not tell them apart."""
    what = "an id is accepted once in its file, but 2 of 5 rows break this"

    assert check_inbox([*FOUR, accepted("a.csv", 9, "a2")]).findings == (critical(what, "a.csv row 2", "a.csv row 9"),)


def test_every_expectation_says_what_it_expects_and_evaluates_no_string() -> None:
    """Descriptions go into pages unescaped, and conditions that are strings are evaluated."""
    expectations = [*suites.corpus_suite("goemotions").expectations, *suites.inbox_suite().expectations]

    assert len(expectations) == 63 + 3 + 9
    for expectation in expectations:
        assert expectation.description
        assert not set(expectation.description) & set("<>&$")
        assert expectation.severity.value in {"critical", "warning"}
        assert not isinstance(expectation.row_condition, str)


def test_a_name_that_is_not_known_never_enters_the_suite() -> None:
    """The name of a corpus is a user's word."""
    assert "evil" not in str(suites.corpus_suite("evil <b>").to_json_dict())


def test_other_bounds_are_other_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outcome under yesterday's bounds is not taken for today's."""
    before = suites.rules_digest()
    monkeypatch.setattr(suites, "BOUNDS", CorpusBounds(most_labels_per_row=3))

    assert suites.rules_digest() != before
