"""Two small trained models, an inbox of awkward files, and a way to publish it."""

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from eqn.annotation.annotator import Annotator
from eqn.corpus.choice import choose_corpus
from eqn.corpus.goemotions import Corpus, Split
from eqn.corpus.inputs import find_inputs
from eqn.emotions import EMOTIONS
from eqn.records import ModelRef, ReleaseRef
from eqn.release.catalog import read_manifest
from eqn.release.parts import Report
from eqn.release.plan import Plan, make_plan
from eqn.release.publish import publish
from eqn.settings import Settings, load_settings
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore
from eqn.training.recipes import recipe_named
from eqn.training.run import Order, train
from tests.store.servers import fresh_store

PlanFor = Callable[..., Plan]
Publish = Callable[..., tuple[ReleaseRef, int]]


def train_tiny(folder: Path, seed: int) -> Path:
    torch.set_num_threads(1)  # small networks are faster so
    whole = choose_corpus(None)
    splits = (
        Split(split.name, split.ids[:60], split.texts[:60], split.labels[:60])
        for split in (whole.train, whole.dev, whole.test)
    )
    recipe = recipe_named("plain", epochs=1, least_steps=5, learning_rate=1e-2, checks=1)
    corpus = Corpus(whole.ref, *splits)
    return train(
        Order(corpus=corpus, recipe=recipe, backbone="tiny", seed=seed, out=folder / str(seed), backbones=folder)
    ).path


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of the tiny backbone, trained for five steps on 60 comments."""
    return train_tiny(tmp_path_factory.mktemp("model"), seed=0)


@pytest.fixture(scope="session")
def annotator(package: Path) -> Annotator:
    return Annotator.load(package)


@pytest.fixture(scope="session")
def other_annotator(tmp_path_factory: pytest.TempPathFactory) -> Annotator:
    """Another model."""
    return Annotator.load(train_tiny(tmp_path_factory.mktemp("other-model"), seed=1))


def rewritten(package: Path, out: Path, **facts: Any) -> Path:
    """Copy a package and let its eqn.json say something else; None takes a fact out."""
    shutil.copytree(package, out)
    said = json.loads((out / "eqn.json").read_text()) | facts
    (out / "eqn.json").write_text(json.dumps({name: value for name, value in said.items() if value is not None}))
    return out


@pytest.fixture(scope="session")
def sure(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Annotator:
    """A model whose limits lie among its intensities, with nothing promised for grief and relief."""
    whole = Annotator.load(package)
    middle = np.median(whole.scores([f"comment {n}" for n in range(20)]), axis=0)
    limits = {name: float(middle[i]) for i, name in enumerate(EMOTIONS) if name not in {"grief", "relief"}}
    facts = {"coverage": 0.9, "limits": limits, "rows": dict.fromkeys(EMOTIONS, 20)}
    return Annotator.load(rewritten(package, tmp_path_factory.mktemp("sure") / "model", conformal=facts))


@pytest.fixture(params=["directory", "moto", pytest.param("ceph", marks=pytest.mark.stack)])
def any_store(request: pytest.FixtureRequest, memory: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A new store in a directory, in a bucket of moto's server, and in one of Ceph's."""
    if request.param == "directory":
        return DirectoryStore(memory / "any-store")
    return fresh_store(request.getfixturevalue(f"{request.param}_server"), monkeypatch)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder that is in memory where that can be: a kill loses nothing there, and syncing is free."""
    place = Path("/dev/shm")  # noqa: S108  random names in it
    with tempfile.TemporaryDirectory(dir=place if os.access(place, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "releases")


def write_csv(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """Write rows of the same columns as CSV."""
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Three files: 12 rows of CSV with two for quarantine, 8 of JSON lines without ids, 5 of Parquet with numbers."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    texts = [
        "NA",
        "null",
        'a "quoted", one',
        "two\nlines",
        "naïve 日本 👨‍👩‍👧",
        "=1+1",
        "x " * 300,
        "fine",
        "fine",
        "   ",
    ]
    rows = [{"id": f"{n:03}", "text": text, "author": "ann", "joy": n % 2} for n, text in enumerate(texts)]
    rows += [{"id": "7e5", "text": "yes", "author": "", "joy": 0}, {"id": "000", "text": "NA", "author": "b", "joy": 1}]
    write_csv(folder / "a.csv", rows)
    lines = [{"text": f"comment {n}", "stars": str(n)} for n in range(8)]
    (folder / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    numbers = {"id": ["p1", "p2", "p3", "p4", "007"], "text": list("abcde"), "stars": [1, 2, None, 4, 5]}
    pq.write_table(pa.table(numbers), folder / "c.parquet")
    return folder


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a state folder of its own."""
    monkeypatch.setenv("EQN_HOME", str(tmp_path / "home"))
    for name in ("GOEMOTIONS", "INBOX", "STORE", "TRACKING_URI"):
        monkeypatch.delenv(f"EQN_{name}", raising=False)
    return load_settings()


@pytest.fixture
def plan_for(annotator: Annotator, store: DirectoryStore) -> PlanFor:
    """Give a function that plans a release of files or folders."""

    def plan(
        *inputs: Path,
        annotator: Annotator = annotator,
        store: ObjectStore = store,
        dataset: str = "letters",
        uncertainty: bool = False,
    ) -> Plan:
        model, files = (
            ModelRef(str(annotator.package.path), annotator.package.digest),
            find_inputs(list(map(str, inputs))),
        )
        return make_plan(store, dataset, files, model=model, annotator=annotator, uncertainty=uncertainty)

    return plan


@pytest.fixture
def publish_files(annotator: Annotator, store: DirectoryStore, plan_for: PlanFor) -> Publish:
    """Give a function that publishes files or folders, and says how many rows the model had to read for it."""

    def run(
        *inputs: Path,
        annotator: Annotator = annotator,
        store: ObjectStore = store,
        dataset: str = "letters",
        uncertainty: bool = False,
        quality: Path | None = None,
        report: Report = lambda rows, tokens: None,
    ) -> tuple[ReleaseRef, int]:
        read = 0

        def count(rows: int, tokens: int) -> None:
            nonlocal read
            read += rows if tokens else 0
            report(rows, tokens)

        plan = plan_for(*inputs, annotator=annotator, store=store, dataset=dataset, uncertainty=uncertainty)
        return publish(store, plan, annotator, quality=quality, report=count), read

    return run


@pytest.fixture
def golden(publish_files: Publish, inbox: Path, tmp_path: Path) -> str:
    """The content digest of the inbox' release when nothing disturbs it."""
    store = DirectoryStore(tmp_path / "golden")
    publish_files(inbox, store=store)
    return read_manifest(store, "letters").content_digest
