"""A corpus whose emotions can be read off its words, and random scores to measure."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from eqn.corpus.contract import SPLITS
from eqn.corpus.goemotions import Corpus, load_corpus
from eqn.emotions import EMOTIONS

WORDS = ("river", "stone", "lamp", "bread", "cloud", "wheel", "glass")


@pytest.fixture(scope="session", autouse=True)
def one_thread_for_evaluation() -> Iterator[None]:
    """Small networks are faster on one thread, and leave the other cores to whoever works there."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_readable_corpus(folder: Path) -> Corpus:
    """Write three splits of 56 rows: each row names its one or two emotions among words that mean nothing."""
    folder.mkdir()
    for split in SPLITS:
        draw = np.random.default_rng(SPLITS.index(split))
        lines = []
        for row in range(56):
            labels = sorted({row % 28, int(draw.integers(28))})
            words = [*(EMOTIONS[label] for label in labels), *draw.choice(WORDS, 3)]
            lines.append(f"{' '.join(draw.permutation(words))}\t{','.join(map(str, labels))}\t{split}-{row}\n")
        (folder / f"{split}.tsv").write_text("".join(lines), "utf-8")
    return load_corpus(folder)


@pytest.fixture(scope="session")
def readable_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_readable_corpus(tmp_path_factory.mktemp("corpora") / "readable")


@pytest.fixture(scope="session")
def official_corpus() -> Corpus:
    return load_corpus(Path(os.environ["EQN_GOEMOTIONS"]))
