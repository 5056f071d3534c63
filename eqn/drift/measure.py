"""Measuring a release's drift: against the reference release, by its new files alone, and against the training data.

Whatever cannot be compared becomes a note (there is no other release, a model or corpus is not at hand, there are too
few rows): the release is published already, and the rest of the measures is still worth having.
"""

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from eqn.annotation.annotator import Annotator
from eqn.drift.compare import Side, compare
from eqn.drift.profile import Intensities, Profile
from eqn.drift.profiles import profile_of_inputs, release_profile
from eqn.drift.reading import NotAtHand, intensities, package_of
from eqn.drift.records import write_drift
from eqn.drift.training import kept_training_profile, make_training_profile
from eqn.errors import ArtifactRefused, UsageError
from eqn.records import Drift, DriftComparison
from eqn.release.catalog import read_manifest, release_numbers
from eqn.release.manifest import Manifest
from eqn.settings import DriftPolicy, Settings
from eqn.store.interface import ObjectStore, open_store

TRAINING_DATA = "training data"


def measure_drift(settings: Settings, dataset: str, number: int | None = None, *, against: int | None = None) -> Drift:
    """Measure how far release `number` (default: the latest) is from the reference and from its model's training data.

    It is kept in the release's reports, beside the profile that later comparisons start from. With `against` that
    release is the reference instead of the policy's; that is a look, and what is kept stays.

    Raises:
        UsageError: there is no such release, or `against` is the release itself.
        ArtifactRefused: the release is not as it was published, or `against` is not.

    """
    store = open_store(settings.store)
    manifest = read_manifest(store, dataset, number)
    if against == manifest.release:
        raise UsageError(f"expected another release than {against} to compare it with.", todo="Choose another one.")
    drift = _Measuring(settings, store, manifest, against).drift()
    if against is None:
        write_drift(store, drift)
        if read_manifest(store, dataset, manifest.release) != manifest:
            # What was measured may name words of texts that were erased meanwhile.
            return measure_drift(settings, dataset, manifest.release)
    return drift


@dataclasses.dataclass(frozen=True, slots=True)
class _Pair:
    """Two profiles that are to be compared."""

    now: Profile
    before: Profile
    name: str
    """What `before` is the profile of."""
    manner: str = ""
    """What is compared with it, where that is not the whole release."""

    @property
    def against(self) -> str:
        """Give the comparison's name."""
        return f"{self.name}{self.manner}"


