"""What must not stand in a log line, taken out of it: the second net, after not logging it in the first place."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MASK = "[redacted]"
LONGEST = 300
"""Characters of a logged value; the rest is cut."""
_MOST = 2_000
"""Characters of a value that are looked at: no pattern may take long over something huge."""
_PATTERNS = (
    (re.compile(r"(\w://)[^/\s@]+@"), rf"\1{MASK}@"),  # user:password in an address
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


def redactor(secrets: Sequence[str]) -> Callable[[Any], Any]:
    """Give a function that takes `secrets`, and what looks like one, out of texts, also inside lists and mappings."""
    known = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def redacted(value: Any) -> Any:
        if isinstance(value, str):
            value = value[:_MOST]
            for secret in known:
                value = value.replace(secret, MASK)
            for pattern, replacement in _PATTERNS:
                value = pattern.sub(replacement, value)
            return value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
        if isinstance(value, Mapping):
            return {redacted(str(key)): redacted(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [redacted(item) for item in value]
        return value if value is None or isinstance(value, bool | int | float) else redacted(str(value))

    return redacted
