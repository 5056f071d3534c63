"""One embedded Prefect server for all tests of flows, as `make run` starts it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from eqn.settings import Settings, load_settings
from flows.embedded import server_of


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A state folder of its own with a running embedded server, on which small networks train fast."""
    with pytest.MonkeyPatch.context() as patch:
        _isolate(patch, tmp_path_factory.mktemp("flows") / "home")
        settings = load_settings()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with server_of(settings):
        yield settings
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def home(served: Settings) -> Iterator[Settings]:
    """What the flows read from the environment: that state folder, and no GoEmotions in reach."""
    with pytest.MonkeyPatch.context() as patch:
        _isolate(patch, served.home)
        yield served


@pytest.fixture
def broken_corpus(tmp_path: Path) -> Path:
    """Splits in which one id stands in two of them."""
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.tsv").write_text(f"Thanks!\t15\tx1\nHello there\t27\t{split}\n", "utf-8")
    return tmp_path


def _isolate(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setenv("EQN_HOME", str(home))
    for name in ("EQN_GOEMOTIONS", "EQN_INBOX", "EQN_PAGES_URL", "EQN_STORE", "EQN_TRACKING_URI", "PREFECT_API_URL"):
        patch.delenv(name, raising=False)
