"""Promotion: the decision made and carried out, against MLflow on SQLite."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from eqn.errors import ArtifactRefused, UsageError
from eqn.model.package import read_package
from eqn.records import Decision, ModelRef
from eqn.registry.champions import leases_of, rollback, set_champion
from eqn.registry.connection import connect
from eqn.registry.promotion import DevMetrics, promote
from eqn.registry.resolution import resolve
from eqn.registry.versions import list_versions
from eqn.settings import Settings
from eqn.store.directory import DirectoryStore
from tests.registry.conftest import GOOD, Trainer

BETTER = GOOD | {"macro_f1": 0.45}
BEST = GOOD | {"macro_f1": 0.6}
WORSE = GOOD | {"macro_f1": 0.30}
SHORT_LEASE = 2.0
"""Seconds: so long does a rival wait for a holder that does not move on."""


def aliases(settings: Settings) -> dict[str, int]:
    """Give where each alias stands."""
    return {alias: row.version for row in list_versions(settings) for alias in row.aliases}


def leases(settings: Settings) -> set[int]:
    """Give the numbers of the leases that were taken."""
    return leases_of(settings).listed()[""]


def tags(settings: Settings, version: int) -> dict[str, str]:
    """Give the tags of a version."""
    found: dict[str, str] = connect(settings).get_model_version("eqn", str(version)).tags
    return found


def test_the_first_version_becomes_champion(settings: Settings, trained: Trainer) -> None:
    """With finite figures and nobody before it, a version annotates from now on."""
    trained()

    decision = promote(None, settings)
    assert (decision.promote, decision.candidate, decision.champion) == (True, 1, None)
    assert aliases(settings) == {"champion": 1}


def test_a_better_candidate_replaces_the_champion(settings: Settings, trained: Trainer) -> None:
    """The alias moves, and the reasons stand at the version."""
    trained()
    promote(None, settings)
    trained(dev=BETTER)

    decision = promote(None, settings)
    assert (decision.promote, decision.candidate, decision.champion) == (True, 2, 1)
    assert aliases(settings) == {"champion": 2}
    written = json.loads(tags(settings, 2)["eqn.decision"])
    assert (written["promote"], written["champion"], tuple(written["reasons"])) == (True, 1, decision.reasons)
    assert list_versions(settings)[0].champion_before == 1


@pytest.mark.parametrize("dev", [GOOD, WORSE, BETTER | {"brier": 0.9}, BETTER | {"macro_f1": math.nan}])
def test_a_candidate_that_is_not_better_stays_challenger(
    settings: Settings, trained: Trainer, dev: Mapping[str, float]
) -> None:
    """A tie, a loss, a regression and a NaN keep the champion; why is written at the candidate."""
    trained()
    promote(None, settings)
    trained(dev=dev)

    decision = promote(None, settings)
    assert not decision.promote
    assert aliases(settings) == {"champion": 1, "challenger": 2}
    assert json.loads(tags(settings, 2)["eqn.decision"])["reasons"] == list(decision.reasons)


def test_a_first_model_without_results_does_not_become_champion(settings: Settings, trained: Trainer) -> None:
    """Nobody annotates with a model that has no figures."""
    trained(dev=GOOD | {"map": math.nan})

    assert not promote(None, settings).promote
    assert aliases(settings) == {"challenger": 1}


def test_the_champion_is_not_promoted_again(settings: Settings, trained: Trainer) -> None:
    """Asked about the champion itself, the answer is that it is champion, and nothing is written."""
    trained()
    promote(None, settings)
    before = tags(settings, 1)

    decision = promote(1, settings)
    assert (decision.promote, decision.reasons) == (False, ("Version 1 is already champion.",))
    assert tags(settings, 1) == before


def test_the_same_question_gets_the_same_answer_and_writes_nothing(settings: Settings, trained: Trainer) -> None:
    """A rerun is a no-op: the recorded decision is given back."""
    trained()
    promote(None, settings)
    trained(dev=WORSE)
    first = promote(None, settings)
    before = list_versions(settings), connect(settings).get_registered_model("eqn").last_updated_timestamp
    assert leases(settings) == {1, 2}

    assert promote(None, settings) == promote(2, settings) == first
    assert (list_versions(settings), connect(settings).get_registered_model("eqn").last_updated_timestamp) == before
    assert leases(settings) == {1, 2}


def test_a_changed_policy_is_a_new_question(settings: Settings, trained: Trainer) -> None:
    """What was kept under the old policy may be promoted under the new one."""
    trained()
    promote(None, settings)
    trained(dev=GOOD | {"macro_f1": 0.401})
    assert not promote(None, settings).promote

    policy = settings.registry.promotion.model_copy(update={"least_gain": 0.0005})
    registry = settings.registry.model_copy(update={"promotion": policy})
    assert promote(None, settings.model_copy(update={"registry": registry})).promote


def test_a_version_can_be_named(settings: Settings, trained: Trainer) -> None:
    """An older candidate is judged when it is asked for."""
    for dev in (GOOD, BETTER, WORSE):
        trained(dev=dev)
    promote(1, settings)

    assert promote(2, settings).promote
    assert aliases(settings) == {"champion": 2, "challenger": 3}


def test_a_former_champion_does_not_come_back_by_itself(settings: Settings, trained: Trainer) -> None:
    """After a rollback the nightly run finds the same version again: it must not undo what a person did."""
    trained()
    promote(None, settings)
    trained(dev=BETTER)
    promote(None, settings)
    rollback(settings)

    for decision in (promote(None, settings), promote(2, settings)):
        assert not decision.promote
        assert "eqn models rollback 2" in decision.reasons[0]
    assert aliases(settings) == {"champion": 1}


def test_figures_on_other_data_are_not_compared(settings: Settings, trained: Trainer) -> None:
    """Without a way to measure the champion again, a candidate of another corpus is kept, for that reason."""
    trained(corpus="sample")
    promote(None, settings)
    trained(corpus="goemotions", dev=BETTER)

    decision = promote(None, settings)
    assert not decision.promote
    assert "evaluated on goemotions and the champion, version 1, on sample" in decision.reasons[0]
    assert aliases(settings) == {"champion": 1, "challenger": 2}


@pytest.mark.parametrize(("champions", "promoted"), [(WORSE, True), (GOOD | {"macro_f1": 0.6}, False)])
def test_on_other_data_both_are_measured_again(
    settings: Settings, trained: Trainer, champions: Mapping[str, float], *, promoted: bool
) -> None:
    """New figures on the same rows decide, not those of each one's own data; an earlier "cannot say" is open again."""
    trained(corpus="sample", dev=BETTER)
    promote(None, settings)
    trained(corpus="goemotions", dev=BETTER)
    promote(None, settings)
    asked = []

    def measure(ref: ModelRef) -> Mapping[str, float]:
        asked.append((ref.version, read_package(Path(ref.path)).digest == ref.digest))
        return champions if ref.version == 1 else GOOD

    decision = promote(None, settings, dev_metrics_of=measure)
    assert decision.promote is promoted
    assert asked == [(2, True), (1, True)]
    assert "both were measured again" in decision.reasons[-1]
    assert promote(None, settings, dev_metrics_of=measure).promote is False
    assert len(asked) == 2


