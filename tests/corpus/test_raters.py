"""Promises about rater-level files and the shares of votes made from them."""

import csv
import gzip
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eqn.corpus.raters import Ratings, read_ratings, vote_shares, write
from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused, UsageError

COLUMNS = ["text", "id", "author", "subreddit", "rater_id", "example_very_unclear", *EMOTIONS]
Row = Mapping[str, str]
RaterFile = Callable[..., Path]


def rating(identifier: str, rater: str, *emotions: str, unclear: bool = False, **others: str) -> Row:
    """One row: `rater` voted for these emotions."""
    row = dict.fromkeys(EMOTIONS, "0") | dict.fromkeys(emotions, "1")
    row |= {"text": f"text of {identifier}", "id": identifier, "author": "x", "subreddit": "y", "rater_id": rater}
    return row | {"example_very_unclear": str(unclear)} | others


@pytest.fixture
def rater_file(tmp_path: Path) -> RaterFile:
    """Give a function that writes rows as csv."""

    def make(rows: Sequence[Row], name: str = "raters.csv", columns: Sequence[str] = COLUMNS) -> Path:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="0", extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        return tmp_path / name

    return make


def test_shares_are_votes_over_raters(rater_file: RaterFile) -> None:
    """Three raters, two of whom agree; the columns and their types are those that are promised."""
    rows = [
        rating("a", "1", "joy", "love"),
        rating("b", "1", "neutral"),
        rating("a", "2", "joy"),
        rating("a", "3"),
    ]
    table = vote_shares([rater_file(rows)])

    assert table.schema.names == ["id", "text", "raters", "unclear", *EMOTIONS]
    assert [str(kind) for kind in table.schema.types] == ["string", "string", "int32", "int32"] + ["float"] * 28
    assert table["id"].to_pylist() == ["a", "b"]
    assert table["raters"].to_pylist() == [3, 1]
    first, second = table.select(EMOTIONS).to_pylist()
    assert first == dict.fromkeys(EMOTIONS, 0.0) | {"joy": np.float32(2 / 3), "love": np.float32(1 / 3)}
    assert second == dict.fromkeys(EMOTIONS, 0.0) | {"neutral": 1.0}


def test_unclear_ratings_are_counted_beside_the_shares(rater_file: RaterFile) -> None:
    """A rater who found nothing clear has no vote and does not thin out those of the others; alone he leaves nulls."""
    rows = [rating("a", "1", "fear"), rating("a", "2", unclear=True), rating("b", "2", unclear=True)]
    table = vote_shares([rater_file(rows)])

    assert table["raters"].to_pylist() == [1, 0]
    assert table["unclear"].to_pylist() == [1, 1]
    assert table["fear"].to_pylist() == [1.0, None]
    assert all(table[name].null_count == 1 for name in EMOTIONS)


def test_columns_are_found_by_name(rater_file: RaterFile) -> None:
    """Any order of the columns gives the same table; columns about the origin may be missing."""
    rows = [rating("a", "1", "grief"), rating("b", "2", "admiration", "surprise")]
    usual = vote_shares([rater_file(rows)])
    mixed = sorted(set(COLUMNS) - {"author", "subreddit"}, key=lambda name: name[::-1])

    assert vote_shares([rater_file(rows, "mixed.csv", mixed)]).equals(usual)


def test_a_comments_raters_may_be_spread_over_files(rater_file: RaterFile, tmp_path: Path) -> None:
    """Two files, one of them packed, give what one file with all rows gives."""
    rows = [rating("a", "1", "joy"), rating("b", "1", "anger"), rating("a", "2", "joy"), rating("b", "3", "fear")]
    whole = vote_shares([rater_file(rows)])
    first, second = rater_file(rows[:2], "part_1.csv"), rater_file(rows[2:], "part_2.csv")
    packed = tmp_path / "part_2.csv.gz"
    packed.write_bytes(gzip.compress(second.read_bytes()))

    assert vote_shares([first, packed]).equals(whole)


@pytest.mark.parametrize("text", ['"quoted", he said', "two\nlines", "NA", "  padded ", "❤️"])
def test_ids_and_texts_come_out_as_they_went_in(rater_file: RaterFile, text: str) -> None:
    """007 is no number, NA no missing value; quotes and line ends are the csv's own."""
    table = vote_shares([rater_file([rating("007", "01", "joy", text=text), rating("7", "1", "joy")])])

    assert table["id"].to_pylist() == ["007", "7"]
    assert table["text"].to_pylist() == [text, "text of 7"]


