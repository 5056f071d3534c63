"""The folder of a report: Great Expectations' pages (Data Docs) and, beside them, the outcome as `validation.json`.

with replacing(docs) as fresh:      # a new folder beside `docs`
    ...build the pages into fresh...
    tidy(fresh)
    save_validation(fresh, validation)
                                    # only now it takes the place of the old one
"""

import contextlib
import dataclasses
import errno
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from eqn.errors import EqnError, StorageFull
from eqn.quality.suites import rules_digest
from eqn.records import Finding, Validation, as_json

INDEX = "index.html"
OUTCOME = "validation.json"

# Every page loads its logos from the makers' own server, one with the time of the build in its address: a beacon.
# Styles and scripts come from public networks all the same; offline, the pages are plain but readable.
_BEACON = re.compile(r"https://great-expectations-web-assets\.[^\"'()\s]*")


@contextlib.contextmanager
def replacing(docs: Path) -> Iterator[Path]:
    """Give an empty folder that replaces `docs` when the block ends well; otherwise `docs` stays as it was.

    Between the two renames of the exchange there is an instant without `docs`. A crash in just that instant leaves the
    old folder beside it, and the next validation builds a new one.

    Raises:
        StorageFull: there is no space for the report.

    """
    try:
        docs.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{docs.name}-", dir=docs.parent) as beside:
            fresh = Path(beside, "fresh")  # not `beside` itself, which only its owner may enter
            fresh.mkdir()
            yield fresh
            with contextlib.suppress(FileNotFoundError):
                docs.rename(Path(beside, "old"))
            fresh.rename(docs)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(
                f"there is no space left for the report {docs}.", todo="Free some space; rerun."
            ) from error
        raise


def tidy(site: Path) -> None:
    """Check that the pages are there, and take out what phones home or is shown by none of them.

    Raises:
        EqnError: a page is missing. Great Expectations only logs what goes wrong while it renders.

    """
    pages = sorted(site.rglob("*.html"))
    missing = [kind for kind in ("expectations", "validations") if not any((site / kind).rglob("*.html"))]
    if missing or site / INDEX not in pages:
        raise EqnError(f"Great Expectations did not write all pages of its report; missing: {missing or [INDEX]}.")
    for page in pages:
        local = "../" * len(page.parent.relative_to(site).parts) + "static/images/logo-long.png"
        page.write_text(_BEACON.sub(local, page.read_text("utf-8")), "utf-8")
    for tutorial in (site / "static" / "images").glob("*.gif"):  # 3.4 of 4.2 MB
        tutorial.unlink()


def save_validation(site: Path, validation: Validation) -> None:
    """Write the outcome beside the pages, in a form that may be moved to another place or machine."""
    movable = dataclasses.replace(validation, data_docs=INDEX)
    outcome = {"rules": rules_digest(), "validation": as_json(movable)}
    (site / OUTCOME).write_text(json.dumps(outcome, indent=1) + "\n", "utf-8")


def load_validation(docs: Path) -> Validation | None:
    """Give the outcome that stands in `docs`, so that unchanged data need not be validated again.

    Keep one folder for each digest. None means: validate. The report is not there, is not readable, or was made under
    other rules than today's.
    """
    try:
        outcome = json.loads((docs / OUTCOME).read_text("utf-8"))
        fields = dict(outcome["validation"])
        found = [Finding(**{**finding, "ids": tuple(finding["ids"])}) for finding in fields["findings"]]
        index = docs.absolute() / fields["data_docs"]
        validation = Validation(**{**fields, "findings": tuple(found), "data_docs": str(index)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return validation if outcome["rules"] == rules_digest() and index.is_file() else None
