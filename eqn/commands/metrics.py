"""`eqn metrics`: what runs counted, for Prometheus and for people."""

from typing import TYPE_CHECKING, Annotated

import typer

from eqn.commands.serving import serve_until_ended
from eqn.commands.shared import Json, out, print_json, say

if TYPE_CHECKING:
    from eqn.telemetry.ledger import Ledger

app = typer.Typer(help="What the runs of this state folder counted.", no_args_is_help=True)


@app.command()
def serve(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 9464,
    address: Annotated[
        str,
        typer.Option(help="Address to listen on. Other than on loopback it asks for the token in $EQN_METRICS_TOKEN."),
    ] = "127.0.0.1",
    json: Json = False,
) -> None:
    """Serve the metrics of all runs under /metrics, until it is ended. One for each state folder is enough.

    With --json the address comes on standard output.

    Example: eqn metrics serve --port 9464
    """
    from eqn.settings import load_metrics_token
    from eqn.telemetry.serve import exporter

    token = load_metrics_token().get_secret_value()
    serve_until_ended(exporter(_ledger(), address, port, token=token), json=json)


@app.command()
def show(*, json: Json = False) -> None:
    """Show every metric as it stands now.

    Example: eqn metrics show
    """
    import sqlite3

    from eqn.errors import StoreUnavailable

    ledger = _ledger()
    try:
        samples = sorted(ledger.read(), key=lambda sample: (sample.name, sorted(sample.labels.items())))
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(
            f"expected to read {ledger.path}: {error}",
            todo="If the file is damaged, move it away: the next run starts a new one, and counts from 0.",
        ) from error
    if json:
        print_json([{"name": sample.name, "labels": dict(sample.labels), "value": sample.value} for sample in samples])
    elif samples:
        from eqn.terminal import table

        rows = [
            {
                "metric": sample.name,
                "of": ", ".join(value for _, value in sorted(sample.labels.items())),
                "value": f"{sample.value:,.{0 if sample.value.is_integer() else 4}f}",
            }
            for sample in samples
        ]
        out.print(table(str(ledger.path), rows))
    else:
        say("No run was counted yet.")


def _ledger() -> "Ledger":
    from eqn.settings import load_settings
    from eqn.telemetry.ledger import Ledger

    return Ledger(load_settings().metrics)
