"""Uncertainty: Shannon's entropy, sets that hold what reaches its limit, and nothing promised without limits."""

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import entropy

from eqn.annotation.annotator import Annotation, Annotator
from eqn.annotation.columns import annotated_table, output_name, output_schema, renamed
from eqn.annotation.shards import annotate_shard
from eqn.annotation.uncertainty import Uncertainty, conformal_of, mean_entropy, promise, uncertainty_of
from eqn.emotions import EMOTIONS
from eqn.errors import DataRefused, UsageError
from eqn.evaluation.conformal import Conformal

GIVEN = [("author", pa.string()), ("entropy", pa.float64()), ("Conformal", pa.string())]


def conformal_with(limits: dict[str, float], coverage: float = 0.9) -> Conformal:
    return Conformal(coverage=coverage, limits=limits, rows=dict.fromkeys(EMOTIONS, 9))


def unrounded(annotator: Annotator, texts: list[str]) -> NDArray[np.float32]:
    """Give the intensities as the network gave them, (texts, 28)."""
    back_end, scores = annotator._back_end, np.empty((len(texts), 28), dtype=np.float32)
    for computing in back_end.start(back_end.encode(texts)):
        scores[computing.block.rows] = computing.future.result().numpy()
    return scores


@pytest.fixture
def sure(annotator: Annotator, texts: list[str]) -> Annotator:
    """The annotator with limits that split these texts: each emotion's median intensity, but none for grief."""
    exact = unrounded(annotator, texts)
    limits = dict(zip(EMOTIONS, np.median(exact, axis=0).astype(float).tolist(), strict=True))
    del limits["grief"]
    facts = dataclasses.asdict(conformal_with(limits))
    return Annotator(dataclasses.replace(annotator.package, conformal=facts), annotator._back_end)


@pytest.fixture
def unsure(annotator: Annotator) -> Annotator:
    """The annotator as an earlier EQN trained it: without limits."""
    return Annotator(dataclasses.replace(annotator.package, conformal={}), annotator._back_end)


def test_the_entropy_is_the_mean_of_28_binary_entropies() -> None:
    """As scipy computes it, emotion by emotion, in bits."""
    scores = np.random.default_rng(0).random((50, 28)).astype(np.float32)
    expected = [np.mean([entropy([float(p), 1 - float(p)], base=2) for p in row]) for row in scores]

    assert mean_entropy(scores) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.0] * 28, "0.0"),
        ([1.0] * 28, "0.0"),
        ([0.5] * 28, "1.0"),
        ([0.5] * 14 + [1.0] * 14, "0.5"),
        ([0.25] * 28, "0.8113"),
        ([1e-30] * 28, "0.0"),
    ],
)
def test_certainty_is_0_and_a_coin_toss_1(scores: list[float], expected: str) -> None:
    """Both ends are met without a warning or a minus, and four decimals are kept."""
    with np.errstate(all="raise", under="ignore"):
        found = uncertainty_of(np.array([scores], dtype=np.float32), conformal_with({}))

    assert found.entropy.dtype == np.float32
    assert [str(value) for value in found.entropy] == [expected]


near = st.integers(-2, 2)


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.none() | near | st.floats(0, 1)), min_size=28, max_size=28))
def test_a_set_holds_exactly_what_reaches_its_limit_before_rounding(drawn: list[tuple[float, float | None]]) -> None:
    """For any intensities and limits, those among them that agree to the fourth decimal and far beyond."""
    scores = np.array([[score for score, _ in drawn]], dtype=np.float32)
    limits = {}
    for name, (score, limit) in zip(EMOTIONS, drawn, strict=True):
        if isinstance(limit, int):  # the intensity's own neighbours among 32-bit numbers
            limits[name] = min(max(score + limit * float(np.spacing(np.float32(score))), 0.0), 1.0)
        elif limit is not None:
            limits[name] = limit

    (found,) = uncertainty_of(scores, conformal_with(limits)).conformal

    reached = [name for name, (score, _) in zip(EMOTIONS, drawn, strict=True) if score >= limits.get(name, 2)]
    assert found == reached


def test_intensities_that_are_shown_alike_are_told_apart() -> None:
    """0.12344 and 0.12341 are both shown as 0.1234; a limit of 0.12342 lies between them."""
    scores = np.full((2, 28), 0.12344, dtype=np.float32)
    scores[1] = 0.12341

    assert uncertainty_of(scores, conformal_with(dict.fromkeys(EMOTIONS, 0.12342))).conformal == [list(EMOTIONS), []]


def test_no_texts_have_no_uncertainty() -> None:
    """An empty input is no error."""
    found = uncertainty_of(np.empty((0, 28), dtype=np.float32), conformal_with({}))

    assert (found.entropy.shape, found.conformal) == ((0,), [])


def test_the_promise_names_its_coverage_and_what_it_leaves_out() -> None:
    """Whoever reads it knows how often, and for which emotions nothing is said."""
    whole = dict.fromkeys(EMOTIONS, 0.5)
    some = {name: 0.5 for name in EMOTIONS if name not in {"relief", "grief"}}

    assert "at least 95 %" in promise(conformal_with(whole, 0.95))
    assert "Nothing" not in promise(conformal_with(whole))
    assert "Nothing is promised for grief, relief:" in promise(conformal_with(some))


