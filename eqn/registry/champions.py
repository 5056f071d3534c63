"""The champion alias, and the way back.

Each version remembers which champion it replaced (`eqn.champion_before`), so that going back twice goes back two. The
alias is moved first and the tags follow: whatever is interrupted, there is one champion and its files were verified.

MLflow moves an alias for whoever asks, so one process at a time asks: the holder of the highest lease. What stands at
the alias is champion, though, whoever moved it; only the move of a holder who was overtaken is undone.
"""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from eqn.errors import UsageError
from eqn.failpoints import reached
from eqn.registry.connection import connect, translated
from eqn.registry.leases import LEASE_SECONDS, Lease, Leases, Trail, until_it_holds
from eqn.registry.resolution import fetch
from eqn.registry.versions import CHAMPION_BEFORE, CHAMPION_SINCE, VersionRow, list_versions
from eqn.settings import Settings
from eqn.store.interface import open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclasses.dataclass(frozen=True, slots=True)
class Moved:
    """A move of the champion alias."""

    before: int | None
    """The version that was champion; None when there was none."""
    after: int

    def __str__(self) -> str:
        before = f"version {self.before}" if self.before else "none"
        return f"Version {self.after} is champion now; before, it was {before}."


@dataclasses.dataclass(frozen=True, slots=True)
class Situation:
    """The registered versions, and how the champion among them came to be it."""

    rows: Sequence[VersionRow]
    """All versions, the newest first."""
    champion: VersionRow | None
    alias: int | None
    """The version at the alias: another than `champion` where an overtaken promoter moved it."""
    by_hand: bool
    """Somebody moved the alias without EQN."""
    trail: Trail

    @property
    def is_displaced(self) -> bool:
        """The alias does not stand at the champion."""
        return self.champion is not None and self.champion.version != self.alias


def champion_of(rows: Sequence[VersionRow], settings: Settings) -> VersionRow | None:
    """Give the champion among the versions, None when there is none yet."""
    return _with_alias(rows, settings.registry.aliases.champion)


def challenger_of(rows: Sequence[VersionRow], settings: Settings) -> VersionRow | None:
    """Give the challenger among the versions, None when there is none."""
    return _with_alias(rows, settings.registry.aliases.challenger)


def leases_of(settings: Settings, *, seconds: float = LEASE_SECONDS) -> Leases:
    """Give the leases of the registered model, each valid for `seconds`.

    They lie in the store: everybody who shares an MLflow server must share the store, too.
    """
    return Leases(open_store(settings.store), settings.registry.registered_model, seconds=seconds)


def read_situation(leases: Leases, settings: Settings) -> Situation:
    """Read the versions and find out who is champion, and why. It stays true only for the holder of a lease."""
    rows = list_versions(settings)
    trail = leases.trail()
    row, last = champion_of(rows, settings), trail.last
    if row is None:
        return Situation(rows, None, None, by_hand=False, trail=trail)
    if last is None:
        return Situation(rows, row, row.version, by_hand=not row.champion_since, trail=trail)
    overtaken = row.version != last.after and row.version in trail.undone
    rightful = next((other for other in rows if other.version == last.after), None) if overtaken else None
    if rightful:
        return Situation(rows, rightful, row.version, by_hand=False, trail=trail)
    # A holder who died between announcing the move and making it left the alias where it was.
    expected = {last.after} if last.finished else {last.before, last.after}
    return Situation(rows, row, row.version, by_hand=row.version not in expected, trail=trail)


def restored(leases: Leases, settings: Settings) -> Situation:
    """Read the situation, with the champion back at its alias if an overtaken promoter had displaced it."""
    situation = read_situation(leases, settings)
    champion = situation.champion
    if champion and situation.is_displaced:
        _carry_out(lambda now: now.champion.version if now.champion else champion.version, leases, settings)
        return read_situation(leases, settings)
    return situation


def set_champion(version: int, settings: Settings, *, lease_seconds: float = LEASE_SECONDS) -> Moved:
    """Make `version` champion, once its package is on this machine and verified.

    Raises:
        UsageError: there is no such version.
        ArtifactRefused: its files are not the ones that were registered; the champion stays.
        StoreUnavailable: others were promoting all the time.

    """
    return _carry_out(lambda _: version, leases_of(settings, seconds=lease_seconds), settings)


