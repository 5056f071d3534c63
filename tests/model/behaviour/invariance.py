"""Invariance: what says nothing about feelings changes no intensity and no label."""

import re
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from tests.model.behaviour.capability import Capability, Case
from tests.model.behaviour.judges import keeps_labels, moves_at_most, moves_more_than
from tests.model.behaviour.plain_sentences import PLAIN

SENTENCES = tuple(text for texts in PLAIN.values() for text in texts)

NAMES = ("Emily", "Mohammed", "James", "Fatima", "Wei", "Priya", "Carlos", "Olga")
ABOUT_NAMES = (
    "{} made me laugh so hard.",
    "I am so angry at {}.",
    "Thank you for your help, {}.",
    "I love {} with all my heart.",
    "{} is a brilliant teacher.",
    "I am sorry that I lied to {}.",
    "I don't understand what {} means.",
    "I was so disappointed by {}.",
    "I miss {} so much.",
    "{} lives next to the station.",
    "I wonder when {} opens the shop.",
    "I am scared of {}.",
)

PLACES = ("London", "Lagos", "Chicago", "Mumbai", "Berlin", "Karachi", "Toronto", "Lima")
ABOUT_PLACES = (
    "I love living in {}.",
    "I am so excited about my trip to {}!",
    "I was scared when I walked through {} at night.",
    "The food in {} was disgusting.",
    "I hate the traffic in {}.",
    "I wonder what the weather is like in {}.",
    "The train to {} leaves at noon.",
    "I am sad that I have to leave {}.",
    "Thank you for showing me around {}.",
    "I am proud to be from {}.",
)

MEN_AND_WOMEN = (
    ("He", "She"),
    ("My brother", "My sister"),
    ("My husband", "My wife"),
    ("That man", "That woman"),
    ("The boys", "The girls"),
)
ABOUT_PEOPLE = (
    "{} made me laugh so hard.",
    "{} made me really angry.",
    "{} helped me and I am grateful.",
    "{} did an amazing job.",
    "{} scared me to death last night.",
    "{} disappointed me again.",
    "{} made a disgusting mess.",
    "{} got nervous before the exam.",
    "{} cried all day.",
    "{} opened the window.",
)

ADDITIONS = ("I went to the shop yesterday.", "The bus stops at the corner.")

TYPOS = 2
"""For each sentence; in short ones they may be the same."""
_WORD = re.compile(r"[A-Za-z]{4,}")


def typo(text: str, number: int) -> str:
    """Give `text` with a slip of the finger in a word of 4 or more letters: one dropped, doubled, or swapped.

    The same text and number always give the same slip; a word's first and last letters stay, as they mostly do.
    """
    draw = np.random.default_rng([number, *text.encode()])
    words = list(_WORD.finditer(text))
    start, end = words[draw.integers(len(words))].span()
    letter = int(draw.integers(start + 1, end - 1))
    slips = [text[:letter] + text[letter + 1 :], text[:letter] + text[letter] + text[letter:]]
    if letter + 2 < end and text[letter] != text[letter + 1]:
        slips.append(text[:letter] + text[letter + 1] + text[letter] + text[letter + 2 :])
    return slips[draw.integers(len(slips))]


def _swaps(templates: Sequence[str], fillers: Sequence[str]) -> tuple[Case, ...]:
    """Give each template with each filler, beside the same template with the next filler."""
    around = zip(fillers, (*fillers[1:], fillers[0]), strict=True)
    return tuple(Case((t.format(one), t.format(next_one))) for one, next_one in around for t in templates)


def _both(name: str, what: str, cases: tuple[Case, ...], *, moves: float, labels: float) -> tuple[Capability, ...]:
    """Give the promise about the intensities of `cases` and the one about their labels, each with its share."""
    return (
        Capability(
            f"{name}: intensities", f"{what} move no intensity by more than 0.1", cases, moves_at_most(0.1), moves
        ),
        Capability(f"{name}: labels", f"{what} change no label", cases, keeps_labels(), labels),
    )


_TYPOS = tuple(dict.fromkeys(Case((text, typo(text, number))) for text in SENTENCES for number in range(TYPOS)))
_ADDED = tuple(
    Case((text, longer))
    for text in SENTENCES
    for addition in ADDITIONS
    for longer in (f"{text} {addition}", f"{addition} {text}")
)

CAPABILITIES = (
    *_both("another name", "name swaps", _swaps(ABOUT_NAMES, NAMES), moves=0.90, labels=0.95),
    *_both("another place", "place swaps", _swaps(ABOUT_PLACES, PLACES), moves=0.95, labels=0.95),
    *_both(
        "a woman for a man",
        "swaps of he and she, brother and sister ...",
        tuple(Case((text.format(man), text.format(woman))) for text in ABOUT_PEOPLE for man, woman in MEN_AND_WOMEN),
        moves=0.95,
        labels=0.95,
    ),
    *_both(
        "all upper or lower case",
        "texts in upper or lower case",
        tuple(Case((text, variant)) for text in SENTENCES for variant in (text.upper(), text.lower())),
        moves=0.95,
        labels=0.95,
    ),
    *_both(
        "white space",
        "texts with more white space",
        tuple(Case((text, variant)) for text in SENTENCES for variant in (f" {text}\n", text.replace(" ", "  "))),
        moves=1.0,
        labels=1.0,
    ),
    *_both(
        "no full stop",
        "texts without their full stop",
        tuple(Case((text, text.removesuffix("."))) for text in SENTENCES if text.endswith(".")),
        moves=0.95,
        labels=0.90,
    ),
    # A slip in the word that carries the feeling ("tahnks") hides it: the encoder knows words by their pieces.
    # The plain champion (MiniLM, package fee5fef7b9d4) keeps 61.3 % and 74.2 %.
    Capability(
        "a typo: intensities",
        "texts with one slip of the finger move no intensity by more than 0.1",
        _TYPOS,
        moves_at_most(0.1),
        least=0.55,
        wanted=0.90,
    ),
    Capability(
        "a typo: labels",
        "texts with one slip of the finger change no label",
        _TYPOS,
        keeps_labels(),
        least=0.70,
        wanted=0.90,
    ),
    # What is added is neutral, so neutral may rise.
    Capability(
        "an idle sentence: intensities",
        "texts with an idle sentence before or after move no intensity but neutral's by more than 0.2",
        _ADDED,
        moves_at_most(0.2, but="neutral"),
        least=0.90,
    ),
    # The plain champion (MiniLM, package fee5fef7b9d4) keeps 91.8 %.
    Capability(
        "an idle sentence: labels",
        "texts with an idle sentence before or after change no label but neutral",
        _ADDED,
        keeps_labels(but="neutral"),
        least=0.85,
        wanted=0.95,
    ),
    # Without this one, a model that answers every text alike would be perfect.
    Capability(
        "another feeling",
        "pairs of sentences with different feelings about the same name differ by more than 0.3 in some intensity",
        tuple(Case((one.format("Anna"), other.format("Anna"))) for one, other in combinations(ABOUT_NAMES, 2)),
        moves_more_than(0.3),
        least=0.95,
    ),
)
