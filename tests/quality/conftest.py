"""A small corpus that keeps the contract, and a way to hold a corpus or an inbox against it."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from eqn.corpus.contract import SPLITS
from eqn.corpus.goemotions import Corpus, Split
from eqn.emotions import EMOTIONS
from eqn.quality.gate import InboxRow, validate_corpus, validate_inbox
from eqn.records import CorpusRef, Validation

CheckCorpus = Callable[[Corpus], Validation]
CheckInbox = Callable[[Iterable[InboxRow]], Validation]


@pytest.fixture
def sound() -> Corpus:
    """Each emotion twice in each split: ids `train-0` ... `test-55`, every text different."""
    splits = {
        name: Split(
            name=name,
            ids=tuple(f"{name}-{row}" for row in range(56)),
            texts=tuple(f"comment {row} of {name}" for row in range(56)),
            labels=tuple((row % len(EMOTIONS),) for row in range(56)),
        )
        for name in SPLITS
    }
    rows = {name: len(split) for name, split in splits.items()}
    return Corpus(ref=CorpusRef(name="small", path="", digest="0" * 64, rows=rows), **splits)


@pytest.fixture
def check(tmp_path: Path) -> CheckCorpus:
    return lambda corpus: validate_corpus(corpus, docs=tmp_path / "docs")


@pytest.fixture
def check_inbox(tmp_path: Path) -> CheckInbox:
    return lambda rows: validate_inbox(rows, name="inbox", digest="1" * 64, docs=tmp_path / "docs")