class _Measuring:
    """One call of `measure_drift`, and what it could not compare."""

    def __init__(self, settings: Settings, store: ObjectStore, manifest: Manifest, against: int | None) -> None:
        self._settings, self._store, self._manifest, self._against = settings, store, manifest, against
        self._policy: DriftPolicy = settings.registry.drift
        self._notes: list[str] = []
        self._embedded: dict[tuple[str, ...], NDArray[np.float32]] = {}
        self._found: dict[tuple[str, ...], Intensities] = {}

    def drift(self) -> Drift:
        profile = release_profile(self._store, self._manifest)
        comparisons = []
        if profile.rows < self._policy.least_rows:
            self._notes.append(
                f"Release {self._manifest.release} has too few rows to be compared: {profile.rows:,}, where at least "
                f"{self._policy.least_rows} are wanted."
            )
        else:
            pairs = [*self._with_reference(profile), *self._with_training_data(profile)]
            comparisons = [self._compared(pair) for pair in pairs if self._has_rows(pair)]
        return Drift(
            dataset=self._manifest.dataset,
            release=self._manifest.release,
            rows=profile.rows,
            comparisons=tuple(comparisons),
            notes=tuple(self._notes),
        )

    @functools.cached_property
    def _annotator(self) -> Annotator | None:
        """The release's model; None, and noted once, where it is not at hand."""
        try:
            return Annotator.load(package_of(self._manifest, self._settings).path)
        except NotAtHand as why:
            self._notes.append(f"{why} Embeddings were not compared.")
            return None

    def _with_reference(self, profile: Profile) -> list[_Pair]:
        try:
            reference = self._reference()
            before = release_profile(self._store, reference)
        except NotAtHand as why:
            self._notes.append(str(why))
            return []
        except (ArtifactRefused, UsageError) as error:
            if self._against is not None:
                raise
            self._notes.append(f"The reference release cannot be read, nothing was compared with it: {error.what}")
            return []
        name = f"release {reference.release}"
        pairs = [_Pair(profile, before, name)]
        known = {(entry.name, entry.sha256) for entry in reference.inputs}
        new = tuple(entry for entry in self._manifest.inputs if (entry.name, entry.sha256) not in known)
        if 0 < len(new) < len(self._manifest.inputs):  # in a large release, what is new would be lost among what is not
            fresh = profile_of_inputs(self._store, self._manifest, new)
            pairs.append(_Pair(fresh, before, name, ", by the new files alone"))
        return pairs

    def _reference(self) -> Manifest:
        """Find the release to compare with.

        Raises:
            NotAtHand: there is none.
            UsageError, ArtifactRefused: there is no release of that number, or it cannot be read.

        """
        own, dataset = self._manifest.release, self._manifest.dataset
        wanted = self._against or self._policy.reference
        if wanted == "previous":
            return self._previous()
        number = release_numbers(self._store, dataset)[0] if wanted == "first" else int(wanted)
        if number == own:
            raise NotAtHand(f"Release {own} is the reference itself: there is no release to compare it with.")
        return read_manifest(self._store, dataset, number)

    def _previous(self) -> Manifest:
        own, dataset = self._manifest.release, self._manifest.dataset
        earlier = [number for number in release_numbers(self._store, dataset) if number < own]
        for number in reversed(earlier):
            try:
                return read_manifest(self._store, dataset, number)
            except ArtifactRefused:
                self._notes.append(f"The manifest of release {number} cannot be read: an earlier one is the reference.")
        raise NotAtHand(f"Release {own} is the first that can be read: there is no release to compare it with.")

    def _with_training_data(self, profile: Profile) -> list[_Pair]:
        before = kept_training_profile(self._store, str(self._manifest.model["digest"]))
        if before is None:
            try:
                if self._annotator is None:
                    return []
                before = make_training_profile(self._store, self._annotator, self._settings)
            except NotAtHand as why:
                self._notes.append(str(why))
                return []
        return [_Pair(profile, before, TRAINING_DATA)]

    def _has_rows(self, pair: _Pair) -> bool:
        least = self._policy.least_rows
        if min(pair.now.rows, pair.before.rows) >= least:
            return True
        self._notes.append(
            f"Too few rows to compare with {pair.against}: {pair.now.rows:,} beside {pair.before.rows:,}, where at "
            f"least {least} are wanted."
        )
        return False

    def _compared(self, pair: _Pair) -> DriftComparison:
        own = f"release {self._manifest.release}"
        now, before = self._by_its_model(pair.now, own), self._by_its_model(pair.before, pair.name)
        sides = [Side(profile, self._embeddings(profile)) for profile in (now, before)]
        return DriftComparison(pair.against, before.rows, compare(sides[0], sides[1], self._policy))

    def _by_its_model(self, profile: Profile, name: str) -> Profile:
        """Give one side with intensities by the release's model alone, as far as that can be done."""
        if profile.intensities.model == self._manifest.model["digest"]:
            return profile
        if self._annotator is None:
            self._note(f"Intensities were not compared: those of {name} are another model's, or those of several.")
            return profile
        if profile.sample not in self._found:
            self._found[profile.sample] = intensities(self._annotator, profile.sample)
        found = self._found[profile.sample]
        self._note(
            f"Another model annotated {name}, or part of it: its intensities are those that the model of release "
            f"{self._manifest.release} finds in a sample of {found.rows:,} of its texts."
        )
        return dataclasses.replace(profile, intensities=found)

    def _note(self, sentence: str) -> None:
        if sentence not in self._notes:
            self._notes.append(sentence)

    def _embeddings(self, profile: Profile) -> NDArray[np.float32] | None:
        if self._annotator is None:
            return None
        if profile.sample not in self._embedded:
            self._embedded[profile.sample] = self._annotator.pooled(profile.sample)
        return self._embedded[profile.sample]
