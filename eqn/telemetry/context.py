"""Which run this is: facts that every log line of it carries."""

import contextlib
import contextvars
from collections.abc import Iterator, Mapping

_FACTS: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("eqn_facts", default={})  # noqa: B039  never changed in place


@contextlib.contextmanager
def bound(**facts: str) -> Iterator[None]:
    """Add `facts`, named as in `eqn.telemetry.logs.FIELDS`, to whatever is logged inside."""
    token = _FACTS.set({**_FACTS.get(), **facts})
    try:
        yield
    finally:
        _FACTS.reset(token)


def bound_facts() -> Mapping[str, str]:
    """Give what is bound here."""
    return _FACTS.get()
