"""Small releases with chosen intensities, written as a publisher writes them, and a browser to look at their pages."""

import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from eqn.annotation.columns import output_schema
from eqn.annotation.shards import parquet_bytes
from eqn.corpus.contract import Reason
from eqn.corpus.quarantine import Quarantined, quarantine_table
from eqn.emotions import EMOTIONS
from eqn.pages.publish import publish_page
from eqn.release.manifest import CARD, FileEntry, InputEntry, Manifest, content_digest, files_key, manifest_key
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore
from tests.available import not_run

THRESHOLD = 0.3
"""From here on an intensity is a label in these releases."""

BACKGROUND = 0.01
"""The intensity of every emotion that a row does not name."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One text and the intensities that it is given."""

    text: str
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    id: str = ""
    truncated: bool = False


@dataclasses.dataclass(frozen=True)
class Given:
    """One input file: its parts, each of some rows, and its quarantine."""

    name: str
    parts: Sequence[Sequence[Row]] = ()
    rejects: Sequence[Quarantined] = ()


def annotated(rows: Sequence[Row], *, prefix: str = "", uncertainty: bool = False) -> pa.Table:
    """Give the table of a part; rows without an id are numbered."""
    labels = [
        sorted((name for name, score in row.scores.items() if score >= THRESHOLD), key=lambda name: -row.scores[name])
        for row in rows
    ]
    columns: dict[str, Any] = {
        "id": [row.id or f"{prefix}-{place}" for place, row in enumerate(rows)],
        "text": [row.text for row in rows],
        "truncated": [row.truncated for row in rows],
        **{name: [row.scores.get(name, BACKGROUND) for row in rows] for name in EMOTIONS},
        "labels": labels,
    }
    if uncertainty:
        columns |= {"entropy": [min(1.0, len(row.text) / 100) for row in rows], "conformal": labels}
    return pa.table(columns, schema=output_schema([], uncertainty=uncertainty))


def write_release(
    store: ObjectStore,
    *inputs: Given,
    dataset: str = "letters",
    number: int = 1,
    uncertainty: bool = False,
    shared: int = 0,
    model: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write the files of a release and its manifest, and give that."""
    job = hashlib.sha256(repr((inputs, number)).encode()).hexdigest()
    folder = files_key(dataset, job)
    files: dict[str, FileEntry] = {}
    entries = []

    def put(name: str, content: bytes, rows: int | None) -> str:
        store.put_if_absent(f"{folder}/{name}", content)
        files[name] = FileEntry(hashlib.sha256(content).hexdigest(), len(content), rows)
        return name

    def part(given: Given, place: int, rows: Sequence[Row]) -> str:
        table = annotated(rows, prefix=f"{given.name}-{place}", uncertainty=uncertainty)
        count = sum(name.startswith("data/") for name in files)
        return put(f"data/part-{count:05d}.parquet", parquet_bytes(table), len(rows))

    for given in inputs:
        parts = tuple(part(given, place, rows) for place, rows in enumerate(given.parts))
        quarantine: tuple[str, ...] = ()
        if given.rejects:
            content = parquet_bytes(quarantine_table(given.name, given.rejects))
            name = f"quarantine/quarantine-{len(entries):05d}.parquet"
            quarantine = (put(name, content, len(given.rejects)),)
        counts: dict[str, int] = {}
        for reject in given.rejects:
            counts[reject.reason.value] = counts.get(reject.reason.value, 0) + 1
        rows = sum(map(len, given.parts)) + len(given.rejects)
        digest = hashlib.sha256(repr(given).encode()).hexdigest()
        entries.append(InputEntry(given.name, digest, 10 * rows, rows, counts, parts, quarantine))
    put(CARD, b"# letters\n", None)
    put("quality/index.html", b"<!doctype html><title>Data Docs</title>", None)
    rows_quarantined = sum(len(given.rejects) for given in inputs)
    rows_out = sum(len(rows) for given in inputs for rows in given.parts)
    manifest = Manifest(
        dataset=dataset,
        release=number,
        job=job,
        path=folder,
        commit_id="test",
        content_digest=content_digest(files),
        created="2026-02-03T04:05:06+00:00",
        eqn_version="0.1.0",
        contract=1,
        model=model or {"name": "emotions", "version": 3, "digest": "ab" * 32},
        options={"precision": "fp32"} | ({"uncertainty": True} if uncertainty else {}),
        inputs=tuple(entries),
        rows_in=rows_out + rows_quarantined,
        rows_out=rows_out,
        rows_quarantined=rows_quarantined,
        ids_in_several_files=shared,
        files=files,
        previous=number - 1 or None,
    )
    store.put(manifest_key(dataset, number), manifest.to_bytes())
    return manifest


def rejected(row: int, raw: bytes, reason: Reason = Reason.RAGGED_ROW, detail: str = "4 fields, not 3") -> Quarantined:
    """Give a row for the quarantine."""
    return Quarantined(row, reason, detail, None, raw)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "releases")


@pytest.fixture
def page(store: DirectoryStore) -> Callable[..., str]:
    """Give a function that publishes the page of a release in the store and gives its HTML."""

    def publish(dataset: str = "letters", number: int | None = None) -> str:
        return Path(publish_page(store, dataset, number)).read_text("utf-8")

    return publish


LETTERS = (
    Given(
        "may.csv",
        [
            [
                Row("Thank you so much", {"gratitude": 0.95, "joy": 0.4}),
                Row("Thanks, that helps", {"gratitude": 0.8}),
                Row("The train leaves at nine", {"neutral": 0.9}),
                Row("I am furious about it", {"anger": 0.9, "annoyance": 0.7}),
                Row("That was a bit rude", {"annoyance": 0.31, "anger": 0.29}),
            ],
            [Row("I cannot believe it", {"surprise": 0.6}, truncated=True), Row("hm", {"annoyance": 0.27})],
        ],
        [rejected(4, b"a,b,c,d"), rejected(9, b'x,"  ",y', Reason.EMPTY_TEXT, "only white space")],
    ),
    Given("june.csv", [[Row("What lovely weather", {"joy": 0.7, "love": 0.5}, id="may.csv-0-0")]]),
)
"""Eight texts of two files in three parts, two rows in quarantine, one id in both files."""


@pytest.fixture
def letters(store: DirectoryStore) -> Manifest:
    return write_release(store, *LETTERS, shared=1)


@pytest.fixture(scope="module")  # two open ones in a thread meet in the same event loop
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        not_run("playwright is not installed (pip install 'eqn[stack]')")
    chromium = shutil.which("chromium")
    if chromium is None:
        not_run("there is no chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()
