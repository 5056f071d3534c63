"""Annotates on a Ray cluster: an actor for every CPU or GPU, each with the model, and the driver that feeds them.

No file system is shared: the model and the rows travel through Ray's object store, the annotated tables back to the
driver, which alone writes. A lost node costs the shards that it held: they are begun again elsewhere.
"""

import contextlib
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

from eqn.annotation.dispatch import ATTEMPTS, SHARDS_PER_WORKER, Dispatch
from eqn.annotation.engine import Report
from eqn.errors import EqnError, StorageFull, StoreUnavailable, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from eqn.annotation.annotator import Annotator

_SECONDS_WITHOUT_WORKERS = 300
"""How long it is waited for the first worker, or for one after all were lost: an autoscaler needs minutes."""


_SECONDS_TO_LOAD = 10
"""How long the end waits for actors that still load."""


class _Sent(NamedTuple):
    """A shard as it is in the object store."""

    rows: Any
    schema: "pa.Schema"
    uncertainty: bool


class RayEngine:
    """Annotates shards on the cluster to which `eqn.annotation.ray_cluster.connected` has connected this process."""

    def __init__(self, annotator: "Annotator") -> None:
        """Start an actor for each GPU of the cluster or, if it has none, for each CPU; returns before they are ready.

        Every actor computes as `annotator` does, which stays with the driver.

        Raises:
            StoreUnavailable: the cluster has neither.

        """
        import ray
        from ray import cloudpickle

        from eqn.annotation import ray_actor

        cloudpickle.register_pickle_by_value(ray_actor)
        there = ray.cluster_resources()
        cpus, gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
        if not (gpus or cpus):
            raise StoreUnavailable(
                "expected a Ray cluster with CPUs or GPUs; it has none.",
                todo="Add nodes: ray start --address HOST:PORT",
            )
        self._class = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0)(ray_actor.ShardActor)
        content = {path.name: path.read_bytes() for path in sorted(annotator.package.path.iterdir())}
        self._package = ray.put(content)
        self._load = {"back_end": annotator.name, "expected": ray_actor.identity(annotator)}
        self._dispatch = Dispatch()
        self._numbers = itertools.count()
        self._actors: list[Any] = [None] * (gpus or cpus)
        self._starts = [0] * len(self._actors)
        self._loading: dict[Any, int] = {}
        self._running: dict[Any, tuple[int, int]] = {}
        self._shards: dict[int, _Sent] = {}
        self._results: dict[int, tuple[pa.Table, int]] = {}
        for worker in range(len(self._actors)):
            self._start_actor(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def in_flight(self) -> int:
        """Give how many shards are worth having under way."""
        return SHARDS_PER_WORKER * len(self._actors)

    def start(self, rows: "pa.Table", schema: "pa.Schema", *, uncertainty: bool) -> "RayShard":
        """Start to annotate a shard.

        Raises:
            StorageFull: no node has room for the rows, in memory or on disk.

        """
        import ray

        number = next(self._numbers)
        with _translated():
            self._shards[number] = _Sent(ray.put(rows), schema, uncertainty)
            self._dispatch.add(number)
            self._hand_out()
            while self._settle_one(seconds=0):
                pass
        return RayShard(self, number)

    def wait_for(self, number: int) -> "tuple[pa.Table, int]":
        """Give the table and the tokens of a shard that was started.

        Raises:
            UsageError: a node cannot annotate as the driver would, or lacks a package.
            StoreUnavailable: no node takes up the work, or a shard was begun in vain too often.

        """
        with _translated():
            while number not in self._results:
                self._hand_out()
                if not self._settle_one(seconds=None if self._dispatch.workers else _SECONDS_WITHOUT_WORKERS):
                    raise StoreUnavailable(
                        f"expected a node of the cluster to take up the work within {_SECONDS_WITHOUT_WORKERS} s.",
                        todo="See `ray status`: other work may hold its CPUs or GPUs. Then run the same command again.",
                    )
        del self._shards[number]
        return self._results.pop(number)

    def drop(self, number: int) -> None:
        """Let go of a shard: a worker that has begun it ends it, and nobody hears of it."""
        import ray

        wanted = self._shards.pop(number, None) is not None
        if not wanted or self._results.pop(number, None) is not None or self._dispatch.drop(number):
            return
        for reference in (reference for reference, (_, shard) in self._running.items() if shard == number):
            ray.cancel(reference)

    def close(self) -> None:
        """End the actors."""
        import ray

        # Who is killed while it loads leaves the model's files behind. No start is waited for that may never come.
        if self._loading:
            ray.wait(list(self._loading), num_returns=len(self._loading), timeout=_SECONDS_TO_LOAD, fetch_local=False)
        for actor in self._actors:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(actor)
        self._actors.clear()

    def _start_actor(self, worker: int) -> None:
        self._actors[worker] = self._class.remote()
        self._loading[self._actors[worker].load.remote(self._package, **self._load)] = worker

    def _hand_out(self) -> None:
        for worker, shard in self._dispatch.assignments():
            rows, schema, uncertainty = self._shards[shard]
            reference = self._actors[worker].annotate.remote(rows, schema, uncertainty=uncertainty)
            self._running[reference] = (worker, shard)

    def _settle_one(self, *, seconds: float | None) -> bool:
        """Wait for something to end, at most so long, and see how it ended; False when nothing did."""
        import ray

        # The shards first, in the order in which they were handed out: what a lost worker still did is taken.
        ended, _ = ray.wait([*self._running, *self._loading], num_returns=1, timeout=seconds)
        for reference in ended:
            if reference in self._loading:
                self._settle_loading(reference)
            else:
                self._settle_shard(reference)
        return bool(ended)

    def _settle_loading(self, reference: Any) -> None:
        import ray

        worker = self._loading.pop(reference)
        try:
            ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            _raise_cause(error)
        except ray.exceptions.RayError as error:
            self._starts[worker] += 1
            if self._starts[worker] >= ATTEMPTS:
                raise StoreUnavailable(
                    f"expected an actor to load the model; {ATTEMPTS} in a row were lost: {_reason(error)}",
                    todo="Look at the nodes (memory, ray status), then run the same command again.",
                ) from error
            self._start_actor(worker)
        else:
            self._starts[worker] = 0
            self._dispatch.join(worker)

    def _settle_shard(self, reference: Any) -> None:
        import ray

        worker, shard = self._running.pop(reference)
        try:
            result = ray.get(reference)
        except ray.exceptions.TaskCancelledError:
            self._dispatch.done(worker, shard)
        except ray.exceptions.RayTaskError as error:
            _raise_cause(error)
        except ray.exceptions.ObjectLostError as error:
            if shard in self._shards:
                self._dispatch.retry(worker, shard, reason=_reason(error))
            else:
                self._dispatch.done(worker, shard)
        except ray.exceptions.RayActorError as error:
            self._lose_worker(worker, _reason(error))
        else:
            self._dispatch.done(worker, shard)
            if shard in self._shards:
                self._results[shard] = result

    def _lose_worker(self, worker: int, reason: str) -> None:
        """Begin its shards elsewhere, and start an actor in its place."""
        import ray

        ray.kill(self._actors[worker])  # it may only be out of reach
        self._running = {reference: held for reference, held in self._running.items() if held[0] != worker}
        self._dispatch.lost(worker, wanted=self._shards, reason=reason)
        self._start_actor(worker)


class RayShard:
    """A shard that is being annotated by a cluster."""

    def __init__(self, engine: RayEngine, number: int) -> None:
        self._engine, self._number = engine, number

    def table(self, report: Report) -> "pa.Table":
        """Wait for the annotated table; `report(rows, tokens)` hears of it. Raises what `RayEngine.wait_for` raises."""
        table, tokens = self._engine.wait_for(self._number)
        report(len(table), tokens)
        return table

    def cancel(self) -> None:
        """Let go of it."""
        self._engine.drop(self._number)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Translate what Ray itself may fail of."""
    from ray import exceptions

    try:
        yield
    except exceptions.RayTaskError:
        raise  # a bug, told with the node's own traceback
    except (exceptions.ObjectStoreFullError, exceptions.OutOfDiskError) as error:
        raise StorageFull(
            f"expected room for the shards under way on the nodes of the cluster: {_reason(error)}",
            todo="Free disk space there or give Ray more memory: ray start --object-store-memory BYTES",
        ) from error
    except exceptions.RayError as error:
        raise StoreUnavailable(
            f"expected the Ray cluster to go on; it failed: {_reason(error)}",
            todo="See `ray status`, then run the same command again: finished work is kept.",
        ) from error


def _raise_cause(error: Any) -> NoReturn:
    """Raise what an actor raised: for a person where it is meant for one."""
    cause = error.cause
    if isinstance(cause, EqnError):
        raise cause from error
    if isinstance(cause, ModuleNotFoundError):
        raise UsageError(
            f"expected EQN on every node of the cluster; {cause.msg}.",
            todo='Install it there, in the versions that this machine has: pip install "eqn[ray]"',
        ) from error
    raise error


def _reason(error: Exception) -> str:
    """Give an error of Ray in one line."""
    return " ".join(str(error).split())[:400]
