"""Publishing: the parts first, the manifest last. Until the manifest is there, no reader sees anything of a release.

A rerun of the same job writes the same bytes under the same keys, so it goes on where a killed one stopped. Rivals with
other work write into other folders; whose manifest comes second takes the next number. Nothing that stands in a folder
is ever replaced: where it is not what it should be, the next folder is taken.
"""

import contextlib
import itertools
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from eqn import __version__
from eqn.annotation.annotator import Annotator
from eqn.annotation.engine import Engine, LocalEngine, Report
from eqn.corpus.contract import VERSION
from eqn.errors import EqnError, StoreUnavailable
from eqn.failpoints import reached
from eqn.records import ReleaseRef
from eqn.release.card import dataset_card
from eqn.release.catalog import reference
from eqn.release.collection import give_up
from eqn.release.commit import (
    FilesCollected,
    commit,
    require_current,
    require_number,
    settle,
    twin_or_last,
)
from eqn.release.croissant import croissant_json
from eqn.release.erasures import newest_erasure
from eqn.release.manifest import (
    CARD,
    CROISSANT,
    FileEntry,
    Manifest,
    collected_key,
    content_digest,
    files_key,
    folder_name,
)
from eqn.release.parts import FolderUnusable, PartWriter, Written, documents, put_document, unheard
from eqn.release.plan import Plan
from eqn.store.interface import ObjectStore
from eqn.telemetry.run import current_run

_FOLDERS = 5
"""Folders that are tried before this run gives up: one that holds other files is left to them."""


def publish(
    store: ObjectStore,
    plan: Plan,
    annotator: Annotator,
    *,
    engine: Engine | None = None,
    quality: Path | None = None,
    expect: int | None = None,
    report: Report = unheard,
) -> ReleaseRef:
    """Carry out `plan`: annotate, write, and commit the release.

    The plan was made with `annotator`, which annotates in this process unless there is an `engine`.
    `quality` is a directory of Data Docs to publish with it; `report(rows, tokens)` hears of annotated rows. With
    `expect` it is that release or none.

    Raises:
        StorageFull, StoreUnavailable: nothing is published, what was written is used by a rerun.
        Conflict: release `expect` holds other work or is not the next one, this work is another release already, a
            hundred rivals published first, or rows were erased since the plan was made.
        CommitUnknown: the store stopped answering during the commit.
        DataRefused: an input changed since the plan was made.
        ArtifactRefused: a file that is to be carried over is not as it was published.

    """
    if plan.published is not None:
        return found(store, plan.published, expect=expect)
    commit_id = str(uuid.uuid4())
    after = plan.previous.release if plan.previous else 0
    with _given_up_when_outdated(store, plan) as used:
        for folder in itertools.islice(_folders(store, plan), _FOLDERS):
            twin, _ = twin_or_last(store, plan.dataset, plan.job, after=after, expect=expect)
            if twin is not None:
                return found(store, twin, expect=expect)
            require_current(store, plan.dataset, plan.erasures)
            used.append(folder)
            key = files_key(plan.dataset, folder)
            # Where the folder is not to be used after all, the next one is.
            with _unless_unusable(store, plan, folder):
                written = _write(
                    store, plan, key, engine=engine or LocalEngine(annotator), quality=quality, report=report
                )
                with current_run().stage("commit"):
                    done = commit(store, _draft(plan, written, key, commit_id), after=after, expect=expect)
                return reference(store, done.manifest, already_published=done.already_published)
    raise StoreUnavailable(
        f"expected to write the files of this job; {_FOLDERS} folders in {store.address(f'{plan.dataset}/files')} hold "
        f"other files under its name ({plan.job}), or lose what is written.",
        todo=f"Find out who writes there, then run `eqn release gc {plan.dataset} --grace 0` and this once more.",
    )


def found(store: ObjectStore, published: Manifest, *, expect: int | None = None) -> ReleaseRef:
    """Give the reference of a release that holds the wanted work already.

    Raises:
        Conflict: it is not release `expect`.

    """
    require_number(published, expect)
    settle(store, published.dataset, published.job)
    return reference(store, published, already_published=True)


@contextlib.contextmanager
def _unless_unusable(store: ObjectStore, plan: Plan, folder: str) -> Iterator[None]:
    """Go on after the block where the folder is not to be used after all."""
    try:
        yield
    except FilesCollected:
        pass
    except FolderUnusable:
        if plan.erasures:  # the files of a run that was killed may hold rows that were erased since
            give_up(store, plan.dataset, [folder])


@contextlib.contextmanager
def _given_up_when_outdated(store: ObjectStore, plan: Plan) -> Iterator[list[str]]:
    """Give a list for the folders that are written to: where rows were erased meanwhile, all of them must go.

    However the run ends: whoever erased those rows may have looked before they were written. A run that is killed, or
    whose store does not answer, leaves them to `eqn release erase --resume`.
    """
    used: list[str] = []
    try:
        yield used
    except StoreUnavailable:
        raise
    except Exception:
        with contextlib.suppress(EqnError):  # what happened is told, not that no more could be done about it
            if newest_erasure(store, plan.dataset) > plan.erasures:
                give_up(store, plan.dataset, used)
        raise


def _folders(store: ObjectStore, plan: Plan) -> Iterator[str]:
    """Give the names of the folders that the job's files may be written to."""
    for attempt in itertools.count():
        name = folder_name(plan.job, attempt)
        if not store.exists(collected_key(plan.dataset, name)):
            yield name
        elif plan.erasures and any(True for _ in store.list(files_key(plan.dataset, name))):
            give_up(store, plan.dataset, [name])  # a run that was killed wrote on after its folder was given up


def _write(
    store: ObjectStore, plan: Plan, folder: str, *, engine: Engine, quality: Path | None, report: Report
) -> Written:
    """Write every file of the job, and give what was written."""
    written = PartWriter(store, plan, folder, engine=engine, report=report).write()
    reached("publish.parts-written")
    if quality is not None:
        for name, content in documents(quality):
            written.files[f"quality/{name}"] = put_document(
                store, folder, f"quality/{name}", content, always_equal=False
            )
    card = dataset_card(plan, written.summary).encode()
    written.files[CARD] = put_document(store, folder, CARD, card, always_equal=True)
    described = croissant_json(plan, written.summary, written.files)
    written.files[CROISSANT] = put_document(store, folder, CROISSANT, described, always_equal=True)
    reached("publish.documents-written")
    return written


def _draft(plan: Plan, written: Written, folder: str, commit_id: str) -> Callable[[int], Manifest]:
    """Give the manifest of what was written, for any number of the release."""
    files: dict[str, FileEntry] = dict(sorted(written.files.items()))
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return lambda number: Manifest(
        dataset=plan.dataset,
        release=number,
        job=plan.job,
        path=folder,
        commit_id=commit_id,
        content_digest=content_digest(files),
        created=created,
        eqn_version=__version__,
        contract=VERSION,
        model={"name": plan.model.name, "version": plan.model.version, "digest": plan.model.digest},
        options=plan.options,
        inputs=tuple(written.inputs),
        rows_in=plan.rows,
        rows_out=written.summary.rows,
        rows_quarantined=sum(sum(entry.quarantined.values()) for entry in written.inputs),
        ids_in_several_files=written.summary.ids_in_several_files(),
        files=files,
        previous=number - 1 or None,
        erasures=plan.erasures,
    )
