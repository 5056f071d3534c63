"""A small trained model, and comments to ask it."""

from pathlib import Path

import pytest
import torch

from eqn.annotation.annotator import Annotator
from eqn.corpus.choice import choose_corpus
from eqn.corpus.goemotions import Corpus, Split
from eqn.training.recipes import recipe_named
from eqn.training.run import Order, train


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return list(choose_corpus(None).test.texts[:60])


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of the tiny backbone, trained on 60 comments just enough to answer each text differently."""
    torch.set_num_threads(1)  # small networks are faster so
    whole = choose_corpus(None)
    splits = (
        Split(split.name, split.ids[:60], split.texts[:60], split.labels[:60])
        for split in (whole.train, whole.dev, whole.test)
    )
    folder = tmp_path_factory.mktemp("model")
    recipe = recipe_named("plain", epochs=1, least_steps=60, learning_rate=1e-2, checks=1)
    corpus = Corpus(whole.ref, *splits)
    return train(Order(corpus=corpus, recipe=recipe, backbone="tiny", seed=0, out=folder / "0", backbones=folder)).path


@pytest.fixture(scope="session")
def annotator(package: Path) -> Annotator:
    return Annotator.load(package)