def test_raters_are_told_apart_as_text(rater_file: RaterFile) -> None:
    """01 and 1 are two raters."""
    overview = read_ratings([rater_file([rating("a", "01", "joy"), rating("a", "1", "joy")])]).overview()

    assert (overview.raters, overview.comments_by_raters) == (2, {2: 1})


def test_a_row_that_says_the_same_once_more_counts_once(rater_file: RaterFile) -> None:
    """As when files overlap; the overview tells."""
    rows = [rating("a", "1", "joy"), rating("a", "1", "joy"), rating("a", "2")]
    ratings = read_ratings([rater_file(rows)])

    assert ratings.vote_shares()["joy"].to_pylist() == [0.5]
    assert (ratings.overview().ratings, ratings.overview().repeated) == (2, 1)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (rating("a", "1", "fear"), "the rater '1' judged the comment 'a' otherwise before"),
        (rating("a", "1", unclear=True), "the rater '1' judged the comment 'a' otherwise before"),
        (rating("a", "2", "joy", text="another"), "the comment 'a' had another text before"),
        (rating("b", "1", joy="2"), "expected 0 or 1 in joy, got '2'"),
        (rating("b", "1", joy="1.0", fear=""), "expected 0 or 1 in fear, got ''; expected 0 or 1 in joy, got '1.0'"),
        (rating("b", "1", joy="10", love=""), "expected 0 or 1 in joy, got '10'; expected 0 or 1 in love, got ''"),
        (rating("b", "1", joy="\u0660"), "expected 0 or 1 in joy, got '\u0660'"),
        (rating("b", "1", "joy", unclear=True), "expected no emotion where example_very_unclear is True"),
        (rating("b", "1", example_very_unclear="yes"), "expected True or False in example_very_unclear, got 'yes'"),
        (rating("", ""), "expected an id, got nothing; expected a rater_id, got nothing"),
        (rating("b", "1", text=" "), "the text is only white space"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused(rater_file: RaterFile, row: Row, fault: str) -> None:
    """Exit 3; the fault names the file, the row, and what was expected."""
    with pytest.raises(DataRefused) as refusal:
        vote_shares([rater_file([rating("a", "1", "joy"), row])])

    assert refusal.value.exit_code == 3
    assert refusal.value.faults == (f"raters.csv, row 2: {fault}",)


def test_rows_that_are_no_csv_are_refused(rater_file: RaterFile) -> None:
    """Too few fields, bytes that are no UTF-8, a quote that does not end: all are named at once."""
    path = rater_file([rating("a", "1", "joy")])
    path.write_bytes(path.read_bytes() + b'b,c\n\xff,d\n"e,f\n')

    with pytest.raises(DataRefused) as refusal:
        vote_shares([path])

    assert refusal.value.faults == (
        "raters.csv, row 2: 2 field(s), the header has 34",
        "raters.csv, row 3: the row is not UTF-8",
        "raters.csv, row 4: a quoted field does not end before the file does",
    )


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ([name for name in COLUMNS if name not in {"grief", "rater_id"}], "lacks 'rater_id', 'grief'"),
        ([*COLUMNS, "boredom"], "has unknown columns 'boredom'"),
        ([*COLUMNS, "joy"], "has more than once 'joy'"),
        (["Joy" if name == "joy" else name for name in COLUMNS], "lacks 'joy'"),
    ],
)
def test_a_header_with_other_columns_is_refused(rater_file: RaterFile, columns: list[str], fault: str) -> None:
    """An emotion that is missing or foreign is never passed over."""
    with pytest.raises(DataRefused) as refusal:
        vote_shares([rater_file([rating("a", "1")], columns=columns)])

    assert refusal.value.faults[0] == f"raters.csv, header: {fault}"


def test_the_faults_of_all_files_are_counted_and_twenty_are_named(rater_file: RaterFile) -> None:
    """A header in one file, rows in another."""
    one = rater_file([rating("a", "1")], "one.csv", COLUMNS[:-1])
    two = rater_file([rating(str(number), "1", joy="x") for number in range(30)], "two.csv")

    with pytest.raises(DataRefused, match=r"31 fault\(s\)") as refusal:
        vote_shares([one, two])

    assert len(refusal.value.faults) == 21
    assert refusal.value.faults[0] == "one.csv, header: lacks 'neutral'"
    assert refusal.value.faults[-1] == "... and 11 more"


