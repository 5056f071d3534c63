"""Promotions that wait for a person: the question, the answer, and what happens in between."""

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from eqn.errors import Conflict, UsageError
from eqn.records import Answer, Decision, ModelRef
from eqn.registry.answers import read_answer, told
from eqn.registry.champions import leases_of, rollback, set_champion
from eqn.registry.connection import connect
from eqn.registry.promotion import conclude, pair_asked_about, promote
from eqn.registry.resolution import fetch
from eqn.registry.versions import VersionRow, list_versions
from eqn.settings import Settings
from tests.registry.conftest import GOOD, Trainer

BETTER = GOOD | {"macro_f1": 0.45}
BEST = GOOD | {"macro_f1": 0.6}
WORSE = GOOD | {"macro_f1": 0.30}


def with_mode(settings: Settings, mode: str) -> Settings:
    """Give the settings with another mode of promotion."""
    promotion = settings.registry.promotion.model_copy(update={"mode": mode})
    return settings.model_copy(update={"registry": settings.registry.model_copy(update={"promotion": promotion})})


@pytest.fixture
def asking(settings: Settings) -> Settings:
    """Settings whose policy asks a person."""
    return with_mode(settings, "ask")


@pytest.fixture
def pair(settings: Settings, trained: Trainer) -> tuple[ModelRef, ModelRef]:
    """A champion, version 1, and a better challenger, version 2."""
    first, second = trained(), trained(dev=BETTER)
    set_champion(1, settings)
    return first, second


def aliases(settings: Settings) -> dict[str, int]:
    """Give where each alias stands."""
    return {alias: row.version for row in list_versions(settings) for alias in row.aliases}


def row_of(version: int, settings: Settings) -> VersionRow:
    """Give one version's row."""
    return next(row for row in list_versions(settings) if row.version == version)


def says(question: Decision, *, promote: bool, why: str = "") -> Answer:
    """Answer a question as Ada does."""
    return Answer(promote, "Ada", why, question.candidate, question.champion)


def test_what_the_policy_would_promote_is_held_for_a_person(asking: Settings, pair: tuple[ModelRef, ModelRef]) -> None:
    """Nothing moves; the decision says that somebody must say yes, and gives the rules' reasons."""
    question = promote(None, asking)

    assert (question.promote, question.held, question.candidate, question.champion) == (False, True, 2, 1)
    assert question.reasons[0].startswith("The policy would promote version 2; a person decides")
    assert question.reasons[1].startswith("macro_f1 0.4500 against the champion's 0.4000")
    assert aliases(asking) == {"champion": 1, "challenger": 2}


def test_the_first_model_of_all_is_held_too(asking: Settings, trained: Trainer) -> None:
    """Who asks for a person's word wants to say it about the first champion as well."""
    trained()
    question = promote(None, asking)
    assert (question.held, question.champion, aliases(asking)) == (True, None, {"challenger": 1})

    assert conclude(says(question, promote=True), asking).promote
    assert aliases(asking) == {"champion": 1}


def test_what_the_policy_refuses_is_nobodys_question(asking: Settings, trained: Trainer) -> None:
    """A worse candidate is not promoted, and nobody is asked."""
    trained()
    trained(dev=WORSE)
    set_champion(1, asking)

    decision = promote(2, asking)
    assert (decision.promote, decision.held) == (False, False)


def test_asking_again_writes_nothing(asking: Settings, pair: tuple[ModelRef, ModelRef]) -> None:
    """The question stands at the version; who asks it again takes no lease."""
    first = promote(None, asking)
    before = list_versions(asking), leases_of(asking).listed()

    assert promote(None, asking) == promote(2, asking) == first
    assert (list_versions(asking), leases_of(asking).listed()) == before


def test_a_question_that_is_open_is_decided_by_a_policy_that_asks_nobody(
    asking: Settings, settings: Settings, pair: tuple[ModelRef, ModelRef]
) -> None:
    """Back to `automatic` in mlflow.yaml: the next call promotes."""
    promote(None, asking)

    assert promote(None, settings).promote
    assert aliases(settings) == {"champion": 2}


