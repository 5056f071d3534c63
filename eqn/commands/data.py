"""`eqn data` and `eqn validate`: look at data, and hold it against the contract."""

from pathlib import Path
from typing import Annotated

import typer

from eqn.commands.shared import DataDirectory, IdColumn, Json, TextColumn, corpus_in, out, print_json, say
from eqn.corpus.contract import ID_COLUMN, SPLITS, TEXT_COLUMN
from eqn.emotions import EMOTIONS, MEANINGS
from eqn.records import as_json

app = typer.Typer(help="Look at training data.", no_args_is_help=True)


@app.command()
def show(*, data: DataDirectory = None, json: Json = False) -> None:
    """Show a corpus: rows, labels, digest.

    Example: eqn data show --data goemotions
    """
    from eqn.terminal import table

    corpus = corpus_in(data)
    counts = {name: corpus.split(name).targets().sum(axis=0).astype(int).tolist() for name in SPLITS}
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

    docs = load_settings().data_docs
    directory = Path(inputs[0])
    if len(inputs) == 1 and any((directory / f"{name}.tsv").is_file() for name in SPLITS):
        validation = validated_corpus(corpus_in(directory), docs=docs)
    else:
        from eqn.corpus.inputs import find_inputs

        files = find_inputs(inputs)
        columns = {"text_column": text_column, "id_column": id_column}
        validation = validated_inbox(files, scan_all(files, **columns), name="inputs", docs=docs, **columns)
    if json:
        print_json(as_json(validation) | {"passed": validation.passed})
    else:
        verdict = "passed" if validation.passed else "refused"
        say(f"{validation.subject}: {verdict}; {validation.expectations} expectations on {validation.rows:,} rows")
        for finding in validation.findings:
            say(f"  {finding.severity}: {finding.what}")
        say(f"Data Docs: {validation.data_docs}")
    require(validation)