def rollback(settings: Settings, *, to: int | None = None, lease_seconds: float = LEASE_SECONDS) -> Moved:
    """Make `to`, or else the champion before the present one, champion again.

    Raises:
        UsageError: there is no champion before, or no such version.
        ArtifactRefused: its files are not the ones that were registered; the champion stays.
        StoreUnavailable: others were promoting all the time.

    """
    leases = leases_of(settings, seconds=lease_seconds)
    return _carry_out(lambda situation: to or _previous(situation), leases, settings)


def set_challenger(version: int, settings: Settings) -> None:
    """Mark `version` as the newest candidate that did not become champion."""
    client = connect(settings)
    with translated(settings.tracking_uri):
        alias = settings.registry.aliases.challenger
        client.set_registered_model_alias(settings.registry.registered_model, alias, str(version))


def move_champion(version: int, situation: Situation, lease: Lease, settings: Settings) -> Moved:
    """Move the alias to `version`, whose package was verified, in the `situation` that was read under `lease`.

    Raises:
        Overtaken: it is not moved, or the next holder of a lease looks at it again.

    """
    before = situation.champion.version if situation.champion else None
    name, aliases = settings.registry.registered_model, settings.registry.aliases
    row = next(row for row in situation.rows if row.version == version)
    client = connect(settings)
    with translated(settings.tracking_uri):
        _finish_last(client, situation, name)
        lease.announce(before, version)
        reached("promotion.move-announced")
        lease.require(situation.trail)
        reached("promotion.lease-checked")
        client.set_registered_model_alias(name, aliases.champion, str(version))
        reached("promotion.alias-moved")
        lease.confirm(version)
        _remember(client, name, row, before)
        reached("promotion.champion-noted")
        if aliases.challenger in row.aliases:
            client.delete_registered_model_alias(name, aliases.challenger)
    return Moved(before, version)


def _carry_out(choose: Callable[[Situation], int], leases: Leases, settings: Settings) -> Moved:
    """Move the alias to the version that is chosen in the situation under a lease; its package is fetched before."""

    def attempt() -> Moved | None:
        situation = read_situation(leases, settings)
        version = choose(situation)
        fetch(version, settings)
        if _stands(version, situation):
            return Moved(version, version)
        with leases.hold() as lease:
            situation = read_situation(leases, settings)
            if choose(situation) != version:
                return None
            if _stands(version, situation):
                return Moved(version, version)
            return move_champion(version, situation, lease, settings)

    return until_it_holds(attempt)


def _stands(version: int, situation: Situation) -> bool:
    return situation.alias == version and not situation.is_displaced


def _finish_last(client: "MlflowClient", situation: Situation, name: str) -> None:
    """Write the tags that a holder who died left unwritten, or its version would not count as a former champion."""
    champion, last = situation.champion, situation.trail.last
    if champion and last and champion.version == last.after and not champion.champion_since:
        _remember(client, name, champion, last.before)


def _remember(client: "MlflowClient", name: str, row: VersionRow, before: int | None) -> None:
    """Write down that a version is champion, and since when; one that returns keeps its place in the history."""
    if before and before != row.version and not row.champion_since:
        client.set_model_version_tag(name, str(row.version), CHAMPION_BEFORE, str(before))
    since = datetime.now(UTC).isoformat(timespec="milliseconds")
    client.set_model_version_tag(name, str(row.version), CHAMPION_SINCE, since)


def _previous(situation: Situation) -> int:
    rows, champion, last = situation.rows, situation.champion, situation.trail.last
    if champion and not situation.by_hand:
        replaced = champion.champion_before if champion.champion_since or last is None else last.before
        former = [replaced]
    else:
        # Nobody is champion, or somebody moved the alias by hand: back to the last one that EQN made champion.
        by_tags = sorted((row for row in rows if row.champion_since), key=lambda row: row.champion_since)
        former = [last.after if last else None, *(row.version for row in reversed(by_tags))]
    others = {row.version for row in rows if row != champion}
    for version in former:
        if version in others:
            return version
    raise UsageError(
        "there is no champion before the present one to go back to.",
        faults=[f"versions: {', '.join(str(row.version) for row in rows) or 'none yet'}"],
        todo="Name a version: eqn models rollback VERSION",
    )


def _with_alias(rows: Sequence[VersionRow], alias: str) -> VersionRow | None:
    return next((row for row in rows if alias in row.aliases), None)
