"""`eqn models` and `eqn promote`: registered models, and which of them is champion."""

from typing import TYPE_CHECKING, Annotated

import typer

from eqn.commands.shared import DataDirectory, Json, corpus_in, out, print_json, say
from eqn.records import as_json

if TYPE_CHECKING:
    from eqn.registry.versions import VersionRow

app = typer.Typer(help="Look at registered models, or bring an earlier champion back.", no_args_is_help=True)


@app.command("list")
def list_(*, json: Json = False) -> None:
    """List registered models, the newest first.

    Example: eqn models list
    """
    from eqn.registry.versions import list_versions
    from eqn.settings import load_settings
    from eqn.terminal import table

    rows = list_versions(load_settings())
    if json:
        print_json([_facts(row) for row in rows])
    elif rows:
        out.print(table("registered models; F1 is macro-F1", [_line(row) for row in rows]))
    else:
        say("No model yet. Train one: eqn train")


@app.command()
def rollback(
    to: Annotated[
        int | None,
        typer.Argument(min=1, help="Version to make champion. Default: the champion before.", show_default=False),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Make an earlier version champion again, whatever the policy says.

    Example: eqn models rollback 3
    """
    from eqn.registry.champions import rollback
    from eqn.settings import load_settings

    moved = rollback(load_settings(), to=to)
    if json:
        print_json(as_json(moved))
    else:
        say(str(moved))


def promote(
    version: Annotated[
        int | None, typer.Argument(min=1, help="Registered version. Default: the challenger.", show_default=False)
    ] = None,
    *,
    data: DataDirectory = None,
    json: Json = False,
) -> None:
    """Make a registered version champion if it beats the present one by the policy in mlflow.yaml.

    Example: eqn promote 3
    """
    from eqn.registry.promotion import promote
    from eqn.registry.training_run import measure_on
    from eqn.settings import load_settings

    corpus = corpus_in(data)
    decision = promote(version, load_settings(), dev_metrics_of=measure_on(corpus), measured_on=corpus.ref.digest)
    if json:
        print_json(as_json(decision))
        return
    say(f"Version {decision.candidate} {'is champion now' if decision.promote else 'was not promoted'}:")
    for reason in decision.reasons:
        say(f"  {reason}")


def _facts(row: "VersionRow") -> dict[str, object]:
    facts: dict[str, object] = as_json(row)
    return facts | {"created": row.created.isoformat()}


def _line(row: "VersionRow") -> dict[str, object]:
    figures = {
        f"{split} {name}": f"{row.metrics.get(split, {}).get(key, float('nan')):.3f}"
        for split in ("dev", "test")
        for name, key in (("F1", "macro_f1"), ("mAP", "map"))
    }
    facts = {"version": row.version, "alias": ", ".join(row.aliases), "recipe": row.recipe.get("name", "")}
    return facts | {"corpus": row.corpus} | figures | {"created": row.created.strftime("%Y-%m-%d")}
