"""What must not stand in a log line or a message, taken out: the second net, after not writing it there at all."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eqn.settings import secrets_in_environment

MASK = "[redacted]"
LONGEST = 300
"""Characters of a logged value; the rest is cut."""
_MOST = 2_000
"""Characters of a value that are looked at: no pattern may take long over something huge."""
_PATTERNS = (
    (re.compile(r"(\w://)(?![^/\s@]*:\*\*\*@)[^/\s@]+@"), rf"\1{MASK}@"),  # user:password in an address, not masked yet
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
    (re.compile(r"(?i)(bearer|basic)\s+[a-z0-9+/=_.~-]{8,}"), rf"\1 {MASK}"),
    (
        re.compile(
            r"(?i)([\w-]*(?:secret|passw(?:or)?d|token|signature|credential|api[_-]?key|access[_-]?key)[\w-]*"
            r"[\"']?\s*[:=]\s*[\"']?)[^\s\"'&,;]+"
        ),
        rf"\1{MASK}",
    ),
)


def masked(text: str, secrets: Sequence[str]) -> str:
    """Take `secrets`, and what looks like one, out of the beginning of a text; the rest of a huge one is left out."""
    text = without(text[: _MOST + max(map(len, secrets), default=0)], secrets)[:_MOST]
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def without(text: str, secrets: Sequence[str]) -> str:
    """Take `secrets` out of a text, the longest ones first."""
    for secret in sorted((secret for secret in secrets if secret), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def presentable(error: BaseException) -> BaseException | None:
    """Give `error` if it may be shown as the cause of another one; None where it, or its own cause, tells a secret.

    Messages of clients and servers repeat addresses with their passwords, and headers.
    """
    secrets = secrets_in_environment()
    link: BaseException | None = error
    while link is not None:
        told = str(link)
        if len(told) > _MOST or masked(told, secrets) != told:
            return None
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return error


def redactor(secrets: Sequence[str]) -> Callable[[Any], Any]:
    """Give a function that takes `secrets`, and what looks like one, out of texts, also inside lists and mappings."""

    def redacted(value: Any) -> Any:
        if isinstance(value, str):
            value = masked(value, secrets)
            return value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
        if isinstance(value, Mapping):
            return {redacted(str(key)): redacted(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [redacted(item) for item in value]
        return value if value is None or isinstance(value, bool | int | float) else redacted(str(value))

    return redacted
