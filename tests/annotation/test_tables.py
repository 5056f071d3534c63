"""What notebooks hold, annotated: the same kind comes back, nothing of the user's is changed or lost."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from eqn.annotation import annotator as annotator_module
from eqn.annotation.annotator import Annotator
from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused, UsageError
from eqn.evaluation.conformal import Conformal

OURS = [*EMOTIONS, "labels", "truncated"]


@pytest.fixture
def some(texts: list[str]) -> list[str]:
    return texts[:5]


@pytest.fixture
def columns(some: list[str]) -> dict[str, list[Any]]:
    """Columns beside the text, three of them called as ours are."""
    return {
        "id": [f"00{n}" for n in range(5)],
        "joy": [0, 1, 0, 1, 1],
        "body": some,
        "Labels": ["a", "b", "c", "d", "e"],
        "text": ["not", "this", "one", "but", "body"],
        "truncated": [1.5, 2.5, 3.5, 4.5, 5.5],
    }


RENAMED = ["id", "gold_joy", "body", "input_Labels", "text", "input_truncated"]


def require_right(table: Any, annotator: Annotator, texts: list[str]) -> None:
    """Check the annotation's columns of an Arrow table."""
    done = annotator.annotation(texts)
    assert np.array_equal(np.stack([table.column(name).to_numpy() for name in EMOTIONS], axis=1), done.scores)
    assert table.column("labels").to_pylist() == done.labels
    assert table.column("truncated").to_pylist() == done.truncated


def test_a_frame_comes_back_with_its_index_and_columns(
    annotator: Annotator, columns: dict[str, list[Any]], some: list[str]
) -> None:
    """Any index, with repeated values too; columns that are called like ours are renamed, values stay."""
    frame = pd.DataFrame(columns, index=pd.Index(["x", "y", "x", "z", "y"], name="key"))
    before = frame.copy(deep=True)

    found = annotator.annotate(frame, text="body")

    assert list(found.columns) == [*RENAMED, *OURS]
    assert found.index.equals(frame.index)
    assert found.index.name == "key"
    for old, new in zip(columns, RENAMED, strict=True):
        assert found[new].tolist() == frame[old].tolist()
        assert found[new].dtype == frame[old].dtype
    require_right(pa.Table.from_pandas(found, preserve_index=False), annotator, some)
    pd.testing.assert_frame_equal(frame, before)


def test_a_frame_that_is_changed_afterwards_changes_nothing_of_the_users(annotator: Annotator, some: list[str]) -> None:
    """The new one is its own."""
    frame = pd.DataFrame({"text": some, "n": range(5)})
    found = annotator.annotate(frame)
    found.loc[:, "n"] = -1
    found.loc[:, "text"] = "gone"
    assert frame["n"].tolist() == [0, 1, 2, 3, 4]
    assert frame["text"].tolist() == some


def test_column_names_that_are_no_strings_stay(annotator: Annotator, some: list[str]) -> None:
    """pandas allows numbers, and a text's column may be called by one."""
    found = annotator.annotate(pd.DataFrame({0: some, 7: range(5)}), text=0)  # type: ignore[arg-type]
    assert list(found.columns) == [0, 7, *OURS]


def test_an_arrow_table_comes_back_as_one(annotator: Annotator, columns: dict[str, list[Any]], some: list[str]) -> None:
    """Types stay; ours are those of a release."""
    table = pa.table(columns).replace_schema_metadata({"mine": "kept", "pandas": "{}"})

    found = annotator.annotate(table, text="body")

    found.validate(full=True)
    assert found.column_names == [*RENAMED, *OURS]
    assert [found.schema.field(new).type for new in RENAMED] == [table.schema.field(old).type for old in columns]
    assert [found.column(new).to_pylist() for new in RENAMED] == list(columns.values())
    assert {found.schema.field(name).type for name in EMOTIONS} == {pa.float32()}
    assert found.schema.metadata == {b"mine": b"kept"}
    require_right(found, annotator, some)
    assert table.column_names == list(columns)


