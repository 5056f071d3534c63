"""A feed of advisories on loopback that answers as OSV's query does."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from packaging.utils import canonicalize_name

TORCH = ("torch", "2.5.1")


class Feed:
    """What the feed knows, what it was asked, and how it misbehaves."""

    def __init__(self, known: Mapping[tuple[str, str], str]) -> None:
        self.known = dict(known)
        """Ids of advisories, by package and version."""
        self.asked: list[tuple[str, str]] = []
        self.fails_at = 0
        """The number of the request that is answered with 503; 0 for none."""
        self.odd: dict[str, Any] = {}
        """What stands in every advisory instead of what everybody writes."""

    def answer(self, query: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer a query with a status and OSV's JSON."""
        package = (canonicalize_name(query["package"]["name"]), query["version"])
        self.asked.append(package)
        if len(self.asked) == self.fails_at:
            return 503, {}
        advisory = self.known.get(package)
        if not advisory:
            return 200, {}
        odd = self.odd if package != TORCH else {}  # it is asked for first, as a sign of a feed that knows something
        events = [{"introduced": "0"}, {"fixed": "9.9"}]
        affected = {
            "package": {"name": package[0], "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }
        return 200, {"vulns": [{"id": advisory, "summary": "It runs code.", "affected": [affected]} | odd]}


@contextlib.contextmanager
def serving(feed: Feed) -> Iterator[str]:
    """Serve `feed`; gives the address of its query."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = feed.answer(query)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
