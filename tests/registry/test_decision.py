"""The promotion rules, without MLflow."""

import math
import subprocess
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eqn.records import Decision
from eqn.registry.decision import Standing, decide
from eqn.settings import PromotionPolicy

POLICY = PromotionPolicy(
    primary="macro_f1",
    least_gain=0.002,
    guards={"map": 0.010, "micro_f1": 0.010, "brier": 0.002},
    least_train_share=0.5,
)
CHAMPION = {"macro_f1": 0.400, "map": 0.450, "micro_f1": 0.500, "brier": 0.040}
BETTER = CHAMPION | {"macro_f1": 0.420}


def decided(candidate: Mapping[str, float], champion: Mapping[str, float] = CHAMPION, **changes: object) -> Decision:
    """Decide between two sets of figures that were trained on equally many rows."""
    policy = POLICY.model_copy(update=changes)
    return decide(Standing(2, candidate, 1000), Standing(1, champion, 1000), policy)


def test_a_better_candidate_becomes_champion() -> None:
    """A sufficient gain without a regression promotes, and the gain is the first reason."""
    decision = decided(BETTER)

    assert (decision.promote, decision.candidate, decision.champion) == (True, 2, 1)
    assert (
        decision.reasons[0] == "macro_f1 0.4200 against the champion's 0.4000: a gain of 0.02, "
        "enough where 0.002 is asked for."
    )
    assert len(decision.reasons) == 5


def test_the_first_model_becomes_champion() -> None:
    """Without a champion, finite figures are enough."""
    decision = decide(Standing(1, CHAMPION, 10), None, POLICY)

    assert decision.promote
    assert decision.champion is None
    (reason,) = decision.reasons
    assert reason.startswith("There is no champion yet, and the candidate's figures are finite: macro_f1 0.4000, ")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("name", sorted(CHAMPION))
@pytest.mark.parametrize("champion", [Standing(1, CHAMPION, 1000), None], ids=["champion", "none"])
def test_a_figure_that_is_no_number_never_wins(name: str, value: float | None, champion: Standing | None) -> None:
    """NaN, infinite or missing figures keep the champion, or keep the place empty."""
    figures = {key: figure for key, figure in (BETTER | {name: value}).items() if figure is not None}
    decision = decide(Standing(2, figures, 1000), champion, POLICY)

    assert not decision.promote
    assert decision.reasons == (
        f"The candidate has no result for {name} ({value if value is not None else 'missing'}).",
    )


@pytest.mark.parametrize(
    ("primary", "promote"),
    [(0.4000, False), (0.4019, False), (0.4020, True), (0.3000, False), (0.4500, True)],
)
def test_the_gain_must_be_large_enough(primary: float, promote: bool) -> None:  # noqa: FBT001
    """A tie and a gain below the least one keep the champion; exactly the least gain promotes."""
    assert decided(CHAMPION | {"macro_f1": primary}).promote is promote


def test_a_tie_keeps_the_champion_even_where_no_gain_is_asked_for() -> None:
    """A policy with a least gain of zero still asks for something better."""
    assert not decided(CHAMPION, least_gain=0.0).promote
    assert decided(CHAMPION | {"macro_f1": 0.4001}, least_gain=0.0).promote


@pytest.mark.parametrize("champion", [0.1, 0.3, 0.398, 0.5, 0.7])
def test_binary_fractions_do_not_cost_a_promotion(champion: float) -> None:
    """A gain of 0.002 as written counts as 0.002, though 0.102 - 0.1 is a little less."""
    ours = round(champion + 0.002, 3)

    assert decided(CHAMPION | {"macro_f1": ours}, CHAMPION | {"macro_f1": champion}).promote


@pytest.mark.parametrize(
    ("name", "within", "beyond"),
    [("map", 0.440, 0.439), ("micro_f1", 0.490, 0.489), ("brier", 0.042, 0.043)],
)
def test_a_guard_allows_a_little_and_no_more(name: str, within: float, beyond: float) -> None:
    """A loss up to the tolerance passes, one above it keeps the champion; for brier, lower is better."""
    assert decided(BETTER | {name: within}).promote
    decision = decided(BETTER | {name: beyond})
    assert not decision.promote
    assert decision.reasons[0].startswith(f"{name} {beyond:.4f} against the champion's {CHAMPION[name]:.4f}: worse by")