def test_a_frame_goes_through_arrow_and_back(annotator: Annotator, some: list[str]) -> None:
    """What Arrow keeps of pandas describes columns by name: `joy` is ours now, and no whole number any more."""
    frame = pd.DataFrame({"text": some, "joy": pd.array([1, None, 1, 0, 0], dtype="Int64")})
    back = annotator.annotate(pa.Table.from_pandas(frame)).to_pandas()
    assert back["joy"].dtype == np.float32
    assert back["gold_joy"].tolist()[2:] == [1, 0, 0]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()])
def test_any_type_of_text_that_arrow_has_is_read(annotator: Annotator, some: list[str], kind: pa.DataType) -> None:
    """Large, by dictionary, or as a view, in several chunks."""
    column = pa.chunked_array([some[:2], some[2:]]).cast(kind)
    require_right(annotator.annotate(pa.table({"text": column})), annotator, some)


def test_a_dataset_comes_back_as_one(annotator: Annotator, columns: dict[str, list[Any]], some: list[str]) -> None:
    """With its features and split; the one that was given is as it was."""
    features = datasets.Features(
        {name: datasets.Value("string") for name in columns}
        | {"joy": datasets.ClassLabel(names=["no", "yes"]), "truncated": datasets.Value("float64")}
    )
    given = datasets.Dataset.from_dict(columns, features=features, split=datasets.Split.TEST)

    found = annotator.annotate(given, text="body")

    assert isinstance(found, datasets.Dataset)
    assert found.column_names == [*RENAMED, *OURS]
    assert found.features["gold_joy"] == features["joy"]
    assert found.split == datasets.Split.TEST
    require_right(found.with_format("arrow")[:], annotator, some)
    assert [list(found[new]) for new in RENAMED] == list(columns.values())
    assert given.column_names == list(columns)
    assert given.features == features


def test_chosen_rows_and_a_format_of_a_dataset_are_respected(annotator: Annotator, texts: list[str]) -> None:
    """Rows that were picked and turned around, answered as arrays."""
    given = datasets.Dataset.from_dict({"text": texts[:9], "n": list(range(9))}).select([8, 3, 5]).with_format("numpy")

    found = annotator.annotate(given)

    assert found.format["type"] == "numpy"
    assert isinstance(found["joy"][:], np.ndarray)
    assert found["n"][:].tolist() == [8, 3, 5]
    require_right(found.with_format("arrow")[:], annotator, [texts[8], texts[3], texts[5]])


def test_a_series_keeps_its_index(annotator: Annotator, some: list[str]) -> None:
    """So that it can be joined with the frame that it came from."""
    found = annotator.annotate(pd.Series(some, index=list("edcba")))
    assert list(found.columns) == ["text", *OURS]
    assert found.index.tolist() == list("edcba")
    assert found["text"].tolist() == some


@pytest.mark.parametrize("kind", [list, tuple, np.array, iter])
def test_texts_in_any_row_give_a_frame(annotator: Annotator, some: list[str], kind: Any) -> None:
    """A list, a tuple, an array, an iterator."""
    found = annotator.annotate(kind(some))
    pd.testing.assert_frame_equal(found, annotator.annotate(some))
    assert found["text"].tolist() == some


def test_no_rows_are_no_error(annotator: Annotator) -> None:
    """An empty table has all columns."""
    empty = pa.table({"text": pa.array([], pa.string())})
    frame = annotator.annotate(empty.to_pandas())
    assert (frame.shape, list(frame.columns)) == ((0, 31), ["text", *OURS])
    assert annotator.annotate(empty).column_names == ["text", *OURS]
    assert annotator.annotate(datasets.Dataset(empty)).num_rows == 0


def test_uncertainty_stands_in_all_kinds(package: Path, annotator: Annotator, some: list[str]) -> None:
    """After the others; a column of that name is only renamed where it would collide."""
    conformal = dataclasses.asdict(
        Conformal(coverage=0.9, limits=dict.fromkeys(EMOTIONS, 0.1), rows=dict.fromkeys(EMOTIONS, 9))
    )
    sure = Annotator(dataclasses.replace(annotator.package, conformal=conformal), annotator._back_end)
    table = pa.table({"text": some, "entropy": [1, 2, 3, 4, 5]})
    names = ["text", "input_entropy", *OURS, "entropy", "conformal"]
    found = sure.annotation(some, uncertainty=True).uncertainty
    assert found is not None
    for data in kinds_of(table.to_pydict()):
        done = sure.annotate(data, uncertainty=True)
        assert [*(done.columns if isinstance(done, pd.DataFrame) else done.column_names)] == names
        assert [list(emotions) for emotions in values_of(done, "conformal")] == found.conformal
        assert values_of(done, "entropy") == found.entropy.tolist()
    assert sure.annotate(table).column_names == ["text", "entropy", *OURS]


