"""`eqn release export`: a release as a CSV file, for spreadsheets and for tools that read the original EQN files."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eqn.commands.shared import Dataset, Json, Number, Store, people, print_json, say, store_at
from eqn.errors import UsageError
from eqn.records import as_json

if TYPE_CHECKING:
    from eqn.release.export import CsvOptions
    from eqn.release.manifest import Manifest
    from eqn.store.interface import ObjectStore

Out = Annotated[str, typer.Option(help="File to write, compressed if it ends in .gz; - is standard output.")]
Scale = Annotated[float, typer.Option(help="Multiply intensities: 10 gives 0 to 10.")]
Quantise = Annotated[
    bool, typer.Option("--quantise", help="First bring intensities to two decimals; below .01 becomes 0.")
]
AllColumns = Annotated[
    bool,
    typer.Option(
        "--all-columns", help="Add id, the input's other columns, truncated, labels, and what is there of uncertainty."
    ),
]
Unsafe = Annotated[bool, typer.Option("--unsafe", help="Write cells that begin like a formula as they are.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")]


def export(
    dataset: Dataset,
    number: Number = None,
    *,
    out: Out,
    store: Store = None,
    scale: Scale = 1,
    quantise: Quantise = False,
    all_columns: AllColumns = False,
    unsafe: Unsafe = False,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a release to a CSV file: text, the 28 emotions, gold columns if there are any.

    Texts that a spreadsheet would run as a formula get a single quote in front, and in the columns behind the first one
    also inside, where it may split lines otherwise; the function unescaped in eqn.release.export takes exactly that
    back.

    Example: eqn release export letters --out letters.csv --scale 10
    """
    from eqn.release.catalog import read_manifest
    from eqn.release.export import CsvOptions

    options = CsvOptions(scale=scale, quantise=quantise, all_columns=all_columns, safe=not unsafe)
    if out == "-" and json:
        raise UsageError("expected either --out - or --json: both would use standard output.")
    opened = store_at(store)
    manifest = read_manifest(opened, dataset, number)
    if out == "-":
        _print(opened, manifest, options)
    else:
        _write(opened, manifest, Path(out).expanduser(), options, force=force, json=json)


def _print(store: "ObjectStore", manifest: "Manifest", options: "CsvOptions") -> None:
    from eqn.release.export import csv_pages

    for page in csv_pages(store, manifest, options):
        sys.stdout.buffer.write(page)


def _write(
    store: "ObjectStore", manifest: "Manifest", path: Path, options: "CsvOptions", *, force: bool, json: bool
) -> None:
    from rich.progress import Progress

    from eqn.release.export import export_csv

    with Progress(console=people, disable=not people.is_terminal) as progress:
        task = progress.add_task("exporting", total=manifest.rows_out)
        done = export_csv(store, manifest, path, options, force=force, report=lambda rows: progress.advance(task, rows))
    if json:
        print_json(as_json(done))
    else:
        say(f"{manifest.dataset} release {manifest.release}: {done.rows:,} rows\n{done.path}")