def test_a_better_brier_is_no_loss() -> None:
    """Brier falls when a model improves: the guard reads it in that direction."""
    decision = decided(BETTER | {"brier": 0.010})

    assert decision.promote
    assert any("brier 0.0100 against the champion's 0.0400: better by 0.03" in reason for reason in decision.reasons)


@pytest.mark.parametrize(("rows", "promote"), [(499, False), (500, True), (2000, True)])
def test_a_candidate_must_have_seen_enough(rows: int, promote: bool) -> None:  # noqa: FBT001
    """A candidate trained on a small share of the champion's rows is not promoted, however good it looks."""
    decision = decide(Standing(2, BETTER, rows), Standing(1, CHAMPION, 1000), POLICY)

    assert decision.promote is promote
    assert any(f"Trained on {rows} rows against the champion's 1000" in reason for reason in decision.reasons)


def test_the_deciding_reasons_stand_first() -> None:
    """All rules are told, those that failed before those that held."""
    decision = decided(BETTER | {"brier": 0.9, "map": 0.1})

    assert [reason.split()[0] for reason in decision.reasons] == ["map", "brier", "macro_f1", "micro_f1", "Trained"]


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_champion_without_a_result_loses(value: float | None) -> None:
    """A champion whose primary figure is no number gives way to any candidate with finite figures."""
    champion = {key: figure for key, figure in (CHAMPION | {"macro_f1": value}).items() if figure is not None}
    worse = {"macro_f1": 0.01, "map": 0.01, "micro_f1": 0.01, "brier": 0.5}

    assert decided(worse, champion).promote
    assert not decided(worse | {"macro_f1": math.nan}, champion).promote


def test_a_guard_that_the_champion_has_no_result_for_holds() -> None:
    """A guard needs something to compare with."""
    decision = decided(BETTER, CHAMPION | {"map": math.nan})

    assert decision.promote
    assert "map 0.4500; the champion has no result to compare it with." in decision.reasons


figures = st.fixed_dictionaries({name: st.floats(0, 1, width=32) for name in CHAMPION})
any_figures = st.dictionaries(st.sampled_from(sorted(CHAMPION)), st.floats(width=32))


@given(any_figures, st.one_of(st.none(), any_figures), st.integers(0, 100), st.integers(0, 100))
def test_only_finite_figures_are_ever_promoted(
    ours: dict[str, float], theirs: dict[str, float] | None, our_rows: int, their_rows: int
) -> None:
    """Whatever is compared: a promoted candidate has all its figures, and there is at least one reason."""
    champion = None if theirs is None else Standing(1, theirs, their_rows)
    decision = decide(Standing(2, ours, our_rows), champion, POLICY)

    assert decision.reasons
    assert not decision.promote or all(math.isfinite(ours.get(name, math.nan)) for name in CHAMPION)


@given(figures, figures, st.floats(0, 0.1))
def test_two_models_never_replace_each_other(
    first: dict[str, float], second: dict[str, float], least_gain: float
) -> None:
    """If one is promoted over the other, the other is not promoted over the one."""
    assert not (
        decided(first, second, least_gain=least_gain).promote and decided(second, first, least_gain=least_gain).promote
    )


@given(st.lists(figures, min_size=1, max_size=6))
def test_the_champion_only_ever_improves(candidates: list[dict[str, float]]) -> None:
    """Through any sequence of candidates the champion's primary figure rises with every change."""
    champion = candidates[0]
    for candidate in candidates[1:]:
        if decided(candidate, champion).promote:
            assert candidate["macro_f1"] > champion["macro_f1"]
            champion = candidate


@given(figures, figures)
def test_a_stricter_policy_promotes_nothing_more(ours: dict[str, float], theirs: dict[str, float]) -> None:
    """What a policy without guards keeps, one with guards keeps too."""
    if decided(ours, theirs).promote:
        assert decided(ours, theirs, guards={}, least_gain=0.0).promote


def test_deciding_needs_nothing_but_the_standard_library() -> None:
    """The rules can be read and run without MLflow, pydantic or a network."""
    check = "import sys, eqn.registry.decision; print(sorted({'mlflow', 'pydantic', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
