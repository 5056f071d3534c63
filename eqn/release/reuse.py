"""What may be taken over from an earlier release, told by names and digests alone: nothing is parsed or loaded for it.

A job's identity is made of the contract's version, the model, the options, and each input's name and digest. Options
are of two kinds: the form of the rows (columns, rows of a part), which parts of one release must share, and the
arithmetic, which moves last digits only. An input whose parts another model or another arithmetic made says so in the
manifest, and in the job: the same work has the same job, whoever made its parts.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from eqn.annotation.shards import ROWS
from eqn.corpus.contract import VERSION
from eqn.release.catalog import find_job
from eqn.release.manifest import InputEntry, Manifest
from eqn.store.interface import ObjectStore

NewModel = Literal["everything", "new files"]
"""What a model that did not make the latest release annotates: all inputs, or those that no release holds unchanged."""
EVERYTHING: Final = "everything"
NEW_FILES: Final = "new files"

_FORM = frozenset({"shard_rows", "text_column", "id_column", "uncertainty"})


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """One input by what identifies it, and who made its parts where that is not the model at work."""

    name: str
    sha256: str
    model: str = ""
    """Digest of the other model, or of the same one with another arithmetic."""
    options: Mapping[str, Any] | None = None
    """The arithmetic of those parts."""

    @property
    def facts(self) -> list[Any]:
        """What stands for it in the job's identity."""
        other = [] if self.options is None else [{"model": self.model, "options": dict(self.options)}]
        return [self.name, self.sha256, *other]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a run would make, and which parts made before will do instead."""

    model: str
    """Digest of the model at work."""
    form: Mapping[str, Any]
    """See `form_options`."""
    arithmetic: Mapping[str, Any] | None
    """The options of the back end that parts must be made with; None where any will do."""
    new_model: NewModel = EVERYTHING

    def takes(self, manifest: Manifest, entry: InputEntry) -> bool:
        """Tell whether the parts that a release has of an input will do, as far as their makers go."""
        if self.new_model == NEW_FILES:
            return True
        model, arithmetic = maker_of(manifest, entry)
        return model["digest"] == self.model and self.arithmetic in (None, arithmetic)


def form_options(*, text_column: str, id_column: str, uncertainty: bool) -> dict[str, Any]:
    """Give the options that decide about the rows' form."""
    options: dict[str, Any] = {"shard_rows": ROWS, "text_column": text_column, "id_column": id_column}
    # Only where it is asked for: jobs without it are the same as ever.
    return options | ({"uncertainty": True} if uncertainty else {})


def form_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give those of a release's options that decide about the rows' form."""
    return {name: value for name, value in options.items() if name in _FORM}


def arithmetic_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give those of a release's options that can move a score's last digits."""
    return {name: value for name, value in options.items() if name not in _FORM}


def maker_of(manifest: Manifest, entry: InputEntry) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Give the model (name, version, digest) and the arithmetic that made the parts of one input of a release."""
    return entry.model or manifest.model, entry.options or arithmetic_of(manifest.options)


def job_digest(model: str, options: Mapping[str, Any], inputs: Sequence[Named]) -> str:
    """Give the identity of a job: `model` is the digest of the one at work, `inputs` stand in order."""
    facts = [VERSION, model, dict(options), [entry.facts for entry in inputs]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def usable_inputs(manifest: Manifest | None, wanted: Wanted) -> dict[tuple[str, str], InputEntry]:
    """Give the inputs of a release whose parts may be taken over, by name and digest."""
    if manifest is None or manifest.contract != VERSION or form_of(manifest.options) != wanted.form:
        return {}
    return {(entry.name, entry.sha256): entry for entry in manifest.inputs if wanted.takes(manifest, entry)}


def marked(manifest: Manifest, entry: InputEntry, model: str, options: Mapping[str, Any]) -> InputEntry:
    """Give an input of a release as one whose parts are carried over by the `model` (digest) with these `options`.

    It says who made its parts unless these did.
    """
    maker, arithmetic = maker_of(manifest, entry)
    if (maker["digest"], arithmetic) == (model, arithmetic_of(options)):
        return dataclasses.replace(entry, model=None, options=None)
    return dataclasses.replace(entry, model=maker, options=arithmetic)


def named(entry: InputEntry) -> Named:
    """Give an input of a release by what identifies it there."""
    return Named(entry.name, entry.sha256, entry.model["digest"] if entry.model else "", entry.options)


def done_by(
    store: ObjectStore, manifest: Manifest | None, wanted: Wanted, inputs: Sequence[tuple[str, str]]
) -> Manifest | None:
    """Give the release of `manifest` if it is of these very `inputs` (name and digest), made in a way that will do.

    That is so when this work, done in the ways of that release, would be its job: what a damaged manifest says of its
    inputs does not hold against the digest. None also where its files are gone.
    """
    usable = usable_inputs(manifest, wanted)
    if manifest is None or not all(key in usable for key in inputs):
        return None
    job = job_digest(manifest.model["digest"], manifest.options, [named(usable[key]) for key in inputs])
    return find_job(store, manifest.dataset, job) if job == manifest.job else None