def test_on_the_same_data_nothing_is_measured_again(settings: Settings, trained: Trainer) -> None:
    """The registered figures are enough when both were evaluated on the same rows."""
    trained()
    promote(None, settings)
    trained(dev=BETTER)

    def measure(ref: ModelRef) -> Mapping[str, float]:
        raise AssertionError(ref)

    assert promote(None, settings, dev_metrics_of=measure).promote


def test_a_champion_set_by_hand_is_respected_and_reported(settings: Settings, trained: Trainer) -> None:
    """The alias in MLflow is the truth, whoever moved it."""
    trained(dev=BETTER)
    client: Any = connect(settings)
    client.set_registered_model_alias("eqn", "champion", "1")
    trained()

    decision = promote(None, settings)
    assert (decision.promote, decision.champion) == (False, 1)
    assert decision.reasons[-1] == "Version 1 was made champion by hand."


def test_a_former_champion_that_was_brought_back_by_hand_is_respected_and_reported(
    settings: Settings, trained: Trainer
) -> None:
    """It was champion before, yet it was not EQN that moved the alias to it; the next move of EQN's is no hand's."""
    for dev in (GOOD, BETTER):
        trained(dev=dev)
        promote(None, settings)
    client: Any = connect(settings)
    client.set_registered_model_alias("eqn", "champion", "1")
    trained(dev=GOOD | {"macro_f1": 0.43})
    trained(dev=BEST)

    by_hand, by_eqn = promote(3, settings), promote(4, settings)
    assert (by_hand.promote, by_hand.champion) == (True, 1)
    assert by_hand.reasons[-1] == "Version 1 was made champion by hand."
    assert (by_eqn.promote, by_eqn.champion) == (True, 3)
    assert "by hand" not in str(by_eqn.reasons)


