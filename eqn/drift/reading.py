"""What a model makes of a few thousand texts, and where the model of a release is."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eqn.drift.profile import Intensities, IntensityCounter, Profile, Profiler
from eqn.errors import EqnError, UsageError
from eqn.model.package import Package, read_package
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
