"""Publishing: the parts first, the manifest last. Until the manifest is there, no reader sees anything of a release.

A rerun of the same job writes the same bytes under the same keys, so it goes on where a killed one stopped. Rivals with
other work write into other folders; whose manifest comes second takes the next number.
"""

import uuid
from datetime import UTC, datetime
from pathlib import Path

from eqn import __version__
from eqn.annotation.annotator import Annotator
from eqn.corpus.contract import VERSION
from eqn.errors import Conflict
from eqn.records import ReleaseRef
from eqn.release.card import dataset_card
from eqn.release.catalog import find_job, reference, release_numbers
from eqn.release.manifest import FileEntry, Manifest, content_digest, files_key, manifest_key
from eqn.release.parts import PartWriter, Report, Written, documents, put_document, unheard
from eqn.release.plan import Plan
from eqn.store.interface import ObjectStore

_ATTEMPTS = 100
"""Rivals that may publish first, one after the other, before this run gives up."""


def publish(
    store: ObjectStore,
    plan: Plan,
    annotator: Annotator,
    *,
    quality: Path | None = None,
    report: Report = unheard,
) -> ReleaseRef:
    """Carry out `plan`: annotate, write, and commit the release.

    `quality` is a directory of Data Docs to publish with it; `report(rows, tokens)` hears of annotated rows.

    Raises:
        StorageFull, StoreUnavailable: nothing is published, what was written is used by a rerun.
        Conflict: a hundred rivals published first.

    """
    if plan.published is not None:
        return reference(store, plan.published, already_published=True)
    written = PartWriter(store, plan, annotator, report).write()
    folder = files_key(plan.dataset, plan.job)
    if quality is not None:
        for name, content in documents(quality):
            written.files[f"quality/{name}"] = put_document(store, folder, f"quality/{name}", content)
    card = dataset_card(plan, written.summary).encode()
    written.files["README.md"] = put_document(store, folder, "README.md", card)
    return _commit(store, plan, written)


def _commit(store: ObjectStore, plan: Plan, written: Written) -> ReleaseRef:
    commit_id = str(uuid.uuid4())
    seen = plan.previous.release if plan.previous else 0
    for _ in range(_ATTEMPTS):
        last = max(release_numbers(store, plan.dataset), default=0)
        rival = find_job(store, plan.dataset, plan.job, after=seen)
        if rival is not None:
            return reference(store, rival, already_published=True)
        # No release up to `last` is of this job, and one that came since stands where this one wants to be.
        manifest = _manifest(plan, written, number=last + 1, commit_id=commit_id)
        manifest.check()  # a manifest that readers would refuse must never be written
        if store.put_if_absent(manifest_key(plan.dataset, manifest.release), manifest.to_bytes()):
            return reference(store, manifest)
        seen = last
    raise Conflict(
        f"expected to publish {plan.dataset!r}; {_ATTEMPTS} other releases came first, one after the other.",
        todo="Run the same command again: everything is annotated already.",
    )


def _manifest(plan: Plan, written: Written, *, number: int, commit_id: str) -> Manifest:
    files: dict[str, FileEntry] = dict(sorted(written.files.items()))
    return Manifest(
        dataset=plan.dataset,
        release=number,
        job=plan.job,
        path=files_key(plan.dataset, plan.job),
        commit_id=commit_id,
        content_digest=content_digest(files),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
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
    )
