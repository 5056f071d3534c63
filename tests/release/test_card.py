"""The dataset card: readable by people and by `datasets`, and free of anything a stranger wrote."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from eqn.emotions import EMOTIONS, MEANINGS
from eqn.records import ReleaseRef
from eqn.release.catalog import read_manifest
from eqn.store.directory import DirectoryStore

Publish = Callable[..., tuple[ReleaseRef, int]]


@pytest.fixture
def release(publish_files: Publish, inbox: Path) -> ReleaseRef:
    (inbox / "evil.csv").write_text(
        'id,text,<img src=x>,"[link](http://x)"\nstranger-1,"<script>alert(1)</script>",v1,"secret value"\n'
    )
    return publish_files(inbox)[0]


def test_its_head_names_the_data(release: ReleaseRef) -> None:
    """The YAML head is valid, and its pattern matches the data and nothing of the quarantine."""
    _, head, _ = Path(release.path, "README.md").read_text().split("---\n", 2)
    (config,) = yaml.safe_load(head)["configs"]

    matched = sorted(Path(release.path).glob(config["data_files"]))
    assert matched == sorted(Path(release.path).glob("data/*"))
    assert matched


def test_it_shows_nothing_that_a_stranger_wrote(release: ReleaseRef) -> None:
    """No text, id, column, value or file name of the input reaches a page that a browser opens."""
    card = Path(release.path, "README.md").read_text()

    for written in (
        "<script",
        "<img",
        "http://x",
        "secret",
        "stranger",
        "evil",
        "| author",
        "stars",
        "quoted",
        "a.csv",
    ):
        assert written not in card


def test_its_figures_are_those_of_the_data(release: ReleaseRef, store: DirectoryStore) -> None:
    """Counts, mean intensities and shares are what the Parquet files say."""
    card = Path(release.path, "README.md").read_text()
    rows = pq.read_table(f"{release.path}/data").to_pylist()

    assert "24 texts annotated by EQN. 2 further rows could not be used" in card
    assert f"{sum(row['truncated'] for row in rows)} texts were longer" in card
    assert f"{sum(not row['labels'] for row in rows)} texts reach no emotion" in card
    for name in EMOTIONS:
        mean = sum(row[name] for row in rows) / len(rows)
        share = sum(name in row["labels"] for row in rows) / len(rows)
        assert f"| {name} | {MEANINGS[name]} | {mean:.4f} | {share:.2%} |" in card


def test_it_says_how_it_was_made(release: ReleaseRef, store: DirectoryStore) -> None:
    """Model digest and job stand in it, so that a copy elsewhere can be traced back."""
    card, manifest = Path(release.path, "README.md").read_text(), read_manifest(store, "letters")

    assert manifest.model["digest"] in card
    assert manifest.job in card
    assert manifest.options["precision"] in card