def test_a_champion_that_eqn_brought_back_is_no_hands_work(settings: Settings, trained: Trainer) -> None:
    """A rollback is EQN's own move."""
    for dev in (GOOD, BETTER):
        trained(dev=dev)
        promote(None, settings)
    rollback(settings)
    trained(dev=BEST)

    assert "by hand" not in str(promote(None, settings).reasons)


def when_writing(
    monkeypatch: pytest.MonkeyPatch, kind: str, *, before: bool = False, act: Callable[[], object]
) -> None:
    """Let something happen once, just before or just after a lease's key of that kind is written."""
    put, waiting = DirectoryStore.put_if_absent, [act]

    def interrupted(self: DirectoryStore, key: str, content: bytes) -> bool:
        now = waiting.pop() if waiting and key.endswith(f".{kind}.json") else None
        if now and before:
            now()
        written = put(self, key, content)
        if now and not before:
            now()
        return written

    monkeypatch.setattr(DirectoryStore, "put_if_absent", interrupted)


def moves_of(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object] = lambda: None) -> list[str]:
    """Give the list that gets each version to which the alias is moved; `act` once, just before the first move."""
    from mlflow import MlflowClient

    move, moved, waiting = MlflowClient.set_registered_model_alias, [], [act]

    def watched(self: Any, name: str, alias: str, version: str) -> None:
        if alias == "champion":
            if waiting:
                waiting.pop()()
            moved.append(version)
        move(self, name, alias, version)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", watched)
    return moved


