"""How much memory a piece of work takes at its peak, as its allocations tell: the same on every machine."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any


def peak_bytes(work: Callable[[], Any]) -> int:
    """Run `work` and give the most bytes that Python and NumPy held for it at once. Arrow's own memory is not in it."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
