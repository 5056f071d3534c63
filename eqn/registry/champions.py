"""The champion alias, and the way back.

Each version remembers which champion it replaced (`eqn.champion_before`), so that going back twice goes back two. The
alias is moved first and the tags follow: whatever is interrupted, there is one champion and its files were verified.
"""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime

from eqn.errors import UsageError
from eqn.registry.connection import connect, translated
from eqn.registry.resolution import fetch
from eqn.registry.versions import CHAMPION_BEFORE, CHAMPION_SINCE, VersionRow, list_versions
from eqn.settings import Settings


@dataclasses.dataclass(frozen=True, slots=True)
class Moved:
    """A move of the champion alias."""

    before: int | None
    """The version that was champion; None when there was none."""
    after: int

    def __str__(self) -> str:
        before = f"version {self.before}" if self.before else "none"
        return f"Version {self.after} is champion now; before, it was {before}."


def champion_of(rows: Sequence[VersionRow], settings: Settings) -> VersionRow | None:
    """Give the champion among the versions, None when there is none yet."""
    return _with_alias(rows, settings.registry.aliases.champion)


def challenger_of(rows: Sequence[VersionRow], settings: Settings) -> VersionRow | None:
    """Give the challenger among the versions, None when there is none."""
    return _with_alias(rows, settings.registry.aliases.challenger)


def set_champion(version: int, settings: Settings) -> Moved:
    """Make `version` champion, once its package is on this machine and verified.

    Raises:
        UsageError: there is no such version.
        ArtifactRefused: its files are not the ones that were registered; the champion stays.

    """
    fetch(version, settings)
    rows = list_versions(settings)
    row = next(row for row in rows if row.version == version)
    champion = champion_of(rows, settings)
    before = champion.version if champion else None
    if before == version:
        return Moved(before, version)
    name, aliases = settings.registry.registered_model, settings.registry.aliases
    client = connect(settings)
    with translated(settings.tracking_uri):
        client.set_registered_model_alias(name, aliases.champion, str(version))
        since = datetime.now(UTC).isoformat(timespec="milliseconds")
        client.set_model_version_tag(name, str(version), CHAMPION_SINCE, since)
        if before and not row.champion_since:  # one that returns keeps its place in the history
            client.set_model_version_tag(name, str(version), CHAMPION_BEFORE, str(before))
        if aliases.challenger in row.aliases:
            client.delete_registered_model_alias(name, aliases.challenger)
    return Moved(before, version)


def set_challenger(version: int, settings: Settings) -> None:
    """Mark `version` as the newest candidate that did not become champion."""
    client = connect(settings)
    with translated(settings.tracking_uri):
        alias = settings.registry.aliases.challenger
        client.set_registered_model_alias(settings.registry.registered_model, alias, str(version))


def rollback(settings: Settings, *, to: int | None = None) -> Moved:
    """Make `to`, or else the champion before the present one, champion again.

    Raises:
        UsageError: there is no champion before, or no such version.
        ArtifactRefused: its files are not the ones that were registered; the champion stays.

    """
    return set_champion(to or _previous(list_versions(settings), settings), settings)


def _previous(rows: Sequence[VersionRow], settings: Settings) -> int:
    champion = champion_of(rows, settings)
    here = {row.version for row in rows}
    if champion and champion.champion_since:
        if champion.champion_before in here:
            return champion.champion_before
    else:
        # Nobody is champion, or somebody moved the alias by hand: back to the last one that EQN made champion.
        former = [row for row in rows if row.champion_since]
        if former:
            return max(former, key=lambda row: row.champion_since).version
    raise UsageError(
        "there is no champion before the present one to go back to.",
        faults=[f"versions: {', '.join(str(row.version) for row in rows) or 'none yet'}"],
        todo="Name a version: eqn models rollback VERSION",
    )


def _with_alias(rows: Sequence[VersionRow], alias: str) -> VersionRow | None:
    return next((row for row in rows if alias in row.aliases), None)
