"""Annotating inputs into a published release: plan, gate, publish, with the champion or any other model."""

import collections
import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eqn.annotation.annotator import Annotator
from eqn.annotation.choice import Choice, chosen_back_end, keep_choice
from eqn.annotation.engine import Engine, Report
from eqn.annotation.uncertainty import conformal_of
from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN
from eqn.corpus.inputs import InputFile
from eqn.corpus.remote import stage_inbox
from eqn.errors import ArtifactRefused
from eqn.model.back_end_names import AUTO
from eqn.model.package import read_package
from eqn.quality.gate import require
from eqn.quality.inputs import validated_inbox
from eqn.records import ModelRef, ReleaseRef, Validation
from eqn.registry.resolution import resolve
from eqn.release.catalog import latest_readable
from eqn.release.parts import unheard
from eqn.release.plan import Plan, make_plan
from eqn.release.publish import found, publish
from eqn.release.reuse import EVERYTHING, NewModel, Wanted, arithmetic_of, done_by, form_options
from eqn.settings import Settings
from eqn.store.interface import ObjectStore, open_store
from eqn.telemetry.context import bound
from eqn.telemetry.run import current_run

if TYPE_CHECKING:
    from eqn.model.package import Package

Stage = Callable[[str], contextlib.AbstractContextManager[object]]
"""Gives what is entered around the stage of this name."""

_BACK_ENDS = {"float32": "fp32", "bfloat16": "bf16"}
"""Back ends by the precision that a release states."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be annotated, with which model, and where the release goes."""

    dataset: str
    inputs: tuple[InputFile, ...]
    model: ModelRef
    store: ObjectStore
    docs: Path
    """Folder for the quality gate's reports on inputs."""
    choices: Path
    """Folder where the measured choice of a back end is kept."""
    back_end: str = AUTO
    """One of `eqn.model.back_ends.NAMES`, or `auto`: the fastest one here."""
    text_column: str = TEXT_COLUMN
    id_column: str = ID_COLUMN
    uncertainty: bool = False
    """Whether the columns of `eqn.annotation.uncertainty` are written."""
    new_model: NewModel = EVERYTHING
    """What is annotated anew where another model made the latest release."""
    expect: int | None = None
    """The number that the release must have; None takes the next free one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose inputs were scanned: what would be done, and the loaded model to do it with."""

    request: Request
    plan: Plan
    annotator: Annotator
    choice: Choice | None
    """The measured choice of its back end; None where nothing had to be measured."""
    reason: str = "asked for"
    """Why it is on this back end."""


def model_for(name: str, settings: Settings, *, uncertainty: bool) -> ModelRef:
    """Find the model that a person named, and refuse it before inputs are fetched if it cannot do what is asked.

    Raises what `resolve` raises, and UsageError when the model cannot tell its `uncertainty`.
    """
    model = resolve(name, settings)
    if uncertainty:
        conformal_of(read_package(Path(model.path)))
    return model


def already_published(request: Request) -> ReleaseRef | None:
    """Give the latest release if it is what is asked for, as names and digests tell; no model is loaded, no row read.

    This is what `prepare` would find out as well. It says None, too, where only that can tell: of a back end that was
    asked for by name, and of files that cannot be read.

    Raises:
        Conflict: that release has another number than `expect`.

    """
    if request.back_end != AUTO:
        return None
    latest = latest_readable(request.store, request.dataset)
    try:
        inputs = _digests(request.inputs) if latest else []
    except OSError:
        return None
    form = form_options(text_column=request.text_column, id_column=request.id_column, uncertainty=request.uncertainty)
    wanted = Wanted(model=request.model.digest, form=form, arithmetic=None, new_model=request.new_model)
    published = done_by(request.store, latest, wanted, inputs)
    if published is None:
        return None
    reference = found(request.store, published, expect=request.expect)
    current_run().released(reference)
    return reference


def prepare(request: Request) -> Prepared:
    """Load the model and scan the inputs; writes nothing.

    Any back end will do for `auto`. Where the same model made the latest release it is that release's, if it can be
    used here: the rows of a release are then of one kind, and workers of several kinds go on with each other's work.
    Else it is the fastest one here.

    Raises what `make_plan` and `Annotator.load` raise, and ArtifactRefused when the model is no longer the one that was
    asked for.
    """
    annotator, choice, reason = _loaded(request)
    if annotator.package.digest != request.model.digest:
        raise ArtifactRefused(
            f"the model in {request.model.path} changed while it was opened.",
            todo="Run the same command again; if it stays so, find out who writes there.",
        )
    plan = make_plan(
        request.store,
        request.dataset,
        request.inputs,
        model=request.model,
        annotator=annotator,
        text_column=request.text_column,
        id_column=request.id_column,
        uncertainty=request.uncertainty,
        new_model=request.new_model,
        any_back_end=request.back_end == AUTO,
    )
    return Prepared(request, plan, annotator, choice, reason)


