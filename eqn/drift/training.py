"""The profile of what a model was trained on: a sample of its training texts, annotated by the model itself.

It is made once, where the corpus is at hand, and kept in the store for everybody who shares it. A model's digest covers
the digest of its training data, so that it names the profile as well.
"""

import heapq
from typing import TYPE_CHECKING

from eqn.corpus.choice import sample_directory
from eqn.corpus.goemotions import Split, load_corpus
from eqn.corpus.identity import id_digest
from eqn.drift.profile import Profile
from eqn.drift.reading import NotAtHand, profile_of_texts
from eqn.errors import EqnError
from eqn.settings import Settings
from eqn.store.interface import ObjectStore

if TYPE_CHECKING:
    from eqn.annotation.annotator import Annotator

TEXTS = 5000
"""Training texts that are annotated, at most."""


def training_key(model: str) -> str:
    """Give the key under which the training profile of the model with this digest is kept; no dataset has this name."""
    return f"_drift/training/{model}.json"


def kept_training_profile(store: ObjectStore, model: str) -> Profile | None:
    """Give the training profile of the model with this digest, None where nobody made it yet."""
    try:
        return Profile.from_bytes(store.get(training_key(model)), of=model)
    except KeyError:
        return None


def make_training_profile(store: ObjectStore, annotator: "Annotator", settings: Settings) -> Profile:
    """Annotate a sample of the texts that a model was trained on, and keep their profile.

    Raises:
        NotAtHand: none of the corpora here is the one it was trained on.

    """
    split = _training_split(annotator, settings)
    chosen = heapq.nsmallest(TEXTS, zip(split.ids, split.texts, strict=True), key=lambda row: id_digest(row[0]))
    profile = profile_of_texts(annotator, [identifier for identifier, _ in chosen], [text for _, text in chosen])
    model = annotator.package.digest
    store.put(training_key(model), profile.to_bytes(of=model))
    return profile


def _training_split(annotator: "Annotator", settings: Settings) -> Split:
    wanted = annotator.package.corpus
    for directory in (settings.goemotions, settings.goemotions_download, sample_directory()):
        try:
            if directory and (corpus := load_corpus(directory)).ref.digest == wanted["digest"]:
                return corpus.train
        except EqnError:
            continue  # another one may be whole
    raise NotAtHand(
        f"The data that the model was trained on ({wanted['name']}, digest {str(wanted['digest'])[:12]}) is not at "
        "hand: nothing was compared with it. Point EQN_GOEMOTIONS to it once."
    )
