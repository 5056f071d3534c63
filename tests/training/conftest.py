"""Small corpora and a small recipe: a whole training takes a second."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from eqn.corpus.contract import SPLITS
from eqn.corpus.goemotions import Corpus, load_corpus
from eqn.evaluation.figures import draw_figures
from eqn.training import run
from eqn.training.loop import Stage, fit
from eqn.training.progress import Listener
from eqn.training.recipes import Recipe
from eqn.training.run import Order

Row = tuple[str, Sequence[int]]
CorpusWriter = Callable[..., Corpus]
OrderMaker = Callable[..., Order]

TWO_STAGES = Recipe(
    name="two stages", folds=2, max_tokens=32, batch_size=16, epochs=1, least_steps=24, learning_rate=1e-3, checks=4
)


@pytest.fixture(scope="session", autouse=True)
def one_thread_for_training() -> Iterator[None]:
    """Small networks are faster on one thread, and leave the other cores to whoever works there."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def no_figures() -> Iterator[None]:
    """Drawing takes longer than a small training: one test looks at the figures, the others do without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "draw_figures", lambda *_, **__: {})
        yield


@pytest.fixture
def with_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw them."""
    monkeypatch.setattr(run, "draw_figures", draw_figures)


@pytest.fixture(scope="session")
def write_corpus(tmp_path_factory: pytest.TempPathFactory) -> CorpusWriter:
    """Give a function that writes rows of text and labels as a corpus; dev and test repeat train's if not given."""

    def write(train: Sequence[Row], held_out: Sequence[Row] = ()) -> Corpus:
        folder = tmp_path_factory.mktemp("corpus")
        for split in SPLITS:
            lines = [
                f"{text}\t{','.join(map(str, labels))}\t{split}-{number}\n"
                for number, (text, labels) in enumerate(train if split == "train" else held_out or train)
            ]
            (folder / f"{split}.tsv").write_text("".join(lines), "utf-8")
        return load_corpus(folder, name="toy")

    return write


@pytest.fixture(scope="session")
def learnable_corpus(write_corpus: CorpusWriter) -> Corpus:
    """60 different texts whose emotion shows in their letters: joy sings, anger growls, the rest counts."""
    draw = np.random.default_rng(0)
    kinds = {17: "la", 2: "gr", 27: "one"}
    rows = []
    for number in range(60):
        label = list(kinds)[number % 3]
        words = [kinds[label] * int(draw.integers(1, 4)) for _ in range(draw.integers(2, 6))]
        rows.append((" ".join([*words, str(number)]), [label]))
    return write_corpus(rows)


@pytest.fixture(scope="session")
def order_at(learnable_corpus: Corpus) -> OrderMaker:
    """Give a function that orders the tiny backbone in two stages of 24 steps each, with some fields changed."""

    def make(out: Path, **changes: object) -> Order:
        fields = {
            "corpus": learnable_corpus,
            "recipe": TWO_STAGES,
            "backbone": "tiny",
            "seed": 3,
            "out": out,
            "backbones": out.with_name("nothing-is-fetched"),
        }
        return Order(**(fields | changes))

    return make


@pytest.fixture
def toy_order(order_at: OrderMaker, tmp_path: Path) -> OrderMaker:
    """Give a function that orders a package in this test's own folder."""

    def make(*, out: Path = tmp_path / "model", **changes: object) -> Order:
        return order_at(out, **changes)

    return make


@pytest.fixture
def trained_stages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Stage, dict[str, torch.Tensor]]]:
    """Every stage that is trained from here on, with the weights it ended with; the training itself is the real one."""
    stages: list[tuple[Stage, dict[str, torch.Tensor]]] = []

    def watched(stage: Stage, listener: Listener) -> object:
        place = fit(stage, listener)
        weights = {name: tensor.clone() for name, tensor in stage.network.state_dict().items()}
        stages.append((dataclasses.replace(stage, targets=stage.targets.copy()), weights))
        return place

    monkeypatch.setattr(run, "fit", watched)
    return stages
