"""A shard: the same rows give the same bytes, and damaged bytes are noticed."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eqn.annotation.annotator import Annotator
from eqn.annotation.columns import conformed, output_schema
from eqn.annotation.shards import annotate_shard, is_as_written, parquet_bytes, parquet_table

ELSEWHERE = """
import hashlib, sys
from pathlib import Path
import pyarrow as pa
from eqn.annotation.annotator import Annotator
from eqn.annotation.columns import output_schema
from eqn.annotation.shards import annotate_shard, parquet_bytes
from eqn.corpus.choice import choose_corpus

texts = list(choose_corpus(None).test.texts[:60])
rows = pa.table({"id": [str(n) for n in range(60)], "text": texts, "n": list(range(60))})
done = annotate_shard(rows, output_schema([("n", pa.int64())]), Annotator.load(Path(sys.argv[1])))
print(hashlib.sha256(parquet_bytes(done)).hexdigest())
"""


@pytest.fixture(scope="module")
def shard(annotator: Annotator, texts: list[str]) -> Any:
    rows = pa.table({"id": [str(n) for n in range(60)], "text": texts, "n": list(range(60))})
    return annotate_shard(rows, output_schema([("n", pa.int64())]), annotator)


def test_a_shard_keeps_the_order_of_its_rows(shard: Any, annotator: Annotator, texts: list[str]) -> None:
    """Row by row: id, text and the annotation of that text."""
    assert shard.column("n").to_pylist() == list(range(60))
    assert shard.column("text").to_pylist() == texts
    assert shard.column("joy").to_pylist() == annotator.scores(texts)[:, 17].tolist()


def test_the_rows_are_reported(annotator: Annotator) -> None:
    """Progress hears of every row of the shard."""
    heard: list[int] = []
    rows = pa.table({"id": ["1", "2"], "text": ["a", "b"]})
    annotate_shard(rows, output_schema([]), annotator, report=lambda count, _: heard.append(count))

    assert sum(heard) == 2


def test_the_same_rows_give_the_same_bytes_in_two_processes(shard: Any, package: Path) -> None:
    """Another process, with another number of threads, writes the very same file."""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(package)], capture_output=True, text=True, check=True, env=environment
    )

    assert done.stdout.strip() == hashlib.sha256(parquet_bytes(shard)).hexdigest()
    assert parquet_bytes(shard) == parquet_bytes(shard)


def test_a_shard_is_read_as_it_was_written(shard: Any) -> None:
    """Values, types and which columns may be null survive the file."""
    again = parquet_table(parquet_bytes(shard))

    assert again.schema.equals(shard.schema)
    assert again.equals(shard)


@pytest.mark.parametrize("name", ["id", "text", "n", "truncated", "joy", "neutral"])
def test_a_flipped_byte_is_noticed(shard: Any, name: str) -> None:
    """Every page carries its checksum: damage inside is an error and no other text or figure."""
    content = bytearray(parquet_bytes(shard))
    group = pq.ParquetFile(pa.BufferReader(bytes(content))).metadata.row_group(0)
    chunk = group.column(shard.column_names.index(name))
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start + chunk.total_compressed_size - 1] ^= 0x01  # the last byte of its last page

    with pytest.raises((OSError, ValueError)):
        parquet_table(bytes(content))


@pytest.mark.parametrize("step", [1, 7])
def test_damage_that_no_checksum_covers_is_noticed(shard: Any, step: int) -> None:
    """A flipped byte anywhere in the file: it cannot be read, or is told from what was written."""
    whole = parquet_bytes(shard)
    assert is_as_written(whole, conformed(parquet_table(whole), shard.schema))

    for place in range(step, len(whole), len(whole) // 100):
        content = whole[:place] + bytes([whole[place] ^ 0x01]) + whole[place + 1 :]
        try:
            table = conformed(parquet_table(content), shard.schema)
        except (OSError, ValueError):
            continue
        assert not table.equals(shard) or not is_as_written(content, table)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 and no more", b"\0" * 1000])
def test_what_is_no_parquet_file_is_an_error(content: bytes) -> None:
    """A torn or foreign file does not pass for an empty table."""
    with pytest.raises((OSError, ValueError)):
        parquet_table(content)


def test_a_cut_file_is_an_error(shard: Any) -> None:
    """A file that lacks its end is not read."""
    with pytest.raises((OSError, ValueError)):
        parquet_table(parquet_bytes(shard)[:-1])