def test_a_zombie_does_not_move_the_alias(
    settings: Settings, trained: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promoter that sleeps past its lease wakes up, sees that it was overtaken, and judges the new champion."""
    for dev in (GOOD, BETTER, BEST):
        trained(dev=dev)
    set_champion(1, settings)
    when_writing(monkeypatch, "move", before=True, act=lambda: promote(3, settings, lease_seconds=SHORT_LEASE))
    moved = moves_of(monkeypatch)

    decision = promote(2, settings)
    assert (decision.promote, decision.candidate, decision.champion) == (False, 2, 3)
    assert moved == ["3"]
    assert aliases(settings) == {"champion": 3, "challenger": 2}


@pytest.mark.parametrize(("rivals", "winner"), [(BEST, 3), (GOOD | {"macro_f1": 0.43}, 2)])
def test_a_zombies_late_move_is_put_right(
    settings: Settings, trained: Trainer, monkeypatch: pytest.MonkeyPatch, rivals: Mapping[str, float], winner: int
) -> None:
    """Overtaken in the very moment of moving the alias, it notices, brings its rival back, and is judged against it."""
    for dev in (GOOD, BETTER, rivals):
        trained(dev=dev)
    set_champion(1, settings)
    moved = moves_of(monkeypatch, lambda: promote(3, settings, lease_seconds=SHORT_LEASE))

    decision = promote(2, settings)
    assert (decision.promote, decision.candidate, decision.champion) == (winner == 2, 2, 3)
    assert moved == ["3", "2", "3", "2"][: 4 if winner == 2 else 3]
    assert aliases(settings)["champion"] == winner
    assert "by hand" not in str(decision.reasons)
    assert rollback(settings).after == (3 if winner == 2 else 1)


def test_whoever_comes_next_puts_a_late_move_right(
    settings: Settings, trained: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zombie that moved the alias late and then fell asleep again leaves its note: the displaced champion counts."""
    for dev in (GOOD, BETTER, BEST, GOOD | {"macro_f1": 0.5}):
        trained(dev=dev)
    set_champion(1, settings)
    moves_of(monkeypatch, lambda: promote(3, settings, lease_seconds=SHORT_LEASE))
    in_between: list[Decision] = []
    when_writing(monkeypatch, "late", act=lambda: in_between.append(promote(4, settings)))

    decision = promote(2, settings)
    assert [(other.promote, other.champion) for other in (*in_between, decision)] == [(False, 3), (False, 3)]
    assert aliases(settings)["champion"] == 3


def test_measuring_takes_no_lease(settings: Settings, trained: Trainer) -> None:
    """While one measures, others promote; what was measured is remembered, and only the new champion is added."""
    trained(corpus="sample", dev=GOOD)
    promote(None, settings)
    trained(corpus="sample", dev=BETTER)
    trained(corpus="goemotions", dev=BEST)
    asked = []

    def measure(ref: ModelRef) -> Mapping[str, float]:
        asked.append(ref.version)
        if len(asked) == 1:
            assert promote(2, settings).promote
        return {1: GOOD, 2: BETTER, 3: BEST}[ref.version]

    decision = promote(3, settings, dev_metrics_of=measure)
    assert (decision.promote, decision.champion) == (True, 2)
    assert asked == [3, 1, 2]
    assert aliases(settings)["champion"] == 3


def test_a_candidate_whose_files_are_damaged_is_not_promoted(settings: Settings, trained: Trainer) -> None:
    """The champion stays when the better candidate's files are not the registered ones."""
    trained()
    promote(None, settings)
    candidate = trained(dev=BETTER)
    for weights in settings.artifacts.rglob("model.safetensors"):
        weights.write_bytes(b"damaged")

    with pytest.raises(ArtifactRefused):
        promote(candidate.version, settings)
    assert resolve("champion", settings).version == 1


@pytest.mark.parametrize("version", [None, 9])
def test_without_a_candidate_the_way_to_one_is_told(settings: Settings, version: int | None) -> None:
    """Nothing registered: exit code 2 and what to run."""
    with pytest.raises(UsageError, match="eqn train"):
        promote(version, settings)


def test_an_answer_found_on_other_rows_is_not_given_again(settings: Settings, trained: Trainer) -> None:
    """Whoever measures on another corpus than the earlier decision did gets an answer of their own."""
    trained(corpus="sample", dev=BETTER)
    promote(None, settings)
    trained(corpus="goemotions", dev=BETTER)
    asked: list[str] = []

    def measure_on(corpus: str) -> DevMetrics:
        def measure(ref: ModelRef) -> Mapping[str, float]:
            asked.append(corpus)
            return BETTER if (ref.version == 2) == (corpus == "goemotions") else GOOD

        return measure

    refused = promote(None, settings, dev_metrics_of=measure_on("sample"), measured_on="sample")
    again = promote(None, settings, dev_metrics_of=measure_on("sample"), measured_on="sample")
    other = promote(None, settings, dev_metrics_of=measure_on("goemotions"), measured_on="goemotions")

    assert (refused.promote, again.promote, other.promote) == (False, False, True)
    assert asked == ["sample"] * 2 + ["goemotions"] * 2