def _loaded(request: Request) -> tuple[Annotator, Choice | None, str]:
    """Load the model on the back end of the request; give it, what was measured, and the reason for that one."""
    path = request.model.path
    if request.back_end != AUTO:
        return Annotator.load(path, back_end=request.back_end), None, "asked for"
    package = read_package(Path(path))
    latest = latest_readable(request.store, request.dataset)
    if latest is not None and latest.model["digest"] == package.digest:
        name = _back_end_of(latest.options, package)
        annotator = Annotator.load(path, back_end=name) if name else None
        if annotator is not None and annotator.options == arithmetic_of(latest.options):
            return annotator, None, f"that of release {latest.release}"
    choice = chosen_back_end(package, request.choices, keep=False)
    return Annotator.load(path, back_end=choice.name), choice, choice.reason


def _back_end_of(options: Mapping[str, Any], package: "Package") -> str | None:
    """Give the back end that made a release, as its options tell, if it can be used here."""
    from eqn.model.back_ends import fault_of

    name = _BACK_ENDS.get(str(options.get("precision")), "int8")
    return None if fault_of(name, package) else name


def _digests(files: Sequence[InputFile]) -> list[tuple[str, str]]:
    """Give name and digest of each file."""
    digests = []
    for file in files:
        with Path(file.path).open("rb") as opened:
            digests.append((file.name, hashlib.file_digest(opened, "sha256").hexdigest()))
    return digests


def check_inputs(prepared: Prepared, *, tell: Callable[[Validation], None] = lambda _: None) -> Validation:
    """Hold the inputs against the contract; unchanged inputs are not read again. `tell` hears of it, passed or not.

    Raises:
        DataRefused: a critical expectation failed.

    """
    plan = prepared.plan
    validation = validated_inbox(
        [source.file for source in plan.sources],
        [source.scan for source in plan.sources],
        name=plan.dataset,
        docs=prepared.request.docs,
        text_column=plan.text_column,
        id_column=plan.id_column,
        erasures=plan.erased,
    )
    tell(validation)
    require(validation)
    return validation


def publish_prepared(
    prepared: Prepared, validation: Validation | None, *, engine: Engine | None = None, report: Report = unheard
) -> ReleaseRef:
    """Annotate and publish, with the report of `validation`; raises what `publish` raises.

    Without an `engine` the model annotates in this process; the release is the same with any.
    """
    quality = Path(validation.data_docs).parent if validation else None
    request = prepared.request
    if prepared.choice:
        keep_choice(prepared.choice, prepared.annotator.package, request.choices)
    with bound(job=prepared.plan.job):
        published = publish(
            request.store,
            prepared.plan,
            prepared.annotator,
            engine=engine,
            quality=quality,
            expect=request.expect,
            report=report,
        )
        if not published.already_published:
            current_run().quarantined(_newly_quarantined(prepared.plan))
        current_run().released(published)
        return published


def _newly_quarantined(plan: Plan) -> Mapping[str, int]:
    """Give rows by reason, of the inputs that are not carried over."""
    counts: collections.Counter[str] = collections.Counter()
    for source in plan.sources:
        if source.carried is None:
            counts.update(source.counts)
    return counts


def annotate_inbox(
    settings: Settings,
    inbox: str,
    *,
    dataset: str,
    model: str,
    uncertainty: bool = False,
    new_model: NewModel = EVERYTHING,
    watch: Callable[[int], Report],
    tell: Callable[[Validation], None],
    stage: Stage = contextlib.nullcontext,
) -> ReleaseRef | None:
    """Annotate all files in `inbox`, a directory or s3://bucket/prefix, and publish what is new.

    Give the release that holds them, which may have been there before; None where the inbox is empty.

    A model that did not make the latest release annotates "everything", or "new files" only. `watch(rows)` gives a
    report on that many rows; `tell` hears what the quality gate found, before a refusal too. `stage(name)` is entered
    around the stages `fetch`, `plan`, `validate` and `annotate`, of which the last two are left out where nothing is
    new.

    Raises:
        DataRefused: a critical expectation failed, or a file as a whole cannot be taken.
        UsageError: there is no such inbox or model, a file is of no known kind, or the model cannot tell its
            `uncertainty`.

    """
    with stage("fetch"):
        ready = model_for(model, settings, uncertainty=uncertainty)
        inputs = stage_inbox(inbox, settings.staging)
        if not inputs:
            return None
        request = Request(
            dataset=dataset,
            inputs=inputs,
            model=ready,
            store=open_store(settings.store),
            docs=settings.data_docs,
            choices=settings.back_ends,
            uncertainty=uncertainty,
            new_model=new_model,
        )
    with stage("plan"):
        published = already_published(request)
        if published is not None:
            return published
        prepared = prepare(request)
    if prepared.plan.published is not None:
        return publish_prepared(prepared, None)
    with stage("validate"):
        validation = check_inputs(prepared, tell=tell)
    with stage("annotate"):
        return publish_prepared(prepared, validation, report=watch(prepared.plan.rows_to_annotate))
