"""`eqn import-checkpoint`."""

import contextlib
import shlex
from pathlib import Path
from typing import Annotated

import typer

from eqn.commands.shared import Json, backbones_folder, people, print_json, say
from eqn.model.foreign import ORIGINAL_BACKBONE
from eqn.records import as_json


def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="The checkpoint, as torch.save wrote it.", show_default=False)],
    *,
    to: Annotated[Path, typer.Option("--out", help="New directory for the model package.", show_default=False)],
    backbone: Annotated[
        str,
        typer.Option(
            help="BERT it was trained from: tokenizer and config.json of a directory, or of a name on the hub."
        ),
    ] = ORIGINAL_BACKBONE,
    sha256: Annotated[str, typer.Option(help="Digest that the file must have.", show_default=False)] = "",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Directory with train.tsv, dev.tsv, test.tsv: choose thresholds on dev, measure on dev and test.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Turn a checkpoint of the original EQN into a model package.

    The file is opened in a process without network, and nothing in it is run: all but tensors is refused. Its 28
    outputs are taken in the order of GoEmotions, which the original's own files have. Without --data nothing is
    measured, and every threshold is 0.5.

    Example: eqn import-checkpoint 55770-1.pth --out original --data goemotions
    """
    from eqn.corpus.goemotions import load_corpus
    from eqn.evaluation.card import comparison_rows
    from eqn.evaluation.imported import Import, import_checkpoint
    from eqn.terminal import annotation_progress, printable, table

    corpus = load_corpus(data) if data else None
    order = Import(file=file, out=to, backbone=backbone, backbones=backbones_folder(), sha256=sha256, corpus=corpus)
    rows = len(corpus.dev) + len(corpus.test) if corpus else 0
    with annotation_progress(people, rows) if corpus else contextlib.nullcontext() as report:
        imported = import_checkpoint(order, report)
    for sentence in imported.unconfined:
        warning = f"warning: the process that opened the file was not confined: {printable(sentence)}."
        people.print(warning, markup=False, highlight=False, soft_wrap=True)
    package = imported.package
    if json:
        facts = {"model": str(package.path), "digest": package.digest, "sha256": package.recipe["file_sha256"]}
        print_json(facts | {"unconfined": list(imported.unconfined), "metrics": as_json(package.metrics)})
        return
    say(f"{package.path}: the model of {file} (sha256 {package.recipe['file_sha256']}).")
    if package.metrics:
        people.print(table(str(package.path), comparison_rows(package.metrics)))
    say(f'Next: eqn annotate --model {shlex.quote(str(package.path))} --text "I can\'t stop smiling"')
