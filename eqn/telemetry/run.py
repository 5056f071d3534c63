"""A run under observation: what it counts, how long its stages take, how it ends."""

import contextlib
import contextvars
import logging
import threading
import time
import uuid
from collections.abc import Iterator, Mapping

from eqn.errors import (
    ArtifactRefused,
    CommitUnknown,
    Conflict,
    DataRefused,
    EqnError,
    StorageFull,
    StoreUnavailable,
    UsageError,
)
from eqn.records import Drift, ReleaseRef
from eqn.settings import Settings
from eqn.telemetry.context import bound
from eqn.telemetry.families import dataset_label, name_label
from eqn.telemetry.ledger import Changes, Entry, Ledger
from eqn.telemetry.push import push

SUCCEEDED = "succeeded"
_OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (UsageError, "usage"),
    (DataRefused, "refused"),
    (Conflict, "conflict"),
    (StoreUnavailable, "unavailable"),
    (StorageFull, "storage_full"),
    (CommitUnknown, "commit_unknown"),
    (ArtifactRefused, "artifact_refused"),
    (Exception, "bug"),
    (BaseException, "interrupted"),
)
"""The first that fits an error is its outcome."""
OUTCOMES = (SUCCEEDED, *(outcome for _, outcome in _OUTCOMES), "killed")
"""How a run may end."""
_SECONDS_BETWEEN_ADDITIONS = 15.0

_logger = logging.getLogger("eqn.run")


class Run:
    """Hears of what a run does. This one keeps nothing: see `observed`."""

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:  # noqa: ARG002  as all of these, for `_ObservedRun`
        """Take the time of a stage: fetch, plan, validate, annotate, commit, drift, page, or another name of code."""
        yield

    def rows(self, rows: int, tokens: int) -> None:
        """Count annotated rows, as an `eqn.annotation.engine.Report`; without tokens they were annotated before."""

    def quarantined(self, reasons: Mapping[str, int]) -> None:
        """Count rows of new inputs in quarantine, by reason."""

    def released(self, release: ReleaseRef) -> None:
        """Note the release that stands now, whether this run published it or found it published."""

    def drift(self, drift: Drift) -> None:
        """Note what a release's distances are; they replace those of the release before."""


_CURRENT: contextvars.ContextVar[Run] = contextvars.ContextVar("eqn_current_run", default=Run())  # noqa: B039  it keeps nothing


def current_run() -> Run:
    """Give the innermost observed run of this context, or one that keeps nothing."""
    return _CURRENT.get()


@contextlib.contextmanager
def observed(settings: Settings, *, flow: str, dataset: str, run_id: str = "") -> Iterator[Run]:
    """Observe what happens inside as one run of `flow`, and count it in the ledger of `settings`.

    Errors pass through unchanged; they are the outcome. `run_id` is Prefect's id of the flow run, for the logs.
    What goes wrong with counting or pushing is logged, and never a reason for the run to fail.
    """
    run = _ObservedRun(settings, flow=name_label(flow), dataset=dataset_label(dataset))
    facts = {"flow": flow, "dataset": run.dataset} | ({"flow_run": run_id} if run_id else {})
    with bound(**facts):
        token = _CURRENT.set(run)
        outcome = SUCCEEDED
        try:
            run.begin()
            yield run
        except BaseException as error:
            outcome = outcome_of(error)
            run.log_error(error, outcome)
            raise
        finally:
            _CURRENT.reset(token)
            run.end(outcome)


def outcome_of(error: BaseException) -> str:
    """Give the outcome of a run that ended with `error`."""
    return next(outcome for kind, outcome in _OUTCOMES if isinstance(error, kind))


def _kind(against: str) -> str:
    """Give what a release is compared with, without its number, which would be a new label with each release."""
    if against.endswith("new files only"):
        return "new files"
    return "release" if against.startswith("release ") else name_label(against)


