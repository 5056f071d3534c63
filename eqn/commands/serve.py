"""`eqn release serve`: the pages of all releases for the browsers of this machine."""

from typing import Annotated

import typer

from eqn.commands.serving import serve_until_ended
from eqn.commands.shared import Json, Store, store_at


def serve(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8480,
    store: Store = None,
    json: Json = False,
) -> None:
    """Serve release pages, cards and Data Docs to browsers of this machine, until it is ended. Nothing can be changed.

    With --json the address comes on standard output. Set EQN_PAGES_URL to it, and runs of flows link to the pages.

    Example: eqn release serve --port 8480
    """
    from eqn.pages.serve import served
    from eqn.pages.site import Site
    from eqn.settings import load_settings

    serve_until_ended(served(Site(store_at(store), load_settings().data_docs), port), json=json)
