"""Promises about files with people's scores: every layout is read, and what cannot be used is said at once."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eqn.corpus.intensity_files import load_intensities
from eqn.corpus.intensity_layouts import Intensities
from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused, UsageError

Save = Callable[[str, str], Path]
SEMEVAL = "ID\tTweet\tAffect Dimension\tIntensity Score\n"
SPLIT = "id,split,V,A,D,text\n1,train,2,3,3,a\n2,train,3,2,3,b\n3,train,4,4,3,c\n"


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def save(name: str, content: str) -> Path:
        (tmp_path / name).write_bytes(content.encode())
        return tmp_path / name

    return save


def scores(data: Intensities) -> dict[str, dict[str, float]]:
    """Give every score by target and text."""
    return {
        target: dict(zip((data.texts[row] for row in gold.rows), gold.scores.tolist(), strict=True))
        for target, gold in data.gold.items()
    }


def refusal(*paths: Path, **options: str) -> str:
    with pytest.raises(DataRefused) as refused:
        load_intensities(paths, **options)
    return str(refused.value)


def test_semeval_files_are_read_together(save: Save) -> None:
    """Quotes in tweets are ordinary characters, line ends may be CRLF, and each emotion keeps its own texts."""
    anger = save("anger.txt", SEMEVAL + '1\t"mad\tanger\t0.9\r\n2\tfine "\tanger\t0.1\r\n3\thm\tanger\t0.5\r\n')
    joy = save("joy.tsv", SEMEVAL + "4\tyay\tjoy\t1.0\n5\tno\tjoy\t0.0\n6\thm\tjoy\t0.25\n")
    data = load_intensities([joy, anger])
    assert (data.layout.name, data.files, data.split) == ("SemEval-2018", ("anger.txt", "joy.tsv"), "all")
    assert data.ids == ("1", "2", "3", "4", "5", "6")
    assert scores(data) == {
        "anger": {'"mad': 0.9, 'fine "': 0.1, "hm": 0.5},
        "joy": {"yay": 1.0, "no": 0.0, "hm": 0.25},
    }


def test_valence_of_semeval_is_read(save: Save) -> None:
    """V-reg has the same columns."""
    path = save("v.txt", SEMEVAL + "".join(f"{row}\ttext {row}\tvalence\t0.{row}\n" for row in range(4)))
    assert scores(load_intensities([path]))["valence"] == {f"text {row}": row / 10 for row in range(4)}


def test_mystery_rows_are_dropped_by_their_id_and_counted(save: Save) -> None:
    """Their dummy score of 0.000 enters nothing, while a real score of 0 stays."""
    rows = "1\tmad\tanger\t0.9\n2\tfine\tanger\t0.000\n3\thm\tanger\t0.5\n"
    mystery = "".join(f"2018-En-mystery-{row:05}\tmade up {row}\tanger\t0.000\n" for row in range(40))
    data = load_intensities([save("gold.txt", SEMEVAL + mystery + rows)])
    assert data.mystery == 40
    assert scores(data) == {"anger": {"mad": 0.9, "fine": 0.0, "hm": 0.5}}
    said = refusal(save("only.txt", SEMEVAL + mystery))
    assert "expected rows with scores; there are none (40 dropped: SemEval's mystery rows have no scores)" in said


def test_emoint_is_recognised_without_a_header(save: Save) -> None:
    """Its first line is a row, not names."""
    path = save("fear-ratings-0to1.dev.txt", "10\tboo\tfear\t0.8\n11\tcalm\tfear\t0.1\n12\thm\tfear\t.4\n")
    data = load_intensities([path])
    assert data.layout.name == "EmoInt"
    assert scores(data) == {"fear": {"boo": 0.8, "calm": 0.1, "hm": 0.4}}


def test_emobank_gives_valence_and_arousal_of_the_test_split(save: Save) -> None:
    """By default test where there is such a split; another one, or all, when it is asked for."""
    rows = "4,test,1,5,3,d\n5,test,2.5,4.5,3,e\n6,test,5,1,3,f\n7,dev,1,1,1,g\n"
    path = save("emobank.csv", SPLIT + rows)
    data = load_intensities([path])
    assert (data.layout.name, data.split, data.other_splits) == ("EmoBank", "test", 4)
    assert scores(data) == {"valence": {"d": 1, "e": 2.5, "f": 5}, "arousal": {"d": 5, "e": 4.5, "f": 1}}
    train, everything = load_intensities([path], split="train"), load_intensities([path], split="all")
    assert (train.texts, train.split) == (("a", "b", "c"), "train")
    assert (everything.texts, everything.split) == (("a", "b", "c", "d", "e", "f", "g"), "all")
    assert load_intensities([path], preferred="train").texts == train.texts


def test_a_file_without_the_preferred_split_is_taken_whole(save: Save) -> None:
    """A column `split` whose values are others divides nothing by itself."""
    data = load_intensities([save("emobank.csv", SPLIT)])
    assert (data.split, len(data.texts), data.other_splits) == ("all", 3, 0)


def test_a_split_that_is_not_there_is_refused(save: Save) -> None:
    """With those that are there; and a file that knows no splits says so."""
    said = refusal(save("emobank.csv", SPLIT), split="prod")
    assert "expected rows of the split 'prod'; there are train (3 rows)" in said
    said = refusal(save("plain.csv", "text,emotion,score\na,joy,1\nb,joy,2\nc,joy,3\n"), split="test")
    assert "plain.csv: expected a column 'split', to take the rows of test" in said


def test_any_scale_is_taken_where_the_layout_names_none(save: Save) -> None:
    """A correlation does not ask for the unit."""
    path = save(
        "mine.csv",
        "score,text,emotion,who\n-3,a,love,x\n1e2,b,love,x\n50,c,love,y\n7,a,anger,x\n8,b,anger,\n9,c,anger,\n",
    )
    assert scores(load_intensities([path])) == {
        "anger": {"a": 7, "b": 8, "c": 9},
        "love": {"a": -3, "b": 100, "c": 50},
    }


@pytest.mark.parametrize("suffix", ["csv.gz", "jsonl", "parquet"])
def test_every_format_gives_the_same(tmp_path: Path, suffix: str) -> None:
    """Numbers as text, as JSON and in Parquet; a file may have one of the two dimensions only."""
    path = tmp_path / f"file.{suffix}"
    if suffix == "csv.gz":
        path.write_bytes(gzip.compress(b'text,arousal\n"a, b",1\nc,2.5\nd,3\n'))
    elif suffix == "jsonl":
        path.write_text(
            '{"text": "a, b", "arousal": 1}\n{"arousal": 2.5, "text": "c"}\n{"text": "d", "arousal": "3"}\n'
        )
    else:
        pq.write_table(pa.table({"text": ["a, b", "c", "d"], "arousal": [1.0, 2.5, 3.0]}), path)
    data = load_intensities([path])
    assert data.layout.name == "valence and arousal"
    assert scores(data) == {"arousal": {"a, b": 1, "c": 2.5, "d": 3}}


def shares(path: Path, raters: list[int], votes: dict[str, list[float | None]]) -> Path:
    rows = len(raters)
    columns = {"id": [f"c{row}" for row in range(rows)], "text": [f"text {row}" for row in range(rows)]}
    nobody = [None if count == 0 else 0.0 for count in raters]
    table = pa.table(
        {**columns, "raters": pa.array(raters, pa.int32())}
        | {name: pa.array(votes.get(name, nobody), pa.float32()) for name in EMOTIONS}
    )
    pq.write_table(table, path)
    return path


def test_vote_shares_count_their_raters(tmp_path: Path) -> None:
    """Rows that nobody labelled are dropped, emotions without any vote are named, and few raters are counted."""
    joy = [1.0, 0.5, None, 0.0, 1 / 3]
    data = load_intensities([shares(tmp_path / "votes.parquet", [1, 2, 0, 1, 3], {"joy": joy})])
    assert (data.layout.name, data.unrated, data.several_raters) == ("vote shares", 1, 2)
    assert data.gold.keys() == {"joy"}
    assert data.gold["joy"].scores.tolist() == pytest.approx([1, 0.5, 0, 1 / 3])
    assert set(data.useless) == set(EMOTIONS) - {"joy"}
    said = refusal(shares(tmp_path / "none.parquet", [1, 1, 1], {}))
    assert said.count("nothing correlates with a constant") == 20  # of 28 faults, as many as are shown
    assert "28 fault(s)" in said


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "", "a.txt: expected rows; the file is empty"),
        ("a.txt", SEMEVAL, "expected rows with scores; there are none"),
        ("a.txt", SEMEVAL.replace("Score", "Class"), "'Intensity Class'"),
        ("a.txt", SEMEVAL.replace("ID\t", "") + "x\tjoy\t0.5\n", "expected a column 'ID'"),
        ("a.txt", SEMEVAL + "1\tx\tjoy\tNONE\n", "row 1: expected a score in [0, 1] for joy, got 'NONE'"),
        ("a.txt", SEMEVAL + "1\tx\thappy\t0.5\n", "expected an emotion, valence or arousal in 'Affect Dimension'"),
        ("a.txt", SEMEVAL + "1\tx\tjoy\n", "row 1: 3 field(s), the header has 4"),
        ("a.txt", SEMEVAL + "1\tx\tjoy\t0.5\n1\tx\tjoy\t0.5\n", "row 2: the id '1' has a score of joy already"),
        ("a.txt", SEMEVAL + "1\t \tjoy\t0.5\n", "row 1: the text is only white space"),
        ("a.txt", "1\tx\tjoy\t1.5\n", "row 1: expected a score in [0, 1] for joy, got '1.5'"),
        ("a.csv", "text,V,A\nx,0.9,3\n", "expected a score in [1, 5] for valence, got '0.9'"),
        ("a.csv", "text,emotion,score\nx,joy,nan\n", "expected a number for joy, got 'nan'"),
        ("a.csv", "text,emotion,score\nx,joy,1_0\n", "expected a number for joy, got '1_0'"),
        ("a.csv", "text,emotion,score\nx,joy,1e999\n", "expected a number for joy, got '1e999'"),
        ("a.csv", "text,emotion,score\nx,joy,\n", "expected a number for joy, got nothing"),
        ("a.csv", "text,valence\nx,3\ny,3\nz,3\n", "valence: all 3 scores are 3; nothing correlates with a constant"),
        ("a.csv", "text,valence\nx,3\ny,2\n", "valence: expected at least 3 rows with scores; there are 2"),
        ("a.csv", "text,emotion,score,valence\nx,joy,1,1\n", "read as emotion and score and as valence and arousal"),
        ("a.csv", "text,joy,love\nx,1,1\n", "of the 28 emotions it lacks admiration, amusement"),
        ("a.csv", "text,rater_id,joy\nx,1,1\n", "`eqn data votes`"),
        ("a.csv", "text,text,valence\nx,1,1\n", "'text' more than once"),
        ("a.jsonl", '{"txt": "a", "valence": 1}\n', "expected a column 'text' for the text"),
        ("a.jsonl", '{"text": "a", "valence": true}\n', "expected a number for valence, got 'true'"),
        ("a.parquet", "PAR1 no", "expected a whole Parquet file"),
    ],
)
def test_a_wrong_file_is_refused(save: Save, name: str, content: str, expected: str) -> None:
    """With the row and what was expected there."""
    assert expected in refusal(save(name, content))


def test_all_faults_are_told_at_once(save: Save) -> None:
    """Of every file and row, twenty of them and their count."""
    bad = save("bad.csv", "text,emotion,score\n" + "x,joy,high\n" * 30)
    foreign = save("foreign.csv", "words,strength\nx,1\n")
    constant = save("constant.csv", "text,emotion,score\nx,love,1\ny,love,1\nz,love,1\n")
    said = refusal(bad, foreign, constant)
    assert "32 fault(s)" in said
    assert "... and 12 more" in said
    assert "foreign.csv: its columns are no layout that is understood: 'words', 'strength'" in said
    assert said.count("bad.csv, row") == 19
    said = refusal(foreign, constant)
    assert "foreign.csv" in said
    assert "love: all 3 scores are 1" in said


def test_files_of_several_layouts_are_not_mixed(save: Save) -> None:
    """Their scales differ."""
    emoint = save("emoint.txt", "1\ta\tjoy\t0.5\n2\tb\tjoy\t0.6\n3\tc\tjoy\t0.7\n")
    mine = save("mine.csv", "text,emotion,score\na,joy,70\nb,joy,5\nc,joy,9\n")
    assert "of several: EmoInt (emoint.txt), emotion and score (mine.csv)" in refusal(emoint, mine)


def test_a_file_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_intensities([tmp_path / "nowhere.csv"])


def test_scores_point_at_their_texts(save: Save) -> None:
    """In one long file each row is a text of its own, and the places ascend."""
    path = save("mine.csv", "text,emotion,score\na,joy,1\na,fear,2\nb,joy,3\nb,fear,4\nc,joy,5\nc,fear,7\n")
    gold = load_intensities([path]).gold
    assert list(gold) == ["fear", "joy"]
    np.testing.assert_array_equal(gold["joy"].rows, [0, 2, 4])
    np.testing.assert_array_equal(gold["fear"].rows, [1, 3, 5])
