"""A state folder with two tiny models, and a way to publish texts as releases in it."""

import csv
import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from eqn.annotation.annotator import Annotator
from eqn.corpus.choice import choose_corpus
from eqn.corpus.inputs import find_inputs
from eqn.drift.training import make_training_profile
from eqn.model.package import read_package
from eqn.records import ModelRef, ReleaseRef
from eqn.release.catalog import read_manifest
from eqn.release.manifest import Manifest, manifest_key
from eqn.release.plan import make_plan
from eqn.release.publish import publish
from eqn.settings import Settings, load_settings
from eqn.store.directory import DirectoryStore
from eqn.store.interface import ObjectStore, open_store
from tests.release.conftest import train_tiny

PROJECT = Path(__file__).parents[2]
Publish = Callable[..., ReleaseRef]

COMMENTS = choose_corpus(None).train.texts
"""Comments of one kind."""
OTHERS = [
    f"WHERE IS MY PARCEL {n}?! I am furious, this delivery company is a disgrace, refund order {n}" for n in range(150)
]
"""Texts of quite another kind."""


@pytest.fixture(scope="session")
def annotators(tmp_path_factory: pytest.TempPathFactory) -> tuple[Annotator, Annotator]:
    """Two models, which were trained on the embedded sample."""
    folder = tmp_path_factory.mktemp("drift-models")
    return Annotator.load(train_tiny(folder, seed=0)), Annotator.load(train_tiny(folder, seed=1))


@pytest.fixture(scope="session")
def training_profiles(annotators: tuple[Annotator, Annotator], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the profiles of what both models were trained on: annotating it takes a second or two."""
    store = DirectoryStore(tmp_path_factory.mktemp("training-profiles"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("EQN_GOEMOTIONS", raising=False)
        for annotator in annotators:
            make_training_profile(store, annotator, load_settings(PROJECT))
    return store.root


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training_profiles: Path) -> Settings:
    """Settings whose store has the training profiles, and nothing else."""
    for name in ("GOEMOTIONS", "INBOX", "STORE", "TRACKING_URI"):
        monkeypatch.delenv(f"EQN_{name}", raising=False)
    monkeypatch.setenv("EQN_HOME", str(tmp_path / "home"))
    shutil.copytree(training_profiles, tmp_path / "home" / "releases")
    return load_settings(PROJECT)


@pytest.fixture
def publish_texts(settings: Settings, tmp_path: Path, annotators: tuple[Annotator, Annotator]) -> Publish:
    """Give a function that publishes files of texts as the next release, by a model that stays at hand or does not."""

    def run(
        *files: Sequence[str],
        dataset: str = "letters",
        annotator: Annotator = annotators[0],
        by_another: Annotator | None = None,
        at_hand: bool = True,
    ) -> ReleaseRef:
        folder = tmp_path / "inbox"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for texts in files:
            name = f"{hashlib.sha256(repr(list(texts)).encode()).hexdigest()[:8]}.csv"  # the same texts, the same file
            with (folder / name).open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([["text"], *([text] for text in texts)])
        package = annotator.package
        place = settings.models / package.digest
        if at_hand and not place.exists():
            shutil.copytree(package.path, place)
        store, model = open_store(settings.store), ModelRef(str(package.path), read_package(package.path).digest)
        plan = make_plan(store, dataset, find_inputs([str(folder)]), model=model, annotator=annotator)
        published = publish(store, plan, annotator)
        if by_another:
            _pretend(store, read_manifest(store, dataset), by_another)
        return published

    return run


def _pretend(store: ObjectStore, manifest: Manifest, annotator: Annotator) -> None:
    """Say in a manifest that another model made the parts of the first input."""
    first, *rest = manifest.inputs
    other = dataclasses.replace(
        first, model={**manifest.model, "digest": annotator.package.digest}, options=annotator.options
    )
    store.put(
        manifest_key(manifest.dataset, manifest.release),
        dataclasses.replace(manifest, inputs=(other, *rest)).to_bytes(),
    )
