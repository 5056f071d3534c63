"""What is measured on: a machine in words, its ceiling for matrix products, the memory of a process."""

import os
import platform
import resource
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

SIDE = 4096
_FEATURES = {"avx512_vnni": "AVX-512 VNNI", "avx512_bf16": "AVX-512 bfloat16", "amx_int8": "AMX int8"}
_PACKAGES = ("torch", "transformers", "tokenizers", "onnxruntime", "onnx", "ray")


class Ceiling:
    """The rate of one large matrix product of torch's own, on all of its threads."""

    def __init__(self, dtype: "torch.dtype") -> None:
        import torch

        self.dtype = dtype
        self._left, self._right = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))

    def rate(self) -> float:
        """Give floating-point operations per second, the best of three products: a ceiling is what can be reached."""
        return 2 * SIDE**3 / min(self._seconds() for _ in range(3))

    def _seconds(self) -> float:
        started = time.perf_counter()
        self._left @ self._right
        return time.perf_counter() - started


def machine_facts() -> dict[str, Any]:
    """Give cores, threads, what the processor can do, and versions."""
    import torch

    able: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processor": platform.machine(),
        "features": [words for name, words in _FEATURES.items() if able.get(name)],
        "versions": {"python": platform.python_version()} | _versions(),
    }


def _versions() -> dict[str, str]:
    installed = {found.metadata["Name"]: found.version for found in metadata.distributions()}
    return {name: installed[name] for name in _PACKAGES if name in installed}


def peak_memory() -> int:
    """Give the most bytes of memory that this process had at once.

    Linux keeps `ru_maxrss` across exec, so that a child's may be its parent's; what /proc says is its own.
    """
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)
