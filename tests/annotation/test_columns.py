"""The annotated table's columns: nothing of the user's is lost or overwritten."""

import doctest
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from eqn.annotation import columns
from eqn.annotation.annotator import Annotation
from eqn.annotation.columns import annotated_table, conformed, output_name, output_schema, renamed
from eqn.corpus.contract import RESERVED_COLUMNS
from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused

GIVEN = [("author", pa.string()), ("joy", pa.int64()), ("labels", pa.list_(pa.int8())), ("truncated", pa.bool_())]


@pytest.fixture
def rows() -> Any:
    """Three rows as the reader gives them."""
    return pa.table(
        {
            "id": ["007", "a", "b"],
            "text": ["NA", "hello", "null"],
            "author": ["x", None, "y"],
            "joy": pa.array([1, 0, None], pa.int64()),
            "labels": pa.array([[1], [], None], pa.list_(pa.int8())),
            "truncated": [True, False, None],
        }
    )


@pytest.fixture
def annotation() -> Annotation:
    scores = np.round(np.random.default_rng(0).random((3, 28)), 4).astype(np.float32)
    return Annotation(scores=scores, truncated=[False, True, False], labels=[["joy"], [], ["love", "joy"]])


def test_the_examples_hold() -> None:
    """The docstrings' examples are true."""
    assert doctest.testmod(columns).failed == 0


@pytest.mark.parametrize("name", EMOTIONS)
def test_a_column_named_like_an_emotion_is_gold(name: str) -> None:
    """The user's own labels stand beside the model's intensities."""
    assert output_name(name) == f"gold_{name}"


@pytest.mark.parametrize("name", sorted(RESERVED_COLUMNS))
def test_a_column_named_like_ours_is_an_input(name: str) -> None:
    """Ours keep their names, the user's are renamed."""
    assert output_name(name) == f"input_{name}"


@pytest.mark.parametrize("name", ["Joy", "NEUTRAL", "Labels", "ID"])
def test_names_that_sql_takes_for_ours_are_told_apart(name: str) -> None:
    """DuckDB and others do not look at the case: `select joy` must give our joy, and the user's keeps its spelling."""
    renamed_to = output_name(name)

    assert renamed_to.endswith(f"_{name}")
    assert renamed_to.lower() not in {*EMOTIONS, *RESERVED_COLUMNS}


@pytest.mark.parametrize("name", ["author", "gold_joy", "input_id", "", "joy ", "text2"])
def test_any_other_column_keeps_its_name(name: str) -> None:
    """Only equal names collide."""
    assert output_name(name) == name


def test_the_columns_stand_in_the_contracts_order() -> None:
    """id, text, the input's own, truncated, 28 intensities, labels: with the contract's types, ours never null."""
    schema = output_schema(GIVEN)

    assert schema.names == [
        *("id", "text", "author", "gold_joy", "input_labels", "input_truncated", "truncated"),
        *(*EMOTIONS, "labels"),
    ]
    types = {field.name: field.type for field in schema}
    assert {types[name] for name in EMOTIONS} == {pa.float32()}
    assert (types["truncated"], types["labels"]) == (pa.bool_(), pa.list_(pa.string()))
    assert (types["gold_joy"], types["input_labels"]) == (pa.int64(), pa.list_(pa.int8()))
    nullable = {field.name for field in schema if field.nullable}
    assert nullable == {"author", "gold_joy", "input_labels", "input_truncated"}


@pytest.mark.parametrize(
    ("names", "clash"),
    [
        (["joy", "gold_joy"], "gold_joy"),
        (["input_labels", "labels"], "input_labels"),
        (["joy", "a", "gold_joy", "a"], "a, gold_joy"),
    ],
)
def test_two_columns_that_would_get_one_name_are_refused(names: list[str], clash: str) -> None:
    """Rather than losing one of them; the message names what would stand twice."""
    with pytest.raises(DataRefused, match=f"{clash} would stand twice"):
        output_schema([(name, pa.string()) for name in names])


def test_annotations_stand_beside_the_rows(rows: Any, annotation: Annotation) -> None:
    """Every value given is there unchanged, every figure in its row and column."""
    table = annotated_table(rows, annotation, output_schema(GIVEN))

    table.validate(full=True)
    assert table.schema.equals(output_schema(GIVEN))
    assert table.column("id").to_pylist() == ["007", "a", "b"]
    assert table.column("text").to_pylist() == ["NA", "hello", "null"]
    assert table.column("gold_joy").to_pylist() == [1, 0, None]
    assert table.column("input_labels").to_pylist() == [[1], [], None]
    assert table.column("input_truncated").to_pylist() == [True, False, None]
    assert table.column("truncated").to_pylist() == [False, True, False]
    assert table.column("labels").to_pylist() == [["joy"], [], ["love", "joy"]]
    scores = np.stack([table.column(name).to_numpy() for name in EMOTIONS], axis=1)
    assert np.array_equal(scores, annotation.scores)


def test_a_column_that_only_other_files_have_is_null(rows: Any, annotation: Annotation) -> None:
    """One schema for all parts: what a file lacks is null there, of the type that it has elsewhere."""
    schema = output_schema([*GIVEN, ("stars", pa.int8())])

    table = annotated_table(rows, annotation, schema)
    assert table.schema.equals(schema)
    assert table.column("stars").to_pylist() == [None] * 3


def test_a_column_becomes_text_where_other_files_need_it(rows: Any, annotation: Annotation) -> None:
    """A number here and a word there meet as text, nulls stay null."""
    schema = output_schema([("author", pa.string()), ("joy", pa.string())])

    assert annotated_table(rows, annotation, schema).column("gold_joy").to_pylist() == ["1", "0", None]


def test_conforming_a_table_takes_drops_and_orders_columns() -> None:
    """The schema alone says what comes out."""
    table = pa.table({"a": [1, 2], "b": ["x", "y"], "c": [0.5, None]})
    schema = pa.schema([("c", pa.string()), ("new", pa.int8()), ("a", pa.int64())])

    assert conformed(table, schema).to_pydict() == {"c": ["0.5", None], "new": [None, None], "a": [1, 2]}


def test_renaming_touches_id_and_text_by_place() -> None:
    """The first two columns are id and text, however the rest is called."""
    table = pa.table([["1"], ["t"], ["x"], [2]], names=["id", "text", "love", "labels"])

    assert renamed(table).column_names == ["id", "text", "gold_love", "input_labels"]