class _ObservedRun(Run):
    """A run whose counts go to the ledger. Its methods may be called from any thread."""

    def __init__(self, settings: Settings, *, flow: str, dataset: str) -> None:
        self.dataset = dataset
        self._settings, self._flow = settings, flow
        self._ledger = Ledger(settings.metrics)
        self._entry: Entry | None = None
        self._changes = Changes()
        self._lock = threading.Lock()
        self._started = self._added = time.monotonic()
        self._seconds: dict[str, float] = {}
        self._taken = self._annotated = self._quarantined = 0
        self._new_rows = self._new_tokens = 0
        """Annotated since the last addition."""
        self._complained = False

    def begin(self) -> None:
        """Enter the list of runs under way."""
        with self._harmless():
            self._entry = self._ledger.begin(
                str(uuid.uuid4()), flow=self._flow, dataset=self.dataset, zeros=self._zeros
            )
            self.dataset = self._entry.dataset
        _logger.info("run started")

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - started
            labels = {"dataset": self.dataset, "flow": self._flow, "stage": name_label(name)}
            with self._lock:
                self._seconds[name] = self._seconds.get(name, 0.0) + seconds
                self._changes.add("eqn_stage_seconds_sum", seconds, **labels)
                self._changes.add("eqn_stage_seconds_count", 1, **labels)
                self._changes.put("eqn_last_stage_seconds", seconds, **labels)
            _logger.info("stage ended", extra={"stage": name_label(name), "seconds": round(seconds, 3)})

    def rows(self, rows: int, tokens: int) -> None:
        with self._lock:
            self._taken += rows
            if tokens:
                self._annotated += rows
                self._new_rows += rows
                self._new_tokens += tokens
            if time.monotonic() - self._added >= _SECONDS_BETWEEN_ADDITIONS:
                self._add()

    def quarantined(self, reasons: Mapping[str, int]) -> None:
        labelled = {name_label(reason): rows for reason, rows in reasons.items() if rows}
        with self._lock:
            self._quarantined += sum(labelled.values())
            for reason, rows in labelled.items():
                self._changes.add("eqn_rows_quarantined_total", rows, dataset=self.dataset, reason=reason)
        if labelled:
            _logger.info("rows quarantined", extra={"reasons": labelled})

    def released(self, release: ReleaseRef) -> None:
        with self._lock:
            self._changes.put("eqn_last_release_number", release.number, dataset=self.dataset)
            self._changes.put("eqn_last_release_rows", release.rows, dataset=self.dataset)
            if not release.already_published:
                self._changes.add("eqn_releases_published_total", 1, dataset=self.dataset)
                self._changes.put("eqn_last_release_timestamp_seconds", time.time(), dataset=self.dataset)
        facts = {"release": release.number, "rows": release.rows, "quarantined": release.quarantined}
        _logger.info("nothing new to release" if release.already_published else "release published", extra=facts)

    def drift(self, drift: Drift) -> None:
        with self._lock:
            for sample in ("eqn_drift", "eqn_drift_threshold"):
                self._changes.clear(sample, self.dataset)
            for comparison in drift.comparisons:
                against = _kind(comparison.against)
                for measure in comparison.measures:
                    labels = {"dataset": self.dataset, "against": against, "property": name_label(measure.name)}
                    self._changes.put("eqn_drift", measure.value, **labels)
                    self._changes.put("eqn_drift_threshold", measure.threshold, **labels)
            self._changes.put("eqn_drift_breaches", len(drift.breaches), dataset=self.dataset)
        _logger.info("drift measured", extra={"release": drift.release, "breaches": len(drift.breaches)})

    def log_error(self, error: BaseException, outcome: str) -> None:
        """Log how the run broke off: the error's class, not its words, which may come from the data."""
        facts = {"outcome": outcome}
        if isinstance(error, EqnError):
            _logger.error("run failed", extra=facts | {"exit_code": error.exit_code})
        else:
            _logger.error("run broke off", extra=facts, exc_info=error)

    def end(self, outcome: str) -> None:
        """Count the end, and leave the list of runs under way."""
        seconds, labels = time.monotonic() - self._started, {"dataset": self.dataset, "flow": self._flow}
        with self._lock:
            self._changes.add("eqn_runs_total", 1, outcome=outcome, **labels)
            self._changes.add("eqn_run_seconds_sum", seconds, **labels)
            self._changes.add("eqn_run_seconds_count", 1, **labels)
            if outcome == SUCCEEDED:
                self._changes.put("eqn_last_success_timestamp_seconds", time.time(), **labels)
            annotating = self._seconds.get("annotate", 0.0)
            if self._annotated and annotating:
                speed = self._annotated / annotating
                self._changes.put("eqn_last_texts_per_second", speed, dataset=self.dataset)
            read = self._taken + self._quarantined
            if read:
                share = self._quarantined / read
                self._changes.put("eqn_last_quarantined_share", share, dataset=self.dataset)
            self._add(ended=self._entry)
        _logger.info("run ended", extra={"outcome": outcome, "seconds": round(seconds, 3), "rows": self._annotated})
        if self._entry is not None:
            with self._harmless():
                self._entry.close()
        if self._settings.pushgateway_url:
            with self._harmless():
                push(self._ledger, self._settings.pushgateway_url)

    def _add(self, *, ended: Entry | None = None) -> None:
        """Move what was counted into the ledger; what cannot be added now is added the next time."""
        self._added = time.monotonic()
        self._changes.add("eqn_rows_annotated_total", self._new_rows, dataset=self.dataset)
        self._changes.add("eqn_tokens_total", self._new_tokens, dataset=self.dataset)
        self._new_rows = self._new_tokens = 0
        with self._harmless():
            self._ledger.add(self._changes, ended=ended)
            self._changes = Changes()

    def _zeros(self, dataset: str) -> Changes:
        changes = Changes()
        for outcome in OUTCOMES:
            changes.add("eqn_runs_total", 0, dataset=dataset, flow=self._flow, outcome=outcome)
        for sample in ("eqn_rows_annotated_total", "eqn_tokens_total", "eqn_releases_published_total"):
            changes.add(sample, 0, dataset=dataset)
        return changes

    @contextlib.contextmanager
    def _harmless(self) -> Iterator[None]:
        """Log what goes wrong with counting, once, and go on."""
        try:
            yield
        except Exception as error:  # whatever it is, a release is worth more than its figures
            if not self._complained:
                self._complained = True
                _logger.warning("the metrics of this run cannot be kept or pushed", exc_info=error)
