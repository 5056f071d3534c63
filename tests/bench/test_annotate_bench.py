"""Promises about the comparison of ways to annotate: fair texts, counted products, figures that say what they are."""

import json
from typing import Any

import numpy as np
import pytest

from bench.annotate import LEAST_TEXTS, make_workloads
from bench.annotating.products import Shape, padded_rows, waste
from bench.annotating.report import AGAINST, BESIDE_RAY, COMPUTE, OURS, RAY, TARGETS, Report, Workload, markdown
from bench.annotating.workload import LONGEST, length_facts, mixed_texts, repeated, slice_of
from eqn.errors import UsageError
from eqn.model.packing import packed_blocks

COMMENTS = ["I can't stop smiling", "Why?", "That is the worst thing I have read all week, and I read a lot", "ok fine"]
MINILM = Shape(layers=12, width=384, inner=1536)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_mix_is_as_long_as_comments_on_reddit(seed: int) -> None:
    facts = length_facts(mixed_texts(COMMENTS, 6000, seed=seed))

    assert facts["texts"] == 6000
    assert facts["mean"] == pytest.approx(179, rel=0.03)
    assert facts["median"] == pytest.approx(91, rel=0.05)
    assert facts["p95"] == pytest.approx(615, rel=0.03)
    assert facts["max"] == pytest.approx(LONGEST, rel=0.01)
    assert facts["max"] <= LONGEST


def test_the_mix_is_decided_by_its_seed_and_holds_no_empty_text() -> None:
    first, again, other = (mixed_texts(COMMENTS, 500, seed=seed) for seed in (0, 0, 1))

    assert first == again != other
    assert all(text.strip() for text in first)
    assert set(" ".join(first).split()) <= {
        word[:end] for text in COMMENTS for word in text.split() for end in range(70)
    }


def test_repeated_texts_all_occur_as_often() -> None:
    found = repeated(COMMENTS, 12, seed=0)

    assert sorted(found) == sorted(COMMENTS * 3)
    assert set(repeated(COMMENTS, 5, seed=0)) == set(COMMENTS)


def test_a_slice_has_the_lengths_of_all_texts_and_another_turn_other_texts() -> None:
    texts = [f"{place} {text}" for place, text in enumerate(mixed_texts(COMMENTS, 4096, seed=0))]
    first, second = slice_of(texts, 16, 3), slice_of(texts, 16, 4)

    assert len(first) == len(second) == 256
    assert not set(first) & set(second)
    assert np.mean([len(text) for text in first]) == pytest.approx(np.mean([len(text) for text in texts]), rel=0.05)
    assert first == [text for text in texts if text in set(first)], "they stay in their order"
    assert slice_of(texts, 1, 5) == texts


def test_operations_are_those_of_the_products() -> None:
    """One text of 10 tokens through MiniLM, counted product by product."""
    one = 2 * 10 * (3 * 384 * 384 + 384 * 384 + 384 * 1536 + 1536 * 384) + 2 * (10 * 10 * 384) * 2

    assert MINILM.operations(rows=10, products=100, texts=1) == 12 * one + 2 * 384 * 28
    assert MINILM.operations(rows=10, products=0, texts=0) == 12 * 2 * 10 * 12 * 384**2, "BERT's 12 h^2"


def test_packed_blocks_count_the_rows_that_fill_them_and_no_other_padding() -> None:
    blocks = packed_blocks([[1] * 7, [1] * 7, [1] * 3])

    assert MINILM.packed(blocks) == MINILM.operations(rows=32, products=2 * 49 + 9, texts=3)


def test_padding_is_counted_batch_by_batch() -> None:
    assert padded_rows([5, 1, 1, 1], 2) == 12
    assert padded_rows([5, 1, 1], 2, width=128) == 3 * 128
    assert waste(8, 32) == 0.75


@pytest.fixture
def report() -> Report:
    """Two workloads and three rounds, of which one was disturbed."""
    rates = {name: [10.0, 1.0, 10.0] for name in (*AGAINST, "ort_fp32_unsorted")}
    rates |= {OURS: [200.0, 220.0, 5.0], COMPUTE: [220.0, 220.0, 1.0]}
    lengths = {"texts": 9, "mean": 179.0, "median": 91.0, "p95": 615.0, "max": 5800}
    return Report(
        machine={"cores": 2, "threads": 2, "processor": "x86_64", "features": ["bf16"], "versions": {"torch": "2"}},
        back_end="int8 (fastest)",
        floats="bf16",
        words={name: f"way {name}" for name in rates},
        shares={"seed": 64},
        differences={"seed": 0.002},
        workloads=[
            Workload(name, lengths, 41.0, {"seed": 0.7}, rates=dict(rates), operations=[80.0, 85.0, 1.0])
            for name in ("mix", "plain")
        ],
        ceilings=[100.0, 100.0, 100.0, 3.0],
        growth=[{"rows": 10, "seconds": 1.0, "peak_bytes": 1000}, {"rows": 100, "seconds": 10.0, "peak_bytes": 1100}],
    )


def test_ratios_are_those_of_medians(report: Report) -> None:
    expected = dict.fromkeys(AGAINST, 20.0)
    expected |= {"gemm_share": 0.8, "end_to_end_overhead": 0.1, "memory_growth": 1.1}

    assert report.ratios() == pytest.approx(expected)


def test_json_holds_what_is_promised(report: Report) -> None:
    said: dict[str, Any] = json.loads(json.dumps(report.as_json()))

    assert set(said) >= {"ratios", "rates", "machine"}
    assert set(said["ratios"]) == set(TARGETS) - {"ray"}
    assert said["rates"]["mix"][OURS] == 200
    assert said["machine"]["gemm"] == {"type": "bf16", "rate": 100}


def test_a_way_over_ray_is_told_where_it_was_measured(report: Report) -> None:
    report.workloads[0].rates |= {RAY: [190.0], BESIDE_RAY: [200.0, 200.0]}
    report.words = {**report.words, RAY: "EQN over Ray", BESIDE_RAY: "EQN beside it"}

    assert report.ratios()["ray"] == pytest.approx(0.95)
    assert "two Ray actors" in markdown(report.tables()["Ratios"])


def test_tables_say_which_targets_are_met(report: Report) -> None:
    met = {row["ratio"]: row["met"] for row in report.tables()["Ratios"]}

    assert met["end to end against the seed's way"] == "yes"
    assert met["share of the GEMM ceiling, compute only"] == "yes"
    assert met["end to end longer than compute only by"] == "no"
    assert "2 cores" in report.about()
    assert all(len({row.count("|") for row in markdown(rows).splitlines()}) == 1 for rows in report.tables().values())


def test_too_few_texts_of_ones_own_are_refused(tmp_path: Any) -> None:
    file = tmp_path / "letters.txt"
    file.write_text("one\ntwo\n", "utf-8")
    with pytest.raises(UsageError, match="at least 1,024 texts"):
        make_workloads(None, file, 10, seed=0)

    file.write_text("".join(f"letter {number}\n" for number in range(LEAST_TEXTS)), "utf-8")
    found = make_workloads(None, file, 10, seed=0)
    assert found["letters.txt"][:2] == ["letter 0", "letter 1"]
    assert len(found["letters.txt"]) == LEAST_TEXTS
