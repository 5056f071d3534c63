"""What a model makes of a few thousand texts: where they lie among its states, and their intensities."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eqn.drift.profile import Intensities, IntensityCounter, Profile, Profiler
from eqn.errors import EqnError, UsageError
from eqn.model.package import Package, load_network, read_package
from eqn.registry.resolution import fetch
from eqn.release.manifest import Manifest
from eqn.settings import Settings

if TYPE_CHECKING:
    from eqn.annotation.annotator import Annotator

_BATCH = 1024


class NotAtHand(Exception):
    """Something that a comparison needs cannot be had here; the message says what, in a sentence."""


def package_of(manifest: Manifest, settings: Settings) -> Package:
    """Give the package of the model that annotated a release.

    Raises:
        NotAtHand: it is neither on this machine nor in the registry.

    """
    digest, name = manifest.model["digest"], manifest.model["name"]
    try:
        place = settings.models / str(digest)
        if not place.is_dir():
            place = Path(_fetched(manifest, settings))
        package = read_package(place)
    except EqnError as error:
        raise NotAtHand(f"The model of release {manifest.release} is not at hand: {error.what}") from error
    if package.digest != digest:
        raise NotAtHand(f"The model of release {manifest.release} is not at hand: {name} is another one by now.")
    return package


def embeddings(package: Package, texts: Sequence[str]) -> NDArray[np.float32]:
    """Give the pooled state of each text, (texts, width), before the head makes intensities of it."""
    import torch

    from eqn.model.batching import sorted_batches
    from eqn.model.encoding import encode, padded
    from eqn.model.network import best_device, fast_precision
    from eqn.model.scoring import PLAN, autocast

    network, tokenizer = load_network(package)
    device = best_device()
    network.to(device)
    encoded = encode(tokenizer, texts, package.max_tokens)
    states = np.empty((len(texts), network.head.in_features), dtype=np.float32)
    pad = network.encoder.config.pad_token_id or 0
    with torch.inference_mode(), autocast(device, fast_precision(device)):
        for batch in sorted_batches(encoded.lengths(), PLAN):
            ids, mask = padded([encoded.ids[row] for row in batch], pad=pad, device=device)
            states[batch] = network.pooled(ids, mask).float().cpu().numpy()
    return states


def intensities(annotator: "Annotator", texts: Sequence[str]) -> Intensities:
    """Give what a model finds in `texts`."""
    counter = IntensityCounter()
    for start in range(0, len(texts), _BATCH):
        found = annotator.annotation(texts[start : start + _BATCH])
        counter.add(found.scores, found.labels)
    return counter.finish(annotator.package.digest)


def profile_of_texts(annotator: "Annotator", ids: Sequence[str], texts: Sequence[str]) -> Profile:
    """Give the profile of texts that were not annotated yet."""
    profiler = Profiler()
    for start in range(0, len(texts), _BATCH):
        rows = slice(start, start + _BATCH)
        found = annotator.annotation(texts[rows])
        profiler.add(ids[rows], texts[rows], found.scores, found.labels)
    return profiler.finish(annotator.package.digest)


def _fetched(manifest: Manifest, settings: Settings) -> str:
    """Give the directory of the package by the model's name: a registered version, or the model in the box."""
    from eqn.model.boxed import NAME, boxed_package

    name, version = str(manifest.model["name"]), int(manifest.model["version"])
    if version:
        return fetch(version, settings, name=name).path
    if name == NAME:
        return str(boxed_package(models=settings.models, backbones=settings.backbones).path)
    raise UsageError("it was a directory, and is not registered.")
