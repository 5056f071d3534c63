"""Promises about the file of out-of-fold scores."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from eqn.corpus.goemotions import Corpus, Split
from eqn.emotions import EMOTIONS
from eqn.errors import ArtifactRefused, UsageError
from eqn.quality.out_of_fold import read_scores, write_scores

Change = Callable[[pa.Table], pa.Table]


@pytest.fixture
def scores() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((56, 28)).astype(np.float32)


@pytest.fixture
def file(sound: Corpus, scores: NDArray[np.float32], tmp_path: Path) -> Path:
    path = tmp_path / "scores.parquet"
    write_scores(path, sound.train.ids, sound.train.texts, scores, corpus_digest=sound.ref.digest)
    return path


def _rewrite(path: Path, change: Change) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def test_scores_come_back_as_they_were_written(file: Path, sound: Corpus, scores: NDArray[np.float32]) -> None:
    """Bit by bit, in the order of the training split."""
    assert np.array_equal(read_scores(file).aligned(sound), scores)


def test_the_file_is_the_one_that_is_promised(file: Path, sound: Corpus) -> None:
    """Plain Parquet: any tool can write it, with columns by name and the corpus' digest in its metadata."""
    table = pq.read_table(file)

    assert table.schema.names == ["id", "text", *EMOTIONS]
    assert [str(kind) for kind in table.schema.types] == ["string", "string"] + ["float"] * 28
    assert table.schema.metadata == {b"eqn.out_of_fold": b"1", b"eqn.corpus": sound.ref.digest.encode()}


def test_rows_and_columns_are_found_by_name(file: Path, sound: Corpus, scores: NDArray[np.float32]) -> None:
    """Turned upside down and back to front, with scores of 64 bits, the file says the same."""

    def turn(table: pa.Table) -> pa.Table:
        wide = [pa.field(field.name, pa.float64() if field.name in EMOTIONS else field.type) for field in table.schema]
        turned = table.cast(pa.schema(wide, table.schema.metadata)).select(table.column_names[::-1])
        return turned.take(list(range(len(table)))[::-1])

    _rewrite(file, turn)

    assert np.array_equal(read_scores(file).aligned(sound), scores)


def test_rows_that_stand_twice_in_the_corpus_are_taken_twice(sound: Corpus, tmp_path: Path) -> None:
    """Equal ids with equal texts are no reason to refuse; the gate may have let them pass."""
    train = Split(name="train", ids=("b", "a", "a"), texts=("y", "x", "x"), labels=((0,), (1,), (2,)))
    corpus = dataclasses.replace(sound, train=train)
    scores = np.arange(84, dtype=np.float32).reshape(3, 28) / 84
    write_scores(tmp_path / "x", ["a", "b", "a"], ["x", "y", "x"], scores, corpus_digest=corpus.ref.digest)

    assert np.array_equal(read_scores(tmp_path / "x").aligned(corpus), scores[[1, 0, 2]])


def test_scores_of_another_corpus_are_refused(file: Path, sound: Corpus) -> None:
    """Even if its rows are the same: the labels are others."""
    other = dataclasses.replace(sound, ref=dataclasses.replace(sound.ref, digest="1" * 64))

    with pytest.raises(ArtifactRefused, match="has those of another one") as refusal:
        read_scores(file).aligned(other)
    assert refusal.value.exit_code == 8


def test_rows_that_differ_are_named(file: Path, sound: Corpus) -> None:
    """Missing, unknown, with another text: all at once."""
    ids, texts = list(sound.train.ids), list(sound.train.texts)
    ids[3], texts[5] = "strange", "another text"
    train = dataclasses.replace(sound.train, ids=tuple(ids), texts=tuple(texts))

    with pytest.raises(ArtifactRefused) as refusal:
        read_scores(file).aligned(dataclasses.replace(sound, train=train))
    assert refusal.value.faults == (
        "missing: 'strange'",
        "unknown or repeated: 'train-3'",
        "with another text: 'train-5'",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop_columns(["joy"]), "missing: joy"),
        (lambda table: table.rename_columns({"joy": "Joy"}), "unknown: Joy"),
        (lambda table: table.append_column("votes", pa.array([0.5] * 56)), "unknown: votes"),
        (lambda table: table.append_column("joy", table["joy"]), "each once; got 29 names"),
        (lambda table: table.drop_columns(["id"]), "expected one column id, got 0"),
        (lambda table: table.set_column(0, "id", pa.array(range(56))), "expected text in the column id, got int64"),
        (lambda table: table.set_column(2, EMOTIONS[0], pa.array(["0.5"] * 56)), "expected numbers with decimals"),
        (lambda table: table.set_column(2, EMOTIONS[0], pa.array([None] * 56, pa.float32())), "no score for"),
        (lambda table: table.set_column(2, EMOTIONS[0], pa.array([1.5] * 56)), "expected scores in [0, 1]"),
        (lambda table: table.set_column(2, EMOTIONS[0], pa.array([float("nan")] * 56)), "expected scores in [0, 1]"),
        (lambda table: table.replace_schema_metadata(None), "do not say which corpus was scored"),
        (lambda table: table.replace_schema_metadata({"eqn.out_of_fold": "2"}), "expected version 1"),
    ],
)
def test_a_file_of_another_form_is_refused(file: Path, change: Change, said: str) -> None:
    """Exit 8, with the reason; labels are never matched by position."""
    _rewrite(file, change)

    with pytest.raises(ArtifactRefused) as refusal:
        read_scores(file)
    assert said in str(refusal.value)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    """Exit 8; a file that is not there is a wrong call."""
    (tmp_path / "scores.parquet").write_bytes(b"PAR1 but not really PAR1")

    with pytest.raises(ArtifactRefused, match="it has none"):
        read_scores(tmp_path / "scores.parquet")
    with pytest.raises(UsageError, match="there is no file"):
        read_scores(tmp_path / "nowhere")


def test_wrong_scores_are_not_written(sound: Corpus, scores: NDArray[np.float32], tmp_path: Path) -> None:
    """A shape that does not fit, NaN, or a score outside [0, 1] is a mistake of the caller."""
    wrong = [scores[1:], scores[:, 1:], scores + 1, np.full_like(scores, np.nan)]
    for one in wrong:
        with pytest.raises(ValueError, match="expected scores"):
            write_scores(tmp_path / "x", sound.train.ids, sound.train.texts, one, corpus_digest="0")
    assert list(tmp_path.iterdir()) == []


def test_another_file_is_never_replaced(file: Path, sound: Corpus, scores: NDArray[np.float32]) -> None:
    """Writing the same again is fine; other scores need another name."""
    before = file.read_bytes()
    write_scores(file, sound.train.ids, sound.train.texts, scores, corpus_digest=sound.ref.digest)

    with pytest.raises(UsageError, match="it is another and stays as it is"):
        write_scores(file, sound.train.ids, sound.train.texts, scores / 2, corpus_digest=sound.ref.digest)
    assert file.read_bytes() == before
