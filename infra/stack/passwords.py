"""The stack's own passwords: made on the first start, kept in files that only their owner may read."""

import secrets

from infra.stack.places import Places, write_private

_OWNERS = ("postgres", "prefect", "mlflow")
_BYTES = 32


def passwords_of(places: Places) -> dict[str, str]:
    """Give the password of each role of the database; what is missing is made now."""
    known = {}
    for owner in _OWNERS:
        file = places.secrets / owner
        if not file.exists():
            write_private(file, secrets.token_urlsafe(_BYTES))
        known[owner] = file.read_text("utf-8")
    return known
