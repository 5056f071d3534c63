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
import html
import itertools
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

    A report that says the same stays as well: another process may have put it there, and may be reading its pages. Of
    any other there is an instant without `docs`, between the two renames of the exchange. A crash in just that instant
    leaves the old folder beside it, and the next validation builds a new one.

    Raises:
        StorageFull: there is no space for the report.

    """
    try:
        docs.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{docs.name}-", dir=docs.parent) as beside:
            fresh = Path(beside, "fresh")  # not `beside` itself, which only its owner may enter
            fresh.mkdir()
            yield fresh
            for attempt in itertools.count():
                if _put(fresh, docs) or _says_the_same(docs, fresh):
                    break
                with contextlib.suppress(FileNotFoundError):
                    docs.rename(Path(beside, f"old-{attempt}"))
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(
                f"there is no space left for the report {docs}.", todo="Free some space; rerun."
            ) from error
        raise


def _put(fresh: Path, docs: Path) -> bool:
    """Rename `fresh` to `docs` unless something stands there; tell whether it was done."""
    try:
        fresh.rename(docs)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            return False
        raise
    return True


def _says_the_same(docs: Path, fresh: Path) -> bool:
    """Tell whether the report in `docs` is a readable one of the same outcome, under the same rules, as `fresh`."""
    there, new = load_validation(docs), load_validation(fresh)
    if there is None or new is None:
        return False
    return dataclasses.replace(there, data_docs="") == dataclasses.replace(new, data_docs="")


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
    """Write the outcome beside the pages, in a form that may be moved to another place, and onto the index."""
    movable = dataclasses.replace(validation, data_docs=INDEX)
    outcome = {"rules": rules_digest(), "validation": as_json(movable)}
    (site / OUTCOME).write_text(json.dumps(outcome, indent=1) + "\n", "utf-8")
    results = [page.relative_to(site).as_posix() for page in sorted((site / "validations").rglob("*.html"))]
    index = (site / INDEX).read_text("utf-8").replace("<body>", f"<body>\n{_verdict(validation, results)}", 1)
    (site / INDEX).write_text(index, "utf-8", errors="backslashreplace")  # a directory's name may be no UTF-8


def _verdict(validation: Validation, results: list[str]) -> str:
    # Great Expectations' own index is filled by scripts from public networks: without them it would say nothing.
    lines = [f"{finding.severity}: {finding.what}" for finding in validation.findings] or ["no findings"]
    links = [f'<a href="{html.escape(page)}">all expectations</a>' for page in results]
    links.append(f'<a href="{OUTCOME}">the failing rows</a>')
    facts = f"{validation.rows:,} rows, {validation.expectations} expectations, digest {validation.digest}"
    return "\n".join(
        [
            '<section style="padding: 1em 3em">',
            f"<h1>{html.escape(validation.subject)}: {'passed' if validation.passed else 'refused'}</h1>",
            f"<p>{html.escape(facts)}</p>",
            "<ul>",
            *(f"<li>{html.escape(line)}</li>" for line in lines),
            "</ul>",
            f"<p>{', '.join(links)}</p>",
            "</section>",
        ]
    )


def load_validation(docs: Path) -> Validation | None:
    """Give the outcome that stands in `docs`, so that unchanged data need not be validated again.

    Keep one folder for each digest. None means: validate. The report is not there, is not readable, or was made under
    other rules than today's.
    """
    try:
        outcome = json.loads((docs / OUTCOME).read_text("utf-8"))
        current = outcome["rules"] == rules_digest()
        fields = dict(outcome["validation"])
        found = [Finding(**{**finding, "ids": tuple(finding["ids"])}) for finding in fields["findings"]]
        index = docs.absolute() / fields["data_docs"]
        validation = Validation(**{**fields, "findings": tuple(found), "data_docs": str(index)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return validation if current and index.is_file() else None