def test_a_text_is_annotated_with_its_uncertainty(sure: Annotator, texts: list[str]) -> None:
    """It comes from the unrounded intensities, and moves neither intensities nor labels."""
    done, plain = sure.annotation(texts, uncertainty=True), sure.annotation(texts)

    assert plain.uncertainty is None
    assert done.uncertainty is not None
    assert np.array_equal(done.scores, plain.scores)
    assert done.labels == plain.labels
    exact = unrounded(sure, texts)
    limits = sure.package.conformal["limits"]
    for row, names in zip(exact, done.uncertainty.conformal, strict=True):
        assert names == [name for i, name in enumerate(EMOTIONS) if name in limits and row[i] >= limits[name]]
    assert 0 < sum(map(len, done.uncertainty.conformal)) < len(texts) * 27
    assert np.abs(done.uncertainty.entropy - mean_entropy(exact)).max() <= 5.1e-5


def test_the_frame_has_both_columns_on_request(sure: Annotator, texts: list[str]) -> None:
    """After those that are always there."""
    frame = sure.annotate(texts, uncertainty=True)
    found = sure.annotation(texts, uncertainty=True).uncertainty

    assert found is not None
    assert list(frame.columns) == ["text", *EMOTIONS, "labels", "truncated", "entropy", "conformal"]
    assert frame["entropy"].tolist() == found.entropy.tolist()
    assert frame["conformal"].tolist() == found.conformal
    assert list(sure.annotate([], uncertainty=True).columns) == list(frame.columns)


def test_a_model_without_limits_refuses_before_it_reads_a_text(unsure: Annotator, texts: list[str]) -> None:
    """Asking for what an earlier EQN's model cannot tell is the caller's mistake; without the option it works."""
    heard: list[int] = []
    with pytest.raises(UsageError, match="earlier EQN") as refused:
        unsure.annotation(texts, uncertainty=True, report=lambda rows, _: heard.append(rows))

    assert heard == []
    assert "Train it again" in refused.value.todo
    assert str(unsure.package.path) in str(refused.value)
    assert len(unsure.annotation(texts[:1]).labels) == 1


def test_limits_are_read_from_the_package_only(sure: Annotator) -> None:
    """What the package says is what is used, its coverage and rows included."""
    assert dataclasses.asdict(conformal_of(sure.package)) == sure.package.conformal
    assert conformal_of(sure.package).without == ("grief",)


@pytest.mark.parametrize("name", ["entropy", "conformal", "Entropy", "CONFORMAL"])
def test_an_inputs_own_column_gives_way_only_where_ours_is_written(name: str) -> None:
    """As ever without the option; with it the user's column is renamed, in whatever letters."""
    assert output_name(name) == name
    assert output_name(name, uncertainty=True) == f"input_{name}"


def test_both_columns_stand_at_the_end_and_are_never_null() -> None:
    """The schema with the option is the one without, and two columns more."""
    plain, asked = output_schema([("author", pa.string())]), output_schema([("author", pa.string())], uncertainty=True)

    assert list(asked)[:-2] == list(plain)
    assert [(field.name, field.type, field.nullable) for field in list(asked)[-2:]] == [
        ("entropy", pa.float32(), False),
        ("conformal", pa.list_(pa.string()), False),
    ]
    with pytest.raises(DataRefused, match="input_entropy would stand twice"):
        output_schema([("entropy", pa.int8()), ("input_entropy", pa.int8())], uncertainty=True)


def test_the_users_columns_and_ours_stand_side_by_side() -> None:
    """Neither overwrites the other."""
    rows = pa.table({"id": ["1", "2"], "text": ["a", "b"], "author": ["x", None], "entropy": [7.0, 8.0]})
    rows = rows.append_column("Conformal", pa.array(["yes", "no"]))
    annotation = Annotation(
        scores=np.zeros((2, 28), dtype=np.float32),
        truncated=[False, False],
        labels=[[], []],
        uncertainty=Uncertainty(entropy=np.array([0.25, 0.5], dtype=np.float32), conformal=[["joy", "love"], []]),
    )

    table = annotated_table(rows, annotation, output_schema(GIVEN, uncertainty=True))

    table.validate(full=True)
    assert table.column("input_entropy").to_pylist() == [7.0, 8.0]
    assert table.column("input_Conformal").to_pylist() == ["yes", "no"]
    assert table.column("entropy").to_pylist() == [0.25, 0.5]
    assert table.column("conformal").to_pylist() == [["joy", "love"], []]
    assert renamed(rows).column_names == rows.column_names


def test_a_shard_holds_them(sure: Annotator, texts: list[str]) -> None:
    """Row by row, in the order of the texts."""
    rows: Any = pa.table({"id": [str(n) for n in range(len(texts))], "text": texts})
    shard = annotate_shard(rows, output_schema([], uncertainty=True), sure, uncertainty=True)
    found = sure.annotation(texts, uncertainty=True).uncertainty

    assert found is not None
    assert shard.column("entropy").to_pylist() == found.entropy.tolist()
    assert shard.column("conformal").to_pylist() == found.conformal


def test_it_loads_neither_torch_nor_pandas() -> None:
    """Who only plans or describes a release waits for no framework."""
    script = "import sys, eqn.annotation.uncertainty; print({'torch', 'pandas'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
