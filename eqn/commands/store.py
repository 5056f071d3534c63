"""`eqn store`: whether releases are safe on a store, and how a file gets into the inbox."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from eqn.commands.shared import Json, out, people, print_json, say
from eqn.errors import UsageError
from eqn.store.interface import open_store

app = typer.Typer(help="Look at the store of releases.", no_args_is_help=True)


@app.command()
def doctor(
    uri: Annotated[
        str | None,
        typer.Argument(
            help="Directory or s3://bucket/prefix. Default: $EQN_STORE, else the state folder.", show_default=False
        ),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Try whether a store keeps what releases rest on: one winner per key, whole bytes, true listings.

    Scratch keys are written, raced for and removed; releases are not touched. Exit code 5 when a check fails.

    Example: eqn store doctor s3://bucket/releases
    """
    from eqn.store.doctor import examine, require_sound

    if uri is None:
        from eqn.settings import load_settings

        uri = load_settings().store
    checks = examine(open_store(uri), report=lambda what: people.print(what, markup=False, highlight=False))
    if json:
        sound = all(check.passed for check in checks)
        print_json({"store": uri, "sound": sound, "checks": [dataclasses.asdict(check) for check in checks]})
    else:
        from eqn.terminal import table

        rows = [
            {
                "check": check.name,
                "passed": "yes" if check.passed else "no",
                "seconds": f"{check.seconds:.1f}",
                "what": check.what,
            }
            for check in checks
        ]
        out.print(table(uri, rows))
    require_sound(checks, uri)
    if not json:
        say(f"{uri} kept everything that releases rest on, {len(checks)} checks: you can publish to it.")


@app.command()
def put(
    files: Annotated[list[Path], typer.Argument(help="Files to copy.", show_default=False)],
    to: Annotated[
        str | None,
        typer.Option(
            help="Directory or s3://bucket/prefix. Default: $EQN_INBOX, else the state folder's inbox.",
            show_default=False,
        ),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Copy files to where they are annotated, each at once under its own name; one of the same name is replaced.

    Example: eqn store put letters.csv --to s3://eqn/inbox
    """
    missing = [f"{file}: no such file" for file in files if not file.is_file()]
    if missing:
        raise UsageError("expected files, got paths where there is none.", faults=missing, todo="Correct the paths.")
    if to is None:
        from eqn.settings import load_settings

        to = load_settings().inbox
    store = open_store(to)
    for file in files:
        store.put(file.name, file.read_bytes())
        if not json:
            say(store.address(file.name))
    if json:
        print_json([store.address(file.name) for file in files])
