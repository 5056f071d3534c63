"""`eqn data` and `eqn validate`: get data, look at it, and hold it against the contract."""

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eqn.commands.shared import DataDirectory, IdColumn, Json, TextColumn, corpus_in, out, people, print_json, say
from eqn.corpus.contract import ID_COLUMN, SPLITS, TEXT_COLUMN
from eqn.emotions import EMOTIONS, MEANINGS
from eqn.records import as_json

if TYPE_CHECKING:
    from eqn.corpus.download import Report, Step

_STORY = """Get training data, look at it, and see what its raters said.

\b
eqn data fetch                  GoEmotions, 4 MB, each file checked
eqn data show --data DIR        its rows and labels
eqn validate DIR                is it fit to train on?
eqn train --data DIR            a model
eqn data votes FILE...          rater-level files: how many raters voted for what
eqn data corrected --out DIR    a new corpus with labels that people corrected
"""

app = typer.Typer(help=_STORY, no_args_is_help=True)


@app.command()
def fetch(
    *,
    directory: Annotated[
        Path | None,
        typer.Option("--out", help="Directory to fill. Default: goemotions in the state folder.", show_default=False),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(help="Mirror of the official folder, https. The files' digests stay.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Download GoEmotions' splits, each file checked.

    They come from their official address (licence Apache-2.0) and are taken only with their known size and sha256.
    A download that was cut goes on where it stopped when the same command runs again. Files that are there are not
    fetched again, and never overwritten.

    Example: eqn data fetch --out goemotions
    """
    from eqn.corpus.fetch import ADDRESS, LICENCE, fetch

    if directory is None:
        from eqn.settings import load_settings

        directory = load_settings().goemotions_download
    address = ADDRESS if base_url is None else base_url
    with _download_progress() as report:
        files = fetch(directory, address=address, report=report)
    if json:
        print_json({"directory": str(directory), "address": address, "licence": LICENCE, "files": as_json(files)})
        return
    for file in files:
        say(f"{file.name:<14}{file.size:>10,} bytes  {'fetched' if file.downloaded else 'was there'}")
    shown = shlex.quote(str(directory.absolute()))
    say(f"\nGoEmotions is in {directory} ({LICENCE}).")
    say(f"Next: EQN_GOEMOTIONS={shown} make run\nor:   eqn train --data {shown}")


@app.command()
def show(*, data: DataDirectory = None, json: Json = False) -> None:
    """Show a corpus: rows, labels, digest.

    Example: eqn data show --data goemotions
    """
    from eqn.evaluation.final import split_to_report
    from eqn.terminal import table

    corpus = corpus_in(data)
    counts = {name: split_to_report(corpus, name).targets().sum(axis=0).astype(int).tolist() for name in SPLITS}
    if json:
        labels = {name: dict(zip(EMOTIONS, values, strict=True)) for name, values in counts.items()}
        print_json(as_json(corpus.ref) | {"labels": labels})
        return
    say(f"{corpus.ref.name}: {', '.join(f'{name} {count:,}' for name, count in corpus.ref.rows.items())}")
    say(f"{corpus.ref.path}\ndigest {corpus.ref.digest}\n")
    lines = [
        {"emotion": name} | {split: values[i] for split, values in counts.items()} | {"meaning": MEANINGS[name]}
        for i, name in enumerate(EMOTIONS)
    ]
    out.print(table("rows with each label", lines))


@app.command()
def votes(
    files: Annotated[list[str], typer.Argument(help="Rater-level files such as goemotions_1.csv: csv, plain or .gz.")],
    *,
    target: Annotated[Path, typer.Option("--out", help="Parquet file to write.", show_default=False)],
    json: Json = False,
) -> None:
    """Turn raters' judgements into shares of votes.

    Writes a row for each comment with the share of its raters who voted for each emotion. The files have a row for
    each rater and comment: text, id, rater_id, example_very_unclear, 28 columns of 0 and 1. Who marked a comment as
    very unclear is counted beside the shares, and is no part of them.

    Example: eqn data votes goemotions_1.csv goemotions_2.csv goemotions_3.csv --out votes.parquet
    """
    from eqn.corpus.raters import read_ratings, write

    ratings = read_ratings(files)
    overview = ratings.overview()
    write(ratings.vote_shares(), target)
    if json:
        print_json(as_json(overview) | {"path": str(target)})
        return
    say(f"{overview.comments:,} comments, {overview.ratings:,} ratings by {overview.raters:,} raters; ", end="")
    say(f"{overview.unclear:,} say very unclear, {overview.repeated:,} repeated rows left out")
    if overview.agreement is not None:
        say(f"agreement {overview.agreement:.3f} (Krippendorff's alpha, mean of the emotions; 0 is chance, 1 is full)")
    counts = (f"{comments:,} with {raters}" for raters, comments in overview.comments_by_raters.items())
    say(f"raters per comment: {', '.join(counts)}")
    say(str(target))


@app.command()
def corrected(
    *,
    data: DataDirectory = None,
    corrections: Annotated[
        Path,
        typer.Option(help='Label Studio\'s JSON export, or jsonl: {"id": ..., "labels": [...]}.', show_default=False),
    ],
    target: Annotated[Path, typer.Option("--out", help="Directory to make, or an empty one.", show_default=False)],
    split: Annotated[str, typer.Option(help="The split whose labels were corrected; the others stay.")] = "train",
    json: Json = False,
) -> None:
    """Write a new corpus with corrected labels; the old one stays as it is.

    Comments are found by their ids, labels by their names; all that do not fit are told. The new corpus has a digest of
    its own, and corrections.json in it says what it was made of.

    Example: eqn data corrected --data goemotions --corrections export.json --out goemotions-corrected
    """
    from eqn.corpus.corrections import correct_corpus

    done = correct_corpus(corpus_in(data), corrections, target, split=split)
    if json:
        print_json(as_json(done))
        return
    say(f"{done.corrections:,} corrections, {done.changed:,} of them change labels in {done.split}.tsv")
    say(f"digest {done.made_from.digest}\n    -> {done.corpus.digest}")
    say(f"Next: eqn train --data {shlex.quote(str(target.absolute()))}")


def validate(
    inputs: Annotated[
        list[str], typer.Argument(help="A directory with training splits; or files, folders, globs to annotate.")
    ],
    *,
    text_column: TextColumn = TEXT_COLUMN,
    id_column: IdColumn = ID_COLUMN,
    json: Json = False,
) -> None:
    """Hold data against the contract, and build Data Docs. Exit code 3 when the data breaks it.

    Examples: eqn validate goemotions; eqn validate letters.csv --text-column body
    """
    from eqn.quality.gate import require
    from eqn.quality.inputs import scan_all, validated_corpus, validated_inbox
    from eqn.settings import load_settings

    settings, directory = load_settings(), Path(inputs[0])
    docs = settings.data_docs
    if len(inputs) == 1 and any((directory / f"{name}.tsv").is_file() for name in SPLITS):
        validation = validated_corpus(corpus_in(directory), docs=docs)
    else:
        from eqn.corpus.remote import stage_inputs

        files = stage_inputs(inputs, settings.staging)
        scans = scan_all(files, text_column=text_column, id_column=id_column)
        validation = validated_inbox(
            files, scans, name="inputs", docs=docs, text_column=text_column, id_column=id_column
        )
    if json:
        print_json(as_json(validation) | {"passed": validation.passed})
    else:
        verdict = "passed" if validation.passed else "refused"
        say(f"{validation.subject}: {verdict}; {validation.expectations} expectations on {validation.rows:,} rows")
        for finding in validation.findings:
            say(f"  {finding.severity}: {finding.what}")
        say(f"Data Docs: {validation.data_docs}")
    require(validation)


@contextlib.contextmanager
def _download_progress() -> Iterator["Report"]:
    """Show each file's bytes, speed and time left; where there is no terminal, only why there is a pause."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

    from eqn.terminal import printable

    tasks: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=people, disable=not people.is_terminal) as progress:

        def report(step: "Step") -> None:
            if step.file not in tasks:
                tasks[step.file] = progress.add_task(step.file, total=step.total)
            progress.update(tasks[step.file], completed=step.done)
            if step.note:
                people.print(f"{step.file}: {printable(step.note)}", markup=False, highlight=False, soft_wrap=True)

        yield report
