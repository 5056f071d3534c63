"""What runs count, as Prometheus reads it afterwards."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eqn.errors import CommitUnknown, DataRefused, EqnError, StoreUnavailable
from eqn.records import ReleaseRef
from eqn.settings import Settings
from eqn.telemetry.ledger import Ledger
from eqn.telemetry.run import OUTCOMES, Run, current_run, observed, outcome_of
from tests.telemetry.conftest import DRIFT, RELEASE
from tests.telemetry.values import values

CHILD = """
import sys
from eqn.settings import load_settings
from eqn.telemetry.run import observed
from eqn.telemetry import run
run._SECONDS_BETWEEN_ADDITIONS = 0.0
with observed(load_settings(), flow="annotate", dataset="letters") as observed_run:
    {body}
"""


def _annotate(settings: Settings) -> None:
    with observed(settings, flow="annotate", dataset="letters", run_id="3f") as run:
        with run.stage("plan"):
            pass
        with run.stage("annotate"):
            run.rows(60, 600)
            run.rows(30, 300)
        run.quarantined({"empty_text": 9, "bad_json": 1, "ragged_row": 0})
        run.released(RELEASE)
        run.drift(DRIFT)


def test_a_run_is_counted(settings: Settings) -> None:
    """Rows, tokens, reasons, stages, the release, drift and the outcome are there after the process has gone."""
    _annotate(settings)
    _annotate(settings)

    found = values(settings)

    assert found['eqn_rows_annotated_total{dataset="letters"}'] == 180
    assert found['eqn_tokens_total{dataset="letters"}'] == 1800
    assert found['eqn_rows_quarantined_total{dataset="letters",reason="empty_text"}'] == 18
    assert 'eqn_rows_quarantined_total{dataset="letters",reason="ragged_row"}' not in found
    assert found['eqn_last_quarantined_share{dataset="letters"}'] == 0.1
    assert found['eqn_releases_published_total{dataset="letters"}'] == 2
    assert found['eqn_last_release_number{dataset="letters"}'] == 3
    assert found['eqn_runs_total{dataset="letters",flow="annotate",outcome="succeeded"}'] == 2
    assert found['eqn_stage_seconds_count{dataset="letters",flow="annotate",stage="annotate"}'] == 2
    assert found['eqn_last_texts_per_second{dataset="letters"}'] > 0
    assert found['eqn_last_success_timestamp_seconds{dataset="letters",flow="annotate"}'] > 1e9
    assert found['eqn_drift{against="release",dataset="letters",property="joy"}'] == 0.3
    assert found['eqn_drift{against="new files",dataset="letters",property="joy"}'] == 0.4
    assert found['eqn_drift_threshold{against="training data",dataset="letters",property="text length"}'] == 0.1
    assert found['eqn_drift_breaches{dataset="letters"}'] == 1


def test_counters_stand_at_zero_before_anything_happened(settings: Settings) -> None:
    """Prometheus sees the first failure grow from 0, and the run itself while it is under way."""
    with observed(settings, flow="annotate", dataset="letters"):
        found = values(settings)

    for outcome in OUTCOMES:
        assert found[f'eqn_runs_total{{dataset="letters",flow="annotate",outcome="{outcome}"}}'] == 0
    assert found['eqn_rows_annotated_total{dataset="letters"}'] == 0
    assert found['eqn_runs_running{dataset="letters",flow="annotate"}'] == 1
    assert 'eqn_runs_running{dataset="letters",flow="annotate"}' not in values(settings)


def test_a_release_that_was_there_before_is_not_counted_again(settings: Settings) -> None:
    with observed(settings, flow="annotate", dataset="letters") as run:
        run.released(ReleaseRef("letters", 3, "/somewhere", 90, 10, already_published=True))

    found = values(settings)

    assert found['eqn_last_release_number{dataset="letters"}'] == 3
    assert found['eqn_releases_published_total{dataset="letters"}'] == 0
    assert 'eqn_last_release_timestamp_seconds{dataset="letters"}' not in found
    assert 'eqn_last_quarantined_share{dataset="letters"}' not in found


def test_rows_of_a_killed_run_are_not_counted_again(settings: Settings) -> None:
    """A rerun reports the parts that it found without tokens."""
    with observed(settings, flow="annotate", dataset="letters") as run:
        run.rows(50, 0)
        run.rows(40, 400)

    assert values(settings)['eqn_rows_annotated_total{dataset="letters"}'] == 40


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (DataRefused("no"), "refused"),
        (StoreUnavailable("no"), "unavailable"),
        (CommitUnknown("no"), "commit_unknown"),
        (EqnError("no"), "bug"),
        (ValueError("no"), "bug"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_the_error_is_the_outcome_and_passes_through(settings: Settings, error: BaseException, outcome: str) -> None:
    with pytest.raises(type(error)) as caught, observed(settings, flow="train", dataset=""):
        raise error

    assert caught.value is error
    assert values(settings)[f'eqn_runs_total{{dataset="none",flow="train",outcome="{outcome}"}}'] == 1
    assert 'eqn_last_success_timestamp_seconds{dataset="none",flow="train"}' not in values(settings)
    assert outcome_of(error) in OUTCOMES


def test_drift_of_a_release_replaces_that_of_the_one_before(settings: Settings) -> None:
    """A property that is no longer compared does not stay for ever."""
    _annotate(settings)
    with observed(settings, flow="annotate", dataset="letters") as run:
        run.drift(type(DRIFT)("letters", 4, 90, DRIFT.comparisons[2:]))

    found = values(settings)

    assert 'eqn_drift{against="release",dataset="letters",property="joy"}' not in found
    assert found['eqn_drift{against="training data",dataset="letters",property="text length"}'] == 0.05
    assert found['eqn_drift_breaches{dataset="letters"}'] == 0


def test_ids_and_texts_never_become_labels(settings: Settings) -> None:
    """What is no name of a flow, stage, reason or dataset is counted as `other`."""
    with observed(settings, flow="flow-3f2a", dataset="Ihre Nachricht!") as run:
        with run.stage("part 17"):
            pass
        run.quarantined({"text: I can't stop smiling": 2})

    assert values(settings)['eqn_rows_quarantined_total{dataset="other",reason="other"}'] == 2
    assert values(settings)['eqn_stage_seconds_count{dataset="other",flow="other",stage="other"}'] == 1


def test_the_hundred_and_first_dataset_is_counted_with_the_others(settings: Settings) -> None:
    """However many names there are, the ledger and Prometheus keep few series."""
    for number in range(103):
        with observed(settings, flow="annotate", dataset=f"d{number}") as run:
            run.rows(1, 10)
    with observed(settings, flow="annotate", dataset="d5") as run:
        run.rows(1, 10)

    found = values(settings)

    assert found['eqn_rows_annotated_total{dataset="other"}'] == 3
    assert found['eqn_rows_annotated_total{dataset="d5"}'] == 2


def test_nothing_observed_nothing_counted(settings: Settings) -> None:
    """Outside of a run the same calls are heard by nobody; inside, they reach it from anywhere below."""
    current_run().rows(5, 50)
    with current_run().stage("plan"), observed(settings, flow="annotate", dataset="letters") as run:
        assert current_run() is run
        current_run().rows(1, 10)

    assert type(current_run()) is Run
    assert values(settings)['eqn_rows_annotated_total{dataset="letters"}'] == 1


def test_a_killed_run_leaves_what_it_counted_and_is_missed(settings: Settings) -> None:
    """kill -9: what was added stays, the run counts as killed once, and its lock file is gone."""
    child = _child('observed_run.rows(7, 70); print("ready", flush=True); sys.stdin.read()')
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    assert values(settings)['eqn_runs_running{dataset="letters",flow="annotate"}'] == 1

    child.send_signal(signal.SIGKILL)
    child.communicate()

    for _ in range(2):
        found = values(settings)
        assert found['eqn_rows_annotated_total{dataset="letters"}'] == 7
        assert found['eqn_runs_total{dataset="letters",flow="annotate",outcome="killed"}'] == 1
        assert 'eqn_runs_running{dataset="letters",flow="annotate"}' not in found
    assert list((settings.metrics / "running").iterdir()) == []


def test_runs_at_once_lose_nothing(settings: Settings) -> None:
    """Four processes and four threads add to the same series."""
    body = "[observed_run.rows(1, 2) for _ in range(50)]"
    children = [_child(body) for _ in range(4)]
    threads = [threading.Thread(target=_annotate, args=(settings,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [child.wait() for child in children] == [0] * 4
    assert values(settings)['eqn_rows_annotated_total{dataset="letters"}'] == 4 * 50 + 4 * 90
    assert values(settings)['eqn_runs_total{dataset="letters",flow="annotate",outcome="succeeded"}'] == 8


def test_the_ledger_does_not_grow_with_runs(settings: Settings) -> None:
    _annotate(settings)
    before = Ledger(settings.metrics).path.stat().st_size
    for _ in range(200):
        _annotate(settings)

    assert Ledger(settings.metrics).path.stat().st_size == before


def test_a_damaged_ledger_is_set_aside(settings: Settings) -> None:
    """After a power failure the next run starts a new one; the run itself never notices."""
    _annotate(settings)
    Ledger(settings.metrics).path.write_bytes(b"no database at all " * 500)

    _annotate(settings)

    assert values(settings)['eqn_rows_annotated_total{dataset="letters"}'] == 90
    assert sorted(path.name for path in settings.metrics.iterdir()) == [
        "ledger-1.damaged",
        "ledger-1.sqlite",
        "running",
    ]


def test_what_cannot_be_counted_is_no_reason_to_fail(settings: Settings) -> None:
    """A file where the folder should be: the run goes on, and the exporter says that it cannot read."""
    settings.home.mkdir()
    settings.metrics.write_text("in the way")

    _annotate(settings)

    assert values(settings) == {"eqn_telemetry_readable": 0}


def test_an_addition_that_had_to_wait_is_made_later(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody holds the ledger for too long: the counts are kept and added at the end."""
    monkeypatch.setattr("eqn.telemetry.run._SECONDS_BETWEEN_ADDITIONS", 0.0)
    monkeypatch.setattr("eqn.telemetry.ledger._SECONDS_TO_WAIT", 0.01)
    with observed(settings, flow="annotate", dataset="letters") as run:
        holder = sqlite3.connect(Ledger(settings.metrics).path, isolation_level=None)
        holder.execute("begin immediate")
        run.rows(3, 30)
        holder.execute("rollback")
        holder.close()

    assert values(settings)['eqn_rows_annotated_total{dataset="letters"}'] == 3


def test_no_metric_holds_a_path_or_a_run_id(settings: Settings, tmp_path: Path) -> None:
    _annotate(settings)

    assert not [name for name in values(settings) if "3f" in name or "somewhere" in name or str(tmp_path) in name]


def _child(body: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(body=body)], env=os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
