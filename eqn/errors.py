"""The family of errors a user can meet, each with its exit code.

    EqnError                      1  a bug, when it is none of the below
    ├── UsageError                2  unknown option, no such file
    ├── DataRefused               3  the data breaks the contract or failed the gate
    ├── Conflict                  4  somebody else published that release
    ├── StoreUnavailable          5  a store or server cannot be reached, or refuses us   (Transient, or lasting)
    ├── StorageFull               6  no space left
    ├── CommitUnknown             7  the outcome of a commit is unknown; nothing was deleted
    └── ArtifactRefused           8  a model or artifact: wrong digest, unsafe content, wrong labels

`Transient` marks errors after which the same call may succeed; only those are retried, and of them not the `lasting`
ones. Errors from other libraries are translated where they enter (`raise ... from error`), never in here.
"""

from collections.abc import Sequence

INTERRUPTED = 130
"""Exit code after Ctrl-C: a rerun resumes."""


class Transient:
    """Marks an error after which the same call may succeed."""

    lasting = False
    """True where it will not before a person has changed something: credentials, a permission, an address."""


class EqnError(Exception):
    """An error with a sentence for a person: what was expected and what came, every fault at once, what to do."""

    exit_code = 1

    def __init__(self, what: str, *, todo: str = "", faults: Sequence[str] = ()) -> None:
        """`what` was expected and what came; `faults` lists all of them; `todo` says how to go on."""
        super().__init__(what)
        self.what = what
        self.todo = todo
        self.faults = tuple(faults)

    def __str__(self) -> str:
        lines = [self.what, *(f"  - {fault}" for fault in self.faults)]
        return "\n".join(lines + [self.todo] * bool(self.todo))


class UsageError(EqnError):
    """The call cannot be taken: an unknown option or value, no such file."""

    exit_code = 2


class DataRefused(EqnError):
    """The data breaks the contract, or the quality gate stopped it."""

    exit_code = 3


class Conflict(EqnError):
    """Somebody else published that release with other content."""

    exit_code = 4


class StoreUnavailable(EqnError, Transient):
    """A store or server cannot be reached, or refuses the credentials."""

    exit_code = 5

    def __init__(self, what: str, *, todo: str = "", faults: Sequence[str] = (), lasting: bool = False) -> None:
        """As every error; `lasting` tells that another try meets the same."""
        super().__init__(what, todo=todo, faults=faults)
        self.lasting = lasting


class StorageFull(EqnError):
    """There is no space left; what was there before is unchanged."""

    exit_code = 6


class CommitUnknown(EqnError):
    """A commit was sent and its outcome could not be learnt; nothing was deleted."""

    exit_code = 7


class ArtifactRefused(EqnError):
    """A model or another artifact is not what it claims to be, or not safe to read."""

    exit_code = 8
