"""`eqn quality`: which training rows are probably labelled wrongly, and what their raters say."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eqn.commands.shared import DataDirectory, Json, corpus_in, out, print_json, say
from eqn.records import as_json

if TYPE_CHECKING:
    from eqn.quality.issue_files import Row
    from eqn.quality.rater_quality import RaterQuality

_STORY = """Find labels that are probably wrong, have people look at them, and train on what they correct.

\b
eqn train --data DIR --recipe eqn --out MODEL --out-of-fold scores.parquet
                                                        scores of each row from models that have not seen it
eqn quality label-issues --data DIR --scores scores.parquet --export label-studio issues.json
                                                        the most doubtful rows; correct them in Label Studio
eqn data corrected --data DIR --corrections export.json --out DIR2
                                                        a new corpus to train on
"""

_SHOWN_CHARACTERS = 100
_SHOWN_RATERS = 10

app = typer.Typer(help=_STORY, no_args_is_help=True)


@app.command("label-issues")
def label_issues(
    *,
    data: DataDirectory = None,
    scores: Annotated[
        Path, typer.Option(help="Out-of-fold scores: `eqn train --out-of-fold` writes them.", show_default=False)
    ],
    top: Annotated[int, typer.Option(min=1, help="How many rows to show, write and export.")] = 50,
    target: Annotated[
        Path | None, typer.Option("--out", help="File to write: .csv, .parquet or .jsonl.", show_default=False)
    ] = None,
    export: Annotated[
        tuple[str, Path] | None,
        typer.Option(
            help="label-studio FILE.json, with the configuration beside it; or argilla FILE.jsonl.",
            metavar="TOOL FILE",
            show_default=False,
        ),
    ] = None,
    raters: Annotated[
        list[str] | None,
        typer.Option(
            help="Rater-level file such as goemotions_1.csv; may be repeated.", metavar="FILE", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Rank the training rows whose labels are probably wrong, with the labels that would suit better.

    Read the list from its top: it is no list of errors. With --raters, also compare the raters, on the comments that
    several of them rated; with --out FILE.csv, these tables go to FILE-raters.csv and FILE-consensus.csv.

    Example: eqn quality label-issues --data goemotions --scores scores.parquet --top 200 --out issues.csv
    """
    from eqn.quality.annotation_tools import check_export, export_issues
    from eqn.quality.issue_files import check_table, issue_rows
    from eqn.quality.label_issues import find_label_issues
    from eqn.quality.out_of_fold import read_scores

    if target is not None:
        check_table(target)
    if export is not None:
        check_export(*export)
    corpus = corpus_in(data)
    out_of_fold = read_scores(scores).aligned(corpus)
    issues = find_label_issues(corpus.train.targets(), out_of_fold)
    compared = None if raters is None else _compared(raters, corpus.train.ids, out_of_fold)
    shown = issue_rows(issues[:top], corpus.train)
    written = [] if target is None else _write(target, shown, compared)
    if export is not None:
        written += export_issues(*export, issues[:top], corpus.train)
    if json:
        facts = {"corpus": as_json(corpus.ref), "rows": len(corpus.train), "doubted": len(issues), "issues": shown}
        if compared is not None:
            facts["raters"] = as_json(dataclasses.replace(compared, consensus=compared.consensus[:top]))
        print_json(facts | {"files": [str(path) for path in written]})
        return
    say(f"{corpus.ref.name}: {len(issues):,} of {len(corpus.train):,} training rows are doubted; ", end="")
    say(f"the {len(shown):,} most doubtful ones:\n")
    _show(shown, compared)
    for path in written:
        say(str(path))


def _compared(files: list[str], ids: tuple[str, ...], scores: Any) -> "RaterQuality":
    from eqn.corpus.judgements import read_judgements
    from eqn.quality.rater_quality import rater_quality

    return rater_quality(read_judgements(files), ids, scores)


def _write(target: Path, shown: "list[Row]", compared: "RaterQuality | None") -> list[Path]:
    from eqn.quality.issue_files import write_table
    from eqn.release.export import escaped

    tables: dict[Path, Sequence[Row]] = {target: shown}
    if compared is not None:
        tables[target.with_stem(f"{target.stem}-raters")] = as_json(compared.raters)
        tables[target.with_stem(f"{target.stem}-consensus")] = as_json(compared.consensus)
    tables = {path: rows for path, rows in tables.items() if rows}
    for path, rows in tables.items():
        write_table(path, rows, escape=escaped)
    return list(tables)


def _show(shown: "list[Row]", compared: "RaterQuality | None") -> None:
    from eqn.terminal import table

    lines = [
        {
            "quality": f"{row['quality']:.4f}",
            "text": row["text"][:_SHOWN_CHARACTERS] + "…" * (len(row["text"]) > _SHOWN_CHARACTERS),
            "given": ", ".join(row["given"]),
            "suggested": ", ".join(row["suggested"]),
        }
        for row in shown
    ]
    if lines:
        out.print(table("label issues", lines))
    if compared is None:
        return
    say(
        f"\n{len(compared.raters):,} raters of {compared.comments:,} training comments with ratings, "
        f"{compared.shared:,} ({compared.shared / compared.comments:.1%}) with several raters: only these compare them."
    )
    say(f"{compared.left_out:,} more rated comments are not in the training split.\n")
    figures = [
        {
            "rater": one.rater,
            "comments": f"{one.comments:,}",
            "shared": f"{one.shared:,}",
            "quality": "" if one.quality is None else f"{one.quality:.3f}",
            "confirmed": "" if one.confirmed is None else f"{one.confirmed:.0%}",
        }
        for one in compared.raters[:_SHOWN_RATERS]
    ]
    out.print(table("raters, the lowest quality first", figures))