def test_files_without_ratings_are_refused(rater_file: RaterFile, tmp_path: Path) -> None:
    """Only a header, nothing at all, no csv, no file."""
    with pytest.raises(DataRefused, match="at least one rating"):
        vote_shares([rater_file([])])
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(DataRefused, match="the file is empty"):
        vote_shares([tmp_path / "empty.csv"])
    (tmp_path / "train.tsv").write_text("a\t1\tb\n")
    with pytest.raises(UsageError, match="expected csv files") as refusal:
        vote_shares([tmp_path / "train.tsv"])
    assert refusal.value.faults == ("train.tsv",)
    with pytest.raises(UsageError, match="no such file"):
        vote_shares([tmp_path / "nowhere.csv"])


def _alpha_by_coincidences(judgements: Sequence[Sequence[int]]) -> float | None:
    """Krippendorff's alpha for 0 and 1, from the matrix of coincidences, pair by pair."""
    matrix = np.zeros((2, 2))
    for unit in judgements:
        for one, other in itertools.permutations(unit, 2):
            matrix[one, other] += 1 / (len(unit) - 1)
    totals, whole = matrix.sum(axis=1), matrix.sum()
    if not totals.all():
        return None
    return float(1 - (whole - 1) * (matrix[0, 1] + matrix[1, 0]) / (2 * totals[0] * totals[1]))


def test_agreement_is_krippendorffs_alpha() -> None:
    """Against the definition, pair by pair, on random judgements of 1 to 5 raters over three emotions that vary."""
    chance = np.random.default_rng(3)
    judgements = [
        (chance.random((3, raters)) < np.array([[0.1], [0.5], [0.8]])).astype(int).tolist()
        for raters in chance.integers(1, 6, size=60).tolist()
    ]
    votes = np.zeros((60, len(EMOTIONS)), dtype=np.int64)
    votes[:, :3] = [[sum(column) for column in comment] for comment in judgements]
    votes[:, 3] = raters = np.array([len(comment[0]) for comment in judgements])  # everybody votes for the fourth
    ratings = Ratings(
        ids=(), texts=(), raters=raters, unclear=raters * 0, votes=votes, rater_ids=frozenset(), repeated=0
    )
    expected = [
        _alpha_by_coincidences([comment[emotion] for comment in judgements if len(comment[0]) > 1])
        for emotion in range(3)
    ]

    assert ratings.agreement() == pytest.approx(np.mean([alpha for alpha in expected if alpha is not None]))


def test_full_agreement_is_one_and_lone_raters_say_nothing(rater_file: RaterFile) -> None:
    """1.0 when both say the same of every comment; None where no comment has two raters."""
    agreed = [rating(name, rater, name) for name in ("joy", "fear") for rater in ("1", "2")]

    assert read_ratings([rater_file(agreed)]).agreement() == pytest.approx(1.0)
    assert read_ratings([rater_file(agreed[::2])]).agreement() is None


def test_the_overview_counts(rater_file: RaterFile) -> None:
    """Comments, ratings, raters, and how many raters labelled how many comments."""
    rows = [rating("a", "1", "joy"), rating("a", "2", "joy"), rating("b", "1"), rating("c", "3", unclear=True)]
    overview = read_ratings([rater_file(rows)]).overview()

    assert (overview.comments, overview.ratings, overview.raters, overview.unclear) == (3, 4, 3, 1)
    assert overview.comments_by_raters == {0: 1, 1: 1, 2: 1}


def test_a_table_is_written_as_parquet_and_never_over_another_file(rater_file: RaterFile, tmp_path: Path) -> None:
    """The same again is fine; another one needs another name."""
    table = vote_shares([rater_file([rating("a", "1", "joy"), rating("b", "2", unclear=True)])])
    target = tmp_path / "new" / "votes.parquet"

    write(table, target)
    write(table, target)

    with pytest.raises(UsageError, match="expected no file"):
        write(pa.table({"id": ["x"]}), target)
    assert pq.read_table(target).equals(table)


@pytest.mark.goemotions
def test_goemotions_own_ratings_are_read() -> None:
    """The first part of the official rows, as counted in the file: 79 raters, 672 comments with two or three rows."""
    path = Path(os.environ["EQN_GOEMOTIONS"]).parent / "raters" / "goemotions_rater_rows.csv"
    if not path.is_file():
        pytest.skip(f"NOT RUN: there is no {path}")
    ratings = read_ratings([path])
    overview = ratings.overview()

    assert (overview.comments, overview.ratings, overview.raters, overview.unclear) == (9_743, 10_429, 79, 172)
    assert int((ratings.raters + ratings.unclear > 1).sum()) == 672
    assert ratings.votes.sum() == 12_403
    assert ratings.vote_shares()["joy"].null_count == overview.comments_by_raters[0] == 151
