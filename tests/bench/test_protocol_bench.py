"""The bench of the publish protocol: what it concludes from figures, and that both write the same parts."""

import json
from pathlib import Path

import pytest

from bench.annotating.ours import write_input
from bench.annotating.report import markdown
from bench.protocol import Report, Timed
from bench.publishing.one_run import BARE, PROTOCOL, measured
from eqn.annotation.shards import ROWS
from tests.release.conftest import train_tiny


@pytest.fixture
def report() -> Report:
    """Two rounds: annotating takes 100 s, the protocol 2 s more than a bare write of 4 in a directory, 6 s over S3."""

    def runs(*seconds: float, megabytes: int = 700, parts: str = "same") -> list[Timed]:
        return [Timed(taken, taken / 2, megabytes * 1_000_000, parts) for taken in seconds]

    return Report(
        machine={
            "cores": 2,
            "threads": 2,
            "processor": "x86_64",
            "features": ["bf16"],
            "versions": {"python": "3.11", "torch": "2"},
        },
        back_end="int8 (fastest)",
        rows=100_000,
        lengths={"mean": 68.0},
        annotate=runs(100, 100, parts=""),
        writes={
            "directory": {"bare": runs(4, 14), "protocol": runs(6, 16, megabytes=710)},
            "s3://bucket": {"bare": runs(4, 4), "protocol": runs(10, 10)},
        },
    )


def test_the_cost_is_what_a_round_takes_more_than_the_bare_write(report: Report) -> None:
    directory, bucket = report.costs()

    assert (directory.seconds, bucket.seconds) == (2.0, 6.0)
    assert (directory.share, bucket.share) == pytest.approx((0.02, 0.06))
    assert directory.processor_share == pytest.approx(0.02)
    assert bucket.slower == pytest.approx(1.5)
    assert (directory.peak_bytes, bucket.peak_bytes) == (10_000_000, 0)


def test_json_and_tables_say_whether_the_limit_is_met(report: Report) -> None:
    said = json.loads(json.dumps(report.as_json()))
    tables = report.tables()

    assert said["met"] is False
    assert [cost["store"] for cost in said["costs"]] == ["directory", "s3://bucket"]
    assert [row["met"] for row in tables["What the protocol costs"]] == ["yes", "no"]
    assert "in 13 parts" in report.about()
    assert all(len({row.count("|") for row in markdown(rows).splitlines()}) == 1 for rows in tables.values())


def test_both_ways_write_the_same_parts_and_leave_nothing(tmp_path: Path) -> None:
    """Else the difference of their times would not be the protocol's."""
    package = train_tiny(tmp_path / "model", seed=0)
    file = write_input(tmp_path / "rows.csv", (f"comment {number}" for number in range(ROWS + 10)))
    done = {way: measured(way, package, file, str(tmp_path / way), "fp32") for way in (BARE, PROTOCOL)}

    assert done[BARE]["parts"] == done[PROTOCOL]["parts"]
    assert all(found["seconds"] > 0 and found["peak_bytes"] > 0 for found in done.values())
    assert [path for way in done for path in (tmp_path / way).rglob("*") if path.is_file()] == []
