"""Training in several processes at once, one for each GPU, as torchrun starts them.

The first process leads: it reads the data, keeps the checkpoints, measures, writes and speaks. The others follow: they
compute their part of every batch. Their gradients are added up, so that all hold the same network at every step, and
it is the one that a single process would have trained, but for the order of the sums and the draws of dropout.
"""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from eqn.errors import INTERRUPTED, EqnError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_TORCHRUN = {"RANK", "WORLD_SIZE", "LOCAL_RANK"}
"""What torchrun tells each of its processes."""
_PATIENCE = timedelta(hours=1)
"""How long a process waits for one that neither answers nor ends; the leader measures and registers alone."""

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Team:
    """The processes of one training, seen from one of them. `Team()` is a process by itself: it waits for nobody."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """The process' number on its machine, which is that of its GPU."""

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    @property
    def device(self) -> "torch.device":
        """Where this process computes: on a GPU of its own if there are any, else on the CPU."""
        import torch

        from eqn.model.network import best_device

        device = best_device()
        return torch.device(device.type, self.local_rank) if self.size > 1 and device.type == "cuda" else device

    def part(self, rows: Sequence[int]) -> Sequence[int]:
        """Give this process' part of a batch; rows of like length go to different processes. It may be empty."""
        return rows[self.rank :: self.size]

    def seed(self, seed: int, step: int) -> None:
        """Let followers draw their dropout from seed, step and rank; the leader's stream is kept in the checkpoint."""
        if not self.leads:
            import numpy as np
            import torch

            torch.manual_seed(int(np.random.SeedSequence([seed, step, self.rank]).generate_state(1)[0]))

    def add_up(self, tensors: "Sequence[Tensor]") -> None:
        """Replace each tensor by the sum of all processes' ones, to the same bits everywhere."""
        if self.size == 1:
            return
        import torch
        from torch import distributed

        whole = torch.cat([tensor.flatten() for tensor in tensors])
        with _reaching_the_others():
            distributed.all_reduce(whole)
        parts = torch.split(whole, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def from_leader(self, make: Callable[[], T]) -> T:
        """Let the leader call `make`, and give its answer in every process."""
        if self.size == 1:
            return make()
        from torch import distributed

        answer: list[Any] = [make() if self.leads else None]
        with _reaching_the_others():
            distributed.broadcast_object_list(answer)
        given: T = answer[0]
        return given

    def agree(self, value: object, about: str) -> None:
        """Wait for all processes, and check that they have the same value.

        Raises:
            UsageError: they have different ones.

        """
        if self.size == 1:
            return
        from torch import distributed

        values: list[Any] = [None] * self.size
        with _reaching_the_others():
            distributed.all_gather_object(values, value)
        if any(other != value for other in values):
            raise UsageError(
                f"expected {about} to be the same in all processes; got {', '.join(map(str, values))}.",
                todo="Put --out, or the state folder, on a disk that all processes share.",
            )


def present_team() -> Team:
    """Give the team that this process has joined, or is by itself."""
    if not os.environ.keys() >= _TORCHRUN:
        return Team()
    from torch import distributed

    if not distributed.is_initialized():
        return Team()
    return Team(distributed.get_rank(), distributed.get_world_size(), int(os.environ["LOCAL_RANK"]))


@contextlib.contextmanager
def joined() -> Iterator[Team]:
    """Join the processes that torchrun started together with this one; without torchrun there is nothing to join.

    When one of them fails, all end: the first one raises its error, the others `SystemExit` with the same exit code.

    Raises:
        UsageError: the processes cannot reach each other, or there are more of them than GPUs.

    """
    if not os.environ.keys() >= _TORCHRUN or os.environ["WORLD_SIZE"] == "1":
        yield Team()
        return
    from torch import distributed

    store = _meet()
    team = present_team()
    try:
        yield team
        if team.leads:
            team.from_leader(lambda: None)  # no further order: the others' `follow` ends
    except BaseException as error:
        code, told = _first_failure(store, _code(error), team)
        if told:
            raise SystemExit(code) from error
        raise
    with contextlib.suppress(EqnError):  # all is done: this only keeps the leader there until the others have heard it
        team.agree(None, "the end")
    distributed.destroy_process_group()


def leave(program: Callable[[], int]) -> NoReturn:
    """Run `program` and end this process with the exit code that it gives, or that of its `SystemExit`.

    A process of a team ends at once, without the interpreter's own end, and thus without what waits for that.
    """
    if not os.environ.keys() >= _TORCHRUN:
        sys.exit(program())
    # torch's threads take the interpreter's lock to let go of the tensors of the last exchange. Where the interpreter
    # is ending by then, Python before 3.14 unwinds such a thread instead, and a destructor that is unwound aborts the
    # process: https://github.com/pytorch/pytorch/pull/179291. So no way out may lead through the interpreter's end.
    try:
        code = program()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def _meet() -> Any:
    """Make the process group, and give the store through which its processes found each other."""
    import torch
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    gpus, local_rank = torch.cuda.device_count() if torch.cuda.is_available() else 0, int(os.environ["LOCAL_RANK"])
    if gpus and local_rank >= gpus:
        raise UsageError(
            f"torchrun started process {local_rank + 1} on a machine with {gpus} GPU(s).",
            todo=f"Call it with --nproc-per-node {gpus}.",
        )
    if gpus:
        torch.cuda.set_device(local_rank)
    backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
    try:
        store, rank, size = next(iter(rendezvous("env://", timeout=_PATIENCE)))
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"expected to reach the other processes of this training: {error}",
            todo="Start them by torchrun --nproc-per-node N $(which eqn) train ...",
        ) from error
    return store


@contextlib.contextmanager
def _reaching_the_others() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise EqnError(
            "the other processes of this training cannot be reached any more; it does not go on without them.",
            faults=[str(error).partition("\n")[0]],
            todo="Run the same command again: it goes on from the last checkpoint.",
        ) from error


def _code(error: BaseException) -> int:
    if isinstance(error, EqnError):
        return error.exit_code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else EqnError.exit_code


def _first_failure(store: Any, code: int, team: Team) -> tuple[int, bool]:
    """Give the exit code of the first process that failed, and whether that was another one than this."""
    try:
        if store.add("eqn/failures", 1) == 1:
            store.set("eqn/code", str(code))
            return code, False
        return int(store.get("eqn/code")), True
    except RuntimeError:  # the process that kept the store has gone: no other one can be asked
        return code, not team.leads
