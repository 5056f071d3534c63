"""The command behind `make up`, `make status` and `make down`."""

import argparse
import dataclasses
import json
import sys

from eqn.exits import ending
from eqn.settings import load_settings
from infra.stack.places import PORTS, Memory, Places, places_of
from infra.stack.programs import address_of


def main() -> int:
    """Do what the command line asks for, and give the exit code."""
    asked = _parse()
    places = places_of(load_settings())
    if asked.command == "up":
        from infra.stack.up import up

        wanted = {server: getattr(asked, f"{server}_port") for server in PORTS}
        memory = up(places, wanted_ports=wanted, say=_say)
        print(_page(places, memory))
        return 0
    if asked.command == "down":
        from infra.stack.down import down

        print("Everything is down; its data is kept." if down(places) else "There is no stack here.")
        return 0
    return _status(places, as_json=asked.json)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start what is not running")
    for server, port in PORTS.items():
        up.add_argument(
            f"--{server}-port",
            type=int,
            default=port,
            metavar="PORT",
            help=f"on the first start; default: {port or 'any that is free'}; 0: any that is free",
        )
    status = commands.add_parser("status", help="say what runs; exit code 5 when something is down")
    status.add_argument("--json", action="store_true", help="print one JSON value")
    commands.add_parser("down", help="end everything; data is kept")
    return parser.parse_args()


def _status(places: Places, *, as_json: bool) -> int:
    from eqn.errors import StoreUnavailable
    from infra.stack.status import status

    parts = [dataclasses.asdict(part) for part in status(places)]
    if as_json:
        print(json.dumps(parts))
    else:
        from rich.console import Console

        from eqn.terminal import table

        Console().print(table(f"EQN's stack in {places.root}", parts))
    missing = [part["name"] for part in parts if part["state"] != "up"]
    if missing:
        raise StoreUnavailable(f"not up: {', '.join(missing)}.", todo="`make up` starts what is down.")
    return 0


def _page(places: Places, memory: Memory) -> str:
    return f"""
Prefect  {address_of("prefect", memory)}   deployments, flow runs and their artifacts
MLflow   {address_of("mlflow", memory)}   experiments and registered models
Releases {address_of("pages", memory)}   pages of releases and their Data Docs
Metrics  {address_of("metrics", memory)}/metrics   for Prometheus, see infra/monitoring

Let a shell use them:     . {places.environment}
Drop a file for tonight:  eqn store put FILE
Annotate it now:          prefect deployment run annotate/nightly --watch
`make status` says how it is, `make down` ends it; logs are in {places.logs}.
All of it is on loopback, without passwords for the pages: from elsewhere, come through an SSH tunnel."""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(ending(main))
