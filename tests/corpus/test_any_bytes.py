"""Promises of the reader about any bytes whatsoever: those that Hypothesis thinks of, and valid files made hostile."""

import gzip
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus.hostile import FORMATS, VALID, checked, mutated
from tests.faults.promises import Trials

# A file that is refused is closed, too.
pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")

_NOISE = (b"\n", b"\r\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", "é".encode(), b" ", b"a", b"1")
_MEANT: Mapping[str, tuple[bytes, ...]] = {
    "txt": (b"text",),
    "tsv": (b"\t", b"\t", b"\t", b"x\ty\n", b"1\ta\n"),
    "csv": (b'"', b'"', b'""', b",", b",", b'","', b'1,"a"\n', b"1,a\n", b'2,"b\nc"\n'),
    "jsonl": (
        *(b'{"text": "a"}\n', b'{"text": "b", "id": 1}\n', b'{"id": "', b'", "text": "', b'"}\n', b'{"text": ', b"}\n"),
        *(b"\\ud800", b"\\u0000", b"[", b"]", b'"k": ', b", ", b"1.50", b"null", b"NaN", b'"'),
    ),
}
_STARTS: Mapping[str, tuple[bytes, ...]] = {
    "txt": (b"", b"a\n", b"\xef\xbb\xbfa\n"),
    "tsv": (b"", b"id\ttext\n", b"x\ttext\n", b"text\n"),
    "csv": (b"", b"id,text\n", b"x,text\n", b"text\n", b'"text","id"\r\n'),
    "jsonl": (b"", b'{"text": "a"}\n', b'{"text": "a", "id": "1"}\n'),
}


def _bytes(form: str) -> st.SearchStrategy[bytes]:
    """Give bytes that are likely to reach deep: a good beginning, then pieces that mean something, then anything."""
    if form == "parquet":
        return _damaged_parquet()
    pieces = st.sampled_from(_NOISE) | st.sampled_from(_MEANT[form]) | st.binary(max_size=3)
    body = st.lists(pieces, max_size=40).map(b"".join)
    return st.tuples(st.sampled_from(_STARTS[form]), body).map(b"".join) | st.binary(max_size=60)


@st.composite
def _damaged_parquet(draw: st.DrawFn) -> bytes:
    """A valid file with other bytes in some places, or cut, or noise between its marks."""
    content = bytearray(draw(st.sampled_from(VALID["parquet"])))
    kind = draw(st.sampled_from(["bytes", "bytes", "cut", "noise"]))
    if kind == "noise":
        return b"PAR1" + draw(st.binary(max_size=60)) + b"PAR1"
    for place in draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(0, len(content)))] if kind == "cut" else content)


@pytest.mark.promise(20)
@pytest.mark.parametrize("examples", [400, pytest.param(4000, marks=pytest.mark.faults)])
@pytest.mark.parametrize("form", FORMATS)
def test_any_bytes_are_refused_or_accounted_for_to_the_last_row(
    tmp_path: Path, form: str, examples: int, trials: Trials
) -> None:
    """No exception but DataRefused; rows in = rows taken + quarantined; what is taken is as it stands in the file."""
    tried = 0

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(_bytes(form))
    def holds(content: bytes) -> None:
        nonlocal tried
        tried += 1
        checked(tmp_path, form, content)

    holds()
    assert tried >= examples
    trials(tried, "files of any bytes")


@pytest.mark.promise(20)
@pytest.mark.parametrize("files", [150, pytest.param(4000, marks=pytest.mark.faults)])
@pytest.mark.parametrize("form", FORMATS)
def test_a_valid_file_made_hostile_is_refused_or_accounted_for_to_the_last_row(
    tmp_path: Path, form: str, files: int, trials: Trials
) -> None:
    """Flipped, cut, spliced, repeated and stormed with quotes; every fifth is packed, and every tenth damaged then."""
    taken = 0
    for seed in range(files):
        draw = random.Random(seed)  # noqa: S311  which damage
        packed = form != "parquet" and seed % 5 == 0
        pack: Callable[[bytes], bytes] = gzip.compress if packed else bytes
        if packed and seed % 10 == 0:
            content = mutated(draw, [pack(whole) for whole in VALID[form]])
        else:
            content = pack(mutated(draw, VALID[form]))
        try:
            taken += checked(tmp_path, form, content, compressed=packed)
        except Exception as error:
            error.add_note(f"seed {seed}: {content[:2000]!r}")
            raise
    assert 0 < taken < files  # damage that always or never ends a file would try little
    trials(files, "valid files made hostile")


@pytest.mark.promise(20)
@pytest.mark.parametrize("form", FORMATS)
def test_pure_noise_is_refused_or_accounted_for(tmp_path: Path, form: str, trials: Trials) -> None:
    """Random bytes of every length up to 200."""
    for length in range(200):
        checked(tmp_path, form, random.Random(length).randbytes(length))  # noqa: S311  noise
    trials(200, "files of noise")
