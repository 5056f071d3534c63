"""Annotating inputs into a published release: plan, gate, publish, with the champion or any other model."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from eqn.annotation.annotator import Annotator
from eqn.annotation.choice import Choice, chosen_back_end, keep_choice
from eqn.annotation.engine import Engine, Report
from eqn.annotation.uncertainty import conformal_of
from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN
from eqn.corpus.inputs import InputFile
from eqn.corpus.remote import stage_inputs
from eqn.errors import ArtifactRefused
from eqn.model.back_end_names import AUTO
from eqn.model.package import read_package
from eqn.quality.gate import require
from eqn.quality.inputs import validated_inbox
from eqn.records import ModelRef, ReleaseRef, Validation
from eqn.registry.resolution import resolve
from eqn.release.parts import unheard
from eqn.release.plan import Plan, make_plan
from eqn.release.publish import publish
from eqn.settings import Settings
from eqn.store.interface import ObjectStore, open_store


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
    expect: int | None = None
    """The number that the release must have; None takes the next free one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose inputs were scanned: what would be done, and the loaded model to do it with."""

    request: Request
    plan: Plan
    annotator: Annotator
    choice: Choice | None
    """The measured choice of its back end; None where one was asked for."""


def model_for(name: str, settings: Settings, *, uncertainty: bool) -> ModelRef:
    """Find the model that a person named, and refuse it before inputs are fetched if it cannot do what is asked.

    Raises what `resolve` raises, and UsageError when the model cannot tell its `uncertainty`.
    """
    model = resolve(name, settings)
    if uncertainty:
        conformal_of(read_package(Path(model.path)))
    return model


def prepare(request: Request) -> Prepared:
    """Load the model and scan the inputs; writes nothing.

    Raises what `make_plan` and `Annotator.load` raise, and ArtifactRefused when the model is no longer the one that was
    asked for.
    """
    choice = None
    if request.back_end == AUTO:
        choice = chosen_back_end(read_package(Path(request.model.path)), request.choices, keep=False)
    annotator = Annotator.load(request.model.path, back_end=choice.name if choice else request.back_end)
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
    )
    return Prepared(request, plan, annotator, choice)


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
    return publish(
        request.store,
        prepared.plan,
        prepared.annotator,
        engine=engine,
        quality=quality,
        expect=request.expect,
        report=report,
    )


def annotate_inbox(
    settings: Settings,
    inbox: str,
    *,
    dataset: str,
    model: str,
    uncertainty: bool = False,
    watch: Callable[[int], Report],
    tell: Callable[[Validation], None],
) -> ReleaseRef:
    """Annotate all files in `inbox`, a directory or s3://bucket/prefix, and publish what is new.

    `watch(rows)` gives a report on that many rows; `tell` hears what the quality gate found, before a refusal too.

    Raises:
        DataRefused: a critical expectation failed, or a file as a whole cannot be taken.
        UsageError: the inbox is empty, there is no such model, or it cannot tell its `uncertainty`.

    """
    found = model_for(model, settings, uncertainty=uncertainty)
    prepared = prepare(
        Request(
            dataset=dataset,
            inputs=stage_inputs([inbox], settings.staging),
            model=found,
            store=open_store(settings.store),
            docs=settings.data_docs,
            choices=settings.back_ends,
            uncertainty=uncertainty,
        )
    )
    if prepared.plan.published is not None:
        return publish_prepared(prepared, None)
    validation = check_inputs(prepared, tell=tell)
    return publish_prepared(prepared, validation, report=watch(prepared.plan.rows_to_annotate))
