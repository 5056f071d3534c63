"""Back ends: what a model package is computed with. All compute packed blocks, so that only the arithmetic differs.

    int8    8-bit integers, where the package brings ranges that held on dev and the processor has dot products for them
    bf16    bfloat16, where the processor or the card computes it natively
    fp32    float32, everywhere

On a CPU every block is computed by one thread, and several blocks at once: a score is the same whatever the number of
threads.
"""

import concurrent.futures
import dataclasses
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from eqn.errors import UsageError
from eqn.model.back_end_names import NAMES
from eqn.model.float_layers import FloatLayers
from eqn.model.int8_layers import Int8Layers, int8_fault
from eqn.model.network import best_device, fast_precision
from eqn.model.packed import LayerMaker, PackedNetwork
from eqn.model.packing import BLOCK_TOKENS, Block, packed_blocks

if TYPE_CHECKING:
    from eqn.model.encoding import Encoded
    from eqn.model.package import Package

_BLOCK_TOKENS_CUDA = 32768


def fault_of(name: str, package: "Package") -> str:
    """Say why the back end called `name` cannot compute `package` here, or nothing."""
    device = best_device()
    if name == "fp32":
        return ""
    if name == "bf16":
        return "" if fast_precision(device) is torch.bfloat16 else "bfloat16 is emulated here, slower than float32"
    if device.type != "cpu":
        return "8-bit products are computed on CPUs only"
    if "ranges" not in package.int8:
        return str(package.int8.get("refused", "the package brings no ranges for 8-bit products"))
    return int8_fault()


def assumed_back_end(package: "Package") -> str:
    """Give the first of `NAMES` that can compute `package` here, unmeasured."""
    return next(name for name in NAMES if not fault_of(name, package))


class BackEnd:
    """One package made ready to compute in one arithmetic, with its own threads."""

    def __init__(self, name: str, package: "Package", *, threads: int | None = None) -> None:
        from eqn.model.package import load_network

        if name not in NAMES:
            raise UsageError(f"expected one of the back ends {', '.join(NAMES)}; got {name}.")
        if fault := fault_of(name, package):
            raise UsageError(f"the back end {name} cannot be used: {fault}.", todo="Choose another one, or auto.")
        network, self.tokenizer = load_network(package)
        self.name = name
        self.device = best_device()
        self._network = PackedNetwork(network.to(self.device), _layers(name, package))
        self._max_tokens = package.max_tokens
        self._block_tokens = BLOCK_TOKENS if self.device.type == "cpu" else _BLOCK_TOKENS_CUDA
        self.threads = threads or (torch.get_num_threads() if self.device.type == "cpu" else 1)
        """How many blocks are computed at once."""
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None
        self._process = 0
        """Whose threads the pool's are."""

    @property
    def options(self) -> dict[str, Any]:
        """Give what, beside text and model, can move a score's last digits; part of a job's identity."""
        precision = {"fp32": "float32", "bf16": "bfloat16"}.get(self.name)
        attention = str(fast_precision(self.device)).removeprefix("torch.")
        return {
            "back_end": f"torch {self.device.type}",
            "precision": precision or f"8-bit integers, attention in {attention}",
            "batches": f"packed, length-sorted, at most {self._block_tokens} tokens",
        }

    def encode(self, texts: Sequence[str]) -> "Encoded":
        """Encode texts as the model reads them."""
        from eqn.model.encoding import encode

        return encode(self.tokenizer, texts, self._max_tokens)

    def start(self, encoded: "Encoded") -> list["Computing"]:
        """Start to compute encoded texts; the blocks are in the order in which they will be done."""
        return self._start(encoded, self._network.intensities)

    def pooled(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give the vector of each text that the head reads, (texts, width)."""
        done = self._start(self.encode(texts), self._network.pooled)
        rows = np.concatenate([computing.block.rows for computing in done])
        found = torch.cat([computing.future.result() for computing in done]).numpy()
        vectors = np.empty_like(found)
        vectors[rows] = found
        return vectors

    def _start(self, encoded: "Encoded", answer: Callable[[Block], torch.Tensor]) -> list["Computing"]:
        if self._pool is None or self._process != os.getpid():  # a forked child has the pool, but none of its threads
            self._process = os.getpid()
            self._pool = _single_threaded_pool(self.threads, self.device)
        blocks = packed_blocks(encoded.ids, tokens=self._block_tokens)
        return [Computing(block, self._pool.submit(answer, block)) for block in blocks]


@dataclasses.dataclass(frozen=True, slots=True)
class Computing:
    """A block that is being computed."""

    block: Block
    future: "concurrent.futures.Future[torch.Tensor]"
    """Gives the block's answers, a row for each text: (texts, 28) intensities, where nothing else was asked for."""


def _layers(name: str, package: "Package") -> LayerMaker:
    if name == "int8":
        return Int8Layers({product: (low, high) for product, (low, high) in package.int8["ranges"].items()})
    return FloatLayers(torch.bfloat16 if name == "bf16" else torch.float32)


def _single_threaded_pool(threads: int, device: torch.device) -> concurrent.futures.ThreadPoolExecutor:
    """Give a pool whose threads leave torch's own threads alone: two blocks side by side beat two threads on one."""
    if device.type != "cpu":
        return concurrent.futures.ThreadPoolExecutor(threads)
    whole = torch.get_num_threads()

    def alone() -> None:
        torch.get_num_threads()  # the first call in a thread would else undo the second line
        torch.set_num_threads(1)

    together = threading.Barrier(threads)
    pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="eqn", initializer=alone)
    concurrent.futures.wait([pool.submit(together.wait) for _ in range(threads)])  # now all of them have begun
    torch.set_num_threads(whole)  # for threads to come: that number is one for all
    return pool
