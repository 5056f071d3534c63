"""Which releases there are, as the first page of the page server lists them."""

import dataclasses
from urllib.parse import quote

from eqn.errors import ArtifactRefused, UsageError
from eqn.pages.page import TEMPLATES, policy_digest, template_environment, trusted
from eqn.pages.publish import page_key
from eqn.release.catalog import datasets, newest_redactions, read_manifest
from eqn.release.manifest import CARD, CROISSANT, Manifest, manifest_key
from eqn.store.interface import ObjectStore

DATA_DOCS = "quality/index.html"
"""Where a release's Data Docs begin, among its files."""
NEWEST = 20
"""Releases of a dataset that are listed."""

_DOCUMENTS = {CARD: "Dataset card", DATA_DOCS: "Data Docs", CROISSANT: "Card for machines"}


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What is listed of a release whose manifest can be read."""

    created: str
    """Time of the commit, ISO 8601."""
    rows: int
    quarantined: int
    model: str
    documents: tuple[tuple[str, str], ...]
    """Names and links of what there is beside the page."""


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """One release in the list."""

    number: int
    facts: Facts | None
    """None where the manifest is damaged."""
    page: str
    """The link to its page; empty where that was not made."""


@dataclasses.dataclass(frozen=True, slots=True)
class Shelf:
    """A dataset and its releases, the newest first."""

    dataset: str
    releases: tuple[Listed, ...]
    older: int
    """Releases that are not listed."""


class Listing:
    """The list of a store's releases. A manifest changes by redactions only, so it is read once after each of them.

    Threads may share it.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._known: dict[tuple[str, int, int], Facts] = {}

    def shelves(self) -> list[Shelf]:
        """Give every dataset that has releases.

        Raises:
            StoreUnavailable: the store cannot be read.

        """
        return [self._shelf(dataset) for dataset in datasets(self._store)]

    def _shelf(self, dataset: str) -> Shelf:
        redactions = newest_redactions(self._store, dataset)
        numbers = sorted(redactions, reverse=True)
        pages = set(self._store.list(f"{dataset}/reports"))
        listed = [
            Listed(number, self._facts(dataset, number, redactions[number]), _link(key) if key in pages else "")
            for number, key in ((number, page_key(dataset, number)) for number in numbers[:NEWEST])
        ]
        return Shelf(dataset, tuple(listed), len(numbers[NEWEST:]))

    def _facts(self, dataset: str, number: int, redaction: int) -> Facts | None:
        if (dataset, number, redaction) not in self._known:
            try:
                self._known[dataset, number, redaction] = _facts(read_manifest(self._store, dataset, number))
            except (ArtifactRefused, UsageError):  # damaged, or gone since it was listed; it may be restored
                return None
        return self._known[dataset, number, redaction]


def list_page(shelves: list[Shelf], store: str) -> bytes:
    """Write the page that lists `shelves`; `store` is the store's name for people."""
    count = sum(len(shelf.releases) + shelf.older for shelf in shelves)
    return _rendered("index.html.j2", shelves=shelves, store=store, count=count)


def message_page(title: str, sentence: str, *, todo: str = "") -> bytes:
    """Write a page with one sentence and what to do."""
    return _rendered("message.html.j2", title=title, sentence=sentence, todo=todo)


def list_policy() -> str:
    """Give the Content-Security-Policy of both pages: their own style, no script, nothing from anywhere."""
    return (
        f"default-src 'none'; style-src '{policy_digest(_style())}'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def _rendered(template: str, **values: object) -> bytes:
    page = template_environment().get_template(template).render(style=trusted(_style()), **values)
    return page.encode("utf-8", errors="backslashreplace")


def _style() -> str:
    return (TEMPLATES / "page.css").read_text("utf-8")


def _facts(manifest: Manifest) -> Facts:
    model = manifest.model
    keys = {f"{manifest.path}/{name}": meaning for name, meaning in _DOCUMENTS.items() if name in manifest.files}
    keys[manifest_key(manifest.dataset, manifest.release)] = "Manifest"
    return Facts(
        created=manifest.created,
        rows=manifest.rows_out,
        quarantined=manifest.rows_quarantined,
        model=f"{model['name']}, version {model['version']}" if model["version"] else "a model outside the registry",
        documents=tuple((meaning, _link(key)) for key, meaning in keys.items()),
    )


def _link(key: str) -> str:
    return f"/{quote(key)}"
