"""Huge texts and long files: neither may crash a job, starve its other rows, or decide how much memory it takes."""

import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.publishing.stand_in import StandIn
from eqn.annotation.annotator import Annotator
from eqn.corpus.contract import Reason
from eqn.corpus.inputs import InputFile, find_inputs
from eqn.corpus.reader import read_batches, scan
from eqn.release.plan import Plan
from eqn.release.publish import publish
from eqn.store.directory import DirectoryStore
from tests.faults.promises import Trials
from tests.memory import peak_bytes
from tests.release.one_job import measured

PlanFor = Callable[..., Plan]

MEGABYTE = 1_000_000
HUGE = 64 * MEGABYTE
MOST_MEMORY = 1_500 * MEGABYTE
"""Of a job with the tiny network."""


def rows_with_huge_ones(normal: int, megabytes: int, huge: int) -> Iterator[tuple[str, str]]:
    """Give ids and texts: normal ones with texts of 1 MB among them, evenly, and texts of 64 MB in the middle."""
    every = normal // megabytes if megabytes else normal + 1
    for number in range(normal):
        yield f"row-{number}", f"comment number {number}, and a few words more"
        if number % every == every - 1:
            yield f"large-{number}", "large " * (MEGABYTE // 6)
        if number == normal // 2:
            yield from ((f"huge-{place}", "h" * HUGE) for place in range(huge))


def write_rows(path: Path, rows: Iterator[tuple[str, str]]) -> Path:
    """Write ids and texts in the format that the name says, row by row."""
    if path.suffix == ".parquet":
        pieces = ([dict(zip(("id", "text"), row, strict=True))] for row in rows)
        first = pa.Table.from_pylist(next(pieces))
        with pq.ParquetWriter(path, first.schema) as writer:
            whole = pa.concat_tables([first, *map(pa.Table.from_pylist, pieces)])
            writer.write_table(whole.combine_chunks(), row_group_size=1000)
        return path
    line: Callable[[str, str], str] = {
        ".csv": lambda identifier, text: f'{identifier},"{text}"\n',
        ".tsv": lambda identifier, text: f"{identifier}\t{text}\n",
        ".jsonl": lambda identifier, text: json.dumps({"id": identifier, "text": text}) + "\n",
        ".txt": lambda _, text: f"{text}\n",
    }[path.suffix]
    with path.open("w", encoding="utf-8") as file:
        file.write({".csv": "id,text\n", ".tsv": "id\ttext\n"}.get(path.suffix, ""))
        file.writelines(line(*row) for row in rows)
    return path


@pytest.mark.promise(23)
@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "txt", "parquet"])
def test_huge_texts_are_quarantined_and_the_rows_between_them_taken(tmp_path: Path, form: str, trials: Trials) -> None:
    """Memory holds some lines of at most 4 MB; a column of Parquet is held as a batch, which one huge text fills."""
    (file,) = find_inputs([str(write_rows(tmp_path / f"a.{form}", rows_with_huge_ones(200, 20, 1)))])

    peak = peak_bytes(lambda: read_whole(file))

    found = scan(file)
    assert (found.rows, found.accepted, found.quarantined) == (221, 200, {Reason.TEXT_TOO_LONG: 21})
    assert peak < (6 * HUGE if form == "parquet" else 40 * MEGABYTE)
    trials(21, "huge texts")


def read_whole(file: InputFile) -> None:
    rows = [len(batch.table) for batch in read_batches(file, scan(file), batch_rows=1000)]
    assert sum(rows) == 200


@pytest.mark.promise(23)
@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_huge_texts_do_not_starve_a_job(package: Path, tmp_path: Path, form: str, trials: Trials) -> None:
    """The whole job with a model, by turns with and without them: normal rows keep half of their rate, and memory."""
    calm = write_rows(tmp_path / f"calm.{form}", rows_with_huge_ones(20_000, 0, 0))
    hostile = write_rows(tmp_path / f"hostile.{form}", rows_with_huge_ones(20_000, 200, 1))
    runs: dict[str, list[dict[str, Any]]] = {"calm": [], "hostile": []}
    for turn in range(3):
        for name, file in (("calm", calm), ("hostile", hostile)):
            folder = tmp_path / f"{name}-{turn}"
            folder.mkdir()
            runs[name].append(measured("model", package, file, folder))

    assert {run["rows"] for run in runs["calm"] + runs["hostile"]} == {20_000}
    assert all(run["quarantined"] == {"text_too_long": 201} for run in runs["hostile"])
    assert max(run["peak_bytes"] for run in runs["hostile"]) <= MOST_MEMORY
    seconds = {name: statistics.median(run["seconds"] for run in found) for name, found in runs.items()}
    kept = seconds["calm"] / seconds["hostile"]
    print(f"{form}: normal rows keep {kept:.2f} of their rate")  # noqa: T201
    assert kept >= 0.5
    trials(3 * 201, f"huge texts in whole jobs ({form}: {kept:.2f} of the calm rate)")


def short_rows(number: int) -> Iterator[tuple[str, str]]:
    return ((f"row-{place}", f"comment {place}") for place in range(number))


@pytest.mark.promise(24)
def test_what_a_release_keeps_for_a_row_is_a_few_bytes(
    plan_for: PlanFor, annotator: Annotator, tmp_path: Path, trials: Trials
) -> None:
    """Keys of ids, of which there are 8 bytes and 10 while they are compared; nothing else grows with the file."""
    peaks = {}
    for rows in (16_384, 49_152):
        file = write_rows(tmp_path / f"{rows}.csv", short_rows(rows))
        store = DirectoryStore(tmp_path / f"{rows}")
        peaks[rows] = peak_bytes(lambda: publish_all(plan_for(file, store=store), store, annotator))  # noqa: B023  at once

    assert peaks[49_152] - peaks[16_384] < 24 * (49_152 - 16_384)
    trials(2, "jobs counted byte by byte")


def publish_all(plan: Plan, store: DirectoryStore, annotator: Annotator) -> None:
    assert publish(store, plan, annotator, engine=StandIn()).rows == plan.rows


@pytest.mark.promise(24)
@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_three_million_rows_take_the_memory_of_a_hundred_thousand(
    package: Path, tmp_path: Path, trials: Trials
) -> None:
    """The whole job, quality gate and all, with intensities that cost nothing; peak of a process of its own."""
    peaks = []
    for rows in (100_000, 3_000_000):
        file = write_rows(tmp_path / f"{rows}.csv", short_rows(rows))
        folder = tmp_path / str(rows)
        folder.mkdir()
        done = measured("stand-in", package, file, folder)
        assert done["rows"] == rows
        peaks.append(done["peak_bytes"])

    growth = peaks[1] / peaks[0]
    print(f"{peaks[0] / 1e6:,.0f} MB and {peaks[1] / 1e6:,.0f} MB: {growth:.3f} times as much")  # noqa: T201
    assert growth <= 1.15
    trials(3_000_000, f"rows in one file ({growth:.3f} times the memory of 100,000)")


@pytest.mark.promise(24)
@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_a_hundred_thousand_rows_with_a_model_stay_below_the_limit(
    package: Path, tmp_path: Path, trials: Trials
) -> None:
    """The tiny network; what is loaded with it is most of the memory."""
    done = measured("model", package, write_rows(tmp_path / "a.csv", short_rows(100_000)), tmp_path)

    assert done["rows"] == 100_000
    assert done["peak_bytes"] <= MOST_MEMORY
    trials(100_000, f"rows with a model ({done['peak_bytes'] / 1e6:,.0f} MB)")
