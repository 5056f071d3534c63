"""Making anew what was derived from redacted releases: profiles, drift and pages show or weigh texts."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from eqn.drift.measure import measure_drift
from eqn.drift.profiles import profile_key
from eqn.drift.records import drift_key, read_drift
from eqn.errors import EqnError
from eqn.pages.publish import page_key, publish_page
from eqn.release.catalog import release_numbers
from eqn.settings import Settings
from eqn.store.interface import ObjectStore, open_store


def refresh_reports(settings: Settings, dataset: str, redacted: Mapping[int, Sequence[str] | None]) -> list[str]:
    """Make the reports of redacted releases anew, and those of releases that were compared with them.

    `redacted` gives for each release the names of the reports that it had; None, where an interruption has forgotten
    them, stands for all. What cannot be made anew stays away; why is given, in sentences.
    """
    store = open_store(settings.store)
    wanted = {
        number: {page_key(dataset, number), drift_key(dataset, number)}
        if names is None
        else {f"{dataset}/reports/{number}/{name}" for name in names}
        for number, names in redacted.items()
    }
    for number in release_numbers(store, dataset):
        if number in redacted or _was_compared(store, dataset, number, redacted):
            there = set(store.list(f"{dataset}/reports/{number}"))
            wanted[number] = wanted.get(number, set()) | there
            for key in there:
                store.delete(key)
    faults = []
    for number, keys in sorted(wanted.items()):
        if {drift_key(dataset, number), profile_key(dataset, number)} & keys:
            faults += _fault(partial(measure_drift, settings, dataset, number), f"drift {dataset} {number}")
        if page_key(dataset, number) in keys:
            faults += _fault(partial(publish_page, store, dataset, number), f"report {dataset} {number}")
    return faults


def _was_compared(store: ObjectStore, dataset: str, number: int, redacted: Collection[int]) -> bool:
    """Tell whether the kept drift of a release is measured from a redacted one."""
    drift = read_drift(store, dataset, number)
    names = {f"release {one}" for one in redacted}
    return drift is not None and any(comparison.against.partition(",")[0] in names for comparison in drift.comparisons)


def _fault(make: Callable[[], object], command: str) -> list[str]:
    try:
        make()
    except EqnError as error:
        return [f"{error.what} Once that is mended: eqn release {command}"]
    return []
