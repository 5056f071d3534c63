"""`eqn release`: which releases there are, where they are, whether they are whole; and what crashes left behind."""

import json as jsons
from typing import TYPE_CHECKING, Annotated

import typer

from eqn.commands.drift import drift
from eqn.commands.erase import erase
from eqn.commands.export import export
from eqn.commands.report import report
from eqn.commands.serve import serve
from eqn.commands.shared import Dataset, Json, Number, Store, out, print_json, say, settings_at, store_at
from eqn.errors import ArtifactRefused
from eqn.records import as_json
from eqn.release.commit import GRACE_HOURS

_OUTCOMES = {
    "published": "published, whole.",
    "overtaken": "not published; another release took its number. Run the same annotation again: the work is kept.",
    "incomplete": "not published; files of it are missing. Run the same annotation again, if it is not under way.",
    "unredacted": "published; rows of it may have been erased since, so the erasures are applied to it.",
    "erasing": "an erasure that has not ended. Run: eqn release erase {dataset} --resume",
    "unreadable": "says nothing that can be read. If nobody is publishing just now, delete it.",
    "settled": "settled meanwhile.",
}

if TYPE_CHECKING:
    from eqn.release.manifest import Manifest
    from eqn.settings import Settings
    from eqn.store.interface import ObjectStore

app = typer.Typer(help="Look at published releases, export them, clean up after crashes.", no_args_is_help=True)
app.command()(export)
app.command()(report)
app.command()(serve)
app.command()(drift)
app.command()(erase)


@app.command("list")
def list_(
    dataset: Annotated[
        str | None, typer.Argument(help="Name of the dataset. Default: all.", show_default=False)
    ] = None,
    *,
    store: Store = None,
    json: Json = False,
) -> None:
    """List releases, the newest first.

    Example: eqn release list inbox
    """
    from eqn.release.catalog import datasets, release_numbers
    from eqn.terminal import table

    opened = store_at(store)
    rows = [
        _line(opened, name, number)
        for name in ([dataset] if dataset else datasets(opened))
        for number in reversed(release_numbers(opened, name))
    ]
    if json:
        print_json(rows)
    elif rows:
        if not any(row["erased"] for row in rows):
            rows = [{name: value for name, value in row.items() if name != "erased"} for row in rows]
        out.print(table("releases", rows))
    else:
        say("No release yet. Publish one: eqn annotate FILE --dataset NAME")


@app.command()
def show(dataset: Dataset, number: Number = None, *, store: Store = None, json: Json = False) -> None:
    """Show a release: model, inputs, rows, files.

    Example: eqn release show inbox 2
    """
    from eqn.release.catalog import read_manifest
    from eqn.terminal import printable, table

    manifest = read_manifest(store_at(store), dataset, number)
    if json:
        print_json(jsons.loads(manifest.to_bytes()))
        return
    say(f"{dataset} release {manifest.release}, {manifest.created}, by {_model(manifest)}")
    say(
        f"{manifest.rows_in:,} rows in = {manifest.rows_out:,} out + {manifest.rows_quarantined:,} quarantined; "
        f"{manifest.ids_in_several_files:,} ids stand in several inputs"
    )
    for one in manifest.redactions:
        why = f": {one.reason}" if one.reason else ""
        say(printable(f"{one.rows:,} rows were erased on {one.when} by {one.by} (record {one.record}){why}"))
    say(f"job {manifest.job}\n")
    inputs = [
        {"input": entry.name, "rows": entry.rows, "quarantined": _reasons(entry.quarantined) or "none"}
        for entry in manifest.inputs
    ]
    out.print(table("inputs", inputs))
    files = [
        {"file": name, "rows": "" if entry.rows is None else entry.rows, "bytes": entry.bytes}
        for name, entry in manifest.files.items()
        if not name.startswith("quality/")
    ]
    out.print(table("files", files))


