"""`eqn release serve`: the pages of all releases for the browsers of this machine."""

import signal
import sys
from typing import Annotated

import typer

from eqn.commands.shared import Json, Store, people, print_json, store_at


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

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with served(Site(store_at(store), load_settings().data_docs), port) as (address, thread):
            if json:
                print_json({"address": address})
                sys.stdout.flush()
            else:
                people.print(address, highlight=False, soft_wrap=True)
            while thread.is_alive():  # a wait without an end may not hear a signal that came just before it
                thread.join(timeout=0.5)
    except KeyboardInterrupt:  # how a person ends it
        return
