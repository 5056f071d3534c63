"""`eqn models` and `eqn promote`: registered models, and which of them is champion."""

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from eqn.commands.shared import DataDirectory, Json, corpus_in, out, print_json, say
from eqn.errors import UsageError
from eqn.records import Answer, Decision, as_json

if TYPE_CHECKING:
    from eqn.registry.versions import VersionRow
    from eqn.settings import Settings

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
    yes: Annotated[
        bool | None,
        typer.Option(
            "--yes/--no",
            help="Answer for the policy that asks a person (promotion.mode: ask in mlflow.yaml): --yes promotes what "
            "it would promote, --no declines the version for good.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Who answers. Default: the user of this machine.", show_default=False)] = "",
    why: Annotated[str, typer.Option(help="Why, kept with the answer.", show_default=False)] = "",
    json: Json = False,
) -> None:
    """Make a registered version champion if it beats the present one by the policy in mlflow.yaml.

    Where the policy asks a person it says so, and waits: the same command with --yes or --no answers.

    Examples: eqn promote 3; eqn promote 3 --yes --name Ada --why "better on rare emotions"
    """
    from eqn.registry.promotion import conclude, promote
    from eqn.registry.training_run import measure_on
    from eqn.settings import load_settings

    if yes is None and (name or why):
        raise UsageError("--name and --why say whose answer it is; expected --yes or --no beside them.")
    settings, corpus = load_settings(), corpus_in(data)
    measure, digest = measure_on(corpus), corpus.ref.digest
    if yes is None:
        decision = promote(version, settings, dev_metrics_of=measure, measured_on=digest)
    else:
        answer = _answer(version, settings, promote=yes, who=name, why=why)
        decision = conclude(answer, settings, dev_metrics_of=measure, measured_on=digest)
    if json:
        print_json(as_json(decision))
        return
    say(f"Version {decision.candidate} {_verdict(decision)}:")
    for reason in decision.reasons:
        say(f"  {reason}")
    if decision.held:
        say(f"Say yes or no: eqn promote {decision.candidate} --yes (or --no)")


def _answer(version: int | None, settings: "Settings", *, promote: bool, who: str, why: str) -> Answer:
    """Give the answer to what a person was last asked about that version."""
    import getpass

    from eqn.registry.promotion import pair_asked_about

    if not who:
        with contextlib.suppress(OSError, KeyError):  # a machine without names for its users
            who = getpass.getuser()
    candidate, champion = pair_asked_about(version, settings)
    return Answer(promote=promote, who=who, why=why, candidate=candidate, champion=champion)


def _verdict(decision: Decision) -> str:
    if decision.held:
        return "waits for a person"
    return "is champion now" if decision.promote else "was not promoted"


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
