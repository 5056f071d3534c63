"""Rows that could not be used, in words."""

from eqn.corpus.contract import Reason
from eqn.corpus.quarantine import quarantine_table
from eqn.pages.rejects import SAMPLES, WORDS, Rejects, in_words
from tests.pages.conftest import rejected


def test_every_reason_has_its_sentence() -> None:
    assert set(WORDS) == set(Reason)
    assert in_words("from_the_future") == "From the future"


def test_they_are_counted_over_files_with_a_few_samples_each() -> None:
    rejects = Rejects()
    rejects.add(quarantine_table("a", [rejected(row, b"raw %d" % row) for row in range(1, 6)]))
    rejects.add(quarantine_table("b", [rejected(1, b"\xff\xfe", Reason.BAD_ENCODING, "byte 0"), rejected(2, b"raw")]))

    (ragged, words, count, samples), (encoding, _, one, (broken,)) = rejects.reasons

    assert (ragged, words, count) == ("ragged_row", WORDS[Reason.RAGGED_ROW], 6)
    assert [(sample.file, sample.row, sample.raw) for sample in samples] == [("a", n, f"raw {n}") for n in (1, 2, 3)]
    assert len(samples) == SAMPLES
    assert (encoding, one, broken.raw, broken.detail) == ("bad_encoding", 1, "\ufffd\ufffd", "byte 0")


def test_a_huge_row_is_shown_in_part() -> None:
    rejects = Rejects()
    rejects.add(quarantine_table("a", [rejected(1, "é".encode() * 30_000)]))

    assert 100 < len(rejects.reasons[0][3][0].raw) < 2_000
