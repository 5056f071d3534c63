"""`eqn release report`: the page of a release for people, made again beside it or as a file of one's own."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from eqn.commands.shared import Dataset, Json, Number, Store, people, print_json, say, store_at
from eqn.errors import UsageError

Out = Annotated[
    Path | None,
    typer.Option(
        help="HTML file to write. Default: reports/<n>/index.html beside the release, replaced.", show_default=False
    ),
]
Open = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]


def report(
    dataset: Dataset,
    number: Number = None,
    *,
    out: Out = None,
    open_: Open = False,
    store: Store = None,
    json: Json = False,
) -> None:
    """Make the page of a release: how much of each emotion, what changed, examples. It needs no network.

    Example: eqn release report inbox --open
    """
    from eqn.pages.publish import publish_page, write_page

    opened = store_at(store)
    if open_ and out is None and "://" in opened.address(dataset):
        raise UsageError(
            "expected a file to open; this store is not on this machine.",
            todo=f"Try: eqn release report {dataset} --out {dataset}.html --open",
        )
    if out is None:
        page = publish_page(opened, dataset, number)
    else:
        page = write_page(opened, dataset, number, out)
    if json:
        print_json({"dataset": dataset, "page": page})
    else:
        say(page)
    if open_ and not webbrowser.open(Path(page).absolute().as_uri()):
        people.print("There is no browser on this machine: open the file on another one.")
