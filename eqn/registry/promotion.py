"""A promotion: read the figures, decide purely, move the aliases, write down why.

The order of the steps makes a crash harmless: the alias moves before the decision is written, so at any moment there is
one champion with verified files, and the next promotion finds it there. Two promotions at the same time could each
overrule the other (MLflow has no compare-and-set): `promote` is the place to let in one promoter at a time, around
everything from reading the versions on.
"""

import json
from collections.abc import Callable, Mapping, Sequence

from eqn.errors import UsageError
from eqn.records import Decision, ModelRef
from eqn.registry.champions import challenger_of, champion_of, set_challenger, set_champion
from eqn.registry.connection import connect, translated
from eqn.registry.decision import Standing, decide
from eqn.registry.resolution import fetch
from eqn.registry.versions import DECISION, VersionRow, list_versions
from eqn.settings import Settings

_INCOMPARABLE = (
    "Version {candidate.version} was evaluated on {candidate.corpus} and the champion, version {champion.version}, on "
    "{champion.corpus}: other data, so their figures say nothing about each other."
)
_MEASURED_AGAIN = (
    "Version {candidate.version} was registered with figures on {candidate.corpus} and version {champion.version} with "
    "figures on {champion.corpus}: both were measured again, on the same rows."
)

DevMetrics = Callable[[ModelRef], Mapping[str, float]]
"""Measures a package on a dev split, the same one in every call."""


def promote(
    candidate_version: int | None,
    settings: Settings,
    *,
    dev_metrics_of: DevMetrics | None = None,
    measured_on: str = "",
) -> Decision:
    """Make the candidate (default: the challenger, else the newest version) champion if it is better.

    Where the two were registered with figures on different data, both are measured again with `dev_metrics_of`, on the
    corpus whose digest is `measured_on`; without it the champion stays. Asked again about the same pair under the same
    policy, it gives the same answer and writes nothing. A version that was champion before does not come back by
    itself: that is what `rollback` is for.

    Raises:
        UsageError: there is no such version, or none at all.
        ArtifactRefused: the files of one of the two are not the ones that were registered.

    """
    rows = list_versions(settings)
    candidate = _candidate(rows, candidate_version, settings)
    champion = champion_of(rows, settings)
    settled = _settled(candidate, champion, settings, measured_on=measured_on if dev_metrics_of else None)
    if settled:
        return settled
    decision = _decide(candidate, champion, settings, dev_metrics_of)
    if decision.promote:
        set_champion(candidate.version, settings)
    else:
        set_challenger(candidate.version, settings)
    comparable = champion is None or _same_corpus(candidate, champion) or dev_metrics_of is not None
    _write_down(decision, settings, comparable=comparable, measured_on=measured_on)
    return decision


def _candidate(rows: Sequence[VersionRow], version: int | None, settings: Settings) -> VersionRow:
    ours = [row for row in rows if row.digest]
    chosen = challenger_of(ours, settings) or next(iter(ours), None)
    if version is not None:
        chosen = next((row for row in ours if row.version == version), None)
    if chosen is None:
        raise UsageError(
            f"expected a registered version{'' if version is None else f' {version}'} to promote, found none.",
            faults=[f"versions: {', '.join(str(row.version) for row in ours) or 'none yet'}"],
            todo="Run `make run` or `eqn train` to train a model.",
        )
    return chosen


def _settled(
    candidate: VersionRow, champion: VersionRow | None, settings: Settings, *, measured_on: str | None
) -> Decision | None:
    """Give the answer where there is nothing to decide."""
    if champion is None:
        return None
    if candidate.version == champion.version:
        return _kept(candidate, champion, f"Version {candidate.version} is already champion.")
    if candidate.champion_since:
        return _kept(
            candidate,
            champion,
            f"Version {candidate.version} was champion before and was replaced; "
            f"`eqn models rollback {candidate.version}` brings it back.",
        )
    try:
        written = json.loads(candidate.decision)
        same = written["champion"] == champion.version and written["policy"] == _policy(settings)
        measured = _same_corpus(candidate, champion) or written["measured_on"] == measured_on
        if same and ((written["comparable"] and measured) or measured_on is None):
            return Decision(written["promote"], tuple(written["reasons"]), candidate.version, champion.version)
    except (ValueError, KeyError, TypeError):
        return None  # no decision yet, or somebody typed into the tag: decide
    return None


def _decide(
    candidate: VersionRow, champion: VersionRow | None, settings: Settings, dev_metrics_of: DevMetrics | None
) -> Decision:
    policy = settings.registry.promotion
    if champion is None:
        return decide(Standing(candidate.version, candidate.metrics["dev"], candidate.train_rows), None, policy)
    ours, theirs = candidate.metrics["dev"], champion.metrics["dev"]
    notes = []
    if not champion.champion_since:
        notes.append(f"Version {champion.version} was made champion by hand.")
    if not _same_corpus(candidate, champion):
        if dev_metrics_of is None:
            return _kept(candidate, champion, _INCOMPARABLE.format(candidate=candidate, champion=champion))
        # Both, and not the champion alone: whichever rows are measured on, they are then the same rows.
        ours, theirs = (dev_metrics_of(fetch(row.version, settings)) for row in (candidate, champion))
        notes.append(_MEASURED_AGAIN.format(candidate=candidate, champion=champion))
    decision = decide(
        Standing(candidate.version, ours, candidate.train_rows),
        Standing(champion.version, theirs, champion.train_rows),
        policy,
    )
    return Decision(decision.promote, (*decision.reasons, *notes), candidate.version, champion.version)


def _write_down(decision: Decision, settings: Settings, *, comparable: bool, measured_on: str) -> None:
    content = {
        "promote": decision.promote,
        "reasons": decision.reasons,
        "champion": decision.champion,
        "policy": _policy(settings),
        "comparable": comparable,
        "measured_on": measured_on,
    }
    text = json.dumps(content, ensure_ascii=False)
    client = connect(settings)
    with translated(settings.tracking_uri):
        client.set_model_version_tag(settings.registry.registered_model, str(decision.candidate), DECISION, text)


def _kept(candidate: VersionRow, champion: VersionRow, reason: str) -> Decision:
    return Decision(promote=False, reasons=(reason,), candidate=candidate.version, champion=champion.version)


def _same_corpus(candidate: VersionRow, champion: VersionRow) -> bool:
    return candidate.corpus_digest == champion.corpus_digest


def _policy(settings: Settings) -> dict[str, object]:
    return settings.registry.promotion.model_dump()