@app.command()
def path(dataset: Dataset, number: Number = None, *, store: Store = None, json: Json = False) -> None:
    """Print where a release's folder is, for other tools.

    Example: duckdb -c "from '$(eqn release path inbox)/data/*.parquet'"
    """
    from eqn.release.catalog import read_manifest

    opened = store_at(store)
    found = opened.address(read_manifest(opened, dataset, number).path)
    if json:
        print_json({"path": found})
    else:
        say(found)


@app.command()
def verify(dataset: Dataset, number: Number = None, *, store: Store = None, json: Json = False) -> None:
    """Compare every byte of a release with what was published. Exit code 8 when something changed.

    Example: eqn release verify inbox
    """
    from eqn.release.catalog import read_manifest, verify

    opened = store_at(store)
    manifest = read_manifest(opened, dataset, number)
    verify(opened, manifest)
    if json:
        print_json({"dataset": dataset, "release": manifest.release, "files": len(manifest.files), "verified": True})
    else:
        say(f"{dataset} release {manifest.release}: all {len(manifest.files)} files are as they were published.")


@app.command()
def reconcile(dataset: Dataset, *, store: Store = None, json: Json = False) -> None:
    """Find out what became of commits whose outcome is unknown (exit code 7), and finish them.

    Deletes no data but rows that were erased on request and have come out of such a commit.

    Example: eqn release reconcile inbox
    """
    from eqn.release.commit import reconcile

    opened = store_at(store)
    resolved = reconcile(opened, dataset)
    if json:
        print_json(as_json(resolved))
    else:
        for one in resolved:
            outcome = _OUTCOMES[one.outcome].format(dataset=dataset)
            say(f"{dataset} {f'release {one.release}' if one.release else one.commit_id}: {outcome}")
        if not resolved:
            say(f"Every commit of {dataset} has a known outcome.")
    if any(one.outcome == "unredacted" for one in resolved):
        _redact(settings_at(store), opened, dataset)


def _redact(settings: "Settings", store: "ObjectStore", dataset: str) -> None:
    """Take the erased rows out of what was just published."""
    from eqn.commands.erase import clean_up, show_faults
    from eqn.release.erasure import resume

    done = resume(store, dataset)
    show_faults(clean_up(settings, store, dataset, done))
    done.require_complete(dataset)


@app.command()
def gc(
    dataset: Dataset,
    *,
    grace: Annotated[float, typer.Option(min=0, help="Hours that the files must have lain untouched.")] = GRACE_HOURS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, remove nothing.")] = False,
    store: Store = None,
    json: Json = False,
) -> None:
    """Remove the files of runs that never published; published files are never touched.

    Example: eqn release gc inbox --dry-run
    """
    from eqn.release.collection import collect
    from eqn.release.commit import announced_folders

    opened = store_at(store)
    removed = collect(opened, dataset, grace_hours=grace, dry_run=dry_run)
    if json:
        print_json(as_json(removed))
        return
    for one in removed:
        say(f"{one.files} files in {one.folder} {'would be' if dry_run else 'were'} removed.")
    if not removed:
        say(f"Nothing to remove: what lies in {dataset} is published, announced, or younger than {grace:g} hours.")
    open_commits = announced_folders(opened, dataset)
    if open_commits:
        say(f"{len(open_commits)} commits are announced; see what became of them: eqn release reconcile {dataset}")


def _line(store: "ObjectStore", dataset: str, number: int) -> dict[str, object]:
    from eqn.release.catalog import read_manifest

    line: dict[str, object] = {"dataset": dataset, "release": number}
    try:
        manifest = read_manifest(store, dataset, number)
    except ArtifactRefused:
        return line | {"created": "damaged", "rows": None, "quarantined": None, "erased": None, "model": None}
    return line | {
        "created": manifest.created,
        "rows": manifest.rows_out,
        "quarantined": manifest.rows_quarantined,
        "erased": sum(one.rows for one in manifest.redactions),
        "model": _model(manifest),
    }


def _model(manifest: "Manifest") -> str:
    model = manifest.model
    return f"{model['name']} version {model['version']}" if model["version"] else f"package {model['digest'][:12]}"


def _reasons(counts: object) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in counts.items()) if isinstance(counts, dict) else ""
