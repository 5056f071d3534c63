"""The behaviour tests themselves: an ignorant model fails them, and the cases are what they say. Needs no training."""

import os
from pathlib import Path

import pytest

from eqn.annotation.annotator import Annotator
from eqn.corpus.goemotions import load_corpus
from eqn.emotions import EMOTIONS
from eqn.model.backbone import Backbone
from eqn.model.network import EmotionNetwork
from eqn.model.package import Description, write_package
from tests.model.behaviour.capability import Capability, Case, Reading, Verdict, table
from tests.model.behaviour.invariance import SENTENCES, typo
from tests.model.behaviour.minimum_functionality import CAPABILITIES as MINIMUM
from tests.model.behaviour.plain_sentences import PLAIN
from tests.model.behaviour.reading import load_model, read


@pytest.fixture
def untrained(tiny_network: EmotionNetwork, tiny_backbone: Backbone, tmp_path: Path) -> Annotator:
    """A package of random weights, whose intensities differ from text to text."""
    description = Description(
        thresholds=dict.fromkeys(EMOTIONS, 0.5),
        max_tokens=128,
        pooling="mean",
        training_key="0" * 64,
        recipe={"name": "untrained"},
        backbone={"name": "tiny", "digest": "0" * 64},
        corpus={"name": "none", "digest": "0" * 64, "rows": {"train": 0, "dev": 0, "test": 0}},
        metrics={},
    )
    place = tmp_path / "untrained"
    return Annotator.load(
        write_package(place, tiny_network, tiny_backbone.tokenizer, description, card="# Untrained\n").path
    )


def test_random_weights_keep_only_what_their_spelling_gives_them(
    untrained: Annotator, capabilities: tuple[Capability, ...]
) -> None:
    """Case and white space are the tokenizer's, and one letter of many moves little; all other promises are broken."""
    readings = read(untrained, capabilities)

    kept = {capability.name for capability in capabilities if capability.measure(readings).is_kept}
    assert {name.partition(":")[0] for name in kept} <= {"all upper or lower case", "white space", "a typo"}
    assert len(kept) <= len(capabilities) / 5


@pytest.mark.parametrize("labels", [frozenset[str](), frozenset(EMOTIONS)], ids=["no label", "every label"])
def test_a_model_that_answers_every_text_alike_is_found_out(
    capabilities: tuple[Capability, ...], labels: frozenset[str]
) -> None:
    """Nothing moves such a model: neither another feeling, nor a negation, nor the plainest sentence."""
    readings = {
        text: Reading(dict.fromkeys(EMOTIONS, 0.5), labels) for c in capabilities for k in c.cases for text in k.texts
    }

    broken = {capability.name for capability in capabilities if not capability.measure(readings).is_kept}
    assert broken >= {"another feeling", "negation", "stronger words", '"!!!": rise', '"so", "really", "very": rise'}
    assert broken >= {capability.name for capability in MINIMUM}


def test_a_model_that_reads_every_sentence_as_meant_is_functional() -> None:
    """The promises about plain sentences can be kept, and then nothing is left to be wanted."""
    meant = {text: case.emotion for capability in MINIMUM for case in capability.cases for text in case.texts}
    readings = {
        text: Reading({name: float(name == emotion) for name in EMOTIONS}, frozenset({emotion}))
        for text, emotion in meant.items()
    }

    for capability in MINIMUM:
        outcome = capability.measure(readings)
        assert outcome.is_kept
        assert not outcome.falls_short


def test_a_rate_says_how_many_pass_and_names_the_others_worst_first() -> None:
    """Of four cases two pass: half was promised, three quarters are wanted, and the table shows the worst."""
    margins = {"a": 0.0, "b": -0.1, "c": -0.3, "d": 0.2}
    capability = Capability(
        name="letters",
        promise="letters are high",
        cases=tuple(Case((letter,)) for letter in margins),
        judge=lambda case, _: Verdict(margins[case.texts[0]], f"margin {margins[case.texts[0]]}"),
        least=0.5,
        wanted=0.75,
    )

    outcome = capability.measure(dict.fromkeys(margins, Reading({}, frozenset())))
    assert outcome.rate == 0.5
    assert outcome.is_kept
    assert outcome.falls_short
    assert outcome.failing() == ["margin -0.3: 'c'", "margin -0.1: 'b'"]
    assert "at least 50 % (75 % wanted) of letters are high; 50.0 % of 4 cases pass." in str(outcome)
    assert list(table([outcome]))[1].split() == [
        "letters",
        "4",
        "50.0%",
        "50%",
        "75%",
        "short",
        "margin",
        "-0.3:",
        "'c'",
    ]


def test_every_capability_has_cases_enough(capabilities: tuple[Capability, ...]) -> None:
    """At least 30, or all 28 emotions; none twice, and each with something to compare."""
    for capability in capabilities:
        assert len(capability.cases) >= 30 or {case.emotion for case in capability.cases} == set(EMOTIONS)
        assert len(set(capability.cases)) == len(capability.cases), capability.name
        assert all(len(set(case.texts)) == len(case.texts) for case in capability.cases), capability.name
    assert len({capability.name for capability in capabilities}) == len(capabilities)


def test_every_emotion_has_five_sentences_of_its_own() -> None:
    """In canonical order, none shared."""
    assert tuple(PLAIN) == EMOTIONS
    assert {len(texts) for texts in PLAIN.values()} == {5}
    assert len(set(SENTENCES)) == 28 * 5


def test_a_typo_is_one_slip_within_a_word_and_always_the_same() -> None:
    """Length changes by at most one letter, the words stay as many, and a second call slips alike."""
    for text in SENTENCES:
        slipped = typo(text, 0)
        assert slipped == typo(text, 0)
        assert slipped != text
        changed = [(one, other) for one, other in zip(text.split(), slipped.split(), strict=True) if one != other]
        ((word, wrong),) = changed
        assert abs(len(word) - len(wrong)) <= 1
        assert (word[0], word[-1]) == (wrong[0], wrong[-1])


@pytest.mark.goemotions
def test_no_plain_sentence_stands_in_the_training_data() -> None:
    """The promises are about sentences that the model has not seen."""
    seen = {text.strip().lower() for text in load_corpus(Path(os.environ["EQN_GOEMOTIONS"])).train.texts}

    assert [case.texts[0] for c in MINIMUM for case in c.cases if case.texts[0].lower() in seen] == []


def test_without_the_model_there_is_one_sentence_to_read(tmp_path: Path) -> None:
    """What is missing is named, in the error that pytest shows as it is."""
    with pytest.raises(pytest.UsageError) as refused:
        load_model(str(tmp_path / "nothing"))

    assert str(refused.value) == (
        f"the behaviour tests need a trained model, and EQN_MODEL ({tmp_path / 'nothing'}) gives none: "
        f"expected a model package, found no directory {tmp_path / 'nothing'}."
    )
