"""Addresses under which browsers find pages, where a page server is known (EQN_PAGES_URL)."""

from pathlib import Path
from urllib.parse import quote

from eqn.pages.listing import DATA_DOCS
from eqn.pages.publish import page_key
from eqn.pages.site import REPORTS_FOLDER
from eqn.records import ReleaseRef
from eqn.release.manifest import files_key
from eqn.settings import Settings


def link_to_page(settings: Settings, release: ReleaseRef) -> str:
    """Give the link to a release's page; empty where no page server is known."""
    return _link(settings, page_key(release.dataset, release.number))


def link_to_release_docs(settings: Settings, release: ReleaseRef) -> str:
    """Give the link to the Data Docs published with a release; empty where no page server is known."""
    folder = release.path.rstrip("/").rpartition("/")[2]
    return _link(settings, f"{files_key(release.dataset, folder)}/{DATA_DOCS}")


def link_to_report(settings: Settings, place: str) -> str:
    """Give the link to a report of the quality gate at `place`; empty where no page server is known, or it has none."""
    try:
        name = Path(place).relative_to(settings.data_docs).as_posix()
    except ValueError:
        return ""
    return _link(settings, f"{REPORTS_FOLDER}/{name}")


def _link(settings: Settings, key: str) -> str:
    return f"{settings.pages_url.rstrip('/')}/{quote(key)}" if settings.pages_url else ""
