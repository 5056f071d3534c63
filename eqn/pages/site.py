"""What each address of the page server stands for, without any socket.

/                                                       all releases
/<dataset>/reports/<n>/index.html                       the page of a release
/<dataset>/releases/<n>.json                            its manifest
/<dataset>/files/<folder>/README.md, croissant.json     its cards
/<dataset>/files/<folder>/quality/...                   its Data Docs
/data_docs/<report>/...                                 the reports that the quality gate keeps on this machine

All of it lies in the store as it lies here, so links between these files hold in both places. Nothing else is given
away: no data, no quarantine, no open commits.
"""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from eqn.errors import EqnError, StoreUnavailable
from eqn.pages.files import read_below
from eqn.pages.listing import Listing, list_page, list_policy, message_page
from eqn.release.manifest import CARD, CROISSANT, is_dataset_name, manifest_key
from eqn.store.interface import ObjectStore, is_key

HTML = "text/html; charset=utf-8"
REPORTS_FOLDER = "data_docs"
"""The first part of addresses of the reports on this machine; no key of a dataset of this name looks like one."""

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": HTML,
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".otf": "font/otf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_UNKNOWN = "application/octet-stream"
_FONTS = {".otf", ".woff2"}

# Sandboxed, a page is of no origin: should a script of a stranger ever run in it, it could read no other page here.
_SANDBOX = "sandbox allow-scripts allow-popups allow-downloads; base-uri 'none'; form-action 'none'"
_NOTHING = f"default-src 'none'; {_SANDBOX}; frame-ancestors 'none'"
# The page itself names its script and style by their digests, and both policies hold. The digests here would be those
# of this version of EQN, and the page may be another one's.
_PAGE = f"{_NOTHING}; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
# Great Expectations' pages take scripts and styles from several public networks, and have scripts in their markup.
_DATA_DOCS = (
    f"{_NOTHING}; script-src 'self' 'unsafe-inline' https:; style-src 'self' 'unsafe-inline' https:; "
    "font-src 'self' https: data:; img-src 'self' data:"
)

_NUMBER = "[1-9][0-9]{0,17}"
_PAGES = re.compile(rf"([^/]+)/reports/({_NUMBER})/index\.html")
_POLICIES = {
    _PAGES: _PAGE,
    re.compile(rf"[^/]+/releases/{_NUMBER}\.json"): _NOTHING,
    re.compile(rf"[^/]+/files/[^/]+/({re.escape(CARD)}|{re.escape(CROISSANT)})"): _NOTHING,
    re.compile(r"[^/]+/files/[^/]+/quality/.+"): _DATA_DOCS,
}
"""What is served of a dataset, and what browsers may do with it."""
_REPORTS = re.compile(rf"{REPORTS_FOLDER}/([^/]+-[0-9a-f]{{16}}/.+)")
_LONGEST, _LONGEST_PART = 1024, 255
"""Bytes: of an S3 service's keys, and of the names in most file systems."""


class Answer(NamedTuple):
    """What is sent back."""

    status: HTTPStatus
    content: bytes
    kind: str
    """The Content-Type."""
    policy: str
    """The Content-Security-Policy."""
    headers: Mapping[str, str] = {}


class Site:
    """The pages of one store, and the reports in the folder `data_docs`. Threads may share it."""

    def __init__(self, store: ObjectStore, data_docs: Path) -> None:
        self._store = store
        self._data_docs = data_docs
        self._listing = Listing(store)

    def answer(self, target: str) -> Answer:
        """Answer the request for `target`, as it stands in the request; an error becomes a page that says it."""
        try:
            name = _name_of(target)
            return _not_found() if name is None else self._file(name) if name else self._list()
        except StoreUnavailable as error:
            if error.lasting:
                return message(HTTPStatus.BAD_GATEWAY, "The store refuses us", error.what, todo=error.todo)
            status = HTTPStatus.SERVICE_UNAVAILABLE
            return message(status, "The store cannot be reached", error.what, todo=error.todo, **{"Retry-After": "10"})
        except EqnError as error:
            return message(HTTPStatus.BAD_GATEWAY, "This cannot be shown", error.what, todo=error.todo)

    def _list(self) -> Answer:
        store = self._store.address("x").removesuffix("/x")
        return Answer(HTTPStatus.OK, list_page(self._listing.shelves(), store), HTML, list_policy())

    def _file(self, name: str) -> Answer:
        report = _REPORTS.fullmatch(name)
        if report:
            return _answered(lambda: read_below(self._data_docs, report[1]), name, _DATA_DOCS) or _not_found()
        if not is_dataset_name(name.partition("/")[0]):
            return _not_found()
        for pattern, policy in _POLICIES.items():
            if pattern.fullmatch(name):
                return _answered(lambda: self._store.get(name), name, policy) or self._missing(name)
        return _not_found()

    def _missing(self, name: str) -> Answer:
        """Say how a page is made that is not there."""
        page = _PAGES.fullmatch(name)
        if page is None or not self._store.exists(manifest_key(page[1], int(page[2]))):
            return _not_found()
        return message(
            HTTPStatus.NOT_FOUND,
            "This page was not made yet",
            f"Release {page[2]} of {page[1]} is published; its page is not there.",
            todo=f"Make it: eqn release report {page[1]} {page[2]}",
        )


def message(status: HTTPStatus, title: str, sentence: str, *, todo: str = "", **headers: str) -> Answer:
    """Give an answer that is one sentence, and what to do."""
    return Answer(status, message_page(title, sentence, todo=todo), HTML, list_policy(), headers)


def _name_of(target: str) -> str | None:
    """Give the plain path that a request asks for, "" for the list; None where it cannot be a path of ours.

    What is percent-encoded is decoded once, and judged after that.
    """
    path = target.partition("?")[0]
    if not path.startswith("/"):
        return None
    try:
        encoded = unquote_to_bytes(path[1:])
        name = encoded.decode("utf-8")
    except UnicodeError:
        return None
    parts = encoded.split(b"/")
    if len(encoded) > _LONGEST or max(map(len, parts)) > _LONGEST_PART or not name.isprintable():
        return None
    hidden = any(part.startswith(b".") for part in parts)  # what is being written has such names
    return name if name == "" or (is_key(name) and not hidden) else None


def _answered(read: Callable[[], bytes], name: str, policy: str) -> Answer | None:
    try:
        content = read()
    except KeyError:
        return None
    suffix = PurePosixPath(name).suffix
    # A page of no origin gets its fonts only where they are given to everybody.
    headers = {"Access-Control-Allow-Origin": "*"} if suffix in _FONTS else {}
    return Answer(HTTPStatus.OK, content, _TYPES.get(suffix, _UNKNOWN), policy, headers)


def _not_found() -> Answer:
    return message(
        HTTPStatus.NOT_FOUND, "There is nothing here", "Pages of releases are served, their cards and their Data Docs."
    )
