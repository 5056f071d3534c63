"""Back ends: one network in several arithmetics, whatever the number of threads."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from eqn.errors import UsageError
from eqn.model import back_ends
from eqn.model.back_end_names import NAMES
from eqn.model.back_ends import BackEnd, assumed_back_end, fault_of
from eqn.model.int8_layers import int8_fault
from eqn.model.package import Package, read_package
from eqn.model.scoring import Scorer


@pytest.fixture(scope="module")
def whole(package: Path) -> Package:
    return read_package(package)


def scores_of(back_end: BackEnd, texts: list[str]) -> NDArray[np.float32]:
    scores = np.empty((len(texts), 28), dtype=np.float32)
    for computing in back_end.start(back_end.encode(texts)):
        scores[computing.block.rows] = computing.future.result().numpy()
    return scores


def require_int8() -> None:
    if fault := int8_fault():
        pytest.skip(f"NOT RUN: {fault}")


@pytest.mark.parametrize(("name", "mean", "most"), [("fp32", 1e-6, 1e-5), ("bf16", 0.01, 0.1), ("int8", 0.01, 0.1)])
def test_each_answers_nearly_as_transformers_does(
    whole: Package, texts: list[str], name: str, mean: float, most: float
) -> None:
    """In float32 to the last digits; in the others within what their rounding does."""
    if name == "int8":
        require_int8()
    if fault := fault_of(name, whole):
        pytest.skip(f"NOT RUN: {fault}")
    from eqn.model.package import load_network

    network, tokenizer = load_network(whole)
    scorer = Scorer(network, tokenizer, max_tokens=whole.max_tokens, precision=torch.float32)
    expected = scorer.scores(scorer.encode(texts))

    difference = np.abs(scores_of(BackEnd(name, whole, threads=1), texts) - expected)

    assert difference.mean() <= mean
    assert difference.max() <= most


def test_each_says_what_can_move_the_last_digits(whole: Package) -> None:
    """Plain values, different for each back end and the same for any number of threads: they name a job."""
    said = {}
    for name in (name for name in NAMES if not fault_of(name, whole)):
        options = [BackEnd(name, whole, threads=threads).options for threads in (1, 2)]
        assert options[0] == options[1]
        assert options[0].keys() == {"back_end", "precision", "batches"}
        said[name] = str(options[0])
    assert len(set(said.values())) == len(said)
    assert "float32" in said["fp32"]


@pytest.mark.parametrize("name", NAMES)
def test_one_or_several_threads_give_the_same_bytes(whole: Package, texts: list[str], name: str) -> None:
    """Threads take whole blocks; no sum is shared between them."""
    if fault := fault_of(name, whole):
        pytest.skip(f"NOT RUN: {fault}")
    one, three = (BackEnd(name, whole, threads=threads) for threads in (1, 3))
    assert (one.threads, three.threads) == (1, 3)
    expected = scores_of(one, texts * 5)
    assert len(one.start(one.encode(texts * 5))) > 3
    for _ in range(3):
        assert scores_of(three, texts * 5).tobytes() == expected.tobytes()


@pytest.mark.parametrize("threads", [1, 3])
def test_torchs_own_threads_are_left_alone(whole: Package, texts: list[str], threads: int) -> None:
    """Whoever trains or computes beside it finds the number that was set; each thread of ours computes alone."""
    before = torch.get_num_threads()
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            back_end = BackEnd("fp32", whole, threads=threads)
            scores_of(back_end, texts)
            assert torch.get_num_threads() == number
            assert back_end._pool is not None
            assert {back_end._pool.submit(torch.get_num_threads).result() for _ in range(9)} == {1}
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(before)


FORKED = """
import os, signal, sys
import torch
from eqn.model.back_ends import BackEnd
from eqn.model.package import read_package
from pathlib import Path

torch.set_num_threads(1)
back_end = BackEnd("fp32", read_package(Path(sys.argv[1])))

def score():
    (computing,) = back_end.start(back_end.encode(["I can't stop smiling"]))
    return computing.future.result().numpy().tobytes()

before = score()
child = os.fork()
if not child:
    signal.alarm(60)  # rather than waiting for ever
    os._exit(0 if score() == before else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), score() == before)
"""


def test_a_forked_child_computes_with_threads_of_its_own(whole: Package) -> None:
    """Servers and loaders fork after the model was used; the parent's threads do not come along."""
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(whole.path)],
        env=os.environ | {"TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["0", "True"]


def test_without_a_number_it_takes_as_many_threads_as_torch(whole: Package) -> None:
    """So that OMP_NUM_THREADS rules both."""
    assert BackEnd("fp32", whole).threads == torch.get_num_threads()


def test_an_unknown_name_is_refused_with_those_there_are(whole: Package) -> None:
    """Before weights are read."""
    with pytest.raises(UsageError, match="int8, bf16, fp32; got turbo"):
        BackEnd("turbo", whole)


def test_float32_runs_everywhere(whole: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor without any of the instructions it is what is taken, and the others say why not."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ranged = with_ranges(whole)
    assert [bool(fault_of(name, ranged)) for name in NAMES] == [True, True, False]
    assert assumed_back_end(ranged) == "fp32"
    assert "emulated" in fault_of("bf16", ranged)
    assert "no 8-bit dot products" in fault_of("int8", ranged)
    for name in ("int8", "bf16"):
        with pytest.raises(UsageError, match=f"{name} cannot be used: .*emulated|{name} cannot be used: .*8-bit"):
            BackEnd(name, ranged)


def test_8_bits_need_ranges_that_held(whole: Package) -> None:
    """A package without them, or one that dev refused, says so."""
    without = dataclasses.replace(whole, int8={})
    refused = dataclasses.replace(whole, int8={"refused": "scores move by 0.0200 on average"})
    assert "brings no ranges" in fault_of("int8", without)
    assert fault_of("int8", refused) == "scores move by 0.0200 on average"
    assert assumed_back_end(without) != "int8"
    with pytest.raises(UsageError, match=r"int8 cannot be used: scores move by 0\.0200"):
        BackEnd("int8", refused)


def test_8_bits_are_for_cpus(whole: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card has its own fast arithmetic."""
    monkeypatch.setattr(back_ends, "best_device", lambda: torch.device("cuda"))
    assert fault_of("int8", with_ranges(whole)) == "8-bit products are computed on CPUs only"


def with_ranges(package: Package) -> Package:
    """Give the package as a machine that computes in 8 bits would have made it."""
    return dataclasses.replace(package, int8=package.int8 if "ranges" in package.int8 else {"ranges": {}})


def test_no_texts_are_no_work(whole: Package) -> None:
    """An empty list gives no blocks."""
    back_end = BackEnd("fp32", whole, threads=1)
    assert back_end.start(back_end.encode([])) == []


def test_the_pooled_vectors_are_what_the_head_reads(whole: Package, texts: list[str]) -> None:
    """Each text's own, in the caller's order: the package's head makes its intensities of them."""
    from eqn.model.package import load_network

    back_end = BackEnd("fp32", whole)
    network, _ = load_network(whole)

    with torch.inference_mode():
        found = network.intensities(network.head(torch.from_numpy(back_end.pooled(texts)))).numpy()

    assert found == pytest.approx(scores_of(back_end, texts), abs=1e-6)
