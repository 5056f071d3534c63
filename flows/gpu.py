"""The lock on the GPU: a global concurrency limit of Prefect's server, which `flows.deploy` creates."""

import contextlib
from collections.abc import Iterator

from prefect import get_client
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound

LOCK = "gpu"
_LEASE_SECONDS = 60.0
"""For how long a killed holder keeps the lock; a living one renews it."""


@contextlib.contextmanager
def gpu_lock() -> Iterator[None]:
    """Hold the GPU while inside; a server without that limit, such as the embedded one, locks nothing."""
    try:
        with get_client(sync_client=True) as client:
            client.read_global_concurrency_limit_by_name(LOCK)
    except ObjectNotFound:
        yield
        return
    with concurrency(LOCK, lease_duration=_LEASE_SECONDS):
        yield