def values_of(table: Any, name: str) -> list[Any]:
    """Give a column of a table of any kind as plain values."""
    column = table[name]
    for way in ("to_pylist", "tolist"):
        if hasattr(column, way):
            return list(getattr(column, way)())
    return list(column)


def kinds_of(columns: dict[str, list[Any]]) -> Iterator[Any]:
    yield pd.DataFrame(columns)
    yield pa.table(columns)
    yield datasets.Dataset.from_dict(columns)


def test_a_column_that_is_not_there_is_named_with_those_that_are(annotator: Annotator) -> None:
    """Nobody should have to guess."""
    for data in kinds_of({"body": ["a"], "author": ["b"]}):
        with pytest.raises(UsageError, match="no column 'text'") as refusal:
            annotator.annotate(data)
        assert refusal.value.faults == ("columns: body, author",)


def test_texts_that_are_none_are_named(annotator: Annotator) -> None:
    """Each row, up to a dozen; nothing is made of the word `nan`."""
    for data in kinds_of({"text": ["fine", None, "fine", None]}):
        with pytest.raises(TypeError, match=r"row 1 is .*, row 3 is .*Leave these rows out"):
            annotator.annotate(data)
    with pytest.raises(TypeError, match=r"row 1 is 'nan' \(float\), row 2 is '7' \(int\), row 3 is None\. "):
        annotator.annotate(["fine", float("nan"), 7, None])
    with pytest.raises(TypeError, match=r"row 11 is None, and 1,988 more\."):
        annotator.annotate([None] * 2000)
    with pytest.raises(TypeError, match=r"row 1 is .*ud800.*, with half of a surrogate pair"):
        annotator.annotate(["fine", "\ud800"])
    with pytest.raises(TypeError, match="row 0 is None"):
        annotator.annotation([None])  # type: ignore[list-item]


@pytest.mark.parametrize("data", [{"text": ["a"]}, 7, None])
def test_what_holds_no_texts_is_refused(annotator: Annotator, data: Any) -> None:
    """With what would do."""
    with pytest.raises(TypeError, match=r"a pandas DataFrame or Series, a pyarrow Table or a datasets\.Dataset; got a"):
        annotator.annotate(data)


@pytest.mark.parametrize("data", ["I can't stop smiling", b"I can't stop smiling"])
def test_one_string_is_no_list(annotator: Annotator, data: Any) -> None:
    """Its letters are not annotated as texts."""
    with pytest.raises(TypeError, match="got one string; annotate"):
        annotator.annotate(data)


def test_columns_that_would_stand_twice_are_refused(annotator: Annotator, some: list[str]) -> None:
    """Rather than losing one; a text's column that stands there twice cannot be told."""
    for data in kinds_of({"text": some, "joy": some, "gold_joy": some}):
        with pytest.raises(DataRefused, match="gold_joy would stand twice"):
            annotator.annotate(data)
    frame = pd.DataFrame([["a", "b"]], columns=["text", "text"])
    with pytest.raises(UsageError, match="'text' stands twice"):
        annotator.annotate(frame)
    with pytest.raises(UsageError, match="several levels"):
        annotator.annotate(pd.DataFrame([["a"]], columns=pd.MultiIndex.from_tuples([("text", "x")])))


def test_large_inputs_are_computed_in_groups(
    annotator: Annotator, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows stand in their order, whatever the group; memory does not grow with the input."""
    expected = annotator.annotate(texts)
    monkeypatch.setattr(annotator_module, "GROUP", 7)
    found = annotator.annotate(texts)
    assert found["text"].tolist() == texts
    assert np.abs(found[list(EMOTIONS)].to_numpy() - expected[list(EMOTIONS)].to_numpy()).max() < 5e-3
    assert found["truncated"].tolist() == expected["truncated"].tolist()
