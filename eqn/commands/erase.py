"""`eqn release erase`: takes a person's rows out of every release of a dataset, on record."""

import contextlib
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from eqn.commands.shared import Dataset, Json, Store, out, people, print_json, say, settings_at
from eqn.errors import UsageError
from eqn.records import as_json

if TYPE_CHECKING:
    from eqn.corpus.erased import ErasureList
    from eqn.release.erasure import Affected, Erased, Found
    from eqn.settings import Settings
    from eqn.store.interface import ObjectStore

Ids = Annotated[
    list[str] | None, typer.Option("--id", help="Id of a row, as the release has it; repeatable.", show_default=False)
]
Texts = Annotated[
    list[str] | None,
    typer.Option(
        help="sha256 of a whole text in UTF-8, in hex (printf %s 'the text' | sha256sum); repeatable.",
        show_default=False,
    ),
]
From = Annotated[
    Path | None,
    typer.Option("--from", help="File with an id, or text-sha256:HEX, on each line.", show_default=False),
]
Resume = Annotated[bool, typer.Option("--resume", help="End what was interrupted: apply every record once more.")]
RecordOnly = Annotated[bool, typer.Option("--record-only", help="Go on where no row is found: none may come later.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be erased, change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
By = Annotated[str, typer.Option(help="Who orders it. Default: the user of this machine.", show_default=False)]
Reason = Annotated[str, typer.Option(help="Why, kept with the record: say nothing personal.", show_default=False)]

_DIGEST = re.compile("[0-9a-f]{64}")
_TEXT_LINE = re.compile("text-sha256:(.*)")
_NOT_REACHED = (
    "files that were exported or copied from these releases, and backups",
    "earlier versions of objects, where a bucket keeps them",
    "copies of inputs that runs have staged",
    "ids in reports of `eqn validate`, in those of the quality gate on other machines, and on Prefect's pages",
    "rows in quarantine of more than 64 KiB, when only their text is named: they are kept in part",
    "other datasets, and models that were trained on these texts",
)
_LATER = (
    "Runs that began before this and are killed leave files behind. In ten minutes, or once they have ended, this "
    "removes them: eqn release erase {dataset} --resume"
)


def erase(
    dataset: Dataset,
    *,
    ids: Ids = None,
    text_sha256: Texts = None,
    from_: From = None,
    resume: Resume = False,
    record_only: RecordOnly = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    by: By = "",
    reason: Reason = "",
    store: Store = None,
    json: Json = False,
) -> None:
    """Erase rows from every release of a dataset, on record, and keep them out of later ones.

    A row is found by its id or by its whole text. Releases keep their numbers and verify as before; their manifests
    say what was taken out, when and by whom. The record holds digests only. Inputs are never changed.

    Example: eqn release erase inbox --id 007 --reason "asked by its author"
    """
    from eqn.release import erasure
    from eqn.store.interface import open_store

    settings = settings_at(store)
    opened = open_store(settings.store)
    named = _named(ids or [], text_sha256 or [], from_)
    if resume == any(named):
        raise UsageError(
            "expected either rows to erase or --resume.", todo=f"Try: eqn release erase {dataset} --id ID --dry-run"
        )
    if resume and not dry_run:
        _end(settings, opened, dataset, erasure.resume(opened, dataset), json=json, earlier=True)
        return
    wanted, is_new = _wanted(opened, dataset, named)
    people.print("Looking through the releases ...", highlight=False)
    found = erasure.search(opened, dataset, wanted)
    unmatched = named.of(found.unmatched)
    _require_found(found, dataset, needed=is_new and not record_only)
    if dry_run:
        _show_found(dataset, found, unmatched, json=json)
        return
    if is_new and not (yes or _agreed(dataset, found)):
        people.print("Nothing was changed.", highlight=False)
        return
    done = erasure.erase(opened, dataset, wanted, by=by or _user(), reason=reason)
    _end(settings, opened, dataset, done, json=json, unmatched=unmatched, earlier=not is_new)


class _Named(NamedTuple):
    """The rows that a person named: digests, each with the words that named it."""

    ids: dict[str, str]
    texts: dict[str, str]

    def of(self, digests: Collection[str]) -> list[str]:
        """Give the words for those of them that are in `digests`."""
        return [words for digest, words in (self.ids | self.texts).items() if digest in digests]


def _named(ids: Sequence[str], texts: Sequence[str], file: Path | None) -> _Named:
    """Take in what a person named.

    Raises:
        UsageError: a digest or an id is none; all are named.

    """
    from eqn.corpus.erased import digest_of

    by_text = [digest.strip().lower() for digest in texts]
    by_id = list(ids)
    for line in _lines(file) if file else ():
        text = _TEXT_LINE.fullmatch(line)
        if text:
            by_text.append(text[1].strip().lower())
        else:
            by_id.append(line)
    faults = [f"{digest!r} is no sha256 in hex" for digest in by_text if not _DIGEST.fullmatch(digest)]
    faults += ["an id is empty"] * ("" in by_id)
    if faults:
        raise UsageError(
            "expected ids, and digests of texts:", faults=faults, todo="A digest: printf %s 'the text' | sha256sum"
        )
    return _Named(
        {digest_of(one): f"the id {one}" for one in by_id}, {one: f"a text of sha256 {one}" for one in by_text}
    )


def _lines(file: Path) -> list[str]:
    try:
        # utf-8-sig, as editors and spreadsheets write; split, since only a line's end ends an id.
        lines = file.read_bytes().decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"expected a text file in UTF-8 at {file}; it cannot be read: {error}", todo="Correct --from."
        ) from error
    return [line for line in (line.removesuffix("\r") for line in lines) if line]


def _wanted(store: "ObjectStore", dataset: str, named: _Named) -> "tuple[ErasureList, bool]":
    """Give the list of what is to be erased, by default of all that is on record, and whether any of it is new."""
    from eqn.corpus.erased import ErasureList
    from eqn.release.erasures import list_of, read_erasures
    from eqn.release.manifest import check_dataset_name

    known = list_of(read_erasures(store, check_dataset_name(dataset)))
    if not any(named):
        return known, False
    is_new = not (named.ids.keys() <= known.ids.keys() and named.texts.keys() <= known.texts.keys())
    return ErasureList(dict.fromkeys(named.ids, 1), dict.fromkeys(named.texts, 1)), is_new


def _require_found(found: "Found", dataset: str, *, needed: bool) -> None:
    if needed and not (found.releases or found.folders or found.faults):
        raise UsageError(
            f"expected rows of {dataset!r} to erase; none of {found.rows:,} rows in its releases has such an id or "
            "text. Nothing was changed.",
            todo="Ids and texts must be exactly as the release has them. To keep out what may come: --record-only",
        )


def _agreed(dataset: str, found: "Found") -> bool:
    rows = sum(affected.rows for affected in found.releases)
    if not sys.stdin.isatty():
        raise UsageError(
            f"expected --yes, since there is no terminal to ask at: {rows:,} rows in {len(found.releases)} releases of "
            f"{dataset!r} would be erased for good.",
            todo="See them with --dry-run, then add --yes.",
        )
    question = f"Erase {rows:,} rows in {len(found.releases)} releases of {dataset} for good?"
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # no answer will come
        raise KeyboardInterrupt from None


def _user() -> str:
    import getpass

    with contextlib.suppress(OSError, KeyError):  # a machine without names for its users
        return getpass.getuser()
    return ""


def _end(
    settings: "Settings",
    store: "ObjectStore",
    dataset: str,
    done: "Erased",
    *,
    json: bool,
    unmatched: Sequence[str] = (),
    earlier: bool = False,
) -> None:
    """Clean up what was derived from the erased rows, and say what was done and what was not; see `clean_up`."""
    from eqn.release.catalog import read_manifest

    faults = clean_up(settings, store, dataset, done, earlier=earlier)
    paths = {one.release: store.address(read_manifest(store, dataset, one.release).path) for one in done.releases}
    inputs = sorted({name for affected in done.releases for name in affected.inputs})
    if json:
        facts = {"dataset": dataset, "record": done.record, "folders": list(done.folders), "not_found": [*unmatched]}
        releases = [as_json(affected) | {"path": paths[affected.release]} for affected in done.releases]
        print_json(facts | {"releases": releases, "inputs_that_hold_them": inputs, "not_cleaned_up": faults})
    else:
        _show_done(dataset, done, inputs, unmatched)
        show_faults(faults)
    done.require_complete(dataset)


def clean_up(
    settings: "Settings", store: "ObjectStore", dataset: str, done: "Erased", *, earlier: bool = False
) -> list[str]:
    """Remove what was derived from erased rows, or make it anew; give what could not be, in sentences.

    With `earlier`, also after erasures that were interrupted before they did.
    """
    from eqn.pages.refresh import refresh_reports
    from eqn.quality.inputs import forget_reports
    from eqn.release.erasure import redacted_releases

    faults = []
    if done.record:
        left = forget_reports(settings.data_docs, dataset)
        faults = [f"{place} names ids of the inputs and could not be removed." for place in left]
    redacted = {affected.release: affected.reports for affected in done.releases}
    stale: dict[int, Sequence[str] | None] = dict.fromkeys(redacted_releases(store, dataset) if earlier else ())
    return faults + refresh_reports(settings, dataset, stale | redacted)


def show_faults(faults: Sequence[str]) -> None:
    """Say what could not be cleaned up."""
    for fault in faults:
        people.print(f"Not cleaned up: {fault}", markup=False, highlight=False, soft_wrap=True)


def _show_found(dataset: str, found: "Found", unmatched: Sequence[str], *, json: bool) -> None:
    if json:
        facts = as_json(found) | {"unmatched": sorted(found.unmatched), "not_found": list(unmatched)}
        print_json({"dataset": dataset} | facts)
        return
    _show_releases(f"{dataset}: would be erased", found.releases)
    _show_unmatched(unmatched)
    for folder in found.folders:
        say(f"The unpublished folder {folder} would go.")
    for fault in found.faults:
        say(fault)
    say(f"{found.rows:,} rows were looked at. Nothing was changed.")


def _show_done(dataset: str, done: "Erased", inputs: Sequence[str], unmatched: Sequence[str]) -> None:
    from eqn.terminal import printable

    _show_releases(f"{dataset}: erased", [affected for affected in done.releases if affected.rows])
    _show_unmatched(unmatched)
    for folder in done.folders:
        say(f"The unpublished folder {folder} was removed.")
    if not (done.releases or done.folders or done.faults):
        say(f"No release of {dataset} holds such rows.")
    say(f"On record: erasure {done.record}." if done.record else f"Nothing was ever erased from {dataset}.")
    if not done.releases:
        return
    say("Not reached by this:")
    say(printable(f"  the inputs themselves ({', '.join(inputs)}): later runs leave the rows out"))
    for what in _NOT_REACHED:
        say(f"  {what}")
    say(_LATER.format(dataset=dataset))


def _show_releases(title: str, releases: "Sequence[Affected]") -> None:
    from eqn.terminal import table

    rows = [
        {
            "release": affected.release,
            "rows": affected.rows,
            "files": affected.files,
            "from": ", ".join(affected.inputs),
        }
        for affected in releases
    ]
    if rows:
        out.print(table(title, rows))


def _show_unmatched(unmatched: Sequence[str]) -> None:
    for words in unmatched:
        say(f"No row has {words}.")
