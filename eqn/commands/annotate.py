"""`eqn annotate`: one text into bars, or whole files into a published release."""

import contextlib
import enum
from typing import TYPE_CHECKING, Annotated

import typer

from eqn.commands.shared import (
    IdColumn,
    Json,
    TextColumn,
    out,
    package_of,
    people,
    print_json,
    say,
    tell_of_the_box,
)
from eqn.corpus.contract import ID_COLUMN, TEXT_COLUMN
from eqn.emotions import EMOTIONS
from eqn.errors import UsageError
from eqn.model.back_end_names import AUTO
from eqn.records import ReleaseRef, as_json

if TYPE_CHECKING:
    from eqn.annotation.engine import Engine
    from eqn.release.annotate import Prepared, Request
    from eqn.release.plan import Plan
    from eqn.telemetry.run import Run


class NewModelName(enum.StrEnum):
    """What a model that did not make the latest release annotates."""

    EVERYTHING = "everything"
    NEW_FILES = "new-files"


class EngineName(enum.StrEnum):
    """Where files are annotated."""

    LOCAL = "local"
    RAY = "ray"


Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        help="Files, folders, globs or s3://bucket/prefix of csv, tsv, jsonl, parquet, txt; plain or .gz.",
        show_default=False,
    ),
]
Text = Annotated[str | None, typer.Option("--text", help="Annotate this text and show 28 bars.", show_default=False)]
DatasetName = Annotated[str | None, typer.Option(help="Name of the dataset to publish.", show_default=False)]
Out = Annotated[
    str | None,
    typer.Option(help="Store to publish in. Default: $EQN_STORE, else the state folder.", show_default=False),
]
Model = Annotated[str, typer.Option("--model", help="A package directory, a version, models:/..., or an alias.")]
Expect = Annotated[
    int | None,
    typer.Option(
        min=1, help="Publish as this release or, when it is taken, not at all: exit code 4.", show_default=False
    ),
]
Uncertainty = Annotated[
    bool,
    typer.Option("--uncertainty", help="Add the entropy, and the conformal set of emotions with its stated coverage."),
]
BackEndName = Annotated[
    str,
    typer.Option(
        "--back-end", help="int8, bf16 or fp32; auto takes the fastest one, measured once for a machine and model."
    ),
]
NewModelOption = Annotated[
    NewModelName,
    typer.Option(
        "--new-model",
        help="What a model that did not make the latest release annotates; new-files keeps its other rows as they are.",
    ),
]
EngineOption = Annotated[
    EngineName, typer.Option("--engine", help="Annotate in this process, or on a Ray cluster (pip install 'eqn[ray]').")
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Ray cluster, as HOST:PORT, or auto for this node's. Default: Ray on this machine alone.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Scan, say what would be done, write nothing.")]


def annotate(
    inputs: Inputs = None,
    *,
    text: Text = None,
    dataset: DatasetName = None,
    out: Out = None,
    model: Model = "champion",
    text_column: TextColumn = TEXT_COLUMN,
    id_column: IdColumn = ID_COLUMN,
    uncertainty: Uncertainty = False,
    back_end: BackEndName = AUTO,
    new_model: NewModelOption = NewModelName.EVERYTHING,
    engine: EngineOption = EngineName.LOCAL,
    address: Address = None,
    expect: Expect = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Annotate a text on the command line, or whole files into a published release. Inputs are never changed.

    Examples: eqn annotate --text "I can't stop smiling"; eqn annotate letters/*.csv --dataset letters
    """
    if (text is None) == (not inputs):
        raise UsageError("expected either INPUT... or --text.", todo='Try: eqn annotate --text "I can\'t stop smiling"')
    if text is not None:
        if dataset or out or expect or dry_run or engine != EngineName.LOCAL or new_model != NewModelName.EVERYTHING:
            raise UsageError(
                "expected --dataset, --out, --expect, --dry-run, --new-model and --engine ray with INPUT... only: "
                "--text publishes nothing."
            )
        if text != text.encode("utf-8", "replace").decode():
            raise UsageError("expected --text in UTF-8; got other bytes.", todo="Set the terminal to UTF-8.")
        _annotate_text(text, model=model, uncertainty=uncertainty, back_end=back_end, json=json)
        return
    if dataset is None:
        raise UsageError(
            "expected --dataset beside the inputs: it names what is published.", todo="Try: --dataset letters"
        )
    if address is not None and engine != EngineName.RAY:
        raise UsageError("expected --address with --engine ray only.", todo="Try: --engine ray --address auto")
    from eqn.release.annotate import prepare

    columns = {"text_column": text_column, "id_column": id_column}
    # Connected first: a cluster that cannot be reached is told before long inputs are scanned.
    with _cluster(engine, address, dry_run=dry_run), _observed(dataset, dry_run=dry_run) as run:
        with run.stage("fetch"):
            request = _request(
                inputs or [],
                dataset=dataset,
                out=out,
                model=model,
                expect=expect,
                uncertainty=uncertainty,
                back_end=back_end,
                new_model=new_model,
                **columns,
            )
        if dry_run:
            _show_plan(prepare(request).plan, json=json)
            return
        published = _publish(request, engine, run)
    if json:
        print_json(as_json(published))
        return
    done = "is already published as" if published.already_published else "is published as"
    say(f"{published.dataset} {done} release {published.number}: {published.rows:,} rows, ", end="")
    say(f"{published.quarantined:,} quarantined\n{published.path}/data")


def _request(
    inputs: list[str],
    *,
    dataset: str,
    out: str | None,
    model: str,
    expect: int | None,
    text_column: str,
    id_column: str,
    uncertainty: bool,
    back_end: str,
    new_model: NewModelName,
) -> "Request":
    from eqn.corpus.remote import stage_inputs
    from eqn.release.annotate import Request, model_for
    from eqn.release.reuse import EVERYTHING, NEW_FILES
    from eqn.settings import load_settings
    from eqn.store.interface import open_store

    settings = load_settings()
    found = model_for(model, settings, uncertainty=uncertainty)
    tell_of_the_box(found.name)
    return Request(
        dataset=dataset,
        inputs=stage_inputs(inputs, settings.staging),
        model=found,
        store=open_store(out or settings.store),
        docs=settings.data_docs,
        choices=settings.back_ends,
        back_end=back_end,
        text_column=text_column,
        id_column=id_column,
        uncertainty=uncertainty,
        new_model=NEW_FILES if new_model == NewModelName.NEW_FILES else EVERYTHING,
        expect=expect,
    )


def _cluster(engine: EngineName, address: str | None, *, dry_run: bool) -> contextlib.AbstractContextManager[None]:
    """Give the connection to the cluster while it is needed, or nothing."""
    if engine != EngineName.RAY or dry_run:
        return contextlib.nullcontext()
    from eqn.annotation.ray_cluster import connected

    return connected(address)


def _observed(dataset: str, *, dry_run: bool) -> "contextlib.AbstractContextManager[Run]":
    """Give the run that is counted, or one that keeps nothing where nothing is done."""
    from eqn.settings import load_settings
    from eqn.telemetry.run import current_run, observed

    if dry_run:
        return contextlib.nullcontext(current_run())
    return observed(load_settings(), flow="annotate", dataset=dataset)


def _publish(request: "Request", engine: EngineName, run: "Run") -> ReleaseRef:
    from eqn.release.annotate import already_published, check_inputs, prepare, publish_prepared
    from eqn.terminal import annotation_progress

    with run.stage("plan"):
        published = already_published(request)
        if published is not None:
            return published
        prepared = prepare(request)
    if prepared.plan.published is not None:
        return publish_prepared(prepared, None)
    with run.stage("validate"):
        validation = check_inputs(prepared)
    people.print(f"back end: {prepared.annotator.name} ({prepared.reason})")
    rows = prepared.plan.rows_to_annotate
    with run.stage("annotate"), _started(prepared, engine) as started, annotation_progress(people, rows) as report:

        def heard(rows: int, tokens: int) -> None:
            report(rows, tokens)
            run.rows(rows, tokens)

        return publish_prepared(prepared, validation, engine=started, report=heard)


def _started(prepared: "Prepared", engine: EngineName) -> "contextlib.AbstractContextManager[Engine | None]":
    """Give the engine on the cluster that is connected, or none: the release itself annotates in this process."""
    if engine != EngineName.RAY:
        return contextlib.nullcontext()
    from eqn.annotation.ray_engine import RayEngine

    return RayEngine(prepared.annotator)


def _annotate_text(text: str, *, model: str, uncertainty: bool, back_end: str, json: bool) -> None:
    from eqn.annotation.annotator import Annotator
    from eqn.annotation.uncertainty import conformal_of, promise
    from eqn.terminal import bars, printable

    package = package_of(model)
    conformal = conformal_of(package) if uncertainty else None
    named = "fp32" if back_end == AUTO else back_end  # one text needs no speed, and the same digits everywhere
    done = Annotator.load(package.path, back_end=named).annotation([text], uncertainty=uncertainty)
    scores = {name: float(str(score)) for name, score in zip(EMOTIONS, done.scores[0], strict=True)}
    facts = {"text": text, "intensities": scores, "labels": done.labels[0], "truncated": done.truncated[0]}
    found = done.uncertainty
    if found and conformal:
        facts |= {"entropy": float(str(found.entropy[0])), "conformal": found.conformal[0]}
        facts["coverage"] = conformal.coverage
    if json:
        print_json(facts)
        return
    out.print(printable(text), markup=False, highlight=False, style="italic")
    out.print(bars(scores, done.labels[0]))
    say(f"labels: {', '.join(done.labels[0]) or 'no emotion reaches its threshold'}")
    if found and conformal:
        say(f"entropy: {found.entropy[0]:.4f} bits; 0 is certain, 1 a coin toss for each emotion")
        say(f"conformal set: {', '.join(found.conformal[0]) or 'no emotion reaches its limit'}")
        say(promise(conformal))


def _show_plan(plan: "Plan", *, json: bool) -> None:
    from eqn.terminal import table

    rows = [
        {
            "input": source.file.name,
            "rows": source.scan.rows,
            "quarantine": source.scan.rows - source.scan.accepted,
            "to do": "carry over" if source.carried else "annotate",
        }
        for source in plan.sources
    ]
    if json:
        facts = {"dataset": plan.dataset, "job": plan.job, "model": str(plan.model), "rows": plan.rows}
        facts["rows_to_annotate"] = 0 if plan.published else plan.rows_to_annotate
        print_json(facts | {"published": plan.published.release if plan.published else None, "inputs": rows})
        return
    out.print(table(f"{plan.dataset}, by {plan.model}", rows))
    if plan.published:
        say(f"Nothing to do: this is published as release {plan.published.release}.")
    else:
        say(f"{plan.rows_to_annotate:,} rows would be annotated. Nothing was written.")
