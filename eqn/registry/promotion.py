"""A promotion: read the figures, decide purely, move the aliases, write down why.

The order of the steps makes a crash harmless: the alias moves before the decision is written, so at any moment there is
one champion with verified files, and the next promotion finds it there.

Two promotions at the same time would overrule each other (MLflow has no compare-and-set), so each decides under a
lease (`eqn.registry.leases`), against the champion that is there then. A lease is short: packages are fetched and
measured before it is taken, and what was found out is remembered. If somebody else became champion meanwhile and had
to be measured, the lease is given back for that.

Where the policy's mode is `ask`, what the rules would promote is held: a person is shown the pair, and `conclude` does
what the person says, under a lease and for that pair only. The answer is written down before the alias moves, so that
whoever dies in between leaves it to the next call.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence

from eqn.errors import Conflict, UsageError
from eqn.failpoints import reached
from eqn.records import Answer, Decision, ModelRef
from eqn.registry.answers import agrees, is_written, read_answer, told, write_answer
from eqn.registry.champions import (
    Situation,
    challenger_of,
    leases_of,
    move_champion,
    read_situation,
    restored,
    set_challenger,
)
from eqn.registry.connection import connect, translated
from eqn.registry.decision import Standing, decide
from eqn.registry.leases import LEASE_SECONDS, Lease, Leases, until_it_holds
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
_HELD = "The policy would promote version {version}; a person decides (promotion.mode is ask)."
_TAKEN_BACK = "`eqn promote {version} --yes` takes that back."

DevMetrics = Callable[[ModelRef], Mapping[str, float]]
"""Measures a package on a dev split, the same one in every call."""


def promote(
    candidate_version: int | None,
    settings: Settings,
    *,
    dev_metrics_of: DevMetrics | None = None,
    measured_on: str = "",
    lease_seconds: float = LEASE_SECONDS,
) -> Decision:
    """Make the candidate (default: the challenger, else the newest version) champion if it is better.

    Where the two were registered with figures on different data, both are measured again with `dev_metrics_of`, on the
    corpus whose digest is `measured_on`; without it the champion stays. Asked again about the same pair under the same
    policy, it gives the same answer and writes nothing. A version that was champion before does not come back by
    itself: that is what `rollback` is for. Nor does one that a person declined.

    Where the policy asks a person, the decision may be `held`: see `conclude`.

    Raises:
        UsageError: there is no such version, or none at all.
        ArtifactRefused: the files of one of the two are not the ones that were registered.
        StoreUnavailable: others were promoting all the time.

    """
    # The version is chosen once: whoever becomes challenger while this call waits is not what was asked about.
    version = chosen_candidate(list_versions(settings), candidate_version, settings).version
    leases = leases_of(settings, seconds=lease_seconds)
    return until_it_holds(_Promotion(version, settings, leases, dev_metrics_of, measured_on).attempt)


def conclude(
    answer: Answer,
    settings: Settings,
    *,
    dev_metrics_of: DevMetrics | None = None,
    measured_on: str = "",
    lease_seconds: float = LEASE_SECONDS,
) -> Decision:
    """Do what a person said to a promotion, and write it down; the other arguments are those of `promote`.

    A yes promotes what the policy's rules allow, no more: `rollback` is for everything else.

    Raises:
        Conflict: the champion is not the one any more that the person compared the candidate with; nothing was done.
        UsageError: there is no such version.
        ArtifactRefused: the files of one of the two are not the ones that were registered.
        StoreUnavailable: others were promoting all the time.

    """
    version = chosen_candidate(list_versions(settings), answer.candidate, settings).version
    leases = leases_of(settings, seconds=lease_seconds)
    return until_it_holds(_Promotion(version, settings, leases, dev_metrics_of, measured_on, answer).attempt)


def pair_asked_about(version: int | None, settings: Settings) -> tuple[int, int | None]:
    """Give the candidate (default as for `promote`) and the champion that a person was last asked about together.

    Where nobody was asked it is the present champion; None when there is none.

    Raises:
        UsageError: there is no such version, or none at all.

    """
    situation = read_situation(leases_of(settings), settings)
    candidate = chosen_candidate(situation.rows, version, settings)
    try:
        written = json.loads(candidate.decision)
        if written["held"]:
            return candidate.version, written["champion"]
    except (ValueError, KeyError, TypeError):
        pass  # never decided about, by an earlier EQN, or somebody typed into the tag
    return candidate.version, situation.champion.version if situation.champion else None


@dataclasses.dataclass(frozen=True, slots=True)
class _Promotion:
    """One call of `promote` or `conclude`, and what it has found out."""

    version: int
    settings: Settings
    leases: Leases
    dev_metrics_of: DevMetrics | None
    measured_on: str
    answer: Answer | None = None
    """What a person says now."""
    figures: dict[int, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    """Dev figures of the versions that were measured again."""
    verified: set[int] = dataclasses.field(default_factory=set)
    """The versions whose packages are on this machine and whole."""

    def attempt(self) -> Decision | None:
        """Decide and carry it out; None when the situation under the lease asks for more than was prepared."""
        situation = restored(self.leases, self.settings)
        candidate = chosen_candidate(situation.rows, self.version, self.settings)
        self._require_pair(candidate, situation.champion)
        settled = self._settled(candidate, situation.champion)
        if settled:
            return settled
        self._prepare(candidate, situation)
        with self.leases.hold() as lease:
            situation = read_situation(self.leases, self.settings)
            if situation.is_displaced:
                return None
            candidate = chosen_candidate(situation.rows, self.version, self.settings)
            if not self._is_about(candidate, situation.champion):
                return None  # to be told without a lease, which an error would leave to expire
            settled = self._settled(candidate, situation.champion)
            if settled or self._unmeasured(candidate, situation.champion):
                return settled
            decision = self._decide(candidate, situation)
            if decision.promote and candidate.version not in self.verified:
                return None
            if self.answer and not is_written(self.answer, candidate):
                write_answer(self.answer, self.settings)
            self._carry_out(decision, situation, lease)
            reached("promotion.carried-out")
            self._write_down(decision, candidate, situation.champion)
            reached("promotion.decision-written")
            return decision

    def _is_about(self, candidate: VersionRow, champion: VersionRow | None) -> bool:
        """Tell whether the answer, if there is one, was given to this pair, or has come true already."""
        if self.answer is None or self.answer.champion == (champion.version if champion else None):
            return True
        return self.answer.promote and champion is not None and champion.version == candidate.version

    def _require_pair(self, candidate: VersionRow, champion: VersionRow | None) -> None:
        if self.answer and not self._is_about(candidate, champion):
            expected, present = self.answer.champion, champion.version if champion else None
            raise Conflict(
                f"expected {_named(expected)} as champion, with which version {candidate.version} was compared; "
                f"by now it is {_named(present)}. Nothing was changed.",
                todo=f"Compare the two anew: eqn promote {candidate.version}",
            )

    def _settled(self, candidate: VersionRow, champion: VersionRow | None) -> Decision | None:
        """Give the decision where there is nothing to decide."""
        if champion and candidate.version == champion.version:
            return _kept(candidate, champion, f"Version {candidate.version} is already champion.")
        if champion and candidate.champion_since:
            return _kept(
                candidate,
                champion,
                f"Version {candidate.version} was champion before and was replaced; "
                f"`eqn models rollback {candidate.version}` brings it back.",
            )
        if self._says_anew(candidate):
            return None
        said = read_answer(candidate)
        if said and not said.promote:
            return _kept(candidate, champion, told(said), _TAKEN_BACK.format(version=candidate.version))
        return None if champion is None or agrees(said, champion) else self._decided_before(candidate, champion)

    def _decided_before(self, candidate: VersionRow, champion: VersionRow) -> Decision | None:
        """Give the decision that was written down, if it was about the same question."""
        measured_on = self.measured_on if self.dev_metrics_of else None
        try:
            written = json.loads(candidate.decision)
            same = written["champion"] == champion.version and written["policy"] == _rules(self.settings)
            measured = _same_corpus(candidate, champion) or written["measured_on"] == measured_on
            held = written.get("held", False)
            if same and ((written["comparable"] and measured) or measured_on is None) and not (held and self._acts()):
                reasons = tuple(written["reasons"])
                return Decision(written["promote"], reasons, candidate.version, champion.version, held=held)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # no decision yet, or somebody typed into the tag: decide
        return None

    def _says_anew(self, candidate: VersionRow) -> bool:
        return self.answer is not None and not is_written(self.answer, candidate)

    def _acts(self) -> bool:
        """Tell whether a promotion waits for nobody."""
        return self.settings.registry.promotion.mode == "automatic"

    def _prepare(self, candidate: VersionRow, situation: Situation) -> None:
        """Do what takes long: measure what must be measured again, fetch what would become champion."""
        if self.dev_metrics_of:
            for row in self._unmeasured(candidate, situation.champion):
                self.figures[row.version] = self.dev_metrics_of(fetch(row.version, self.settings))
        if candidate.version not in self.verified and self._decide(candidate, situation).promote:
            fetch(candidate.version, self.settings)
            self.verified.add(candidate.version)

    def _unmeasured(self, candidate: VersionRow, champion: VersionRow | None) -> list[VersionRow]:
        """Give which of the two must be measured before they can be compared.

        Both, and not the champion alone: whichever rows are measured on, they are then the same rows.
        """
        if champion is None or self.dev_metrics_of is None or _same_corpus(candidate, champion):
            return []
        return [row for row in (candidate, champion) if row.version not in self.figures]

    def _decide(self, candidate: VersionRow, situation: Situation) -> Decision:
        """Decide by the rules, and by what a person said."""
        decision = self._by_the_rules(candidate, situation)
        said = self.answer if self._says_anew(candidate) else read_answer(candidate)
        if said and not said.promote:
            return dataclasses.replace(decision, promote=False, reasons=(told(said), *decision.reasons))
        if not decision.promote or (self._acts() and not agrees(said, situation.champion)):
            return decision
        if said and agrees(said, situation.champion):
            return dataclasses.replace(decision, reasons=(*decision.reasons, told(said)))
        held = _HELD.format(version=candidate.version)
        return dataclasses.replace(decision, promote=False, held=True, reasons=(held, *decision.reasons))

    def _by_the_rules(self, candidate: VersionRow, situation: Situation) -> Decision:
        policy, champion = self.settings.registry.promotion, situation.champion
        if champion is None:
            return decide(Standing(candidate.version, candidate.metrics["dev"], candidate.train_rows), None, policy)
        ours, theirs = candidate.metrics["dev"], champion.metrics["dev"]
        notes = [f"Version {champion.version} was made champion by hand."] if situation.by_hand else []
        if not _same_corpus(candidate, champion):
            if self.dev_metrics_of is None:
                incomparable = _INCOMPARABLE.format(candidate=candidate, champion=champion)
                return _kept(candidate, champion, incomparable, *notes)
            ours, theirs = self.figures[candidate.version], self.figures[champion.version]
            notes.append(_MEASURED_AGAIN.format(candidate=candidate, champion=champion))
        decision = decide(
            Standing(candidate.version, ours, candidate.train_rows),
            Standing(champion.version, theirs, champion.train_rows),
            policy,
        )
        return dataclasses.replace(decision, reasons=(*decision.reasons, *notes))

    def _carry_out(self, decision: Decision, situation: Situation, lease: Lease) -> None:
        if decision.promote:
            move_champion(decision.candidate, situation, lease, self.settings)
        else:
            lease.require(situation.trail)
            set_challenger(decision.candidate, self.settings)

    def _write_down(self, decision: Decision, candidate: VersionRow, champion: VersionRow | None) -> None:
        content = {
            "promote": decision.promote,
            "reasons": decision.reasons,
            "champion": decision.champion,
            "held": decision.held,
            "policy": _rules(self.settings),
            "comparable": champion is None or _same_corpus(candidate, champion) or self.dev_metrics_of is not None,
            "measured_on": self.measured_on,
        }
        text = json.dumps(content, ensure_ascii=False)
        client = connect(self.settings)
        with translated(self.settings.tracking_uri):
            name = self.settings.registry.registered_model
            client.set_model_version_tag(name, str(decision.candidate), DECISION, text)


def chosen_candidate(rows: Sequence[VersionRow], version: int | None, settings: Settings) -> VersionRow:
    """Give `version` among the rows; by default the challenger, else the newest.

    Raises:
        UsageError: there is no such version, or none at all.

    """
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


def _kept(candidate: VersionRow, champion: VersionRow | None, *reasons: str) -> Decision:
    return Decision(
        promote=False,
        reasons=reasons,
        candidate=candidate.version,
        champion=champion.version if champion else None,
    )


def _named(version: int | None) -> str:
    return "none" if version is None else f"version {version}"


def _same_corpus(candidate: VersionRow, champion: VersionRow) -> bool:
    return candidate.corpus_digest == champion.corpus_digest


def _rules(settings: Settings) -> dict[str, object]:
    """Give the policy without who carries it out."""
    return settings.registry.promotion.model_dump(exclude={"mode"})
