"""One embedded Prefect server for all tests of flows, as `make run` starts it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from eqn.settings import Settings, load_settings
from flows.embedded import server_of


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A state folder of its own, without GoEmotions in reach, and a running embedded server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQN_HOME", str(tmp_path_factory.mktemp("flows") / "home"))
        for name in ("EQN_GOEMOTIONS", "EQN_INBOX", "EQN_STORE", "EQN_TRACKING_URI", "PREFECT_API_URL"):
            patch.delenv(name, raising=False)
        settings = load_settings()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # small networks are faster so
        with server_of(settings):
            yield settings
        torch.set_num_threads(threads)


@pytest.fixture
def broken_corpus(tmp_path: Path) -> Path:
    """Splits in which one id stands in two of them."""
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.tsv").write_text(f"Thanks!\t15\tx1\nHello there\t27\t{split}\n", "utf-8")
    return tmp_path
