"""From the name of a model to its readings of all texts, by the project's own annotator."""

from collections.abc import Sequence

import pytest

from eqn.annotation.annotator import Annotator
from eqn.emotions import EMOTIONS
from eqn.errors import EqnError
from tests.model.behaviour.capability import Capability, Reading


def load_model(model: str) -> Annotator:
    """Load the package that `model` names: a directory, a version, models:/... or an alias, as on the command line.

    Raises:
        pytest.UsageError: it names none that can be used; pytest shows this sentence and nothing else.

    """
    from eqn.registry.resolution import resolve
    from eqn.settings import load_settings

    try:
        return Annotator.load(resolve(model, load_settings()).path)
    except EqnError as error:
        raise pytest.UsageError(
            f"the behaviour tests need a trained model, and EQN_MODEL ({model}) gives none: {error}"
        ) from error


def read(annotator: Annotator, capabilities: Sequence[Capability]) -> dict[str, Reading]:
    """Give what the model makes of every text of `capabilities`, each computed once, all in one go."""
    texts = list(dict.fromkeys(text for capability in capabilities for case in capability.cases for text in case.texts))
    done = annotator.annotation(texts)
    return {
        text: Reading(dict(zip(EMOTIONS, map(float, scores), strict=True)), frozenset(labels))
        for text, scores, labels in zip(texts, done.scores, done.labels, strict=True)
    }