def test_a_yes_promotes_and_is_written_down(asking: Settings, pair: tuple[ModelRef, ModelRef]) -> None:
    """Who said it, when and why stands at the version and among the decision's reasons."""
    decision = conclude(says(promote(None, asking), promote=True, why="better\non grief"), asking)

    assert (decision.promote, decision.held, decision.candidate, decision.champion) == (True, False, 2, 1)
    assert aliases(asking) == {"champion": 2}
    answer = read_answer(row_of(2, asking))
    assert answer is not None
    assert (answer.promote, answer.who, answer.why, answer.champion) == (True, "Ada", "better on grief", 1)
    assert answer.when.startswith("20")
    assert decision.reasons[-1].startswith("Ada agreed to promoting version 2")
    assert rollback(asking).after == 1


def test_a_no_keeps_the_champion_and_nobody_is_asked_again(
    asking: Settings, settings: Settings, trained: Trainer, pair: tuple[ModelRef, ModelRef]
) -> None:
    """Neither later calls, nor a policy that asks nobody, nor another champion brings a declined version back."""
    decision = conclude(says(promote(None, asking), promote=False, why="sounds wrong"), asking)
    assert (decision.promote, decision.held) == (False, False)
    assert aliases(asking) == {"champion": 1, "challenger": 2}

    trained(dev=GOOD | {"macro_f1": 0.41})
    for change in (lambda: None, lambda: set_champion(3, settings)):
        change()
        for policy in (asking, settings):
            again = promote(2, policy)
            assert (again.promote, again.held) == (False, False)
            assert "Ada declined version 2" in again.reasons[0]
            assert again.reasons[0].endswith(": sounds wrong")
            assert "--yes" in again.reasons[1]


def test_a_no_to_the_first_model_leaves_nobody_champion(asking: Settings, settings: Settings, trained: Trainer) -> None:
    """Without a champion a declined version is not promoted either."""
    trained()
    conclude(says(promote(None, asking), promote=False), asking)

    for policy in (asking, settings):
        decision = promote(None, policy)
        assert (decision.promote, decision.held, decision.champion) == (False, False, None)
    assert aliases(settings) == {"challenger": 1}


def test_a_no_can_be_taken_back(asking: Settings, pair: tuple[ModelRef, ModelRef]) -> None:
    """The later answer counts."""
    question = promote(None, asking)
    conclude(says(question, promote=False), asking)

    assert conclude(says(question, promote=True), asking).promote
    assert aliases(asking) == {"champion": 2}


def test_a_yes_does_not_outrank_the_policy(asking: Settings, trained: Trainer) -> None:
    """What the rules refuse stays refused: `rollback` is the way to overrule them."""
    trained()
    trained(dev=WORSE)
    set_champion(1, asking)

    decision = conclude(Answer(True, "Ada", "", 2, 1), asking)
    assert (decision.promote, decision.held) == (False, False)
    assert aliases(asking)["champion"] == 1


def test_an_answer_is_not_applied_to_another_pair(
    asking: Settings, trained: Trainer, pair: tuple[ModelRef, ModelRef]
) -> None:
    """Somebody else was promoted between question and answer: neither yes nor no does anything; ask anew."""
    question = promote(2, asking)
    trained(dev=GOOD | {"macro_f1": 0.42})
    set_champion(3, asking)
    before = list_versions(asking)

    for yes in (True, False):
        with pytest.raises(Conflict) as caught:
            conclude(says(question, promote=yes), asking)
        assert caught.value.exit_code == 4
        assert "expected version 1 as champion" in str(caught.value)
        assert "by now it is version 3" in str(caught.value)
    assert list_versions(asking) == before

    anew = promote(2, asking)
    assert (anew.held, anew.champion) == (True, 3)
    assert conclude(says(anew, promote=True), asking).promote


