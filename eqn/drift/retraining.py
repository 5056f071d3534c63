"""Reasons to train again: the last release drifted, or the labelled data is not what the champion was trained on."""

from eqn.corpus.choice import choose_corpus
from eqn.drift.records import read_drift
from eqn.records import CorpusRef, Drift
from eqn.registry.champions import champion_of
from eqn.registry.versions import VersionRow, list_versions
from eqn.release.catalog import latest_readable
from eqn.release.manifest import Manifest
from eqn.settings import Settings
from eqn.store.interface import open_store


def reasons_to_retrain(settings: Settings, dataset: str) -> tuple[str, ...]:
    """Give the reasons to train a challenger, a sentence each; none where the champion will do.

    The drift is the one that was last measured of the dataset's latest release; the labelled data is what the settings
    name. Nothing is measured or written.

    Raises:
        StoreUnavailable: the registry or the store cannot be reached.
        UsageError, DataRefused: the labelled data cannot be read.

    """
    store = open_store(settings.store)
    champion = champion_of(list_versions(settings), settings)
    manifest = latest_readable(store, dataset)
    drift = read_drift(store, dataset, manifest.release) if manifest else None
    corpus = choose_corpus(settings.goemotions).ref
    return reasons(champion, corpus, manifest, drift, least_new_rows=settings.registry.drift.least_new_rows)


def reasons(
    champion: VersionRow | None,
    corpus: CorpusRef,
    manifest: Manifest | None,
    drift: Drift | None,
    *,
    least_new_rows: int,
) -> tuple[str, ...]:
    """Decide from a champion, the labelled data, the latest release and its drift, as far as there are any."""
    if champion is None:
        return ("Nobody is champion yet.",)
    return _new_data(champion, corpus, least_new_rows) + _drifted(champion, manifest, drift)


def _new_data(champion: VersionRow, corpus: CorpusRef, least_new_rows: int) -> tuple[str, ...]:
    """Tell whether there is other labelled data than the champion knows, and not less of it."""
    new = corpus.rows["train"] - champion.train_rows
    if corpus.digest == champion.corpus_digest or new < least_new_rows:
        return ()
    more = f"{new:,} more rows than" if new else "as many rows as, but other content than,"
    return (f"The labelled data changed: {corpus.name} has {more} what version {champion.version} was trained on.",)


def _drifted(champion: VersionRow, manifest: Manifest | None, drift: Drift | None) -> tuple[str, ...]:
    """Tell what drifted, if the champion annotated it: another model's drift says nothing of the champion."""
    if manifest is None or drift is None or manifest.model["digest"] != champion.digest:
        return ()
    start = f"Release {drift.release} of {drift.dataset} drifted: "
    return tuple(start + breach for breach in drift.breaches)
