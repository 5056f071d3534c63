"""The `eqn` command: the commands of `eqn.commands` put together.

With --json a command prints one JSON value on standard output and nothing else there; progress and messages for people
go to standard error.
"""

import contextlib
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from eqn import __version__
from eqn.commands import annotate, data, importing, metrics, models, quality, release, store, training
from eqn.errors import INTERRUPTED, UsageError
from eqn.exits import ending

app = typer.Typer(
    name="eqn",
    help="28 emotion intensities for text: check data, train, compare, annotate, publish.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(annotate.annotate)
app.command()(data.validate)
app.command()(training.train)
app.command("import-checkpoint")(importing.import_checkpoint)
app.command()(training.evaluate)
app.command()(models.promote)
app.add_typer(models.app, name="models")
app.add_typer(release.app, name="release")
app.add_typer(data.app, name="data")
app.add_typer(quality.app, name="quality")
app.add_typer(store.app, name="store")
app.add_typer(metrics.app, name="metrics")


@app.callback(invoke_without_command=True)
def _options(*, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)  # noqa: T201  the command's result
        raise typer.Exit
    with contextlib.suppress(ModuleNotFoundError):  # without the pipeline's packages nothing is logged
        from eqn.telemetry.logs import configure_logging

        configure_logging("critical")


def main() -> None:
    """Run the command line on this process' arguments."""
    from eqn.training.distributed import leave

    leave(lambda: run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code."""
    return ending(lambda: _call(list(arguments)))


# What Typer raises for a call it cannot parse. It exports only some of the subclasses, and has its own copy of click.
_CallError: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


def _call(arguments: list[str]) -> int:
    try:
        code = app(args=arguments, prog_name="eqn", standalone_mode=False)
    except _CallError as error:
        error.show()  # type: ignore[attr-defined]  # see _CallError
        return UsageError.exit_code
    except SystemExit as error:
        # Typer has its own answers to Ctrl-C and to a reader that has gone: `ending` has better ones.
        if isinstance(error.__context__, BrokenPipeError):
            raise error.__context__ from None
        raise
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code or 0


if __name__ == "__main__":
    main()