def test_an_answer_is_not_applied_to_a_pair_that_changes_under_the_lease(
    asking: Settings, trained: Trainer, pair: tuple[ModelRef, ModelRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A champion who is made between the look at the pair and the lease is seen, and no lease is left to expire."""
    question = promote(2, asking)
    trained(dev=GOOD | {"macro_f1": 0.42})
    waiting = [lambda: set_champion(3, asking)]

    def interrupted(version: int, settings: Settings) -> ModelRef:
        if waiting:
            waiting.pop()()
        return fetch(version, settings)

    monkeypatch.setattr("eqn.registry.promotion.fetch", interrupted)
    with pytest.raises(Conflict):
        conclude(says(question, promote=True), asking)

    assert aliases(asking)["champion"] == 3
    assert read_answer(row_of(2, asking)) is None
    assert leases_of(asking).listed()[""] == leases_of(asking).listed()[".released"]


def test_of_two_yeses_at_once_one_counts(asking: Settings, trained: Trainer, pair: tuple[ModelRef, ModelRef]) -> None:
    """Two people promote two candidates over the same champion: one of them is told that the champion has changed."""
    trained(dev=BEST)
    questions = [promote(version, asking) for version in (2, 3)]
    together = threading.Barrier(2)

    def answer(question: Decision) -> object:
        together.wait()
        try:
            return conclude(says(question, promote=True), asking).promote
        except Conflict:
            return "conflict"

    with ThreadPoolExecutor(2) as people:
        outcomes = list(people.map(answer, questions))

    assert sorted(map(str, outcomes)) == ["True", "conflict"]
    winner, loser = (2, 3) if outcomes[0] is True else (3, 2)
    assert aliases(asking)["champion"] == winner
    assert row_of(winner, asking).champion_before == 1
    assert not row_of(loser, asking).champion_since


def test_a_yes_that_came_true_already_is_no_conflict(asking: Settings, pair: tuple[ModelRef, ModelRef]) -> None:
    """Two people say yes, or one says it twice: the second one learns that it is done."""
    question = promote(None, asking)
    conclude(says(question, promote=True), asking)
    before = list_versions(asking)

    again = conclude(says(question, promote=True), asking)
    assert again.reasons == ("Version 2 is already champion.",)
    assert list_versions(asking) == before


def test_a_yes_whose_promoter_died_is_carried_out_by_the_next_call(
    asking: Settings, pair: tuple[ModelRef, ModelRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is written before the alias moves: nobody is asked twice."""
    from mlflow import MlflowClient

    move = MlflowClient.set_registered_model_alias

    def dies(self: Any, name: str, alias: str, version: str) -> None:
        if alias == "champion":
            raise KeyboardInterrupt
        move(self, name, alias, version)

    question = promote(None, asking)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", dies)
        with pytest.raises(KeyboardInterrupt):
            conclude(says(question, promote=True), asking, lease_seconds=1)
    assert aliases(asking)["champion"] == 1

    decision = promote(None, asking, lease_seconds=1)
    assert decision.promote
    assert "Ada agreed" in decision.reasons[-1]


def test_a_yes_to_one_champion_is_none_to_another(
    asking: Settings, trained: Trainer, pair: tuple[ModelRef, ModelRef]
) -> None:
    """A written yes whose pair is gone asks again."""
    promote(2, asking)
    trained(dev=GOOD | {"macro_f1": 0.42})
    said = {"promote": True, "who": "Ada", "why": "", "champion": 1, "when": "2026-01-01"}
    client: Any = connect(asking)
    client.set_model_version_tag("eqn", "2", "eqn.answer", json.dumps(said))
    set_champion(3, asking)

    assert promote(2, asking).held


@pytest.mark.parametrize("text", ["no JSON", "[]", "{}", '{"promote": false}', "7"])
def test_an_answer_that_somebody_typed_over_is_none(
    asking: Settings, pair: tuple[ModelRef, ModelRef], text: str
) -> None:
    """The question is asked again."""
    client: Any = connect(asking)
    client.set_model_version_tag("eqn", "2", "eqn.answer", text)

    assert read_answer(row_of(2, asking)) is None
    assert promote(2, asking).held


def test_figures_on_other_data_are_measured_before_a_person_is_asked(asking: Settings, trained: Trainer) -> None:
    """The question rests on the same rows for both, and the answer does not measure again what it is given."""
    trained(corpus="sample")
    set_champion(1, asking)
    trained(corpus="goemotions", dev=BETTER)
    asked: list[int] = []

    def measure(ref: ModelRef) -> Mapping[str, float]:
        asked.append(ref.version)
        return {1: GOOD, 2: BEST}[ref.version]

    question = promote(None, asking, dev_metrics_of=measure, measured_on="now")
    assert question.held
    assert promote(None, asking, dev_metrics_of=measure, measured_on="now") == question
    assert sorted(asked) == [1, 2]
    assert conclude(says(question, promote=True), asking, dev_metrics_of=measure, measured_on="now").promote


def test_the_pair_that_was_asked_about_is_remembered(
    asking: Settings, trained: Trainer, pair: tuple[ModelRef, ModelRef]
) -> None:
    """A yes on the command line is about what was shown there, not about who is champion now."""
    assert pair_asked_about(None, asking) == (2, 1)
    promote(None, asking)
    trained(dev=GOOD | {"macro_f1": 0.42})
    set_champion(3, asking)

    assert pair_asked_about(2, asking) == (2, 1)
    with pytest.raises(UsageError):
        pair_asked_about(9, asking)


def test_an_answer_without_a_name_is_somebodys() -> None:
    """Names and reasons become one line each; what is missing is left out."""
    assert told(Answer(False, "  ", "", 3, 1)) == "Somebody declined version 3."
    assert told(Answer(True, "Ada\nL", "a\r\nb", 3, 1, "2026-11-20T10:00:00")) == (
        "Ada L agreed to promoting version 3 on 2026-11-20: a b"
    )


Eqn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def eqn(asking: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> Eqn:
    """Give a function that runs the command line in a project whose policy asks a person."""
    from eqn.cli import run

    policy = asking.registry.model_dump(mode="json") | {"tracking_uri": asking.tracking_uri}
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "mlflow.yaml").write_text(json.dumps(policy), "utf-8")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("EQN_HOME", str(asking.home))
    for name in ("EQN_STORE", "EQN_TRACKING_URI", "EQN_GOEMOTIONS"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments))
        written = capfd.readouterr()
        return code, written.out, written.err

    return call


def test_the_command_line_asks_and_takes_the_answer(eqn: Eqn, asking: Settings, pair: tuple[Any, Any]) -> None:
    """`eqn promote` says what the policy would do and how to say yes; --yes does it."""
    code, out, _ = eqn("promote")
    assert code == 0
    assert "Version 2 waits for a person" in out
    assert "eqn promote 2 --yes" in out
    assert aliases(asking)["champion"] == 1

    code, out, _ = eqn("promote", "2", "--yes", "--name", "Ada", "--why", "better", "--json")
    assert code == 0
    assert (json.loads(out)["promote"], json.loads(out)["held"]) == (True, False)
    assert aliases(asking) == {"champion": 2}


def test_the_command_line_does_not_answer_for_another_pair(
    eqn: Eqn, asking: Settings, trained: Trainer, pair: tuple[Any, Any]
) -> None:
    """Exit code 4, one sentence, and what to run; a name without an answer is exit code 2."""
    eqn("promote", "2")
    trained(dev=GOOD | {"macro_f1": 0.42})
    set_champion(3, asking)

    code, out, err = eqn("promote", "2", "--no")
    assert (code, out) == (4, "")
    assert "expected version 1 as champion" in err
    assert "eqn promote 2" in err
    assert eqn("promote", "2", "--name", "Ada")[0] == 2
